"""The quantities of a held-out response: what rates, means and win rates of a stratum are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cgpo.evaluation.wins import preference_win, reward_win
from cgpo.rewards.calibration import finite
from cgpo.statistics.evaluation import Measures
from cgpo.tracking.rollouts import RolloutRow
from judges import Judgement, Outcome, Verdict

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
