"""Tiny random models of many families, with windows of 16 tokens where the family has windows."""

from __future__ import annotations

from typing import Any

import torch
import transformers as t

from cgpo.policy.attention import attention_implementation

VOCABULARY = 97
WINDOW = 16
_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_WINDOWED = {**_SMALL, "sliding_window": WINDOW}
_OLD = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_EXPERTS = {"num_experts_per_tok": 2}

SHARING: dict[str, Any] = {
    "llama": t.LlamaConfig(**_SMALL, num_hidden_layers=2),
    "qwen2": t.Qwen2Config(**_WINDOWED, num_hidden_layers=4, use_sliding_window=True, max_window_layers=2),
    "qwen3": t.Qwen3Config(**_WINDOWED, num_hidden_layers=2, head_dim=8, use_sliding_window=True, max_window_layers=1),
    "qwen3-moe": t.Qwen3MoeConfig(
        **_SMALL, **_EXPERTS, num_hidden_layers=2, head_dim=8, num_experts=4, moe_intermediate_size=16
    ),
    "gemma2": t.Gemma2Config(
        **_WINDOWED, num_hidden_layers=2, head_dim=8, query_pre_attn_scalar=8, attn_logit_softcapping=2.0
    ),
    "gemma3": t.Gemma3TextConfig(**_WINDOWED, num_hidden_layers=6, head_dim=8, query_pre_attn_scalar=8),
    "mistral": t.MistralConfig(**_WINDOWED, num_hidden_layers=2),
    "phi3": t.Phi3Config(**_WINDOWED, num_hidden_layers=2),
    "olmo2": t.Olmo2Config(**_SMALL, num_hidden_layers=2),
    "olmo3": t.Olmo3Config(**_WINDOWED, num_hidden_layers=4),
    "smollm3": t.SmolLM3Config(**_SMALL, num_hidden_layers=4),
    "granite": t.GraniteConfig(**_SMALL, num_hidden_layers=2, logits_scaling=3.0),
    "cohere2": t.Cohere2Config(**_WINDOWED, num_hidden_layers=4, head_dim=8),
    "exaone4": t.Exaone4Config(**_WINDOWED, num_hidden_layers=4, sliding_window_pattern=4),
    "gpt-oss": t.GptOssConfig(**_WINDOWED, **_EXPERTS, num_hidden_layers=2, head_dim=8, num_local_experts=4),
    "deepseek-v3": t.DeepseekV3Config(
        **{**_SMALL, "num_key_value_heads": 4},
        **_EXPERTS,
        num_hidden_layers=2,
        moe_intermediate_size=16,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        kv_lora_rank=8,
        q_lora_rank=8,
        qk_rope_head_dim=4,
        qk_nope_head_dim=4,
        v_head_dim=8,
        first_k_dense_replace=1,
    ),
    "llama4": t.Llama4TextConfig(
        **_SMALL,
        num_hidden_layers=4,
        head_dim=8,
        attention_chunk_size=WINDOW,
        num_local_experts=2,
        intermediate_size_mlp=48,
    ),
    "glm4": t.Glm4Config(**_SMALL, num_hidden_layers=2, head_dim=8),
    "falcon": t.FalconConfig(**_OLD, alibi=False),
    "gpt2": t.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=512),
}
"""Families whose layers can all be told what a token may see."""

ALONE: dict[str, Any] = {
    "falcon-alibi": t.FalconConfig(**_OLD, alibi=True),
    "bloom": t.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4),
    "lfm2": t.Lfm2Config(
        **_SMALL,
        num_hidden_layers=4,
        layer_types=["conv", "full_attention", "conv", "conv"],
        block_ff_dim=48,
        block_auto_adjust_ff_dim=False,
    ),
    "granite-hybrid": t.GraniteMoeHybridConfig(
        **_SMALL,
        num_hidden_layers=2,
        layer_types=["mamba", "attention"],
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=8,
        mamba_n_groups=1,
        num_local_experts=2,
        num_experts_per_tok=1,
        shared_intermediate_size=16,
    ),
    "jamba": t.JambaConfig(
        **_SMALL,
        num_hidden_layers=4,
        attn_layer_period=2,
        attn_layer_offset=1,
        num_experts=2,
        expert_layer_period=2,
        expert_layer_offset=1,
        use_mamba_kernels=False,
        mamba_d_state=8,
        mamba_dt_rank=4,
    ),
    "mamba2": t.Mamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=4,
        head_dim=16,
        expand=2,
        state_size=8,
        n_groups=1,
        chunk_size=8,
    ),
    "qwen3.5": t.Qwen3_5TextConfig(
        **_SMALL,
        num_hidden_layers=4,
        head_dim=8,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    ),
}
"""Families that need a row for each sequence: a state runs through the row, or positions are those of the row."""

FAMILIES = SHARING | ALONE


def random_model(family: str, attention: str = "auto", dtype: torch.dtype = torch.float32) -> Any:
    """A model with weights drawn three times wider than transformers does, so that attention differs between keys."""
    config = FAMILIES[family]
    torch.manual_seed(0)
    implementation = attention_implementation(config, attention, family)
    model = t.AutoModelForCausalLM.from_config(config, attn_implementation=implementation, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model.to(dtype)
