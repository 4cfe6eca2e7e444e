"""A policy whose log-probs are a formula, so that what a step hands on, token by token, can be worked out by hand.

Token a has log π(a) = −a / (100 T), and the state before it the values a, 2a, … of the value head's outputs. Give every
response tokens of its own: they then say where a number belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cgpo.config import RunSettings
from cgpo.policy.layout import SHARED, Layout, MicroBatch, TokenSequence, micro_batches
from cgpo.policy.policy import GradientPass


@dataclass
class Pass:
    """One call of `accumulate`."""

    batch: MicroBatch
    coefficient: Tensor
    value_coefficient: Tensor
    temperature: float
    last: bool


@dataclass
class FormulaPolicy:
    """What `prepare` and `learn` ask of a policy.

    Attributes:
        settings: of the run.
        value_outputs: of its value head.
        factor: what every log-prob and value is multiplied by.
        layout: of its passes.
        norms: what `step` answers, one after the other; None is an overflow.
        passes: what was accumulated.
        rates: at which steps were taken.
        asked: how many sequences each pass without gradient was about.
    """

    settings: RunSettings
    value_outputs: int = 0
    factor: float = 1.0
    layout: Layout = SHARED
    norms: list[float | None] = field(default_factory=lambda: [1.0])
    passes: list[Pass] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    overflows: int = 0

    def token_outputs(self, sequences: Sequence[TokenSequence], temperature: float) -> list[tuple[Tensor, Tensor]]:
        self.asked.append(len(sequences))
        tokens = [torch.tensor(sequence.response_ids) for sequence in sequences]
        outputs = torch.arange(1, self.value_outputs + 1)
        return [(self.logprobs(t, temperature), self.factor * (t[:, None] * outputs).float()) for t in tokens]

    def token_logprobs(self, sequences: Sequence[TokenSequence], temperature: float) -> list[Tensor]:
        return [logprobs for logprobs, _ in self.token_outputs(sequences, temperature)]

    def logprobs(self, tokens: Tensor, temperature: float) -> Tensor:
        return -self.factor * tokens.float() / (100 * temperature)

    def lay_out(self, sequences: Sequence[TokenSequence], indices: Sequence[int]) -> list[MicroBatch]:
        return micro_batches(sequences, indices, self.settings.train.micro_batch_tokens, self.layout)

    def accumulate(
        self, batch: MicroBatch, coefficient: Tensor, value_coefficient: Tensor, temperature: float, *, last: bool
    ) -> GradientPass:
        assert coefficient.shape == batch.target.shape
        assert value_coefficient.shape == (len(batch.target), self.value_outputs)
        self.passes.append(Pass(batch, coefficient, value_coefficient, temperature, last))
        return GradientPass(0.0, self.logprobs(batch.target, temperature))

    def step(self, learning_rate: float) -> float | None:
        self.rates.append(learning_rate)
        norm = self.norms.pop(0)
        self.overflows += norm is None
        return norm

    def factors(self) -> dict[int, tuple[float, list[float], float]]:
        """Token → the factor before ∇ log π, those before ∇ V, and the temperature, over all passes."""
        return {
            token: (c, v, p.temperature)
            for p in self.passes
            for token, c, v in zip(
                p.batch.target.tolist(), p.coefficient.tolist(), p.value_coefficient.tolist(), strict=True
            )
        }
