"""Lagrangian – a policy gradient on the reward minus a price per violation, which rises until judges are obeyed.

    max_w E[r]   s.t.   rate_j <= allowed_j,       rate_j = share of responses in which judge j finds a violation

    primal   R_i = Σ_k w_k · r_k,i − Σ_j λ_j · v_j,i − β · log_ratio_i
             g   = 1/n Σ_i ( R_i − mean of R over the prompt's *other* responses ) · ∇ log π_w(a_i|s_i)
    dual     λ_j ← min( max( λ_j + η · (rate_j − allowed_j), 0 ), λ_max )          once a step, after the policy

CGPO does without multipliers: its limits are primal only. This is what it is compared with: dual ascent as in Safe RLHF
(Dai et al. 2023, arXiv 2310.12773), with judges' verdicts in place of a cost model and a multiplier for each. The
gradient is RLOO's. The rates run over the stratum's known verdicts on all ranks: a judge's unknown verdicts, and those
it was not asked for, count neither as obeyed nor as violated. All ranks hold the same multipliers, and checkpoints keep
them.

Deviations: λ moves by plain steps (there: its logarithm); R is not divided by 1 + Σ λ. Responses whose verdict or
reward is unknown take part in nothing of the gradient. The defaults are ours: λ starts at 1, so that the first step is
RLOO's with its default penalty; η = 0.1 moves λ by at most 1 in ten steps; λ_max = 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.baselines.leave_one_out import leave_one_out_loss
from cgpo.optimizers.baselines.scalar_reward import WeightedSumSettings, refuse_unknown_judges, scalar_reward
from cgpo.optimizers.policy_gradient import PolicyGradientSettings

Rate = Annotated[float, Field(ge=0, le=1)]


class LagrangianSettings(WeightedSumSettings, PolicyGradientSettings):
    """Settings of the Lagrangian."""

    min_generations: ClassVar[int] = 2

    name: Literal["lagrangian"] = "lagrangian"
    allowed_violation_rate: Rate = 0.0
    """Share of responses in which a judge may find a violation before its multiplier rises."""
    allowed_violation_rates: dict[str, Rate] = Field(default={})
    """The same by judge, in place of `allowed_violation_rate`: {style: 0.1}."""
    multiplier_start: float = Field(default=1.0, ge=0)
    """λ of every judge before the first step."""
    multiplier_learning_rate: float = Field(default=0.1, ge=0)
    """η: how far λ moves in a step in which every response violates."""
    multiplier_max: float = Field(default=10.0, gt=0)
    """λ_max."""
    kl_coefficient: float = Field(default=0.05, ge=0)
    """β, what a nat of log-ratio costs."""

    def check_judges(self, names: Sequence[str]) -> None:
        refuse_unknown_judges("allowed_violation_rates", self.allowed_violation_rates, names)

    @model_validator(mode="after")
    def _starts_within(self) -> LagrangianSettings:
        if self.multiplier_start > self.multiplier_max:
            raise ValueError(
                f"`multiplier_start` is {self.multiplier_start:g}, above `multiplier_max`, {self.multiplier_max:g}"
            )
        return self


class Lagrangian(StratumOptimizer[LagrangianSettings]):
    """Policy gradient with a multiplier per judge."""

    Settings = LagrangianSettings

    def __init__(self, settings: LagrangianSettings) -> None:
        super().__init__(settings)
        self._multipliers: dict[str, float] = {}

    def multiplier(self, judge: str) -> float:
        """λ of a judge."""
        return self._multipliers.get(judge, self.settings.multiplier_start)

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        multipliers = {judge: self.multiplier(judge) for judge in batch.violated}
        score = scalar_reward(batch, multipliers, self.settings)
        loss = leave_one_out_loss(batch, score, self.settings.kl_coefficient, self.settings, ranks)
        if not loss.metrics:
            return loss
        return Loss(loss.value, {**loss.metrics, **{f"multiplier/{j}": value for j, value in multipliers.items()}})

    def update(self, batch: StratumBatch, ranks: Ranks) -> None:
        s, responses = self.settings, ~batch.baseline
        counts = []
        for judge, violated in batch.violated.items():
            decided = batch.judged[judge] & responses
            counts += [float((violated & decided).sum()), float(decided.sum())]
        totals = ranks.sum(counts)
        for judge, violations, verdicts in zip(batch.violated, totals[::2], totals[1::2], strict=True):
            if verdicts:
                excess = violations / verdicts - s.allowed_violation_rates.get(judge, s.allowed_violation_rate)
                moved = self.multiplier(judge) + s.multiplier_learning_rate * excess
                self._multipliers[judge] = min(max(moved, 0.0), s.multiplier_max)

    def state_dict(self) -> dict[str, Any]:
        return {"multipliers": dict(self._multipliers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._multipliers = {str(judge): float(value) for judge, value in state["multipliers"].items()}
