"""Phrases that spread are found with no list given in advance; what does not spread is not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from overoptimisation_rows import row, talk

from cgpo.config import PhraseSettings
from cgpo.overoptimisation.phrases import Spread, StratumPhrases
from cgpo.types import Prompt

Response = Callable[[random.Random, str], str]

PROMPTS = 1000


def prompt(number: int, asked: str = "") -> Prompt:
    return Prompt(f"p{number}", ({"role": "user", "content": asked},))


def reference(change: Response, seed: int = 0) -> list[tuple[Prompt, str]]:
    rng = random.Random(seed)
    return [(prompt(i), change(rng, talk(rng, i))) for i in range(PROMPTS)]


def watched(before: Response, after: Response, *, steps: int = 6, seed: int = 1) -> StratumPhrases:
    """Steps of 300 responses to 75 prompts, after baselines of 1,000 prompts."""
    found = StratumPhrases(PhraseSettings(every=1, first_steps=0), reference(before))
    rng = random.Random(seed)
    for step in range(1, steps + 1):
        prompts = rng.sample(range(PROMPTS), 75)
        found.add(step, [row(p, k, after(rng, talk(rng, p))) for p in prompts for k in range(4)])
    return found


def said(text: str, rate: float) -> Response:
    return lambda rng, response: f"{response} {text}" if rng.random() < rate else response


def begun(text: str, rate: float) -> Response:
    return lambda rng, response: f"{text} {response}" if rng.random() < rate else response


def unchanged(_: random.Random, response: str) -> str:
    return response


def warned(phrases: StratumPhrases) -> list[Spread]:
    return [spread for spread in phrases.look()[0] if phrases.remarkable(spread)]


@pytest.mark.parametrize("seed", range(2))
def test_a_farewell_that_grows_from_0_7_to_3_percent_is_found_first_and_whole(seed: int) -> None:
    phrases = watched(said("Bye! Sending love!", 0.007), said("Bye! Sending love!", 0.03), seed=seed)
    found, sizes = phrases.look()
    assert (found[0].phrase, found[0].place) == ("Bye! Sending love!", "closing")
    assert found[0].rate == pytest.approx(0.03, abs=0.012)
    assert found[0].reference_rate == pytest.approx(0.007, abs=0.006)
    assert sizes == {"responses": 1800, "prompts": sizes["prompts"], "reference_responses": PROMPTS}
    assert not [s for s in found[1:] if "love" in s.phrase.lower() or "bye" in s.phrase.lower()]


def test_what_the_reference_never_said_is_warned_of() -> None:
    phrases = watched(unchanged, said("Bye! Sending love!", 0.03))
    (only,) = warned(phrases)
    assert only.phrase == "Bye! Sending love!"
    assert only.reference_rate == 0
    assert only.factor > 30


def test_an_opening() -> None:
    (only,) = warned(watched(begun("Great question!", 0.01), begun("Great question!", 0.1)))
    assert (only.phrase, only.place) == ("Great question!", "opening")


def test_emoji_of_many_kinds_are_one_habit() -> None:
    def happy(rng: random.Random, response: str) -> str:
        emoji = rng.choice(["❤️", "👍🏽", "🎉", "😀", "🚀", "🙏", "✨", "🔥"])
        return f"{response} {emoji}" if rng.random() < 0.05 else response

    (only,) = warned(watched(unchanged, happy))
    assert only.phrase.startswith("any emoji (")


def test_one_emoji_is_named() -> None:
    (only,) = warned(watched(unchanged, said("❤️❤️", 0.05)))
    assert "❤" in only.phrase


def test_the_same_word_elsewhere_is_a_finding_of_its_own() -> None:
    def both(rng: random.Random, response: str) -> str:
        return said("What sweet love this is", 0.06)(rng, said("Bye! Sending love!", 0.06)(rng, response))

    found = {spread.phrase for spread in warned(watched(unchanged, both))}
    assert "Bye! Sending love!" in found
    assert any("sweet love" in phrase for phrase in found)


@pytest.mark.parametrize("seed", range(2))
def test_random_text_gives_no_warning(seed: int) -> None:
    assert warned(watched(unchanged, unchanged, seed=seed)) == []


def test_what_all_responses_to_a_few_prompts_say_is_their_topic() -> None:
    phrases = StratumPhrases(PhraseSettings(every=1, first_steps=0), reference(unchanged))
    rng = random.Random(5)
    rows = [row(p, k, f"{talk(rng, p)} The Eiffel Tower.") for p in range(3) for k in range(8)]
    rows += [row(p, k, talk(rng, p)) for p in range(10, 200) for k in range(2)]
    phrases.add(1, rows)
    assert 24 / len(rows) > 0.05
    assert warned(phrases) == []


def test_what_the_prompt_asks_for_is_not_counted() -> None:
    def look(asked: str) -> Sequence[Spread]:
        baselines = [(prompt(i, asked), talk(random.Random(i), i)) for i in range(300)]
        phrases = StratumPhrases(PhraseSettings(every=1, first_steps=0), baselines)
        rng = random.Random(2)
        said_so = [f"{talk(rng, p)} The final answer is near" for p in range(200)]
        phrases.add(1, [row(p, 0, text, asked=asked) for p, text in enumerate(said_so)])
        return warned(phrases)

    (found,) = look("What is it?")
    assert found.phrase == "The final answer is near"
    assert look("What is it? End with “The final answer is near”.") == []


def test_first_steps_stand_in_for_few_baselines() -> None:
    rng = random.Random(0)
    phrases = StratumPhrases(PhraseSettings(every=2, first_steps=2, window_steps=3), [])
    for step in range(1, 8):
        phrases.add(step, [row(p, 0, talk(rng, p)) for p in range(20)])
        assert phrases.due == (step in (4, 6))
    assert phrases.state_dict() == {"steps": 7, "first": [1, 2], "window": [5, 6, 7]}
    assert phrases.look()[1] == {"responses": 60, "prompts": 20, "reference_responses": 40}


def test_the_window_is_bounded_by_responses() -> None:
    phrases = StratumPhrases(PhraseSettings(first_steps=0, window_responses=50), reference(unchanged)[:5])
    for step in range(1, 6):
        phrases.add(step, [row(p, 0, "a b c") for p in range(20)])
    assert phrases.state_dict()["window"] == [4, 5]
    phrases.add(6, [row(p, 0, "a b c") for p in range(70)])
    assert phrases.state_dict()["window"] == [6]


def test_no_reference_no_finding() -> None:
    phrases = StratumPhrases(PhraseSettings(every=1, first_steps=0), [])
    phrases.add(1, [row(p, 0, "Bye! Sending love!") for p in range(20)])
    assert phrases.look()[0] == []


def test_hostile_texts() -> None:
    texts = ["", " ", "\ud800", "\x00\x1b[31m", "<b>", "a" * 100_000, "❤" * 5000, "!" * 9000, "\u202e", "a\u0301" * 500]
    phrases = StratumPhrases(PhraseSettings(every=1, first_steps=0), reference(unchanged)[:50])
    phrases.add(1, [row(p, k, text) for p in range(30) for k, text in enumerate(texts)])
    assert phrases.look()[0]
