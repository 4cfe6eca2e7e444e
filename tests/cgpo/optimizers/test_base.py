"""The small interface between the loop and an optimiser: a batch and its sums, the derivatives of a loss, state."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from batches import alone, make_batch, on_ranks
from torch import Tensor

from cgpo.errors import RunError
from cgpo.optimizers.base import (
    Loss,
    Ranks,
    SampleRewards,
    SampleTokens,
    SampleVerdicts,
    StratumBatch,
    StratumOptimizer,
)
from cgpo.optimizers.crpg import Crpg, CrpgSettings


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


BATCH = replace(
    make_batch([True, False], length=[3, 1], values=[0.5, -1]),
    old_logprobs=tensor([[-1, -2, -3], [-4, 0, 0]]),
    reference_logprobs=tensor([[-1, -1, -1], [-2, 0, 0]]),
    logprobs=tensor([[-2, -2, -3], [-5, 0, 0]]),
)


def test_sums_over_tokens() -> None:
    assert BATCH.logprob.tolist() == [-7, -5]
    assert BATCH.reference_logprob.tolist() == [-3, -2]
    assert BATCH.log_ratio.tolist() == [-3, -2]  # of the policy that generated, not of the one that learns
    assert BATCH.length.tolist() == [3, 1]


def test_a_batch_is_joined_from_its_parts() -> None:
    def part(of: type[Any]) -> Any:
        return of(**{field.name: getattr(BATCH, field.name) for field in fields(of)})

    prompt, text, baseline = torch.tensor([4, 5]), torch.tensor([6, 7]), torch.tensor([False, True])
    parts = part(SampleTokens), part(SampleVerdicts), part(SampleRewards)
    joined = StratumBatch.join(*parts, prompt=prompt, text=text, baseline=baseline)
    assert (joined.prompt is prompt, joined.text is text, joined.baseline is baseline) == (True, True, True)
    for each in parts:
        assert all(getattr(joined, field.name) is getattr(each, field.name) for field in fields(each))


class Given(StratumOptimizer[CrpgSettings]):
    """Its loss is as told."""

    def __init__(self, loss: Any) -> None:
        super().__init__(CrpgSettings())
        self.make = loss

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        return Loss(self.make(batch), {"told": 3.0}, ("a note",))


FACTOR = tensor([[1, -2, 3], [4, 50, 60]])


def test_the_derivative_of_a_loss_by_hand() -> None:
    # L = Σ f · log π + Σ f · V²: −f before each token, 2 f V of each value, nothing beyond a response's end.
    found = alone(Given(lambda b: (FACTOR * b.logprobs).sum() + (FACTOR * b.values**2).sum()), BATCH)
    assert found.coefficient.tolist() == [[-1, 2, -3], [-4, 0, 0]]
    assert found.value_coefficient is not None
    assert found.value_coefficient.tolist() == [[1, -2, 3], [-8, 0, 0]]
    assert found.loss == (-2 + 4 - 9 - 20) + (0.25 * (1 - 2 + 3) + 4)
    assert (found.metrics, found.notes) == ({"told": 3.0}, ("a note",))


def test_what_a_loss_does_not_depend_on_has_no_derivative() -> None:
    by_logprobs = alone(Given(lambda b: b.logprobs.sum()), BATCH)
    assert by_logprobs.value_coefficient is not None
    assert by_logprobs.value_coefficient.tolist() == [[0, 0, 0], [0, 0, 0]]
    by_values = alone(Given(lambda b: b.values.sum()), BATCH)
    assert by_values.coefficient.tolist() == [[0, 0, 0], [0, 0, 0]]
    constant = alone(Given(lambda b: tensor(2.5)), BATCH)
    assert (constant.loss, constant.coefficient.any().item()) == (2.5, False)
    assert alone(Given(lambda b: b.logprobs.sum()), replace(BATCH, values=None)).value_coefficient is None


def test_the_batch_that_is_given_stays_as_it_is() -> None:
    def loss(batch: StratumBatch) -> Tensor:
        assert batch.logprobs.requires_grad
        assert batch.values is not None
        assert batch.values.requires_grad
        assert torch.equal(batch.logprobs, BATCH.logprobs)
        return batch.logprobs.sum()

    alone(Given(loss), BATCH)
    assert not BATCH.logprobs.requires_grad


def test_the_loss_is_the_sum_over_ranks() -> None:
    optimizers = [Given(lambda b: b.logprobs.sum()) for _ in range(2)]
    assert [s.loss for s in on_ranks(optimizers, [BATCH, make_batch([True])])] == [-32.0, -32.0]


@pytest.mark.parametrize(("value", "shown"), [(float("inf"), "inf"), (float("nan"), "nan")])
def test_a_loss_that_is_not_finite_stops_the_run(value: float, shown: str) -> None:
    message = (
        f"the loss of the optimiser crpg or its derivative is not finite ({shown}): the policy has diverged, or the "
        "optimiser let an unknown reward into its loss"
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        alone(Given(lambda b: b.logprobs.sum() * 0 + value), BATCH)


def test_an_optimiser_asks_for_nothing_and_has_no_state_unless_it_says_so() -> None:
    optimizer = Crpg(CrpgSettings())
    assert optimizer.needs == frozenset()
    optimizer.load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"^Crpg has no state, but the checkpoint holds \['a', 'b'\]$"):
        optimizer.load_state_dict({"b": 1, "a": 2})
