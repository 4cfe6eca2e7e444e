"""Gradients through a real model: finite differences in float64, and autograd on the papers' losses written out.

The model is the small random one of `fixed_learning`, its samples those of a step: unequal lengths, some violated, one
unknown, prompts shared by three responses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

import fixed_learning
import pytest
import torch
from fixed_learning import Case, learn_step
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from cgpo import distributed
from cgpo.optimizers.base import Need, Ranks, StratumBatch, differentiate
from cgpo.policy.layout import MicroBatch, TokenSequence, micro_batches
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.policy import Policy
from cgpo.policy.reference import Reference
from cgpo.responses.stratum import Stratum
from cgpo.training.preparation import PreparedStratum

OPTIMIZERS = sorted(p.name for p in entry_points(group="cgpo.optimizers") if p.value.startswith("cgpo."))
VALUE_OUTPUT = 0


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()


@pytest.fixture(scope="module")
def policy(small_model: str) -> Iterator[Policy]:
    """A policy with a value head of random weights, shared by tests that leave its weights as they are."""
    found = new_policy(small_model)
    yield found
    found.engine.destroy()


def new_policy(model: str) -> Policy:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = Policy(fixed_learning.settings_of(Case(model, {"only": {"name": "crpg"}})), 1)
        head = found.engine.module.value_head
        assert head is not None
        torch.nn.init.normal_(head.weight)
    return found


def prepared_for(optimizer: str, policy: Policy, model: str, **settings: Any) -> tuple[Stratum, PreparedStratum]:
    """The samples of a step, and what an optimiser makes of them."""
    run = fixed_learning.settings_of(Case(model, {"only": {"name": optimizer, **settings}}))
    stratum = fixed_learning.make_stratum("only", run)
    value_output = VALUE_OUTPUT if Need.VALUES in stratum.optimizer.needs else None
    return stratum, fixed_learning.prepare_step(stratum, 0, policy, Reference(run), value_output)


def gradient(policy: Policy, stratum: Stratum, prepared: PreparedStratum) -> list[Tensor]:
    """What `learn` accumulates in each weight; the step it then takes is of length 0."""
    found: list[Tensor] = []
    take_step = policy.step

    def step(rate: float) -> float | None:
        for parameter in policy.engine.module.parameters():
            found.append(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone())
        return take_step(rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "step", step)
        learn_step(policy, {"only": stratum}, {"only": prepared}, 0.0)
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twice_the_weight_is_exactly_twice_the_gradient(name: str, policy: Policy, small_model: str) -> None:
    stratum, prepared = prepared_for(name, policy, small_model)
    once = gradient(policy, stratum, prepared)
    stratum.weight_factor = 2.0
    twice = gradient(policy, stratum, prepared)
    assert len(once) == len(twice) > 5
    assert any(bool(g.any()) for g in once)
    assert all(torch.equal(2 * a, b) for a, b in zip(once, twice, strict=True))


@dataclass(frozen=True)
class Exact:
    """The model in float64, its tokens, and the batch as the policy saw it."""

    model: LogProbModel
    micro_batch: MicroBatch
    batch: StratumBatch

    def at_present(self) -> StratumBatch:
        """The batch with the weights as they are; differentiable."""
        logprobs, values = self.model(self.micro_batch, 1.0)
        n = len(self.batch.mask)
        each = [(logprobs[self.micro_batch.sample == i], values[self.micro_batch.sample == i, 0]) for i in range(n)]
        padded = [pad_sequence([pair[k] for pair in each], batch_first=True) for k in (0, 1)]
        return replace(self.batch, logprobs=padded[0], values=None if self.batch.values is None else padded[1])


def exact(policy: Policy, prepared: PreparedStratum, model: str) -> Exact:
    causal_lm = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64)
    exact_model = LogProbModel(causal_lm, 64, 1)
    exact_model.load_state_dict({k: v.double() for k, v in policy.engine.module.state_dict().items()})
    (micro_batch,) = micro_batches(prepared.sequences, range(len(prepared.sequences)), 10_000)
    return Exact(exact_model, micro_batch, prepared.batch)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gradient_is_the_change_of_the_loss(name: str, policy: Policy, small_model: str) -> None:
    """(L(w + h·d) − L(w − h·d)) / 2h along a random direction d, and what `learn` accumulates times d."""
    stratum, prepared = prepared_for(name, policy, small_model)
    found = exact(policy, prepared, small_model)
    parameters = list(found.model.parameters())
    torch.manual_seed(2)
    direction = [torch.randn_like(p) for p in parameters]

    def loss_at(h: float) -> float:
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(h * d)
            loss = differentiate(stratum.optimizer, found.at_present(), Ranks()).loss
            for p, d in zip(parameters, direction, strict=True):
                p.sub_(h * d)
        return loss

    h = 1e-4  # transformers normalises hidden states in float32 all the same: a smaller h drowns in its rounding
    change = (loss_at(h) - loss_at(-h)) / (2 * h)
    accumulated = gradient(policy, stratum, prepared)  # in float32
    along = sum(float((g.double() * d).sum()) for g, d in zip(accumulated, direction, strict=True))
    assert along == pytest.approx(change, rel=3e-4, abs=1e-4)
    assert abs(change) > 0.01

    at_present = found.at_present()
    surrogate = differentiate(stratum.optimizer, at_present, Ranks())
    scalar = -(surrogate.coefficient * at_present.logprobs).sum()
    if surrogate.value_coefficient is not None and at_present.values is not None:
        scalar = scalar + (surrogate.value_coefficient * at_present.values).sum()
    exactly = torch.autograd.grad(scalar, parameters, allow_unused=True)
    along = sum(float((g * d).sum()) for g, d in zip(exactly, direction, strict=True) if g is not None)
    assert along == pytest.approx(change, rel=1e-4, abs=1e-4)


def plain_logprobs(causal_lm: Any, sequences: list[TokenSequence]) -> list[Tensor]:
    """log π of each response token by transformers alone, one sequence after the other."""
    found = []
    for sequence in sequences:
        ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
        logits = causal_lm(input_ids=ids).logits[0, len(sequence.prompt_ids) - 1 : -1]
        found.append(logits.log_softmax(-1).gather(1, ids[0, len(sequence.prompt_ids) :, None]).squeeze(1))
    return found


def crpg_as_written(logprob: list[Tensor], reference: list[Tensor], batch: StratumBatch, kl_max: float) -> Tensor:
    """Eqs. 10–12: 1/n Σ log π(a) · (R̃ − mean R̃), to be raised."""
    known = [i for i in range(len(logprob)) if batch.known[i]]
    earned = {}
    for i in known:
        factor = max(1 - (logprob[i].sum() - reference[i].sum()).item() / kl_max, 0)
        earned[i] = factor * float(batch.calibrated_reward[i]) if batch.satisfied[i] else 0.0
    mean = sum(earned.values()) / len(known)
    return -torch.stack([logprob[i].sum() * (earned[i] - mean) for i in known]).sum() / len(known)


def by_prompt(batch: StratumBatch) -> list[list[int]]:
    """The known responses of each prompt, baseline responses left out."""
    prompts = batch.prompt.tolist()
    own = [i for i in range(len(prompts)) if batch.known[i] and not batch.baseline[i]]
    return [[i for i in own if prompts[i] == p] for p in dict.fromkeys(prompts[i] for i in own)]


def codpo_as_written(logprob: list[Tensor], reference: list[Tensor], batch: StratumBatch, beta: float) -> Tensor:
    """Eqs. 13–15 with λ = 1."""
    groups, terms = by_prompt(batch), []
    reward = batch.reward.tolist()
    for own in groups:
        feasible = [i for i in own if batch.satisfied[i]]
        if not feasible or len(own) == 1:
            continue
        best = max(feasible, key=lambda i: reward[i])
        worst = min([i for i in own if i not in feasible] or [i for i in own if i != best], key=lambda i: reward[i])
        ratio = {i: logprob[i].sum() - reference[i].sum() for i in (best, worst)}
        terms.append(logsigmoid(beta * ratio[best] - beta * ratio[worst]) + logprob[best].mean())
    return -torch.stack(terms).sum() / len(groups)


def crraft_as_written(logprob: list[Tensor], reference: list[Tensor], batch: StratumBatch, kl_max: float) -> Tensor:
    """Eqs. 16–18."""
    groups, terms = by_prompt(batch), []
    reward, prompts = batch.reward.tolist(), batch.prompt.tolist()
    for own in groups:
        baseline = [i for i in range(len(prompts)) if batch.baseline[i] and prompts[i] == prompts[own[0]]]
        for among in (own, baseline):
            near = [i for i in among if (logprob[i].sum() - reference[i].sum()).item() <= kl_max]
            kept = [i for i in near if batch.satisfied[i] and batch.known[i]]
            if kept:
                best = max(kept, key=lambda i: reward[i])
                terms.append(float(batch.calibrated_reward[best]) * logprob[best].sum())
                break
    return -torch.stack(terms).sum() / len(groups)


@pytest.mark.parametrize(
    ("name", "settings", "as_written"),
    [
        ("crpg", {"kl_max": 3.0}, lambda *given: crpg_as_written(*given, 3.0)),
        ("codpo", {"beta": 0.2}, lambda *given: codpo_as_written(*given, 0.2)),
        ("crraft", {"kl_max": 3.0}, lambda *given: crraft_as_written(*given, 3.0)),
    ],
)
def test_the_gradient_is_that_of_the_papers_loss(
    name: str, settings: dict[str, float], as_written: Callable[..., Tensor], policy: Policy, small_model: str
) -> None:
    stratum, prepared = prepared_for(name, policy, small_model, **settings)
    causal_lm = AutoModelForCausalLM.from_pretrained(small_model)
    with torch.no_grad():
        reference = plain_logprobs(causal_lm, list(prepared.sequences))
    logprob = plain_logprobs(causal_lm, list(prepared.sequences))
    as_written(logprob, reference, prepared.batch).backward()
    ours = gradient(policy, stratum, prepared)
    theirs = [p.grad for p in causal_lm.parameters()]
    assert len(ours) == len(theirs) + 2  # and the value head's, which nothing flows into
    for mine, other in zip(ours, theirs, strict=False):
        torch.testing.assert_close(mine, other, atol=2e-6, rtol=1e-4)


def test_two_epochs_take_two_steps_and_clip_the_second(small_model: str) -> None:
    policy = new_policy(small_model)
    train = policy.settings.train.model_copy(update={"epochs_per_step": 2})
    policy.settings = policy.settings.model_copy(update={"train": train})
    stratum, prepared = prepared_for("grpo", policy, small_model, clip_range=0.01)
    result = learn_step(policy, {"only": stratum}, {"only": prepared}, 1e-2)
    first, second = (each["only"] for each in result.surrogates)
    policy.engine.destroy()
    assert len([norm for norm in result.grad_norms if norm]) == 2
    assert first.metrics["clip_rate"] == 0.0
    assert second.metrics["clip_rate"] > 0.2
    assert second.loss < first.loss
    # Where the ratio has left the range in the direction of its advantage, only KL's small pull is left.
    rose = first.coefficient > 0.02
    assert second.coefficient[rose].abs().mean() < 0.7 * first.coefficient[rose].abs().mean()
    assert result.metrics("only")["clip_rate"] == pytest.approx(second.metrics["clip_rate"] / 2)


def test_the_value_head_learns_what_responses_earn(small_model: str) -> None:
    policy = new_policy(small_model)
    settings = {"kl_coefficient": 0.0, "gae_lambda": 1.0, "value_clip_range": None, "value_coefficient": 1.0}
    losses = []
    for _ in range(12):  # the same samples; with λ = 1 what a state earns is its response's reward
        stratum, prepared = prepared_for("ppo", policy, small_model, **settings)
        losses.append(prepared.surrogate.metrics["value_loss"])
        learn_step(policy, {"only": stratum}, {"only": prepared}, 1e-2)
    policy.engine.destroy()
    assert losses[-1] < 0.25 * losses[0]
