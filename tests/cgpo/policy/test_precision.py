"""What is kept in which type: 16-bit weights learn from float32 masters and sums; offloading changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from deepspeed.accelerator import get_accelerator
from deepspeed.utils import safe_get_full_fp32_param
from policies import SEQUENCES, logprobs, settings_for, step, weight_of

from cgpo.errors import ConfigError, RunError
from cgpo.policy.layout import micro_batches
from cgpo.policy.loading import load_causal_lm
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.policy import Policy

BF16 = {"dtype": "bfloat16"}
RATE = 1e-2


def plain_bf16(settings: Any, rates: list[float]) -> tuple[list[torch.Tensor], list[float]]:
    """Masters and gradient norms of the same steps in plain PyTorch: bfloat16 passes, everything else float32."""
    float32_logits = settings.train.float32_logits
    model = LogProbModel(load_causal_lm(settings.model.name, settings.model), 8, float32_logits=float32_logits)
    parameters = list(model.parameters())
    masters = [p.detach().float().requires_grad_() for p in parameters]
    train = settings.train
    adam = torch.optim.AdamW(masters, betas=tuple(train.betas), weight_decay=train.weight_decay)
    norms = []
    for rate in rates:
        sums = [torch.zeros_like(m) for m in masters]
        for batch in micro_batches(SEQUENCES, range(len(SEQUENCES)), train.micro_batch_tokens):
            loss = -(model(batch, 1.0)[0] * weight_of(batch.sample)).sum()
            for total, gradient in zip(sums, torch.autograd.grad(loss, parameters), strict=True):
                total += gradient.float()
        for master, total in zip(masters, sums, strict=True):
            master.grad = total
        norms.append(float(torch.cat([total.flatten().double() for total in sums]).norm()))
        torch.nn.utils.clip_grad_norm_(masters, train.max_grad_norm)
        adam.param_groups[0]["lr"] = rate
        adam.step()
        with torch.no_grad():
            for parameter, master in zip(parameters, masters, strict=True):
                parameter.copy_(master)
    return [m.detach() for m in masters], norms


def masters_of(policy: Policy) -> list[torch.Tensor]:
    return [safe_get_full_fp32_param(p).clone() for p in policy.engine.module.parameters()]


@pytest.mark.usefixtures("process_group")
def test_float32_logits_under_zero3_are_plain_pytorch_too(tiny_model: str) -> None:
    settings = settings_for(tiny_model, 3, model=BF16, train={"float32_logits": True})
    policy = Policy(settings)
    masters, norms = plain_bf16(settings, [RATE])
    assert step(policy, RATE) == pytest.approx(norms[0], rel=1e-6)
    for ours, theirs in zip(masters_of(policy), masters, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@torch.no_grad()
def test_logits_of_a_bfloat16_head_are_rounded_but_where_float32_is_asked_for(tiny_model: str) -> None:
    settings = settings_for(tiny_model, 1, model=BF16)
    causal_lm = load_causal_lm(settings.model.name, settings.model).eval()
    causal_lm.get_output_embeddings().weight.mul_(8)  # logits of a trained model's size
    batch = micro_batches(SEQUENCES, range(len(SEQUENCES)), 4096)[0]
    rounded, wide = LogProbModel(causal_lm, 3), LogProbModel(causal_lm, 3, float32_logits=True)
    hidden = wide._hidden(batch).flatten(0, 1)[batch.source].float()
    logits = hidden @ causal_lm.get_output_embeddings().weight.float().T
    expected = (logits / 0.7).log_softmax(-1).gather(1, batch.target[:, None]).squeeze(1)
    assert float((wide(batch, 0.7)[0] - expected).abs().max()) < 2e-4
    assert float((rounded(batch, 0.7)[0] - expected).abs().max()) > 1e-3


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(("stage", "float32_logits"), [(1, False), (2, False), (3, False), (1, True)])
def test_bfloat16_is_plain_pytorch_with_float32_masters(tiny_model: str, stage: int, float32_logits: bool) -> None:
    settings = settings_for(tiny_model, stage, model=BF16, train={"float32_logits": float32_logits})
    policy = Policy(settings)
    rates = [RATE, RATE, 1e-7]  # the last step is far below what a bfloat16 weight can show
    masters, norms = plain_bf16(settings, rates)
    # DeepSpeed's stage 1 sums the squares of the norm in float32.
    assert [step(policy, rate) for rate in rates[:2]] == pytest.approx(norms[:2], rel=3e-5)
    shown = [p.detach().clone() for _, p in policy.weights()]
    before = masters_of(policy)
    step(policy, rates[2])
    # Adam divides by the gradient's size: where a gradient is about 0 its sign is rounding, a step of RATE either way.
    for ours, theirs in zip(masters_of(policy), masters, strict=True):
        close = (ours - theirs).abs() <= 1e-5 * RATE + 1e-7
        assert close.float().mean() > 0.99
    moved = [bool((a != b).any()) for a, b in zip(masters_of(policy), before, strict=True)]
    assert all(moved), "the masters keep what the bfloat16 weights cannot"
    same = torch.cat([(a == b).flatten() for a, (_, b) in zip(shown, policy.weights(), strict=True)])
    assert same.float().mean() > 0.99
    assert {p.dtype for _, p in policy.weights()} == {torch.bfloat16}


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(
    ("stage", "offload"),
    [
        (1, {"offload_optimizer": "cpu"}),
        (2, {"offload_optimizer": "cpu"}),
        (3, {"offload_optimizer": "cpu", "offload_parameters": "cpu"}),
    ],
)
def test_offloading_changes_nothing(tiny_model: str, stage: int, offload: dict[str, str]) -> None:
    plain, offloaded = Policy(settings_for(tiny_model)), Policy(settings_for(tiny_model, stage, deepspeed=offload))
    for _ in range(2):
        assert step(offloaded) == pytest.approx(step(plain), rel=1e-5)
    torch.testing.assert_close(logprobs(offloaded), logprobs(plain), atol=2e-5, rtol=1e-5)


@pytest.mark.usefixtures("process_group")
def test_checkpointing_works_with_adapter_sharding_and_bfloat16(tiny_model: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = {**BF16, "lora": {"rank": 4}, "gradient_checkpointing": checkpointing}
        policy = Policy(settings_for(tiny_model, 3, model=model))
        calls: list[int] = []
        norm = policy.causal_lm.model.layers[0].input_layernorm
        norm.register_forward_hook(lambda m, i, o, calls=calls: calls.append(1))
        found.append(([step(policy), step(policy)], len(calls)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-3)
    assert found[1][1] == 2 * found[0][1], "every layer was computed again in the backward pass"


def answer_for_float16(monkeypatch: pytest.MonkeyPatch, answer: bool | None) -> None:
    """Makes DeepSpeed find float16 in the processor (one with AVX-512-FP16) or not; where not, it answers None."""
    monkeypatch.setattr(type(get_accelerator()), "is_fp16_supported", lambda self: answer)


@pytest.fixture
def float16_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float16 on any processor: without instructions for it torch computes it all the same, slowly."""
    answer_for_float16(monkeypatch, True)


def steps_until_it_gives_up(policy: Policy) -> None:
    for _ in range(12):
        step(policy, scale=1e9)


@pytest.mark.usefixtures("process_group", "float16_here")
@pytest.mark.parametrize("stage", [1, 3])
def test_an_overflowing_step_is_counted_and_leaves_the_weights(tiny_model: str, stage: int) -> None:
    fp16 = {"initial_scale_power": 8, "hysteresis": 1, "min_loss_scale": 1}
    settings = settings_for(tiny_model, stage, model={"dtype": "float16"}, deepspeed={"config": {"fp16": fp16}})
    policy = Policy(settings)
    assert step(policy) is not None
    before, masters = logprobs(policy), masters_of(policy)
    assert step(policy, scale=1e7) is None
    assert policy.overflows == 1
    torch.testing.assert_close(logprobs(policy), before, atol=0, rtol=0)
    for a, b in zip(masters_of(policy), masters, strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert step(policy) is not None
    assert policy.overflows == 1
    assert not torch.equal(logprobs(policy), before)
    with pytest.raises(RunError, match="smallest loss scale"):
        steps_until_it_gives_up(policy)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(("stage", "dtype"), [(0, "float32"), (1, "bfloat16"), (2, "float32"), (3, "float32")])
def test_a_gradient_that_is_not_finite_stops_the_run_before_it_is_learnt(
    tiny_model: str, stage: int, dtype: str
) -> None:
    policy = Policy(settings_for(tiny_model, stage, model={"dtype": dtype}))
    assert step(policy) is not None
    before = logprobs(policy)
    with pytest.raises(RunError, match=r"not finite.*learning rate 0\.01.*train\.learning_rate"):
        step(policy, scale=float("nan"))
    torch.testing.assert_close(logprobs(policy), before, atol=0, rtol=0)
    assert policy.overflows == 0


def test_what_cannot_be_is_refused_by_name(tiny_model: str) -> None:
    for model in (BF16, {"dtype": "float16"}):
        with pytest.raises(ConfigError, match=r"deepspeed\.zero_stage` is 0.*deepspeed=zero1"):
            settings_for(tiny_model, 0, model=model)
    with pytest.raises(ConfigError, match=r"offload_optimizer.*zero_stage ≥ 1, and it is 0"):
        settings_for(tiny_model, 0, deepspeed={"offload_optimizer": "cpu"})
    with pytest.raises(ConfigError, match=r"offload_parameters.*zero_stage ≥ 3, and it is 2"):
        settings_for(tiny_model, 2, deepspeed={"offload_parameters": "cpu"})
    clash = {"config": {"bf16": {"enabled": True}, "zero_optimization": {"offload_optimizer": {"device": "cpu"}}}}
    with pytest.raises(ConfigError, match=r"bf16\.enabled, zero_optimization\.offload_optimizer"):
        Policy(settings_for(tiny_model, 1, deepspeed=clash))


@pytest.mark.usefixtures("process_group")
def test_float16_is_refused_where_the_processor_lacks_it(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tiny_model, 1, model={"dtype": "float16"})
    answer_for_float16(monkeypatch, None)
    with pytest.raises(ConfigError, match=r"model\.dtype = float16.*Allowed here: float32, bfloat16$"):
        Policy(settings)
    answer_for_float16(monkeypatch, True)
    assert {p.dtype for _, p in Policy(settings).weights()} == {torch.float16}


@pytest.mark.usefixtures("process_group")
def test_one_rank_alone_reduces_nothing(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(settings_for(tiny_model))
    monkeypatch.setattr(policy.engine, "buffered_allreduce_fallback", lambda **_: pytest.fail("gradients were copied"))
    step(policy)
    (batch,) = policy.lay_out(SEQUENCES, [3])
    policy.accumulate(batch, torch.ones(3), torch.zeros(3, 0), 1.0, last=True)
    unreached = policy.causal_lm.model.norm.weight
    unreached.grad = None
    before = unreached.detach().clone()
    policy.step(1e-2)
    assert policy.engine.optimizer.state[unreached]["step"] == 2  # its gradient counts as 0: moments and decay go on
    assert not torch.equal(unreached, before)
