"""Each of the 25 public instruction types with passing and failing strings, and the metadata around them."""

from __future__ import annotations

from typing import Any

import pytest

from judges import Row, Verdict
from judges.rules.instruction_following import InstructionFollowingJudge
from judges.rules.instruction_following.ifeval import TYPES
from judges.rules.instruction_following.instruction_type import InstructionType, Types
from judges.rules.instruction_following.sentences import count_as_punkt
from judges.rules.instruction_following.table import INSTRUCTIONS

ENGLISH = "The weather was fine this morning and we walked along the river until noon"
GERMAN = "Das Wetter war heute Morgen schön und wir gingen bis zum Mittag am Fluss entlang"
LESS, LEAST = "less than", "at least"

# instruction id, kwargs, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["sun", "Moon"]}, ["Sunny under the moon"], ["the sun", "su n moon"]),
    ("keywords:existence", {"keywords": ["c++"]}, ["I like C++."], ["I like c."]),
    (
        "keywords:frequency",
        {"keyword": "tea", "frequency": 2, "relation": LEAST},
        ["Tea, teapot", "tea tea tea"],
        ["tea"],
    ),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": LESS}, ["tea", "none"], ["tea and tea"]),
    ("keywords:forbidden_words", {"forbidden_words": ["bad", "ugly"]}, ["badly made", "nice"], ["so BAD!", "ugly"]),
    ("keywords:letter_frequency", {"letter": "o", "let_frequency": 3, "let_relation": LEAST}, ["Oo o"], ["oo"]),
    ("keywords:letter_frequency", {"letter": "O", "let_frequency": 3, "let_relation": LESS}, ["oo"], ["ooo", "Ooo"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": LEAST}, ["## x"], ["# x"]),
    ("language:response_language", {"language": "de"}, [GERMAN], [ENGLISH, "12345", "?!"]),
    ("language:response_language", {"language": "en"}, [ENGLISH], [GERMAN]),
    ("language:response_language", {"language": "zh"}, ["我们每天早上沿着河边散步。"], [ENGLISH, GERMAN]),
    (
        "language:response_language",
        {"language": "is"},
        ["Þorpið mitt er mjög fallegt og við göngum á hverjum morgni"],
        [GERMAN],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": LEAST},
        ["One. Two! Three?", 'He said "no." She left. I stayed', "It is 3.5. Fine. Yes."],
        ["One. Two.", "Dr. Smith paid 3.5 dollars. He left.", "a\nb\nc"],
    ),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": LESS}, ["Only e.g. one."], ["One. Two."]),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "a *** b", "***\na\n***\nb\n***"],
        ["a\n\nb", "a *** b *** c", "a *** *** b"],
    ),
    ("length_constraints:number_words", {"num_words": 3, "relation": LEAST}, ["a b c", "well-made it"], ["a b", "..."]),
    ("length_constraints:number_words", {"num_words": 3, "relation": LESS}, ["a b"], ["a b c"]),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Blue"},
        ["a\n\nblue sky", 'a\n\n"Blue," she said'],
        ["blue\n\na", "a\n\nblue\n\nc", "a\n\nblues", "a\nblue"],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[a] and [b c]", "[][]"],
        ["[a]", "[a\n] [b]"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Bye.\nP.S. x", "p. s. x"], ["PS x", "Bye."]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["Bye.\nP.P.S. x", "p.p.s x"], ["P.S. x"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n* b", "- a\n  * b"],
        ["* a", "* a\n* b\n- c", "** a\n* b"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "Well. My answer is maybe."],
        ["Yes.", "my answer is no"],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* and *b*", "**a** and *b*"],
        ["*a*", "**a**", "* a\n* b", "** **  * *"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        ["Section 1\na\nSection 2\nb", "x Section1 Section2"],
        ["Section 1", "SECTION 1 SECTION 2", "Section one Section two"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['{"a": [1]}', '```json\n{"a": 1}\n```', "```\n[]\n```"],
        ["{a: 1}", "x {}", "[" * 99999],
    ),
    (
        "detectable_format:title",
        {},
        ["<<A Poem>>\nx", "x << a >> y"],
        ["<A Poem>", "<<>>", "<< >>", "<<a\n>>", ">> a <<"],
    ),
    (
        "combination:two_responses",
        {},
        ["a ****** b", "******\na\n******\nb\n******"],
        ["a", "a ****** a", "a****** ******b", "a***b"],
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Say hi."},
        ["say HI. Hi!", "  Say hi."],
        ["Hi! Say hi.", "Say  hi."],
    ),
    (
        "startend:end_checker",
        {"end_phrase": "The end."},
        ["x. the END.", '"x The end."', "The end.\n"],
        ["The end. x", "The end"],
    ),
    ("startend:quotation", {}, ['"hello"', ' "a" and "b" '], ['"hello', "'hello'", '"', '"hello".']),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": LEAST},
        ["I SAID so", "WELL-KNOWN NASA", "IT'S", "CANNOT", "THE—END", "GONNA", "A*B"],
        ["I said", "Hello World", "WELL-KNOWN", "12 34"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": LESS},
        ["one BIG"],
        ["TWO BIG ones"],
    ),
    ("change_case:english_capital", {}, [ENGLISH.upper()], [ENGLISH, GERMAN.upper(), "123"]),
    ("change_case:english_lowercase", {}, [ENGLISH.lower()], [ENGLISH, GERMAN.lower(), "123"]),
    ("punctuation:no_comma", {}, ["a; b."], ["a, b"]),
]


def judged(response: str, ids: Any, kwargs: Any, strict: bool = True) -> Verdict:
    row = Row("q", response, {"instruction_id_list": ids, "kwargs": kwargs})
    return InstructionFollowingJudge(strict=strict).verdict(row)


@pytest.mark.parametrize(("id", "kwargs", "good", "bad"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_each_instruction_type(id: str, kwargs: dict[str, Any], good: list[str], bad: list[str]) -> None:
    assert {text: judged(text, [id], [kwargs]).outcome for text in good} == dict.fromkeys(good, "satisfied")
    assert {text: judged(text, [id], [kwargs]).outcome for text in bad} == dict.fromkeys(bad, "violated")


def test_all_25_public_types_are_known_and_tried() -> None:
    assert len(TYPES) == 25
    assert {case[0] for case in CASES} == TYPES.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_an_empty_response_follows_nothing(case: tuple[str, dict[str, Any], list[str], list[str]]) -> None:
    for strict in (True, False):
        assert judged(" \n", [case[0]], [case[1]], strict) == Verdict.violated("empty response", -1.0)


def test_every_instruction_must_be_followed_and_the_reason_names_those_that_are_not() -> None:
    ids = ["punctuation:no_comma", "startend:quotation", "length_constraints:number_words"]
    kwargs: list[dict[str, Any]] = [{}, {}, {"num_words": 2, "relation": "at least"}]
    assert judged('"a b"', ids, kwargs) == Verdict.satisfied("follows 3 of 3 instructions", 1.0)
    verdict = judged('"a, b', ids, kwargs)
    reason = "2 of 3 instructions not followed: punctuation:no_comma, startend:quotation"
    assert verdict == Verdict.violated(reason, -2 / 3)


def test_tabular_copies_with_nulls_and_decimal_counts_are_read() -> None:
    kwargs = {"num_words": 2.0, "relation": "at least", "keywords": None, "letter": None}
    assert judged("a b", ["length_constraints:number_words"], [kwargs]).outcome == "satisfied"
    assert judged("a b", ["punctuation:no_comma"], [None]).outcome == "satisfied"


@pytest.mark.parametrize(
    ("ids", "kwargs", "reason"),
    [
        (
            ["punctuation:no_coma"],
            [{}],
            "unknown instruction 'punctuation:no_coma'. Did you mean 'punctuation:no_comma'?",
        ),
        ([None], [{}], "unknown instruction 'None'"),
        (["punctuation:no_comma"], [], "1 entries in `instruction_id_list`, but 0 in `kwargs`"),
        ([], [], "`instruction_id_list` is empty"),
        ("punctuation:no_comma", [{}], "`instruction_id_list` must be a list, not str"),
        (["punctuation:no_comma"], {}, "`kwargs` must be a list, not dict"),
        (["punctuation:no_comma"], ["x"], "kwargs of punctuation:no_comma must be a mapping, not str"),
        (["punctuation:no_comma"], [{"num_words": 3}], "unknown argument 'num_words' of punctuation:no_comma"),
        (["length_constraints:number_words"], [{"num_words": 3}], "needs the argument 'relation'"),
        (["length_constraints:number_words"], [{"num_words": "3", "relation": "at least"}], "valid integer"),
        (["length_constraints:number_words"], [{"num_words": 2.5, "relation": "at least"}], "valid integer"),
        (
            ["length_constraints:number_words"],
            [{"num_words": -1, "relation": "at least"}],
            "greater than or equal to 0",
        ),
        (["length_constraints:number_words"], [{"num_words": 3, "relation": "at most"}], "'less than' or 'at least'"),
        (["keywords:existence"], [{"keywords": []}], "at least 1 item"),
        (
            ["language:response_language"],
            [{"language": "eng"}],
            "unknown language 'eng'. Did you mean 'en'?",
        ),
        (["keywords:existence"], [{"keywords": "sun"}], "valid array"),
    ],
)
def test_what_cannot_be_judged_is_unknown(ids: Any, kwargs: Any, reason: str) -> None:
    verdict = judged("a b c", ids, kwargs)
    assert verdict.outcome == "unknown"
    assert reason in verdict.reason


def test_loose_forgives_a_first_or_last_line_and_asterisks() -> None:
    wrapped = 'Sure, here it is:\n"a quotation"\nI hope you like it!'
    assert judged(wrapped, ["startend:quotation"], [{}]).outcome == "violated"
    assert judged(wrapped, ["startend:quotation"], [{}], strict=False).outcome == "satisfied"
    assert judged('**"a quotation"**', ["startend:quotation"], [{}], strict=False).outcome == "satisfied"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("word", 1),
        ("One. Two.", 2),
        ("Mr. A. Smith came. He left.", 2),
        ("See e.g. Paris.", 1),
        ("Wait... what?", 1),
        ("Wait... What?", 1),
        ("Wait... The end.", 2),
        ("J.K. Rowling met J. R. Miller.", 1),
        ("Take exit B. If it is shut, turn.", 2),
        ("The U.S. economy grew. It did.", 2),
        ("Meet at 10 a.m. Bring tea.", 1),
        ("Fruit, etc. for us. Fruit, etc. Then more.", 3),
        ('Ask "Can you?", then go.', 2),
        ("1. Mix. 2. Bake.", 4),
        ("Really?! **Bold.**", 2),
        ("It costs 3.50 today.", 1),
        ('"Stop!" he said.', 2),
        ("Is it? Yes! Good.", 3),
        ("We left at 5 p.m. The shop was shut.", 2),
        ("We left at 5 p.m. and slept.", 1),
        ("a.b.c is a name.", 1),
    ],
)
def test_sentences_of_the_public_type(text: str, count: int) -> None:
    assert count_as_punkt(text) == count


def test_language_does_not_change_from_one_call_to_the_next() -> None:
    text = "Hotel Restaurant Taxi Radio Bus"
    seen = {judged(text, ["language:response_language"], [{"language": "en"}]).outcome for _ in range(10)}
    assert len(seen) == 1


def test_every_type_says_what_it_asks_for_and_what_it_takes() -> None:
    assert all(type.about.endswith(".") for type in INSTRUCTIONS.values())
    existence = INSTRUCTIONS["keywords:existence"]
    assert existence.about == "Every keyword occurs, also inside a longer word."
    assert [(option.name, option.type, option.default) for option in existence.arguments] == [
        ("keywords", "list of text", "required")
    ]


def test_an_id_belongs_to_one_type() -> None:
    types = Types()
    types.add("some:id")(lambda text: True)
    with pytest.raises(ValueError, match="two types of instruction are called 'some:id'"):
        types.add("some:id")(lambda text: False)


def test_a_type_of_several_turns_is_refused_by_name_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INSTRUCTIONS, "turns:again", InstructionType("turns:again", str.isupper, several_turns=True))
    metadata = {"instruction_id_list": ["turns:again"], "kwargs": [{}]}
    first, earlier = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}
    for prompt in ("Hi.", (first,)):
        verdict = InstructionFollowingJudge().verdict(Row(prompt, "A", metadata))
        assert verdict.outcome == "unknown"
        assert "turns:again needs a prompt of several turns" in verdict.reason
    assert InstructionFollowingJudge().verdict(Row((first, earlier, first), "A", metadata)).outcome == "satisfied"
