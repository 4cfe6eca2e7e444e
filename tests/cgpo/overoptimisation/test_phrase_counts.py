"""Tokens, phrases and their counts, by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from cgpo.overoptimisation.counts import Counts, Document, effective, growth_factor, growth_z
from cgpo.overoptimisation.tokens import (
    ANY_EMOJI,
    CLOSING,
    HEAD,
    OPENING,
    TAIL,
    phrase_hash,
    phrase_set,
    prompt_phrases,
    tokenise,
)

NOTHING = np.zeros(0, dtype=np.uint64)


def words(text: str) -> list[str]:
    return [token.text for token in tokenise(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bye!  Sending love!!!!!", ["bye", "!", "sending", "love", "!!!"]),
        ("I don't – well-known, 3.5", ["i", "don't", "–", "well-known", ",", "3", ".", "5"]),
        ("Ça va? Ü", ["ça", "va", "?", "ü"]),
        ("I ❤️❤❤️ it 👍🏽👍", ["i", "❤", "it", "👍"]),
        ("❤ ❤", ["❤", "❤"]),  # two places, not a run
        ("👩‍👩‍👧🎉", ["👩‍👩‍👧", "🎉"]),
        ("你好!", ["你", "好", "!"]),
        ("", []),
        (" \n\t", []),
        ("a\ud800b \x00", ["a", "\ud800", "b", "\x00"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_ascii_is_read_as_any_text_is() -> None:
    text = "It's a well-known $5 fact... (really?!) snake_case --x-- 'quoted' e-mail@host.com 100% OK!!!!"
    assert words(text) == words(text + " é")[:-1]


def test_where_a_token_stands() -> None:
    text = "So – Bye !"
    assert [text[t.start : t.end] for t in tokenise(text)] == ["So", "–", "Bye", "!"]


def test_of_a_very_long_text_start_and_end_are_seen() -> None:
    found = words(" ".join(f"w{i}" for i in range(9000)))
    assert len(found) == HEAD + TAIL
    assert (found[0], found[-1]) == ("w0", "w8999")


def test_phrases_of_a_short_text() -> None:
    found = phrase_set(["a", "b", "a"], NOTHING)
    inside = [("a",), ("b",), ("a", "b"), ("b", "a"), ("a", "b", "a")]
    openings = [("a",), ("a", "b"), ("a", "b", "a")]
    closings = [("a",), ("b", "a"), ("a", "b", "a")]
    expected = {int(phrase_hash(p)) for p in inside}
    expected |= {int(phrase_hash(p) ^ OPENING) for p in openings} | {int(phrase_hash(p) ^ CLOSING) for p in closings}
    assert found.tolist() == sorted(expected)
    assert phrase_set([], NOTHING).tolist() == []


def test_any_emoji_is_a_phrase() -> None:
    assert phrase_hash([ANY_EMOJI]) in phrase_set(["ok", "🎉"], NOTHING)
    assert phrase_hash([ANY_EMOJI]) not in phrase_set(["ok", "é"], NOTHING)


def test_what_the_prompt_says_is_nobodys_habit() -> None:
    asked = prompt_phrases(["You are kind.", "End your response with “Sending love”."])
    found = phrase_set(words("Fine. Sending love"), asked)
    for phrase in (["sending"], ["sending", "love"], ["."]):
        assert phrase_hash(phrase) not in found
        assert phrase_hash(phrase) ^ CLOSING not in found
    assert phrase_hash([".", "sending"]) not in found  # shares a token with what the prompt says
    assert phrase_hash(["fine"]) in found
    assert phrase_hash(["fine"]) ^ OPENING in found


def test_phrases_beside_those_of_the_prompt_are_counted() -> None:
    asked = prompt_phrases(["x b c y d"])
    expected = [("a",), ("e",), ("e", "f"), ("f",)]
    closings = [("f",), ("e", "f")]
    # In a b c d e f, `b c` is the prompt's, and so is `d` alone: `d e` is not.
    expected += [("d", "e"), ("d", "e", "f")]
    closings += [("d", "e", "f")]
    hashes = {int(phrase_hash(p)) for p in expected} | {int(phrase_hash(p) ^ CLOSING) for p in closings}
    assert phrase_set(list("abcdef"), asked).tolist() == sorted(hashes | {int(phrase_hash(["a"]) ^ OPENING)})


def test_hashes_are_those_of_every_process() -> None:
    code = "from cgpo.overoptimisation.tokens import phrase_hash as h; print(int(h(['sending', 'love', '❤'])))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(phrase_hash(["sending", "love", "❤"]))


def document(prompt: str, *phrases: int) -> Document:
    return Document(prompt, "", np.asarray(sorted(phrases), dtype=np.uint64))


def test_counts_are_by_prompt() -> None:
    found = Counts.of(
        [document("a", 1, 7), document("b", 7), document("a", 1), document("a", 1), document("b"), document("a")]
    )
    assert found.hashes.tolist() == [1, 7]
    assert (found.prompts, found.responses) == (2, 6)
    assert found.sums == pytest.approx([3 / 4, 1 / 4 + 1 / 2])
    assert found.squares == pytest.approx([9 / 16, 1 / 16 + 1 / 4])
    assert [found.held_by(i) for i in range(2)] == [[0, 2, 3], [0, 1]]
    sums, squares = found.at(np.asarray([0, 7, 9], dtype=np.uint64))
    assert sums == pytest.approx([0, 0.75, 0])
    assert squares == pytest.approx([0, 0.3125, 0])
    assert Counts.of([]).responses == 0


def test_effective_numbers() -> None:
    # Of 10 prompts: four with a share of 1/8 each are four occurrences in 80 trials; one with a share of 1 is one in
    # ten; shares of 1, 1/8, 1/8 are (1.25)² / (1 + 2/64) occurrences.
    sums, squares = np.asarray([0.5, 1.0, 1.25, 0.0]), np.asarray([4 / 64, 1.0, 1 + 2 / 64, 0.0])
    count, trials = effective(sums, squares, 10)
    assert count == pytest.approx([4, 1, 1.5625 / 1.03125, 0])
    assert trials == pytest.approx([80, 10, 1.5625 / 1.03125 / 0.125, 10])


def test_likelihood_ratio_by_hand() -> None:
    def z(*numbers: float) -> float:
        return float(growth_z(*(np.asarray([n], dtype=float) for n in numbers))[0])

    # 30 of 100 against 10 of 100: p₀ = 0.2, expected 20, 80, 20, 80.
    ratio = 30 * math.log(30 / 20) + 70 * math.log(70 / 80) + 10 * math.log(10 / 20) + 90 * math.log(90 / 80)
    assert z(30, 100, 10, 100) == pytest.approx(math.sqrt(2 * ratio))
    assert z(10, 100, 30, 100) == pytest.approx(-math.sqrt(2 * ratio))
    # 20 of 1,000 where the reference has none of 1,000.
    never = 20 * math.log(2) + 980 * math.log(980 / 990) + 1000 * math.log(1000 / 990)
    assert z(20, 1000, 0, 1000) == pytest.approx(math.sqrt(2 * never))
    assert z(5, 50, 10, 100) == pytest.approx(0.0, abs=1e-6)
    assert z(100, 100, 100, 100) == pytest.approx(0.0)


def test_factor_of_what_the_reference_never_said() -> None:
    assert growth_factor(0.03, 0.0075, 2000) == pytest.approx(4.0)
    assert growth_factor(0.03, 0.0, 1000) == pytest.approx(60.0)  # against half an occurrence in 1,000
