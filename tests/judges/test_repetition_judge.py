"""The repetition judge: loops of all kinds, and texts that repeat themselves for good reasons."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.repetition import RepetitionJudge

OPENING = "Lima is the capital of Peru. It lies on the coast, at the mouth of the river Rímac. "
PARAGRAPH = (
    "The old town was built by settlers who came over the sea and did not know the land or its people, "
    "yet within a few years there were churches, a square, a university and a harbour of some size."
)


def judged(response: str, **options: object) -> Verdict:
    return RepetitionJudge(**options).verdict(Row("q", response))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "response",
    [
        OPENING + "I love this town so much. " * 4,
        OPENING + "I love this town so much! 💕 " * 9,
        OPENING + "very " * 25,
        OPENING + "so good " * 12,
        OPENING + "so good " * 30 + "so go",
        OPENING + "\n".join(f"{n}. It is the best town of all." for n in range(1, 9)),
        OPENING + "\n".join(["- Lima is the best town"] * 6),
        OPENING + "\n\n".join([PARAGRAPH] * 3),
        "\n".join(f"{word}. {PARAGRAPH}" for word in ("First", "Second", "Third", "Fourth")),
        OPENING + "I love this town so much. " * 8 + "And that is all that I have to say about it, I think.",
        "He said no" + "o" * 40,
        "A third is 0." + "3" * 101,
        OPENING + "!" * 60,
        OPENING + "😂" * 60,
        OPENING + "❤️" * 60,
        OPENING + "-" * 2000,
        OPENING + "我喜欢这里。" * 10,
        "And so it goes on and on. Yes. And so it goes on and on. No. " * 6,
        "```\n" + "x = x + 1 and so on\n" * 10,
    ],
)
def test_loops_are_violated(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "violated"
    assert verdict.score is not None
    assert verdict.score < 0
    assert verdict.reason


@pytest.mark.parametrize(
    "response",
    [
        "",
        "Yes.",
        OPENING,
        OPENING * 2,
        "No, no, no, no!",
        "Ha ha ha ha ha ha!",
        "Row, row, row your boat\nGently down the stream\nMerrily, merrily, merrily, merrily\nLife is but a dream",
        "Happy birthday to you\nHappy birthday to you\nHappy birthday, dear Ann\nHappy birthday to you",
        "\n".join(f"{n} x 7 = {7 * n}" for n in range(1, 21)),
        "\n".join(f"0 x {n} = 0" for n in range(1, 21)),
        "\n".join(f"- The town number {n} has {n * n} people." for n in range(1, 30)),
        "| a | b |\n|---|---|\n" + "| yes | yes |\n" * 30,
        "```python\n" + "print('again and again and again')\n" * 30 + "```",
        "Title\n" + "-" * 80 + "\ntext\n" + "=" * 80,
        "Written out, it is 1" + "0" * 34 + ".",
        "A third is 0." + "3" * 100,
        "A long pause" + "." * 60 + " and on.",
    ],
)
def test_normal_texts_are_satisfied(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "satisfied", verdict.reason
    assert verdict.score is not None
    assert verdict.score > 0


def test_a_song_with_a_chorus_is_satisfied() -> None:
    chorus = "Oh carry me down to the sea again\nwhere the gulls and the grey waves are\n"
    verses = [
        "The road was long and the night was cold\nand the wheels went round and round\n",
        "My father sailed when the ships were wood\nand he never was known to frown\n",
        "The harbour lights are burning low\nthere is nobody left in town\n",
    ]
    assert judged("\n".join(f"{verse}\n{chorus}" for verse in verses)).outcome == "satisfied"


def test_the_reason_names_what_is_repeated_and_how_often() -> None:
    assert judged(OPENING + "I love this town so much. " * 7).reason == "'i love this town so much' 7 times in a row"
    assert judged("a" + "!" * 60).reason == "'!' 60 times in a row"


@pytest.mark.parametrize(
    ("most_allowed", "least_loop"),
    [
        (OPENING + "We like it here now. " * 3, OPENING + "We like it here now. " * 4),
        ("a" + "!" * 25, "a" + "!" * 26),
    ],
)
def test_at_the_limit_score_and_verdict_agree(most_allowed: str, least_loop: str) -> None:
    allowed, loop = judged(most_allowed), judged(least_loop)
    assert (allowed.outcome, loop.outcome) == ("satisfied", "violated")
    assert allowed.score is not None
    assert loop.score is not None
    assert loop.score < 0 < allowed.score


def test_the_limits_are_options() -> None:
    text = OPENING + "I love this town so much. " * 5
    assert judged(text, times=6, share=1.0).outcome == "satisfied"
    assert judged("a" + "!" * 60, characters=60).outcome == "satisfied"


@pytest.mark.parametrize("options", [{"times": 1}, {"characters": 3}, {"share": 0.0}, {"share": 1.5}, {"words": 2}])
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises((JudgesError, ValueError)):
        create("repetition", options)


@given(
    st.lists(st.sampled_from("lamp river stone quiet green seven under paper".split()), min_size=3, max_size=30),  # noqa: SIM905
    st.integers(20, 40),
)
def test_any_phrase_said_twenty_times_in_a_row_is_a_loop(phrase: list[str], times: int) -> None:
    assert judged(OPENING + " ".join(phrase * times)).outcome == "violated"


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=9), unique=True, max_size=200))
def test_words_that_never_recur_are_no_loop(words: list[str]) -> None:
    assert judged(" ".join(words)).outcome == "satisfied"


@pytest.mark.parametrize(
    "unit",
    [
        "ha",
        "lol",
        "blah",
        "GATTACA",
        "XoXo",
        "foo_bar",
        "x=1;",
        "!?",
        "<3",
        ":)",
        "01",
        "142857",
        "хаха",
        "사랑해",
        "حب",
        "अच्छा",
        "ขอบคุณ",
        "ขอบคุณครับ ",
        "ฉันรักเธอ\n",
        "ខ្ញុំស្រលាញ់អ្នក",
        "ຂອບໃຈຫຼາຍໆ ",
        "ကျေးဇူးတင်ပါတယ်",
        "abcdefghijklmnopqrstuvwxyz",
        "วันนี้อากาศดีมากเราไปเดินเล่นที่สวนสาธารณะกันเถอะแล้วก็กินไอศกรีมด้วยกันที่ร้านใกล้บ้านของเราเพราะว่ามันอร่อยมากจริงๆ",
    ],
)
def test_loops_without_spaces_are_violated(unit: str) -> None:
    loop = unit * max(5, 120 // len(unit))
    for response in (loop, OPENING + loop, OPENING + loop[:-1], OPENING + loop + " And that is all there is to say."):
        verdict = judged(response)
        assert verdict.outcome == "violated", response
        assert "without a space" in verdict.reason or "in a row" in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "Nooooo hahahahahahahahaha!",
        "It begins ACGTTGCAACGGTTACCGATGCATTGCACCGGTAATGCCGATTACGGATCCGATTAGCATCGGCATTACGGATACCAGT.",
        "One seventh is 0.142857142857142857142857142857142857142857142857…",
        "=-" * 60,
        "*-" * 40,
        "---|" * 30,
        "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
        "methionylthreonylthreonylglutaminylalanylprolylthreonylphenylalanylthreonylglutaminylprolylleucylglutamine",
        "https://example.com/a/b/c/d?x=1&y=2&z=3&x=1&y=2&z=3&page=10&sort=asc&filter=none&view=list",
        "10101010" * 8,
        "ขอบคุณครับ ขอบคุณมากครับ วันนี้ดีใจมาก",
        "ไม่เป็นไร ไม่เป็นไร ไม่เป็นไร ไม่เป็นไร",
        "<div><div><div><div></div></div></div></div>",
    ],
)
def test_long_words_and_short_laughs_pass(text: str) -> None:
    assert judged(text).outcome == "satisfied", judged(text).reason
    assert judged(OPENING + text).outcome == "satisfied"


def test_how_long_a_loop_without_spaces_may_be() -> None:
    assert judged("ha" * 39).outcome == "satisfied"
    assert judged("ha" * 40).outcome == "violated"
    assert judged("ab" * 40, times=50).outcome == "satisfied"
    assert judged("12" * 49).outcome == "satisfied"
    assert judged("12" * 50).outcome == "violated"
    assert judged("anotherverylongunit_of_letters" * 3).outcome == "satisfied"
    assert judged("anotherverylongunit_of_letters" * 4).outcome == "violated"


def test_line_breaks_within_a_very_long_word_do_not_hide_a_loop() -> None:
    assert judged("\n".join(["ACGT" * 15] * 5)).outcome == "violated"
    assert judged("\n".join("".join(random.Random(n).choices("ACGT", k=60)) for n in range(5))).outcome == "satisfied"


def test_a_long_text_without_spaces_takes_bounded_time() -> None:
    """Only its end is searched; of random letters that takes longest."""
    letters = "".join(random.Random(0).choices("ab", k=200_000))
    assert judged(letters).outcome == "satisfied"
    assert judged(letters + "abcd" * 30).outcome == "violated"
