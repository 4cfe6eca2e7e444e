"""Regular expression: does the response match one, or none of the forbidden?

The syntax is that of the `regex` package: Python's `re`, with Unicode classes such as `\\p{Lu}`. It was taken because
it can stop a search after a time limit, which `re` cannot; RE2 never needs one, but knows neither look-around nor
back-references, which constraints on texts like to use. A search that is stopped is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import regex

from judges.judge import Judge, Row
from judges.metadata import texts, value_of
from judges.verdict import Outcome, Verdict

Mode = Literal["search", "fullmatch"]

_SHOWN = 80


class RegexJudge(Judge):
    """The response matches the pattern in metadata `pattern`, or in the option; or must not.

    Several patterns must all match; when `forbidden`, none of them may.

    Args:
        pattern: the pattern for rows whose metadata has none.
        mode: whether it must match anywhere (`search`) or the whole response (`fullmatch`).
        forbidden: violated when a pattern matches, instead of when one does not.
        ignore_case: small and capital letters are the same.
        multiline: `^` and `$` also match at line breaks.
        dot_all: `.` also matches line breaks.
        match_seconds: wall time one pattern may take; then the verdict is unknown.
    """

    version = "2"
    examples = (
        (Row("Date?", "On 2024-05-01.", {"pattern": r"\d{4}-\d\d-\d\d"}), Outcome.SATISFIED),
        (Row("Date?", "On 2024-05-01.", {"pattern": [r"\d", "May"]}), Outcome.VIOLATED),
        (Row("Date?", "In May.", {"pattern": r"\d"}), Outcome.VIOLATED),
        (Row("Date?", "In May.", {"pattern": "("}), Outcome.UNKNOWN),
        (Row("Date?", "In May."), Outcome.UNKNOWN),
    )

    def __init__(
        self,
        pattern: str | None = None,
        mode: Mode = "search",
        forbidden: bool = False,
        ignore_case: bool = False,
        multiline: bool = False,
        dot_all: bool = False,
        match_seconds: float = 2.0,
    ) -> None:
        if not 0 < match_seconds < math.inf:
            raise ValueError(f"`match_seconds` must be positive, got {match_seconds}")
        given = ((ignore_case, regex.IGNORECASE), (multiline, regex.MULTILINE), (dot_all, regex.DOTALL))
        self.flags = sum(int(flag) for wanted, flag in given if wanted)
        self.pattern = pattern
        if pattern is None:
            self.requires = frozenset({"pattern"})
        self.mode = mode
        self.forbidden = forbidden
        self.match_seconds = match_seconds
        if pattern is not None:
            try:
                _compiled(pattern, self.flags)
            except regex.error as error:
                raise ValueError(f"`pattern` is no regular expression: {error}") from None

    def judge(self, row: Row) -> Verdict:
        patterns = _patterns(texts(value_of(row.metadata, "pattern", self.pattern)))
        if isinstance(patterns, Verdict):
            return patterns
        try:
            matches = [self._match(pattern, row.response) for pattern in patterns]
        except regex.error as error:
            return Verdict.unknown(f"metadata `pattern` is no regular expression: {error}")
        except TimeoutError:
            return Verdict.unknown(f"a pattern takes longer than {self.match_seconds:g} s on this response")
        matching = [(pattern, match) for pattern, match in zip(patterns, matches, strict=True) if match]
        if self.forbidden:
            if not matching:
                return Verdict.satisfied("no forbidden pattern occurs")
            pattern, match = matching[0]
            return Verdict.violated(f"{match[0][:_SHOWN]!r} at character {match.start()} matches {pattern!r}")
        missing = [pattern for pattern, match in zip(patterns, matches, strict=True) if not match]
        if missing:
            return Verdict.violated(f"does not match {missing[0]!r}")
        return Verdict.satisfied(f"{matching[0][1][0][:_SHOWN]!r} matches {matching[0][0]!r}")

    def _match(self, pattern: str, text: str) -> Any:
        compiled = _compiled(pattern, self.flags)
        find = compiled.search if self.mode == "search" else compiled.fullmatch
        return find(text, timeout=self.match_seconds)


def _patterns(given: Any) -> Sequence[str] | Verdict:
    if given is None:
        return Verdict.unknown("missing metadata: pattern (nor is there an option `pattern`)")
    patterns = given if isinstance(given, (list, tuple)) else [given]
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        return Verdict.unknown("metadata `pattern` must be a text, or a list of texts")
    return patterns


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: int) -> Any:
    return regex.compile(pattern, flags)
