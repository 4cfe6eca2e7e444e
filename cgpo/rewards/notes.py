"""Notes of rewards on their scores: why some are missing, how many texts were cut, how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from judges.printing import showable

NO_NUMBER = "the reward is NaN, infinite or nothing"


@dataclass
class ScoringNotes:
    """The notes of one reward.

    Attributes:
        scored: texts, each counted once.
        missing: how many of them have no score.
        reasons: why, in words → how many.
        truncated: texts longer than the reward model reads.
        seconds: what scoring took.
    """

    scored: int = 0
    missing: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    seconds: float = 0.0

    def __add__(self, other: ScoringNotes) -> ScoringNotes:
        return ScoringNotes(
            self.scored + other.scored,
            self.missing + other.missing,
            self.reasons + other.reasons,
            self.truncated + other.truncated,
            self.seconds + other.seconds,
        )

    def completed(self, scored: int, missing: int, seconds: float) -> ScoringNotes:
        """These notes of a reward with the counts; scores missing for no reason given are said to be no number."""
        rest = missing - self.reasons.total()
        unexplained = Counter({NO_NUMBER: rest} if rest > 0 else {})
        return ScoringNotes(scored, missing, self.reasons + unexplained, self.truncated, seconds)

    @property
    def reason(self) -> str:
        """The commonest reason for a missing score, fit for a terminal's line; empty where none is missing."""
        commonest = min(self.reasons, key=lambda reason: (-self.reasons[reason], reason), default="")
        return showable(" ".join(commonest.split()))


def total_notes(parts: Iterable[Mapping[str, ScoringNotes]]) -> dict[str, ScoringNotes]:
    """The notes of all ranks together, by reward."""
    sums: dict[str, ScoringNotes] = {}
    for part in parts:
        for name, notes in part.items():
            sums[name] = sums.get(name, ScoringNotes()) + notes
    return dict(sorted(sums.items()))


def notes_metrics(notes: Mapping[str, ScoringNotes]) -> dict[str, float | None]:
    """The notes under metric names: rewards/scored/<name>, /truncated_rate/…, /seconds/…"""
    metrics: dict[str, float | None] = {}
    for name, of_reward in notes.items():
        metrics[f"rewards/scored/{name}"] = of_reward.scored
        metrics[f"rewards/truncated_rate/{name}"] = of_reward.truncated / of_reward.scored if of_reward.scored else None
        metrics[f"rewards/seconds/{name}"] = of_reward.seconds
    return metrics


def missing_text(notes: Mapping[str, ScoringNotes]) -> list[str]:
    """A sentence for each reward of which scores are missing."""
    return [
        f"reward {name!r} gave no score for {n.missing} of {n.scored} texts; the commonest reason: {n.reason}"
        for name, n in notes.items()
        if n.missing
    ]
