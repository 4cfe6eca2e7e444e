"""What a data set of preferences held, and what is said of the pairs that were left out."""

from __future__ import annotations

from dataclasses import dataclass

from cgpo.data.contamination import Contaminated, in_words
from cgpo.pairs.pair import PreferencePair

_WORDS = {
    "equal": "pairs were left out because their two sides are equal",
    "duplicates": "pairs were left out because they are there already",
    "contradictions": "pairs were left out because the same two responses are ranked both ways",
    "without_contrast": "prompts make no pair: their responses are graded alike, or there is only one",
}


@dataclass(frozen=True)
class FoundPairs:
    """What a data set held.

    Attributes:
        pairs: the usable ones, each either to train on or held out.
        sources: file and row of each.
        bad: a sentence for each row that was left out.
        left_out: why pairs were left out → how many: `equal` (the two sides are one text), `duplicates`,
            `contradictions` (ranked both ways), `contaminated` (the prompt is a held-out one), `without_contrast`
            (prompts whose graded responses make no pair).
        contaminated: the prompts that are held-out ones too.
    """

    pairs: list[PreferencePair]
    sources: list[str]
    bad: list[str]
    left_out: dict[str, int]
    contaminated: list[Contaminated]

    @property
    def equal(self) -> int:
        """Pairs left out because their two sides are the same text."""
        return self.left_out["equal"]

    def lines(self, where: str) -> list[str]:
        """What to say of the pairs that were left out, a line each.

        Args:
            where: the setting the pairs come from.
        """
        lines = [f"{where}: {self.left_out[key]} {text}" for key, text in _WORDS.items() if self.left_out[key]]
        if self.contaminated:
            lines.append(f"{where}: left out: {in_words(self.contaminated)}")
        return lines
