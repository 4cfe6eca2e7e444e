"""Each of open-instruct's 29 training types of instructions with responses worked by hand from the public checkers."""

from __future__ import annotations

from typing import Any

import pytest

from judges import Outcome, Row
from judges.judge import Message
from judges.rules.instruction_following import InstructionFollowingJudge
from judges.rules.instruction_following.open_instruct import TYPES
from judges.rules.instruction_following.table import INSTRUCTIONS

LESS, LEAST = "less than", "at least"
PHRASE = {"phrase": "All that glitters is not gold", "small_n": 2}

# instruction id, kwargs, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "copy:repeat_phrase",
        PHRASE,
        [
            "All that shines is not gold. All that glitters is never gold",
            "All that glitters is not gold, All who glitters is not golden",
        ],
        [
            "All that shines is not gold",
            "All that shines is not gold, all that glitters is never gold",
            "All that shines is not gold. All that glitters is not gold",
            "All that shines is never gold. All that glitters is never gold",
            "All that shines is not gold. All glitters is not gold",
            "All that shines\nis not gold. All that glitters is never gold",
        ],
    ),
    ("copy:copy", {"prompt_to_repeat": "Say hi."}, ["say HI.", " Say hi.\n"], ["Say hi", "Say hi. Hi!", "Say  hi."]),
    ("copy:copying_simple", {"prompt_to_repeat": "Grüß mich"}, ["GRÜß mich"], ["Grüss mich"]),
    (
        "copy:copying_multiple",
        {"prompt_to_repeat": "Hi", "N": 2},
        ["Hi\n******\nhi", "hi****** hi"],
        ["Hi ****** hi ****** hi", "Hi", "hi ***** hi", "hi ******* hi", "Hi ******"],
    ),
    (
        "new:copy_span_idx",
        {"prompt_to_repeat": "One two", "n_start": 0, "n_end": 5},
        ["one t", " One T"],
        ["one", "one two", "One  t"],
    ),
    (
        "detectable_format:sentence_hyphens",
        {},
        ["It is.-So it is.-Yes", "One."],
        ["It is. -So.", "It is. So.", "A well-known fact.-Yes.", " One.-Two."],
    ),
    ("detectable_format:square_brackets", {}, ["[one] [two]", "[a]\n[b.]"], ["[one two]", "[a] b", "[a]."]),
    (
        "detectable_format:bigram_wrapping",
        {},
        ["<<I am>> <<at home>> now", "alone"],
        ["<<I am at>> home", "I am", "<<I>> am"],
    ),
    ("keywords:word_once", {"keyword": "c++"}, ["I like C++.", "c++y"], ["I like c.", "c++ or C++"]),
    (
        "keywords:word_count_different_numbers",
        {"keyword": "tea", "frequency": 2, "relation": LEAST},
        ["Tea, teapot"],
        ["tea", "t e a"],
    ),
    (
        "keywords:word_count_different_numbers",
        {"keyword": "tea", "frequency": 2, "relation": LESS},
        ["tea"],
        ["tea tea"],
    ),
    ("keywords:exclude_word_harder", {"keyword": "tea"}, ["a Tea b", "teapot, tea.", "tea"], ["a tea b"]),
    ("keywords:no_adjacent_consecutive", {}, ["cab bat", "apple ant", "a – b"], ["apple bat", "x Yes", "9 :so"]),
    ("keywords:palindrome", {}, ["see level", "I am", "naan", "anna"], ["Level it", "noon.", "so it is"]),
    (
        "keywords:keyword_specific_position",
        {"keyword": ["tea"], "n": 2, "m": 3},
        ["Ah. I, tea."],
        ["Ah. I, Tea.", "Ah. I tea.", "Ah."],
    ),
    ("keywords:start_end", {}, ["So it is so", "So, so", "“Tea” is “"], ["So it is so.", "So", "It is so"]),
    ("letters:letter_counting", {"N": 3, "relation": LEAST}, ["a-b C", "abcd"], ["ab 12", "abé"]),
    ("letters:letter_counting", {"N": 3, "relation": LESS}, ["ab 12", "éüß"], ["abc"]),
    ("letters:letter_counting2", {"letter": "o", "let_frequency": 2, "let_relation": LEAST}, ["Oo"], ["o", "0o"]),
    ("letters:letter_counting2", {"letter": "o", "let_frequency": 2, "let_relation": LESS}, ["o"], ["oO"]),
    ("count:lowercase_counting", {"N": 2}, ["One two three", "a_b c1 d"], ["one two three", "it's so"]),
    (
        "count:counting_composition",
        {"n_sent": 2, "n_words": 3},
        ["I go. You go.\n***\nI go. You go. *** I go! It is?"],
        [
            "I go. You go.\n***\nI go. You go.",
            "I go. You go. *** I go. *** I go. You go.",
            "I go. You go. *** I go. You go. *** I go. You go now.",
            "*** I go. You go. *** I go. You go. *** I go. You go.",
        ],
    ),
    ("count:count_unique", {}, ["The the", "One, two."], ["the the", "One, two, three", "Go. Now."]),
    (
        "count:count_increment_word",
        {"keyword1": "tea", "keyword2": "milk"},
        ["Tea, milk, Milky"],
        ["tea milk", "teatea milk milk", "milk milk"],
    ),
    ("paragraphs:paragraphs", {}, ["a\n***\nb", "***\na\n***\nb"], ["a\n\nb", "a *** b *** c", "a *** *** b"]),
    ("paragraphs:paragraphs2", {}, ["a\n\nb", "a\n\nb\n\n", "a\nb\n\nc"], ["a\nb", "a\n\n\n\nb", "a\n\nb\n\nc"]),
    (
        "first_word:first_word_sent",
        {"first_word": "So"},
        ["so it is. So do I?", "SO"],
        ["So, yes.", "So it is. It is so.", "So?!"],
    ),
    ("first_word:first_word_sent", {"first_word": ["So"]}, ["So it is"], ["It is so"]),
    ("first_word:first_word_answer", {"first_word": "So"}, ["so it is. It is.", "\nSo"], ["So, yes", '"So" it is']),
    ("last_word:last_word_sent", {"last_word": "so"}, ["It is so. Is it SO?", '"so"'], ["It is so. Yes.", "so it is"]),
    ("last_word:last_word_answer", {"last_word": "so"}, ["No. It is so.", "**so**!"], ["so it is", "so —"]),
    (
        "multi-turn:constrained_start",
        {"starter": "I think"},
        ["I think so", "Yes.\n I think so"],
        ["Now I think", "i think"],
    ),
    ("punctuation:punctuation_dot", {}, ["Yes!", "例。"], ["3.5", "…."]),
    ("punctuation:punctuation_exclamation", {}, ["Yes.", "¡Sí"], ["a != b", "Yes!"]),
]

BAD_ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("copy:repeat_phrase", {"phrase": "All gold", "small_n": 2}, "needs a word between its first and its last"),
    ("copy:repeat_phrase", {"phrase": "All is gold"}, "needs the argument 'small_n'"),
    ("copy:copying_multiple", {"prompt_to_repeat": "Hi", "N": 0}, "greater than or equal to 1"),
    ("new:copy_span_idx", {"prompt_to_repeat": "Hi", "n_start": 4, "n_end": 1}, "`n_start` 4 is not below `n_end` 1"),
    ("keywords:exclude_word_harder", {}, "needs the argument 'keyword'"),
    ("letters:letter_counting", {"N": 3, "relation": "at leest"}, "Did you mean 'at least'?"),
    ("first_word:first_word_sent", {"first_word": []}, "argument 'first_word'"),
    ("punctuation:punctuation_dot", {"keyword": "x"}, "unknown argument 'keyword'"),
]

HOSTILE = ["All that " * 200, "All " * 400 + "x gold", "-" * 2_000, "***" * 500, "\n" * 2_000 + "x", "'" * 2_000, "İ ß"]
HOSTILE += ["aaaa" * 500 + "_", "a." * 1_000, "<<" * 1_000, "[" * 2_000, "a" * 2_000, " a" * 1_000, "\ufdd0\ufdd1.\x00"]
LONG = [
    ("copy:repeat_phrase", "All " * 100_000),
    ("count:lowercase_counting", "a" * 300_000 + "_"),
    ("count:counting_composition", " *** " * 60_000),
    ("detectable_format:sentence_hyphens", "-" * 300_000),
    ("count:count_unique", "'\"n't." * 40_000),
]
"""Texts on which a regular expression that goes back, or a list that is walked again and again, takes minutes."""
TURNS: tuple[Message, ...] = (
    {"role": "user", "content": "Always start with I think."},
    {"role": "assistant", "content": "I think so."},
    {"role": "user", "content": "And now?"},
)


def judged(id: str, kwargs: dict[str, Any], text: str) -> Outcome:
    metadata = {"instruction_id_list": [id], "kwargs": [kwargs]}
    return InstructionFollowingJudge().verdict(Row(TURNS, text, metadata)).outcome


@pytest.mark.parametrize(("id", "kwargs", "follow", "fail"), CASES, ids=[case[0] for case in CASES])
def test_hand_worked_cases(id: str, kwargs: dict[str, Any], follow: list[str], fail: list[str]) -> None:
    assert [text for text in follow if judged(id, kwargs, text) is not Outcome.SATISFIED] == []
    assert [text for text in fail if judged(id, kwargs, text) is not Outcome.VIOLATED] == []


def test_all_29_and_the_one_of_turns_are_tried() -> None:
    assert len(TYPES) == 30
    assert {case[0] for case in CASES} == set(TYPES)
    assert set(TYPES) <= set(INSTRUCTIONS)


@pytest.mark.parametrize(("id", "kwargs", "message"), BAD_ARGUMENTS)
def test_arguments_that_do_not_fit_are_named(id: str, kwargs: dict[str, Any], message: str) -> None:
    metadata = {"instruction_id_list": [id], "kwargs": [kwargs]}
    verdict = InstructionFollowingJudge().verdict(Row("x", "y", metadata))
    assert verdict.outcome is Outcome.UNKNOWN
    assert id in verdict.reason
    assert message in verdict.reason


def test_a_type_of_several_turns_is_refused_for_a_single_one() -> None:
    metadata = {"instruction_id_list": ["multi-turn:constrained_start"], "kwargs": [{"starter": "I think"}]}
    for prompt in ("Say hi.", TURNS[:1]):
        verdict = InstructionFollowingJudge().verdict(Row(prompt, "I think so", metadata))
        assert verdict.outcome is Outcome.UNKNOWN
        assert "multi-turn:constrained_start needs a prompt of several turns" in verdict.reason


def test_hostile_responses_are_judged() -> None:
    for id, kwargs, _, _ in CASES:
        for text in HOSTILE:
            assert judged(id, kwargs, text) is not Outcome.UNKNOWN


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("id", "text"), LONG, ids=[id for id, _ in LONG])
def test_long_hostile_responses_take_linear_time(id: str, text: str) -> None:
    kwargs = next(kwargs for case, kwargs, _, _ in CASES if case == id)
    judged(id, kwargs, text)
