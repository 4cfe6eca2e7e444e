"""A LoRA adapter: only it learns, what the engine gets is the adapted model, and the base model is never touched."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from policies import SEQUENCES, logprobs, settings_for, step
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from cgpo.config import LoraSettings, RolloutSettings
from cgpo.errors import CgpoError, ConfigError, RunError
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.export import export_adapter, export_run
from cgpo.policy.lora import adapter_off, add_adapter
from cgpo.policy.policy import Policy
from cgpo.policy.reference import Reference, make_reference
from cgpo.policy.weights import ModuleWeights
from cgpo.rollout.engine import EngineContext
from cgpo.rollout.hf_engine import HfEngine
from cgpo.storage.run_directory import claim_run_directory

LORA = {"model": {"lora": {"rank": 4}, "reference_mode": "adapter_off"}}


def copies(weights: ModuleWeights) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in weights}


def engine_for(model: str) -> HfEngine:
    return HfEngine(EngineContext(model, None, False, "float32", 256, RolloutSettings(engine="hf"), 0, 0, 1))


def scored(engine: HfEngine) -> torch.Tensor:
    scores = engine.score([(s.prompt_ids, s.response_ids) for s in SEQUENCES])
    return torch.tensor([x for row in scores for x in row])


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_engine_gets_the_adapted_model_and_the_base_stays(tiny_model: str, stage: int) -> None:
    settings = settings_for(tiny_model, stage, **LORA, train={"max_grad_norm": 1.0})
    policy = Policy(settings)
    reference, base_model = make_reference(settings, policy), Reference(settings)
    base, before = copies(base_model.weights()), logprobs(base_model)
    engine = engine_for(tiny_model)
    for _ in range(2):
        step(policy)
    assert policy.weights().metadata() == base_model.weights().metadata()
    engine.sync(policy.weights())
    adapted = logprobs(policy)
    assert (adapted - before).abs().max() > 0.1, "the adapter learnt"
    torch.testing.assert_close(scored(engine), adapted, atol=2e-5, rtol=1e-5)
    # The policy with its adapter off is the copy, bit for bit, and learns on afterwards.
    torch.testing.assert_close(logprobs(reference), before, atol=0, rtol=0)
    for name, tensor in copies(reference.weights()).items():
        torch.testing.assert_close(tensor, base[name], atol=0, rtol=0, msg=name)
    step(policy)
    assert not torch.equal(logprobs(policy), adapted)
    engine.sync(reference.weights())
    torch.testing.assert_close(scored(engine), before, atol=2e-5, rtol=1e-5)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("stage", [0, 2, 3])
def test_a_checkpoint_holds_the_adapter_and_what_it_is_exported_as(tiny_model: str, tmp_path: Path, stage: int) -> None:
    settings = settings_for(tiny_model, stage, **LORA)
    run = tmp_path / "run"
    claim_run_directory(run, settings.model_dump())
    policy = Policy(settings)
    step(policy)
    Checkpoints(run / "checkpoints", keep=1).save(1, policy.save, {"zero_stage": stage})
    size = sum(file.stat().st_size for file in (run / "checkpoints").rglob("*.pt"))
    weights = sum(p.numel() for p in policy.engine.module.parameters() if p.requires_grad)
    assert size < 16 * weights + 300_000, "adapter, master weights and AdamW's two moments; the base model is 24 MB"
    again = Policy(settings)
    again.load(str(run / "checkpoints" / "step-000001"))
    torch.testing.assert_close(logprobs(again), logprobs(policy), atol=0, rtol=0)
    # The run was started again with another stage, which it has written no checkpoint with yet.
    claim_run_directory(run, settings_for(tiny_model, 0 if stage else 1, **LORA).model_dump())
    exported = AutoModelForCausalLM.from_pretrained(export_run(run, tmp_path / "whole"))
    for (name, tensor), (_, theirs) in zip(policy.weights(), exported.named_parameters(), strict=True):
        torch.testing.assert_close(theirs.data, tensor, atol=1e-7, rtol=0, msg=name)
    adapter = export_adapter(run, tmp_path / "adapter")
    assert sum(f.stat().st_size for f in adapter.iterdir()) < 4 * weights + 20_000
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), adapter).merge_and_unload()
    for (name, tensor), (_, other) in zip(policy.weights(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(other.data, tensor, atol=1e-6, rtol=0, msg=name)
    assert step(again) == step(policy)
    torch.testing.assert_close(logprobs(again), logprobs(policy), atol=0, rtol=0)
    config = run / "config.yaml"
    config.write_text(re.sub(r"\brank: \d+", "rank: 3", config.read_text()))
    with pytest.raises(RunError, match="does not hold the weights of"):
        export_run(run, tmp_path / "other")


def tiny(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


GPT2 = GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64)
LLAMA = LlamaConfig(
    vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    tie_word_embeddings=True,
)  # fmt: skip


@pytest.mark.parametrize("rank_stabilised", [False, True])
@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["conv1d", "linear"])
def test_merged_weights_are_the_adapter_model(config: Any, rank_stabilised: bool) -> None:
    """Against peft's own forward pass, for layers that store their weight as [out, in] and as [in, out]."""
    model, plain = tiny(config), tiny(config)
    add_adapter(model, LoraSettings(rank=3, alpha=5, rank_stabilised=rank_stabilised), seed=1)
    for parameter in (p for p in model.parameters() if p.requires_grad):
        parameter.data.normal_(std=0.2)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    without = plain(ids).logits
    with adapter_off(model):
        torch.testing.assert_close(model(ids).logits, without, atol=0, rtol=0)
    found = plain.load_state_dict(copies(ModuleWeights(model)), strict=False)
    assert not found.unexpected_keys
    plain.tie_weights()
    torch.testing.assert_close(plain(ids).logits, model(ids).logits, atol=1e-5, rtol=1e-5)
    assert (model(ids).logits - without).abs().max() > 0.01


def test_every_rank_and_run_starts_with_the_same_adapter() -> None:
    random.seed(1)
    torch.manual_seed(1)
    one, two = tiny(LLAMA), tiny(LLAMA)
    add_adapter(one, LoraSettings(), seed=7)
    state = torch.get_rng_state()
    torch.rand(5)
    add_adapter(two, LoraSettings(), seed=7)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)
    torch.set_rng_state(state)
    other = tiny(LLAMA)
    add_adapter(other, LoraSettings(), seed=8)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["q_prj"], r"target_modules.*q_prj.*Linear layers of this model:.*q_proj"),
        (["lm_head"], "shares its weight"),
        (["embed_tokens"], "is a Embedding, not linear"),
    ],
)
def test_layers_that_cannot_be_adapted_are_refused(targets: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_adapter(tiny(LLAMA), LoraSettings(target_modules=targets), seed=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"reference_mode": "adapter_off"}, "there is no adapter"),
        ({"reference_mode": "adapter_off", "lora": {}, "reference": "x"}, "not 'x'"),
        ({"lora": {"dropout": 0.1}}, "dropout"),
        ({"lora": {"target_modules": []}}, "target_modules` is empty"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, CgpoError), match=message):
        settings_for("any", model=model)
