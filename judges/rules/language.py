"""The language judge: is the response in the wanted language?

Decided on the response's prose (code, links and, if asked for, quotations are taken out first), piece by piece: on
the whole the wanted language must be clearly likelier than any other, and no large share of the text may be in another
one. What is too short to be in any language ("42", "ok") is not applicable; a longer text whose language is not clear
(babble, a mixture) violates.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Interval

from judges.errors import JudgesError
from judges.judge import Judge, Row
from judges.rules.languages import Language, identifier, language_code, margin
from judges.verdict import Outcome, Verdict

_CLEAR = 0.1
"""A margin nearer to 0 than this decides nothing."""
_PIECE_LETTERS = 60
"""Enough to tell a language by, and few enough to find one language inside another."""
_MAX_PIECES = 200
_NOT_LETTER = re.compile(r"[\W\d_]+")
_PIECE_END = re.compile(r"(?<=[.!?])[\"'”“»]*\s+|(?<=[。！？।۔])|\n+")
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"https?://\S+|www\.\S+")
# A quotation excludes its own opening mark: otherwise a text of opening marks takes quadratic time.
_QUOTATION = re.compile(r"\"[^\"\n]*\"|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|「[^「」]*」|^[ \t]*>[^\n]*", re.MULTILINE)
_DENSE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Letters of scripts in which one says as much as several Latin ones."""
_DENSE_WEIGHT = 3


class LanguageJudge(Judge):
    """The response is in the wanted language (py3langid, 139 languages).

    Args:
        language: code (ISO 639-1, such as `en`; a region is ignored). Default: the row's metadata `language`.
        ignore_code: leave out fenced and inline code.
        ignore_quotes: leave out quotations in double or typographic marks, and Markdown's quoted lines.
        min_letters: with fewer letters the judge does not apply; a Chinese, Japanese, Korean or Thai one counts three.
        max_other: largest share of the text, 0 to 1, that may be in other languages.
    """

    requires = frozenset({"language"})
    examples = (
        (Row("Salut!", "Bonjour, je suis ravi de vous aider.", {"language": "fr"}), Outcome.SATISFIED),
        (Row("Salut!", "Hello, I am happy to help you today.", {"language": "fr"}), Outcome.VIOLATED),
        (Row("Salut!", "42", {"language": "fr"}), Outcome.NOT_APPLICABLE),
        (Row("Salut!", "Bonjour.", {"language": "francais"}), Outcome.UNKNOWN),
    )

    def __init__(
        self,
        language: Language | None = None,
        ignore_code: bool = True,
        ignore_quotes: bool = False,
        min_letters: Annotated[int, Ge(1)] = 12,
        max_other: Annotated[float, Interval(ge=0, le=1)] = 0.25,
    ) -> None:
        self.language = language if language is None else language_code(language)
        if self.language is not None:
            self.requires = frozenset()  # nothing is needed from the row then
        self.ignored = [_LINK] + [_CODE] * ignore_code + [_QUOTATION] * ignore_quotes
        self.min_letters = min_letters
        self.max_other = max_other

    def prepare(self) -> None:
        identifier()

    def judge(self, row: Row) -> Verdict:
        try:
            wanted = self.language or _wanted(row.metadata["language"])
        except ValueError as error:
            return Verdict.unknown(f"metadata `language`: {error}")
        if not row.response.strip():
            return Verdict.violated("empty response")
        text = row.response
        for pattern in self.ignored:
            text = pattern.sub(" ", text)
        letters = _letters(text)
        if letters < self.min_letters:
            reason = f"too short to be in a language: {letters} letters of {self.min_letters}"
            return Verdict(Outcome.NOT_APPLICABLE, reason)
        return self._verdict(_measured(text, wanted), wanted)

    def _verdict(self, pieces: list[_Piece], wanted: str) -> Verdict:
        letters = sum(piece.letters for piece in pieces)
        score = sum(piece.margin * piece.letters for piece in pieces) / letters
        others = [piece for piece in pieces if piece.margin <= -_CLEAR]
        share = sum(piece.letters for piece in others) / letters
        if score <= -_CLEAR:
            return Verdict.violated(f"in {_commonest(others)}, not in {wanted}", score)
        if share > self.max_other:
            return Verdict.violated(f"{share:.0%} of the text is in {_commonest(others)}, not in {wanted}", -share)
        if score >= _CLEAR:
            return Verdict.satisfied(f"in {wanted}", score)
        if letters < _PIECE_LETTERS:
            return Verdict(Outcome.NOT_APPLICABLE, f"too short to tell whether it is in {wanted}, margin {score:.2f}")
        return Verdict.violated(f"not clearly in {wanted}, margin {score:.2f}", score - _CLEAR)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some sentences: how many letters, the margin of the wanted language over the likeliest other, and that other."""

    letters: int
    margin: float
    other: str


def _wanted(value: Any) -> str:
    if not isinstance(value, str):
        raise JudgesError(f"must be text, not {type(value).__name__}")
    return language_code(value)


def _letters(text: str) -> int:
    """Number of letters, with those of dense scripts weighted."""
    return len(_NOT_LETTER.sub("", text)) + (_DENSE_WEIGHT - 1) * len(_DENSE.findall(text))


def _commonest(pieces: list[_Piece]) -> str:
    letters: Counter[str] = Counter()
    for piece in pieces:
        letters[piece.other] += piece.letters
    return letters.most_common(1)[0][0]


def _measured(text: str, wanted: str) -> list[_Piece]:
    """The text in pieces of whole sentences, each long enough to tell its language."""
    least = max(_PIECE_LETTERS, _letters(text) // _MAX_PIECES)
    pieces: list[_Piece] = []
    gathered: list[str] = []
    letters = 0
    for sentence in _PIECE_END.split(text):
        gathered.append(sentence)
        letters += _letters(sentence)
        if letters >= least:
            pieces.append(_Piece(letters, *margin(" ".join(gathered), wanted)))
            gathered, letters = [], 0
    if pieces and letters >= _PIECE_LETTERS // 2:  # a shorter rest tells little
        pieces.append(_Piece(letters, *margin(" ".join(gathered), wanted)))
    return pieces or [_Piece(_letters(text), *margin(text, wanted))]
