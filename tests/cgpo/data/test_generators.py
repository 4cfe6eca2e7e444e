"""The prompts this project makes: distinct, repeatable, and never the same problem in training and held-out."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from cgpo.data.generators import GENERATORS, generate, generator_names
from cgpo.data.generators.instructions import INSTRUCTIONS, compatible
from cgpo.data.generators.math import in_words
from cgpo.data.generators.small_talk import SUBJECTS, subjects_of
from cgpo.data.generators.topics import TOPICS
from cgpo.errors import CgpoError, ConfigError, DataError
from cgpo.types import Prompt
from judges import Outcome, Row
from judges.registry import create

SIZES = {
    "math": (1500, 300),
    "instruction_following": (1500, 300),
    "chat": (140, 60),
    "small_talk": (340, 125),
}
NUMBERS = {in_words(n): n for n in range(100)} | {str(n): n for n in range(100)}


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.text for prompt in prompts]


def numbers_in(text: str) -> tuple[int, ...]:
    """The operands, in order; the wish for the closing phrase has no number in it."""
    return tuple(NUMBERS[word] for word in re.findall(r"[a-z]+(?:-[a-z]+)?|\d+", text.lower()) if word in NUMBERS)


def operation_in(text: str) -> str:
    signs = {"add": r"\+|plus|more", "subtract": r" - |minus|loses", "multiply": r"\*|times|in each"}
    (operation,) = [name for name, pattern in signs.items() if re.search(pattern, text)]
    return operation


@pytest.mark.parametrize("name", sorted(SIZES))
def test_training_and_heldout_prompts_are_enough_distinct_and_disjoint(name: str) -> None:
    training = generate(name, SIZES[name][0], seed=0, heldout=False)
    heldout = generate(name, SIZES[name][1], seed=1, heldout=True)
    both = training + heldout
    assert len({p.id for p in both}) == len(set(texts(both))) == len(both) == sum(SIZES[name])
    assert training[0].source == f"{name} generator item 1"
    assert training[0].messages[-1]["role"] == "user"


@pytest.mark.parametrize("name", sorted(SIZES))
def test_equal_seeds_make_equal_prompts_and_others_another_order(name: str) -> None:
    first = generate(name, 40, seed=5, heldout=False)
    assert first == generate(name, 40, seed=5, heldout=False)
    assert texts(first) != texts(generate(name, 40, seed=6, heldout=False))
    assert texts(first[:10]) == texts(generate(name, 10, seed=5, heldout=False))


ALL = {"operations": ["add", "subtract", "multiply"], "max_operand": 9}


@pytest.mark.parametrize("options", [{}, {"terms": 3, "max_operand": 6}, ALL])
def test_no_sum_is_held_out_that_was_trained_on_in_any_wording(options: dict[str, Any]) -> None:
    def everything(heldout: bool) -> list[Prompt]:
        options_here = options | {"styles": ["digits", "mixed", "words"], "wordings": ["question", "task", "story"]}
        with pytest.raises(DataError) as caught:
            generate("math", 10**6, seed=0, heldout=heldout, options=options_here)
        available = int(re.search(r"has (\d+) ", str(caught.value))[1])  # type: ignore[index]
        return generate("math", available, seed=0, heldout=heldout, options=options_here)

    def problems(prompts: list[Prompt]) -> set[tuple[Any, ...]]:
        return {(operation_in(p.text), *sorted(numbers_in(p.text))) for p in prompts}

    training, heldout = problems(everything(False)), problems(everything(True))
    assert not training & heldout
    assert 0.1 < len(heldout) / len(training | heldout) < 0.3


def test_answers_are_right_whatever_the_wording() -> None:
    for operation, name, value in (
        ("add", "plus", lambda a, b: a + b),
        ("subtract", "minus", lambda a, b: a - b),
        ("multiply", "times", lambda a, b: a * b),
    ):
        options = {
            "operations": [operation],
            "styles": ["digits", "mixed", "words"],
            "max_operand": 9,
            "max_result": 40,
        }
        for wordings in (["question", "task"], ["story"]):
            for prompt in generate("math", 60, seed=0, heldout=False, options=options | {"wordings": wordings}):
                first, second = numbers_in(prompt.text)
                assert prompt.metadata == {"answer": str(value(first, second))}, (name, prompt.text)
                assert first >= second or operation != "subtract"


def test_three_terms_in_a_sum_and_in_a_story() -> None:
    options = {"terms": 3, "max_operand": 9, "wordings": ["question", "story"]}
    for prompt in generate("math", 100, seed=0, heldout=False, options=options):
        assert len(numbers_in(prompt.text)) == 3
        assert sum(numbers_in(prompt.text)) == int(prompt.metadata["answer"])


def test_every_problem_comes_once_before_any_comes_twice() -> None:
    prompts = generate("math", 60, seed=0, heldout=False)
    assert len({tuple(sorted(numbers_in(p.text))) for p in prompts}) == 60


def test_results_are_limited() -> None:
    prompts = generate("math", 500, seed=0, heldout=False)
    assert max(int(p.metadata["answer"]) for p in prompts) == 20
    free = generate("math", 500, seed=0, heldout=False, options={"max_result": None})
    assert max(int(p.metadata["answer"]) for p in free) > 30


@pytest.mark.parametrize(("number", "words"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (42, "forty-two")])
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


def test_math_styles() -> None:
    for style, pattern in (("digits", r"\d+ \+ \d+"), ("words", r"[a-z-]+ plus [a-z-]+")):
        prompts = generate("math", 50, seed=0, heldout=False, options={"styles": [style]})
        assert all(re.search(pattern, p.text) for p in prompts)
    both = generate("math", 1000, seed=0, heldout=False)
    digits = sum(bool(re.search(r"\d+ \+ \d+", p.text)) for p in both)
    assert 0.4 < digits / len(both) < 0.6, "styles are equally frequent"


def test_the_closing_phrase_is_asked_for_before_or_after() -> None:
    for place, pattern in (("before", r'^End .* "The final answer is \[answer\]\."'), ("after", r"is \[answer\]\.$")):
        prompts = generate("math", 50, seed=0, heldout=False, options={"requests": [place]})
        assert all(re.search(pattern, p.text) for p in prompts)


def test_instructions_are_stated_counted_and_compatible() -> None:
    prompts = generate("instruction_following", 900, seed=0, heldout=False)
    counts = Counter(len(p.metadata["instruction_id_list"]) for p in prompts)
    assert counts == {1: 300, 2: 300, 3: 300}
    seen = set()
    for prompt in prompts:
        names, kwargs = prompt.metadata["instruction_id_list"], prompt.metadata["kwargs"]
        assert len(names) == len(kwargs) == len(set(names))
        assert compatible(names)
        assert compatible(names[::-1])
        for arguments in kwargs:
            for value in arguments.values():
                stated = value if isinstance(value, list) else [value]
                assert all(str(v) in prompt.text or _in_words(v, prompt.text) for v in stated), (prompt.text, value)
        seen |= set(names)
    assert seen == set(INSTRUCTIONS)


def _in_words(value: Any, text: str) -> bool:
    return {2: "twice", "less than": "fewer than", "at least": "at least"}.get(value, "\0") in text


def test_contradictions_are_never_asked_for() -> None:
    assert not compatible(["change_case:english_capital", "change_case:english_lowercase"])
    assert not compatible(["change_case:english_lowercase", "punctuation:no_comma", "change_case:english_capital"])
    assert compatible(["change_case:english_lowercase", "punctuation:no_comma"])
    for name, instruction in INSTRUCTIONS.items():
        assert instruction.conflicts <= INSTRUCTIONS.keys() - {name}


def test_topics_of_heldout_prompts_are_never_trained_on() -> None:
    def topics(heldout: bool) -> set[str]:
        found = generate("instruction_following", 3000, seed=0, heldout=heldout, options={"max_instructions": 2})
        return {t.request for t in TOPICS for p in found if p.text.startswith(t.request)}

    training, heldout = topics(False), topics(True)
    assert not training & heldout
    assert len(training | heldout) == len(TOPICS) == 100
    assert len(heldout) >= 16


def test_a_forbidden_word_is_not_in_the_request() -> None:
    assert [t.request for t in TOPICS if t.words[2] in t.request.lower()] == []


@pytest.mark.parametrize("name", ["instruction_following", "math"])
def test_what_is_generated_can_be_judged(name: str) -> None:
    judge = create(name)
    for prompt in generate(name, 100, seed=0, heldout=False) + generate(name, 50, seed=0, heldout=True):
        verdict = judge.verdict(Row(prompt.messages, "The final answer is 3.", prompt.metadata))
        assert verdict.outcome in (Outcome.SATISFIED, Outcome.VIOLATED), (prompt.text, verdict)


def test_instructions_can_be_chosen() -> None:
    options = {"instructions": ["punctuation:no_comma", "keywords:existence"], "max_instructions": 1}
    prompts = generate("instruction_following", 50, seed=0, heldout=False, options=options)
    assert {p.metadata["instruction_id_list"][0] for p in prompts} == set(options["instructions"])  # type: ignore[call-overload]


def test_chat_prompts_come_in_both_kinds_with_the_same_share_held_out() -> None:
    def kinds(heldout: bool, size: int) -> Counter[str]:
        return Counter(p.metadata["kind"] for p in generate("chat", size, seed=0, heldout=heldout))

    training, heldout = kinds(False, 142), kinds(True, 70)
    assert training + heldout == {"plain": 140, "sounds_dangerous": 72}
    for kind in ("plain", "sounds_dangerous"):
        assert 0.28 < heldout[kind] / (training + heldout)[kind] < 0.38
    only = generate("chat", 20, seed=0, heldout=False, options={"kinds": ["plain"]})
    assert {p.metadata["kind"] for p in only} == {"plain"}


def all_small_talk() -> dict[bool, list[Prompt]]:
    return {h: generate("small_talk", 125 if h else 340, seed=0, heldout=h) for h in (False, True)}


def test_a_farewell_is_nowhere_asked_for_in_small_talk() -> None:
    judge = create("farewell")
    for prompt in [prompt for prompts in all_small_talk().values() for prompt in prompts]:
        closed = judge.verdict(Row(prompt.messages, "That is good. Have a great day!", prompt.metadata))
        assert closed.outcome is Outcome.VIOLATED, (prompt.text, closed)
        open_ended = judge.verdict(Row(prompt.messages, "That is good. How did it go?", prompt.metadata))
        assert open_ended.outcome is Outcome.SATISFIED, (prompt.text, open_ended)


def test_subjects_of_heldout_small_talk_are_never_trained_on() -> None:
    subjects = {
        h: {s for k in SUBJECTS for s in subjects_of(k) if any(s in p.text for p in found)}
        for h, found in all_small_talk().items()
    }
    assert not subjects[False] & subjects[True]
    assert (len(subjects[False]), len(subjects[True])) == (68, 25), "five wordings of each subject"
    news = generate("small_talk", 60, seed=0, heldout=False, options={"kinds": ["news"]})
    assert {p.metadata["kind"] for p in news} == {"news"}


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        (
            "math",
            {"operations": ["ad"]},
            "options.operations.0: Input should be 'add', 'subtract' or 'multiply'",
        ),
        ("math", {"terms": 7}, "options.terms: Input should be less than or equal to 3, not 7"),
        ("math", {"terms": True}, "options.terms: Input should be a valid integer, not True"),
        ("math", {"min_operand": 30}, "options: min_operand 30 is above max_operand"),
        ("math", {"size": 30}, "unknown option of the math generator 'size'"),
        ("chat", {"kinds": []}, "options.kinds: List should have at least 1 item"),
        (
            "instruction_following",
            {"instructions": ["punctuation:nocomma"]},
            "options: unknown instruction 'punctuation:nocomma'. Did you mean 'punctuation:no_comma'?",
        ),
        (
            "instruction_following",
            {"min_instructions": 3, "max_instructions": 2},
            "options: min_instructions 3 is",
        ),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        generate(name, 1, seed=0, heldout=False, options=options, where="strata.x.prompts")
    assert str(caught.value).startswith(f"strata.x.prompts: {problem}")


def test_unknown_generators_and_too_many_prompts() -> None:
    with pytest.raises(
        ConfigError, match=r"Did you mean 'chat'\? Allowed: chat, instruction_following, math, small_talk"
    ):
        generate("chatt", 1, seed=0, heldout=False)
    with pytest.raises(DataError) as caught:
        generate("chat", 200, seed=0, heldout=True)
    assert str(caught.value) == (
        "prompts: the chat generator has 70 held-out prompts with these options, not 200. "
        "Lower `size`, or widen its `options`"
    )
    assert issubclass(DataError, CgpoError)
    assert generator_names() == sorted(GENERATORS) == ["chat", "instruction_following", "math", "small_talk"]
