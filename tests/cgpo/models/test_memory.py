"""The dry run's estimate, worked out by hand for a small model; read from files without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cgpo.compose import validate
from cgpo.config import LoraSettings, ModelSettings, RunSettings
from cgpo.models.memory import ModelShape, activations, memory_parts, memory_text, model_shape

WEIGHTS = {
    "model.embed_tokens.weight": (100, 8),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.self_attn.k_proj.weight": (4, 8),
    "model.layers.0.mlp.up_proj.weight": (16, 8),
    "model.norm.weight": (8,),
    "lm_head.weight": (100, 8),
}
PARAMETERS = 800 + 64 + 32 + 128 + 8 + 800
SHAPE = ModelShape(WEIGHTS, layers=1, hidden=8, inner=16, key_value=4, vocabulary=100)


def settings_for(name: str = "any", **groups: dict[str, Any]) -> RunSettings:
    stratum = {
        "prompts": {"generator": "math", "size": 4},
        "rewards": {"any": 1.0},
        "optimizer": {"name": "crpg", "kl_max": 10.0},
    }
    return validate(
        {
            "run_dir": "unused",
            "model": {"name": name, **groups.get("model", {})},
            "rewards": {"any": {"model": "unused"}},
            "strata": {"math": stratum},
            "deepspeed": groups.get("deepspeed", {}),
            "train": {"micro_batch_tokens": 32, "logit_chunk_tokens": 10},
        }
    )


def needs(ranks: int = 1, **groups: dict[str, Any]) -> dict[str, tuple[float, bool]]:
    return {part.name: (part.size, part.host) for part in memory_parts(settings_for(**groups), SHAPE, ranks)}


def test_plain_float32_on_one_rank() -> None:
    p = PARAMETERS
    layer = (10 * 8 + 4 * 4 + 4 * 16) * 4
    assert needs() == {
        "policy": (4 * p, False),
        "gradients": (4 * p, False),
        "AdamW": (8 * p, False),
        "reference": (4 * p, False),
        "rollout engine": (4 * p, False),
        "activations": (32 * layer, False),
        "attention mask": (32 * 32 * (1 + 4), False),
        "logits": (10 * 100 * 12, False),
    }


def test_what_is_reduced_over_ranks_is_copied() -> None:
    assert needs(2)["reduction"] == (4 * PARAMETERS, False)
    assert needs(model={"dtype": "bfloat16"}, deepspeed={"zero_stage": 1})["reduction"] == (2 * 5 * 10**8, False)


def test_zero_3_in_bfloat16_on_four_ranks_offloaded() -> None:
    p = PARAMETERS
    deepspeed = {"zero_stage": 3, "offload_optimizer": "cpu", "offload_parameters": "cpu"}
    found = needs(4, model={"dtype": "bfloat16", "reference_mode": "offload"}, deepspeed=deepspeed)
    assert found["policy"] == (2 * p / 4, True)
    assert found["gradients"] == (4 * p / 4 + 2 * p, False)
    assert found["reduction"] == (2 * 5 * 10**8, False)
    assert found["master weights"] == (p, True)
    assert found["AdamW"] == (2 * p, True)
    assert found["reference"] == (2 * p, True)


def test_an_adapter_is_what_costs_gradients_and_moments() -> None:
    lora = {"rank": 2}
    found = needs(model={"lora": lora, "reference_mode": "adapter_off"})
    adapter = 2 * ((8 + 8) + (4 + 8) + (16 + 8))
    assert SHAPE.adapter_parameters(LoraSettings(rank=2)) == adapter
    assert SHAPE.adapter_parameters(LoraSettings(rank=2, target_modules=["k_proj"])) == 2 * 12
    assert found["policy"] == (4 * (PARAMETERS + adapter), False)
    assert found["gradients"] == (4 * adapter, False)
    assert found["AdamW"] == (8 * adapter, False)
    assert "reference" not in found


def test_checkpointing_keeps_one_width_a_layer_and_one_layer_whole() -> None:
    shape = ModelShape({}, layers=10, hidden=8, inner=16, key_value=4, vocabulary=100)
    layer = (10 * 8 + 4 * 4 + 4 * 16) * 2
    assert activations(shape, 7, 2, checkpointing=False) == 7 * 10 * layer
    assert activations(shape, 7, 2, checkpointing=True) == 7 * (10 * 8 * 2 + layer)


def write_model(folder: Path) -> None:
    header = {n: {"dtype": "F32", "shape": list(s), "data_offsets": [0, 0]} for n, s in WEIGHTS.items()}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    config = {
        "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 16, "vocab_size": 100,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def test_shapes_are_read_from_the_model_s_files(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert model_shape(ModelSettings(name=str(tmp_path))) == SHAPE
    text = memory_text(settings_for(str(tmp_path)), 1)
    assert "an estimate" in text
    assert "AdamW" in text


@pytest.mark.parametrize("content", [b"", struct.pack("<Q", 5) + b"{{{{{"])
def test_without_readable_weights_there_is_no_estimate(tmp_path: Path, content: bytes) -> None:
    write_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert "no estimate" in memory_text(settings_for(str(tmp_path)), 1)
    assert "no estimate" in memory_text(settings_for("somebody/not-downloaded"), 1)
