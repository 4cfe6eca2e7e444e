"""What is measured of each held-out response, and where it stands in an evaluation's summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cgpo.evaluation.wins import preference_win, reward_win
from cgpo.rewards.calibration import finite
from cgpo.tracking.rollouts import RolloutRow
from judges import Judgement, Outcome, Verdict

Kind = Literal["rate", "mean", "win"]

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
    """One number of each response.

    Attributes:
        path: keys in the summary, e.g. `("judges", "math")`.
        kind: `rate` (true or false), `mean`, or `win` (1, 0.5 or 0).
        of: its value for a response; None when unknown.
        concerns: which responses it is about at all.
    """

    path: tuple[str, ...]
    kind: Kind
    of: Callable[[RolloutRow], float | None]
    concerns: Callable[[RolloutRow], bool] = lambda row: True


def quantities(rows: Sequence[RolloutRow], yardstick: Yardstick) -> list[Quantity]:
    """Everything that can be measured of these responses of one stratum, in the order in which it is shown."""
    judges = _names(row.verdicts for row in rows)
    probes = _names(row.probes for row in rows)
    rewards = list(dict.fromkeys(name for row in rows for name in row.rewards))
    found = [
        Quantity(("satisfied",), "rate", satisfied),
        *(_of_judge(name) for name in judges),
        Quantity(("calibrated_reward",), "mean", lambda row: finite(row.calibrated_reward)),
        *(_of_reward(name) for name in rewards),
        *_wins(rows, yardstick),
        *(_of_probe(name) for name in probes),
        Quantity(("truncated",), "rate", lambda row: row.finish_reason == "length"),
    ]
    if any(row.log_ratio is not None for row in rows):
        found.append(Quantity(("kl",), "mean", lambda row: None if row.log_ratio is None else finite(row.log_ratio)))
    found.append(Quantity(("response_tokens",), "mean", lambda row: row.response_tokens))
    found.append(Quantity(("response_words",), "mean", lambda row: len(row.response.split())))
    return found


def satisfied(row: RolloutRow) -> bool | None:
    """Whether every judge is satisfied. The reward does not enter: a missing score is no verdict."""
    return Judgement(dict(row.verdicts)).satisfied


def violated_by(judge: str) -> Quantity:
    """Whether a judge of the mixture found the response violated."""
    own = _of_judge(judge)
    return Quantity((judge,), "rate", lambda row: _not(own.of(row)), own.concerns)


def _of_judge(name: str) -> Quantity:
    return Quantity(
        ("judges", name),
        "rate",
        lambda row: _SATISFIED.get(row.verdicts[name].outcome),
        lambda row: _counts(row.verdicts.get(name)),
    )


def _of_probe(name: str) -> Quantity:
    return Quantity(
        ("probes", name),
        "rate",
        lambda row: _not(_SATISFIED.get(row.probes[name].outcome)),
        lambda row: _counts(row.probes.get(name)),
    )


def _of_reward(name: str) -> Quantity:
    return Quantity(("rewards", name), "mean", lambda row: finite(row.rewards.get(name)))


def _wins(rows: Sequence[RolloutRow], yardstick: Yardstick) -> list[Quantity]:
    reference, weights = yardstick.reference, yardstick.weights

    def paired(row: RolloutRow) -> bool:
        return (row.prompt_id, row.index) in reference

    def by(used: Mapping[str, float]) -> Callable[[RolloutRow], float | None]:
        return lambda row: reward_win(row, reference[row.prompt_id, row.index], used)

    found: list[Quantity] = []
    if any(paired(row) for row in rows) and weights:
        found.append(Quantity(("win_rate",), "win", by(weights), paired))
        if len(weights) > 1:
            found += [Quantity(("win_rates", name), "win", by({name: 1.0}), paired) for name in weights]
    if any(row.preference is not None for row in rows):
        found.append(
            Quantity(
                ("preference_win_rate",),
                "win",
                lambda row: preference_win(row.preference),
                lambda row: row.preference is not None,
            )
        )
    return found


def _names(verdicts: Iterable[Mapping[str, Verdict]]) -> list[str]:
    found: dict[str, None] = {}
    for mapping in verdicts:
        found |= dict.fromkeys(name for name, verdict in mapping.items() if _counts(verdict))
    return list(found)


def _counts(verdict: Verdict | None) -> bool:
    """Neutral verdicts (not applicable, not judged) do not enter a judge's numbers at all."""
    return verdict is not None and (verdict.outcome in _SATISFIED or verdict.outcome is Outcome.UNKNOWN)


def _not(value: float | None) -> bool | None:
    return None if value is None else not value
