"""What every way of assigning rows has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from judges import Message


@dataclass(frozen=True, slots=True)
class Item:
    """A row to assign.

    Attributes:
        messages: its prompt; empty for a method that does not look at it.
        values: its columns.
    """

    messages: tuple[Message, ...]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What became of a row.

    Attributes:
        stratum: its stratum, or None.
        score: how far the best stratum is ahead of the second; None where there is nothing to measure.
        reason: why it has no stratum, in few words: rows are counted by it.
    """

    stratum: str | None
    score: float | None = None
    reason: str = ""


class Assigner(Protocol):
    """Assigns rows."""

    batch_size: int
    """Rows it likes to have at once."""

    def assign(self, items: Sequence[Item]) -> list[Assignment]:
        """One assignment for each row, in order."""

    def close(self) -> None:
        """Frees what it holds."""


def best(scores: Mapping[str, float], margin: float) -> Assignment:
    """The stratum with the highest score, if it is `margin` ahead of the second; a tie is never decided."""
    ranked = sorted(scores, key=lambda name: -scores[name])
    ahead = scores[ranked[0]] - scores[ranked[1]]
    if ahead < margin or ahead == 0:
        gap = f"less than {margin:g}" if margin else "no difference"
        return Assignment(None, ahead, f"{gap} between {' and '.join(sorted(ranked[:2]))}")
    return Assignment(ranked[0], ahead)
