"""Limits on what may be unknown: above them the run stops, on all ranks together, before anything is learnt from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from cgpo import distributed
from cgpo.config import RunSettings, StratumSettings
from cgpo.errors import LimitError
from cgpo.rewards.calibration import check_missing
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import JudgedRollout
from judges import NEUTRAL, Outcome, Verdict


@dataclass
class UnknownCount:
    """How many outcomes are unknown; neutral ones concern nobody and are not counted.

    Attributes:
        unknown: how many are.
        total: of how many.
        first_reason: of the first unknown one; empty when there is none.
    """

    unknown: int = 0
    total: int = 0
    first_reason: str = ""

    def add(self, outcome: Outcome, reason: str) -> None:
        """Counts one outcome."""
        if outcome not in NEUTRAL:
            unknown = outcome is Outcome.UNKNOWN
            self.merge(UnknownCount(int(unknown), 1, reason if unknown else ""))

    def merge(self, other: UnknownCount) -> None:
        """Counts those of `other` too."""
        self.first_reason = self.first_reason if self.unknown else other.first_reason
        self.unknown += other.unknown
        self.total += other.total


@dataclass
class StratumUnknowns:
    """What is unknown of a stratum: by judge, and of whole responses, their rewards in view."""

    judges: dict[str, UnknownCount] = field(default_factory=dict)
    responses: UnknownCount = field(default_factory=UnknownCount)

    def add(self, verdicts: Iterable[tuple[str, Verdict]], outcome: Outcome, reason: str) -> None:
        """Counts one response.

        Args:
            verdicts: each judge's.
            outcome: of the whole response.
            reason: why that is unknown, if it is.
        """
        for judge, verdict in verdicts:
            self.judges.setdefault(judge, UnknownCount()).add(verdict.outcome, verdict.reason)
        self.responses.add(outcome, reason)

    def merge(self, other: StratumUnknowns) -> None:
        """Counts those of `other` too."""
        for judge, count in other.judges.items():
            self.judges.setdefault(judge, UnknownCount()).merge(count)
        self.responses.merge(other.responses)


def check_unknown(counts: StratumUnknowns, stratum: str, settings: StratumSettings, when: str) -> None:
    """Compares what is unknown of a stratum with its limit.

    Raises:
        LimitError: of a judge's verdicts, or of the outcomes of responses, too many are unknown.
    """
    subjects = {f"judge {name!r} of stratum {stratum!r} gave no verdict on": c for name, c in counts.judges.items()}
    subjects[f"stratum {stratum!r} has no outcome for"] = counts.responses  # last: a judge's name says more
    limit = settings.max_unknown_rate
    for subject, count in subjects.items():
        if count.unknown > limit * count.total:
            raise LimitError(
                f"{when}: {subject} {count.unknown} of {count.total} responses; the limit "
                f"strata.{stratum}.max_unknown_rate is {limit:g}. The first reason: {count.first_reason}"
            )


def check_limits(
    judged: Mapping[str, Sequence[JudgedRollout]],
    settings: RunSettings,
    when: str,
    notes: Mapping[str, ScoringNotes] = MappingProxyType({}),
) -> None:
    """Counts over all ranks what could not be judged or scored; every rank must call it.

    Args:
        judged: stratum name → this rank's responses.
        settings: the run's settings.
        when: for the message, e.g. `step 12`.
        notes: what the rewards of all ranks noted, by name.

    Raises:
        LimitError: of a stratum's responses, or of a judge's verdicts, too many are unknown; or of a reward's scores
            (of responses and of baseline responses) too many are missing.
    """
    counts = {name: _unknown(responses) for name, responses in judged.items()}
    everywhere = distributed.gather_objects((counts, *_scores(judged)))
    scored, missing = Counter[str](), Counter[str]()
    for _, scored_there, missing_there in everywhere:
        scored += scored_there
        missing += missing_there
    limits = {name: reward.max_missing_rate for name, reward in settings.rewards.items()}
    reasons = {name: note.reason for name, note in notes.items()}
    check_missing({name: (missing[name], scored[name]) for name in scored}, limits, when, reasons)
    for name, stratum in settings.strata.items():
        total = StratumUnknowns()
        for counts_there, *_ in everywhere:
            if name in counts_there:  # not every step has every stratum
                total.merge(counts_there[name])
        check_unknown(total, name, stratum, when)


def _unknown(judged: Sequence[JudgedRollout]) -> StratumUnknowns:
    counts = StratumUnknowns()
    for response in judged:
        verdicts = response.judgement.verdicts
        counts.add(verdicts.items(), response.outcome, first_unknown(verdicts) or "its reward is missing")
    return counts


def first_unknown(verdicts: Mapping[str, Verdict]) -> str:
    """The first unknown verdict with its judge, in words; empty when there is none."""
    reasons = [f"{name}: {v.reason}" for name, v in verdicts.items() if v.outcome is Outcome.UNKNOWN]
    return reasons[0] if reasons else ""


def _scores(judged: Mapping[str, Sequence[JudgedRollout]]) -> tuple[Counter[str], Counter[str]]:
    """How many scores each reward was to give, and how many are missing: the baseline's counts with the response's."""
    scored, missing = Counter[str](), Counter[str]()
    for responses in judged.values():
        for response in responses:
            for name, score in response.rewards.items():
                scored[name] += 1
                missing[name] += score is None or response.baseline_rewards.get(name) is None
    return scored, missing
