"""Text as words, emoji and punctuation, and the hashes of its phrases of one to four of them.

A word is lower-cased; each character of a script without spaces is a word. Of a run of one punctuation mark at most
three count; a run of one emoji counts as one, skin tones and variation selectors left out, and any emoji at all is a
phrase of its own (`ANY_EMOJI`): a hundred different ones are one habit. A phrase at the start or at the end of a text
is counted once more as an opening or a closing. Hashes are the same in every process: a run that goes on finds the
phrases it had.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

LONGEST = 4
"""Most tokens of a counted phrase."""

HEAD, TAIL = 1500, 500
"""Tokens of a text that are looked at, at its start and end; of longer texts the middle is left out."""

ANY_EMOJI = "(any emoji)"

_EMOJI = (
    r"\p{Extended_Pictographic}(?:[\uFE0F\p{Emoji_Modifier}]|\u200D\p{Extended_Pictographic})*"
    r"|\p{Regional_Indicator}{2}"
)
_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}]\p{M}*"
_WORD = r"[\p{L}\p{N}\p{M}_]+(?:['’-][\p{L}\p{N}\p{M}_]+)*"
_TOKEN = regex.compile(rf"(?P<emoji>{_EMOJI})|(?P<alone>{_ALONE})|(?P<word>{_WORD})|(?P<mark>[^\s])(?P=mark)*")
_ASCII = re.compile(r"[A-Za-z0-9_]+(?:['-][A-Za-z0-9_]+)*|([^\s])\1*")
"""The same for ASCII, where it is several times as fast."""
_VARIANTS = regex.compile(r"[\uFE0F\p{Emoji_Modifier}]")

Hashes = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_LENGTHS = np.asarray([0, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB], dtype=np.uint64)
OPENING = np.uint64(0x8EBC6AF09C88C6E3)
CLOSING = np.uint64(0x589965CC75374CC3)
"""Combined with a phrase's hash: the phrase at the start, at the end."""

MOST_KNOWN = 200_000
"""Tokens whose hash is remembered."""

_known: dict[str, int] = {}


class Token(NamedTuple):
    """A word, emoji or punctuation mark, and where it stands in the text."""

    text: str
    start: int
    end: int


def tokenise(text: str) -> list[Token]:
    """The tokens of a text, in order."""
    if text.isascii():
        return _shortened([_ascii_token(match) for match in _ASCII.finditer(text)])
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        start, end = match.span()
        if kind == "emoji":
            token = _VARIANTS.sub("", token)
            if tokens and tokens[-1].text == token and tokens[-1].end == start:
                tokens[-1] = Token(token, tokens[-1].start, end)
                continue
        elif kind == "mark":
            token = token[:3]
        else:
            token = token.lower()
        tokens.append(Token(token, start, end))
    return _shortened(tokens)


def _ascii_token(match: re.Match[str]) -> Token:
    text = match.group()
    return Token(text.lower() if match.lastindex is None else text[:3], match.start(), match.end())


def _shortened(tokens: list[Token]) -> list[Token]:
    return tokens if len(tokens) <= HEAD + TAIL else tokens[:HEAD] + tokens[-TAIL:]


def phrases(tokens: Sequence[str]) -> tuple[list[Hashes], Hashes]:
    """Hashes of the phrases of 1, 2, … `LONGEST` tokens in the order of their places, and that of `ANY_EMOJI` if so."""
    single = np.asarray([_hash(token) for token in tokens], dtype=np.uint64)
    by_length, last = [], single
    for length in range(1, min(LONGEST, len(tokens)) + 1):
        if length > 1:
            last = last[:-1] * _STEP + single[length - 1 :]
        by_length.append(last ^ _LENGTHS[length - 1])
    emoji = any(not token.isascii() and is_emoji(token) for token in tokens)
    return by_length, np.asarray([_hash(ANY_EMOJI)] if emoji else [], dtype=np.uint64)


def phrase_set(tokens: Sequence[str], of_prompt: Hashes) -> Hashes:
    """Distinct hashes of all phrases of a response, its openings and closings, sorted.

    Args:
        tokens: of the response.
        of_prompt: phrases of the prompt, sorted. What a prompt itself says is nobody's habit: they are left out, and
            with those of two tokens or more every phrase that shares a token with them there.
    """
    by_length, emoji = phrases(tokens)
    free = [np.ones(len(part), dtype=bool) for part in by_length]
    if len(of_prompt):
        emoji = emoji[~_among(emoji, of_prompt)]
        free = _free(by_length, of_prompt)
    openings = [part[:1][keep[:1]] ^ OPENING for part, keep in zip(by_length, free, strict=True)]
    closings = [part[-1:][keep[-1:]] ^ CLOSING for part, keep in zip(by_length, free, strict=True)]
    inside = [part[keep] for part, keep in zip(by_length, free, strict=True)]
    return np.unique(np.concatenate([emoji, *inside, *openings, *closings]))


def _free(by_length: Sequence[Hashes], of_prompt: Hashes) -> list[NDArray[np.bool_]]:
    """Which phrases are not the prompt's, and share no token with a longer one that is."""
    in_prompt = [_among(part, of_prompt) for part in by_length]
    covered = np.zeros(len(in_prompt[0]) + 1 if in_prompt else 1, dtype=np.int64)
    for n, part in enumerate(in_prompt[1:], start=2):
        covered[: len(part)] += part
        covered[n : n + len(part)] -= part
    before = np.concatenate([[0], np.cumsum(np.cumsum(covered)[:-1] > 0)])
    return [~part & (before[n:] == before[: len(before) - n]) for n, part in enumerate(in_prompt, start=1)]


def _among(hashes: Hashes, of_prompt: Hashes) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(of_prompt, hashes), len(of_prompt) - 1)
    among: NDArray[np.bool_] = of_prompt[at] == hashes
    return among


def prompt_phrases(texts: Iterable[str]) -> Hashes:
    """All phrases of the messages of a prompt, sorted."""
    parts = []
    for text in texts:
        by_length, emoji = phrases([token.text for token in tokenise(text)])
        parts += [*by_length, emoji]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.uint64)


def phrase_hash(tokens: Sequence[str]) -> np.uint64:
    """The hash of one phrase of at most `LONGEST` tokens."""
    if list(tokens) == [ANY_EMOJI]:
        return np.uint64(_hash(ANY_EMOJI))
    return np.uint64(phrases(tokens)[0][len(tokens) - 1][0])


def is_emoji(token: str) -> bool:
    """Whether a token is an emoji."""
    return regex.match(_EMOJI, token) is not None


def _hash(token: str) -> int:
    value = _known.get(token)
    if value is None:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        value = _known[token] = int.from_bytes(digest, "little")
    return value
