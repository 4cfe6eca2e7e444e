"""The instruction types of our own: texts that follow them, texts that do not, and edges; and their arguments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.contract import HOSTILE_TEXTS
from judges.rules.instruction_following import InstructionFollowingJudge, own, own_data

TYPES = own.TYPES | own_data.TYPES
COUNTED = [id for id, type in TYPES.items() if "at_most" in {option.name for option in type.arguments}]
TABLE = "| Name | Age |\n|---|:-:|\n| Ann | 3 |\n| Bob | 4 |"
SHOPPING = "Fruit:\n- apples\n- Bananas\n- **éclairs**\n- figs"

# instruction id, arguments, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("cgpo:words", {"exactly": 3}, ["one two three", "well-known don't 3.5", "a – b c"], ["one two", "a b c d"]),
    ("cgpo:words", {"at_least": 2, "at_most": 3}, ["a b", "a b c"], ["a", "a b c d", "a ..."]),
    ("cgpo:words", {"exactly": 0}, ["..."], ["a"]),
    ("cgpo:sentences", {"exactly": 2}, ["One. Two.", "Dr. Who left. He ran"], ["One.", "One. Two. Three."]),
    ("cgpo:paragraphs", {"exactly": 2}, ["a\nb\n\nc", "a\n \n\n\nb\n"], ["a\nb", "a\n\nb\n\nc"]),
    ("cgpo:lines", {"at_most": 2}, ["a", "a\n\n\nb", "a\r\nb"], ["a\nb\nc"]),
    ("cgpo:characters", {"at_most": 5}, ["12345", "  1 345\n"], ["123456"]),
    (
        "cgpo:bullets",
        {"exactly": 2},
        ["- a\n- b", "x\n* a\n  - inner\n• b"],
        ["- a", "-a\n-b", "- a\n- b\n+ c", "1. a\n2. b"],
    ),
    (
        "cgpo:numbered_list",
        {"exactly": 2},
        ["1. a\n2. b", "x\n1) a\n   1. inner\n2) b\ny"],
        ["1. a\n3. b", "2. a\n3. b", "1. a"],
    ),
    ("cgpo:numbered_list", {"at_least": 1}, ["1. a"], ["- a", "1.5 litres", "1. a\n1. b"]),
    ("cgpo:headings", {"exactly": 1}, ["# A\ntext", "```\n# comment\n```\n## B"], ["#A", "# A\n# B", "text"]),
    ("cgpo:emoji", {"exactly": 0}, ["plain :) text", "5 * 4 # → ✓ ©"], ["yes 👍", "❤️", "1️⃣"]),
    ("cgpo:emoji", {"exactly": 2}, ["👍🏽 👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "⭐ ✔️"], ["👍", "👍👍👍"]),
    (
        "cgpo:word_frequency",
        {"word": "Tea", "exactly": 2},
        ["tea, TEA", "(tea) and tea-pot"],
        ["tea teapot", "tea tea tea"],
    ),
    ("cgpo:word_frequency", {"word": "hot tea", "at_most": 0}, ["tea hot"], ["Hot tea!"]),
    ("cgpo:sentence_length", {"max_words": 3}, ["One two three. Four!", "a b c"], ["One two three four. Five."]),
    (
        "cgpo:start_phrase",
        {"phrase": "Dear Ann"},
        ["dear ann, hello", "\n**Dear Ann**", "Dear Ann"],
        ["Dear Anna", "My dear Ann", "Dear  Ann"],
    ),
    ("cgpo:start_phrase", {"phrase": "Yes,"}, ["Yes, of course", "yes,no"], ["Yes of course"]),
    ("cgpo:line_start", {"prefix": "> "}, ["> a\n\n  > b", ">\ta\n>"], ["> a\nb", ">a"]),
    (
        "cgpo:keyword_order",
        {"keywords": ["first", "then"]},
        ["First a, THEN b", "then first then"],
        ["then first", "first, thenceforth"],
    ),
    ("cgpo:keyword_order", {"keywords": ["a", "a"]}, ["a and a"], ["a"]),
    ("cgpo:alphabetical_list", {}, [SHOPPING, "1. a\n2. b\n3. b"], ["- b\n- a", "- a", "a\nb"]),
    ("cgpo:alphabetical_list", {"descending": True}, ["- b\n- a"], [SHOPPING]),
    ("cgpo:no_repeated_words", {}, ["the cat sat", "it's its"], ["The cat saw the dog"]),
    ("cgpo:no_repeated_words", {"min_letters": 4}, ["the cat saw the dog"], ["Some like some"]),
    ("cgpo:no_digits", {}, ["two"], ["2", "x²", "٣"]),
    ("cgpo:script", {"script": "cyrillic"}, ["Привет, мир 1!"], ["Привет, world", "123"]),
    ("cgpo:script", {"script": "latin"}, ["Über den Fluß, 5 €"], ["alpha α"]),
    ("cgpo:script", {"script": "japanese"}, ["東京タワーは高い。"], ["Tokyo タワー"]),
    (
        "cgpo:csv",
        {},
        ["a,b\n1,2", 'a,b\n"x, y","line\nbreak"', "```csv\na,b\n1,2\n```"],
        ["a\n1", "a,b\n1", "a,b\n\n1,2", "Here:\na,b\n1,2"],
    ),
    (
        "cgpo:csv",
        {"columns": 2, "rows": 1, "delimiter": ";"},
        ["a;b\n1;2"],
        ["a;b", "a;b\n1;2\n3;4", "a,b\n1,2", "a;b;c\n1;2;3"],
    ),
    ("cgpo:csv", {"columns": 1}, ["a\n1"], ["a,b"]),
    ("cgpo:csv", {"header": ["name", "age"]}, ["name, age\nAnn, 3"], ["age,name\n3,Ann", 'name,age\n"x']),
    (
        "cgpo:yaml",
        {},
        ["a: 1\nb: [x]", "- a\n- b", "```yaml\na: 1\n```"],
        ["just prose", "a: b: c", "{a", "a: 1\n---\nb: 2", "&a [*a]"],
    ),
    ("cgpo:yaml", {"required_keys": ["a", "b"]}, ["a: 1\nb:\nc: 2"], ["a: 1", "- a\n- b"]),
    (
        "cgpo:json_keys",
        {"required_keys": ["a"]},
        ['{"a": 1, "b": 2}', '```json\n{"a": null}\n```'],
        ['{"b": 1}', '["a"]', "{a: 1}", "[" * 99999],
    ),
    ("cgpo:json_keys", {"required_keys": ["a"], "only": True}, ['{"a": 1}'], ['{"a": 1, "b": 2}']),
    (
        "cgpo:markdown_table",
        {},
        [TABLE, f"Look:\n\n{TABLE}\n\nDone.", "a|b\n-|-"],
        ["| a | b |\n| 1 | 2 |", "a\n---", "|a|b|\n|---|"],
    ),
    (
        "cgpo:markdown_table",
        {"columns": 2, "rows": 2},
        [TABLE, f"{TABLE}\n\n|x|\n|-|"],
        [f"{TABLE}\n| C | 5 |", "|a|\n|-|\n|1|\n|2|"],
    ),
    ("cgpo:markdown_table", {"columns": 1}, ["| a \\| b |\n|---|"], ["| a | b |\n|---|---|"]),
    (
        "cgpo:code_block",
        {},
        ["```\nx = 1\n```", "Here:\n```python\nx\n```\nDone."],
        ["x = 1", "```\n```", "```\nx", "```\na\n```\n```\nb\n```"],
    ),
    (
        "cgpo:code_block",
        {"language": "python"},
        ["```Python\nx\n```", "```py\nx\n```"],
        ["```\nx\n```", "```js\nx\n```"],
    ),
    ("cgpo:code_block", {"language": "py"}, ["```python\nx\n```"], ["```pyrex\nx\n```"]),
]


@pytest.mark.parametrize(
    ("response", "id", "arguments", "seen"),
    [
        ("a b c d", "cgpo:words", {"exactly": 3}, "cgpo:words (4, exactly 3 wanted)"),
        ("- a", "cgpo:bullets", {"at_least": 2, "at_most": 4}, "cgpo:bullets (1, at least 2 and at most 4 wanted)"),
        ("tea", "cgpo:word_frequency", {"word": "tea", "at_least": 2}, "cgpo:word_frequency (1, at least 2 wanted)"),
        ("2. a\n3. b", "cgpo:numbered_list", {"exactly": 2}, "cgpo:numbered_list"),
        ("2", "cgpo:no_digits", {}, "cgpo:no_digits"),
    ],
)
def test_the_reason_says_what_was_counted(response: str, id: str, arguments: dict[str, Any], seen: str) -> None:
    assert judged(response, id, arguments).reason == f"1 of 1 instructions not followed: {seen}"


def judged(response: str, id: str, arguments: dict[str, Any]) -> Verdict:
    row = Row("q", response, {"instruction_id_list": [id], "kwargs": [arguments]})
    return InstructionFollowingJudge().verdict(row)


@pytest.mark.parametrize(("id", "kwargs", "good", "bad"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_each_instruction_type(id: str, kwargs: dict[str, Any], good: list[str], bad: list[str]) -> None:
    assert {text: judged(text, id, kwargs).outcome for text in good} == dict.fromkeys(good, "satisfied")
    assert {text: judged(text, id, kwargs).outcome for text in bad} == dict.fromkeys(bad, "violated")


def test_every_type_is_tried() -> None:
    assert {case[0] for case in CASES} == TYPES.keys()


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_hostile_texts_are_judged(case: tuple[str, dict[str, Any], list[str], list[str]]) -> None:
    for name, text in HOSTILE_TEXTS.items():
        assert judged(text, case[0], case[1]).outcome in ("satisfied", "violated"), name


@pytest.mark.parametrize(
    ("id", "arguments", "reason"),
    [
        ("cgpo:word", {"exactly": 3}, "Did you mean 'cgpo:words'?"),
        ("cgpo:words", {"exact": 3}, "Did you mean 'exactly'?"),
        ("cgpo:words", {}, "cgpo:words: one of `exactly`, `at_least` and `at_most` is needed"),
        ("cgpo:words", {"exactly": 3, "at_most": 4}, "`exactly` stands alone"),
        ("cgpo:words", {"at_least": 5, "at_most": 4}, "`at_least` 5 is above `at_most` 4"),
        ("cgpo:words", {"exactly": -1}, "greater than or equal to 0"),
        ("cgpo:word_frequency", {"exactly": 3}, "needs the argument 'word'"),
        ("cgpo:word_frequency", {"word": "x"}, "one of `exactly`"),
        ("cgpo:csv", {"delimiter": ", "}, "at most 1 character"),
        ("cgpo:csv", {"columns": 0}, "greater than or equal to 1"),
        ("cgpo:script", {"script": "Latin"}, "'latin'"),
        ("cgpo:start_phrase", {"phrase": " "}, "pattern"),
        ("cgpo:json_keys", {"required_keys": []}, "at least 1 item"),
    ],
)
def test_what_cannot_be_judged_is_unknown(id: str, arguments: dict[str, Any], reason: str) -> None:
    for response in ("a b c", ""):
        verdict = judged(response, id, arguments)
        assert verdict.outcome == "unknown"
        assert reason in verdict.reason


def test_tabular_copies_with_nulls_and_decimal_counts_are_read() -> None:
    assert judged("a b", "cgpo:words", {"exactly": 2.0, "at_least": None, "word": None}).outcome == "satisfied"


@pytest.mark.parametrize("id", COUNTED)
def test_exactly_is_at_least_together_with_at_most(id: str) -> None:
    text = "# One. Two.\n\n1. a 👍\n2. b\n- c"
    extra = {"word": "a"} if id == "cgpo:word_frequency" else {}
    following = [n for n in range(60) if judged(text, id, {"exactly": n, **extra}).outcome == "satisfied"]
    assert len(following) == 1
    (n,) = following
    assert judged(text, id, {"at_least": n, "at_most": n, **extra}).outcome == "satisfied"
    assert judged(text, id, {"at_least": n + 1, **extra}).outcome == "violated"


@given(st.lists(st.text("abcdeXYZ", min_size=1, max_size=6), min_size=1, max_size=30), st.data())
def test_words_and_lines_are_counted_as_they_were_joined(words: list[str], data: st.DataObject) -> None:
    separators = data.draw(st.lists(st.sampled_from([" ", "\n", "\n\n"]), min_size=len(words), max_size=len(words)))
    text = "".join(word + separator for word, separator in zip(words, separators, strict=True))
    line_ends = sum(separator != " " for separator in separators[:-1])
    blank_lines = sum(separator == "\n\n" for separator in separators[:-1])
    for id, number in (("words", len(words)), ("lines", line_ends + 1), ("paragraphs", blank_lines + 1)):
        assert judged(text, f"cgpo:{id}", {"exactly": number}).outcome == "satisfied"
        assert judged(text, f"cgpo:{id}", {"exactly": number + 1}).outcome == "violated"


@given(st.lists(st.text("abcdefg", min_size=1, max_size=5), min_size=2, max_size=12))
def test_a_sorted_list_is_alphabetical_and_its_reverse_only_when_all_are_equal(items: list[str]) -> None:
    rising = "\n".join(f"- {item}" for item in sorted(items))
    falling = "\n".join(f"- {item}" for item in sorted(items, reverse=True))
    assert judged(rising, "cgpo:alphabetical_list", {}).outcome == "satisfied"
    expected = "satisfied" if len(set(items)) == 1 else "violated"
    assert judged(falling, "cgpo:alphabetical_list", {}).outcome == expected
