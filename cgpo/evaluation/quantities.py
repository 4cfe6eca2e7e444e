"""The quantities of a held-out response: what rates, means and win rates of a stratum are made of.

A response wins over π_ref's response to the same prompt by reward when

    Σ_k w_k · (sigmoid(r_k(s, a) − r_k(s, a_ref)) − 1/2) > 0

the calibrated reward with the reference's response in place of the baseline; with one reward model that is r(s, a) >
r(s, a_ref). By a preference judge it wins when its score is above 0. 1 is a win, 0.5 a tie, 0 a loss; equal texts are a
tie, whatever rounding makes of their scores. A comparison that could not be made is None: neither a win nor a loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cgpo.rewards.calibration import finite
from cgpo.statistics.evaluation import Measures
from cgpo.tracking.rollouts import RolloutRow
from judges import Judgement, Outcome, Verdict, registry
from judges.mixture import Mixture

TIE = 0.5

_SATISFIED = {Outcome.SATISFIED: True, Outcome.VIOLATED: False}


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the responses of a stratum are measured with, besides their verdicts.

    Attributes:
        weights: reward name → weight, for win rates by reward.
        reference: (prompt id, index) → π_ref's response; empty: no win rates.
        sides: judge → `safety` or `refusal` (`judges.Judge.side`).
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    reference: Mapping[tuple[str, int], RolloutRow] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of each response: true or false for a rate, 1, 0.5 or 0 for a win rate.

    Attributes:
        of: its value for a response; None when unknown.
        concerns: which responses it is about at all.
    """

    of: Callable[[RolloutRow], float | None]
    concerns: Callable[[RolloutRow], bool] = lambda row: True


Quantities = Measures[Quantity, Quantity, Quantity]


def quantities(rows: Sequence[RolloutRow], yardstick: Yardstick) -> Quantities:
    """Everything that can be measured of these responses of one stratum, but for `satisfied_once`."""
    weights = yardstick.weights
    compared = bool(weights) and any(_reference_key(row) in yardstick.reference for row in rows)
    preferred = any(row.preference is not None for row in rows)
    sampled = any(row.log_ratio is not None for row in rows)
    return Measures(
        judges={name: _verdict_of(name) for name in _judges_of(row.verdicts for row in rows)},
        satisfied=Quantity(satisfied),
        calibrated_reward=Quantity(lambda row: finite(row.calibrated_reward)),
        rewards={name: _score(name) for name in dict.fromkeys(name for row in rows for name in row.rewards)},
        win_rate=_win(yardstick, weights) if compared else None,
        win_rates={name: _win(yardstick, {name: 1.0}) for name in weights} if compared and len(weights) > 1 else {},
        preference_win_rate=_PREFERENCE if preferred else None,
        probes={name: _violated_probe(name) for name in _judges_of(row.probes for row in rows)},
        truncated=Quantity(lambda row: row.finish_reason == "length"),
        kl=Quantity(lambda row: finite(row.log_ratio)) if sampled else None,
        response_tokens=Quantity(lambda row: row.response_tokens),
        response_words=Quantity(lambda row: len(row.response.split())),
    )


def satisfied(row: RolloutRow) -> bool | None:
    """Whether every judge is satisfied. The reward does not enter: a missing score is no verdict."""
    return Judgement(dict(row.verdicts)).satisfied


def violated_by(judge: str) -> Quantity:
    """Whether a judge of the mixture found the response violated."""
    verdict = _verdict_of(judge)
    return Quantity(lambda row: _not(verdict.of(row)), verdict.concerns)


def reward_win(row: RolloutRow, reference: RolloutRow, weights: Mapping[str, float]) -> float | None:
    """1, 0.5 or 0, or None when a reward with a positive weight is missing on either side.

    Args:
        row: the response.
        reference: π_ref's response to the same prompt.
        weights: w_k ≥ 0 by reward name.
    """
    if row.response == reference.response:
        return TIE
    total = 0.0
    for name, weight in weights.items():
        if weight == 0:
            continue
        score, other = finite(row.rewards.get(name)), finite(reference.rewards.get(name))
        if score is None or other is None:
            return None
        total += weight * math.tanh((score / 2) - (other / 2))  # 2 · sigmoid(x) − 1 = tanh(x / 2)
    return _sign(total)


def preference_win(verdict: Verdict | None) -> float | None:
    """1, 0.5 or 0 by the sign of the judge's score, by its verdict where it gives no score; None when unknown."""
    if verdict is None or verdict.outcome not in (Outcome.SATISFIED, Outcome.VIOLATED):
        return None
    if verdict.score is not None:
        return _sign(verdict.score)
    return 1.0 if verdict.outcome is Outcome.SATISFIED else 0.0


def sides_of(mixture: Mixture) -> dict[str, str]:
    """Judge's name in the mixture → `safety` or `refusal`, for those that stand on a side (`judges.Judge.side`)."""
    sides_by_judge: dict[str, str] = {}
    for constraint in mixture.constraints:
        sides = {registry.load(member.name).side for member in constraint.members}
        if len(sides) == 1 and (side := sides.pop()) is not None:
            sides_by_judge[constraint.name] = side
    return sides_by_judge


def _verdict_of(judge: str) -> Quantity:
    return Quantity(
        lambda row: _SATISFIED.get(row.verdicts[judge].outcome),
        lambda row: _counts(row.verdicts.get(judge)),
    )


def _violated_probe(probe: str) -> Quantity:
    return Quantity(
        lambda row: _not(_SATISFIED.get(row.probes[probe].outcome)),
        lambda row: _counts(row.probes.get(probe)),
    )


def _score(reward: str) -> Quantity:
    return Quantity(lambda row: finite(row.rewards.get(reward)))


def _win(yardstick: Yardstick, weights: Mapping[str, float]) -> Quantity:
    reference = yardstick.reference
    return Quantity(
        lambda row: reward_win(row, reference[_reference_key(row)], weights),
        lambda row: _reference_key(row) in reference,
    )


_PREFERENCE = Quantity(lambda row: preference_win(row.preference), lambda row: row.preference is not None)


def _reference_key(row: RolloutRow) -> tuple[str, int]:
    return row.prompt_id, row.index


def _judges_of(verdicts: Iterable[Mapping[str, Verdict]]) -> list[str]:
    """The judges of which some verdict counts, in the order in which they come."""
    return list(dict.fromkeys(name for each in verdicts for name, verdict in each.items() if _counts(verdict)))


def _counts(verdict: Verdict | None) -> bool:
    """Neutral verdicts (not applicable, not judged) do not enter a judge's numbers at all."""
    return verdict is not None and (verdict.outcome in _SATISFIED or verdict.outcome is Outcome.UNKNOWN)


def _not(value: float | None) -> bool | None:
    return None if value is None else not value


def _sign(value: float) -> float:
    return TIE if value == 0 else float(value > 0)
