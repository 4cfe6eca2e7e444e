"""The verifiable instructions of the instruction-following generator: their words, their arguments, their conflicts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.data.generators.topics import Topic

Built = tuple[str, dict[str, Any]]
"""The instruction in words, and its arguments under the names of the public format."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One type of instruction.

    Attributes:
        build: makes the words and the arguments for a topic: `build(topic, rng)`.
        conflicts: ids it is not combined with; naming a pair on one side is enough.
    """

    build: Callable[[Topic, random.Random], Built]
    conflicts: frozenset[str] = frozenset()


def compatible(names: Sequence[str]) -> bool:
    """Whether instructions can be asked for in one prompt."""
    return not any(
        b in INSTRUCTIONS[a].conflicts or a in INSTRUCTIONS[b].conflicts for a, b in itertools.combinations(names, 2)
    )


def _plain(*wordings: str) -> Callable[[Topic, random.Random], Built]:
    """An instruction without arguments, in one of several wordings."""
    return lambda _, rng: (rng.choice(wordings), {})


def _existence(topic: Topic, rng: random.Random) -> Built:
    words = list(topic.words[: rng.choice((1, 2))])
    named = " and ".join(f'"{word}"' for word in words)
    return rng.choice((f"Include {named}.", f"Use {named} in your answer.")), {"keywords": words}


def _frequency(topic: Topic, rng: random.Random) -> Built:
    word = topic.words[0]
    arguments = {"keyword": word, "frequency": 2, "relation": "at least"}
    return rng.choice((f'Use "{word}" at least twice.', f'Say "{word}" at least 2 times.')), arguments


def _forbidden(topic: Topic, rng: random.Random) -> Built:
    word = topic.words[2]
    return rng.choice((f'Do not use "{word}".', f'Avoid the word "{word}".')), {"forbidden_words": [word]}


def _letters(_: Topic, rng: random.Random) -> Built:
    letter, times = rng.choice("bdghklmpw"), rng.choice((2, 3, 4))
    arguments = {"letter": letter, "let_frequency": times, "let_relation": "at least"}
    return f'The letter "{letter}" must appear at least {times} times.', arguments


def _sentences(_: Topic, rng: random.Random) -> Built:
    limit = rng.choice((2, 3, 4))
    arguments = {"num_sentences": limit, "relation": "less than"}
    return rng.choice((f"Use less than {limit} sentences.", f"Write fewer than {limit} sentences.")), arguments


def _words(_: Topic, rng: random.Random) -> Built:
    limit = rng.choice((15, 20, 25, 30, 40))
    arguments = {"num_words": limit, "relation": "less than"}
    return rng.choice((f"Use less than {limit} words.", f"Answer in fewer than {limit} words.")), arguments


def _placeholders(_: Topic, rng: random.Random) -> Built:
    count = rng.choice((1, 2))
    many = "placeholder" if count == 1 else "placeholders"
    return f"Include at least {count} {many} in square brackets, such as [name].", {"num_placeholders": count}


def _postscript(_: Topic, rng: random.Random) -> Built:
    marker = rng.choice(("P.S.", "P.P.S"))
    return f'At the end, add a postscript that starts with "{marker}".', {"postscript_marker": marker}


def _bullets(_: Topic, rng: random.Random) -> Built:
    count = rng.choice((2, 3))
    return f"Answer with exactly {count} bullet points, each starting with *.", {"num_bullets": count}


def _highlights(_: Topic, rng: random.Random) -> Built:
    count = rng.choice((1, 2))
    part = "part" if count == 1 else "parts"
    return f"Highlight at least {count} {part} like *this*.", {"num_highlights": count}


def _capital_words(_: Topic, rng: random.Random) -> Built:
    count = rng.choice((1, 2))
    word = "word" if count == 1 else "words"
    arguments = {"capital_frequency": count, "capital_relation": "at least"}
    return f"Write at least {count} {word} in all capital letters.", arguments


def _ending(_: Topic, rng: random.Random) -> Built:
    phrase = rng.choice(("That is all.", "I hope this helps.", "Good luck!", "The end."))
    return f'End with exactly: "{phrase}"', {"end_phrase": phrase}


def _conflicts(*names: str) -> frozenset[str]:
    return frozenset(names)


_LOWERCASE = _plain("Use only lowercase letters.", "Write everything in lowercase.")
_CAPITAL = _plain("Use only capital letters.", "Write everything in capital letters.")
_NO_COMMA = _plain("Do not use commas.", "Write without any commas.")
_TITLE = _plain("Add a title in double angle brackets, like <<title>>.", "Begin with a title such as <<title>>.")
_QUOTATION = _plain("Put your whole answer in double quotation marks.", "Wrap the entire answer in double quotes.")

INSTRUCTIONS: dict[str, Instruction] = {
    "change_case:capital_word_frequency": Instruction(_capital_words),
    "change_case:english_capital": Instruction(
        _CAPITAL, _conflicts("change_case:english_lowercase", "change_case:capital_word_frequency")
    ),
    "change_case:english_lowercase": Instruction(
        _LOWERCASE, _conflicts("change_case:capital_word_frequency", "detectable_content:postscript")
    ),
    "detectable_content:number_placeholders": Instruction(_placeholders),
    "detectable_content:postscript": Instruction(_postscript),
    "detectable_format:number_bullet_lists": Instruction(
        _bullets, _conflicts("detectable_format:number_highlighted_sections", "length_constraints:number_sentences")
    ),
    "detectable_format:number_highlighted_sections": Instruction(_highlights),
    "detectable_format:title": Instruction(_TITLE),
    "keywords:existence": Instruction(_existence, _conflicts("keywords:frequency")),
    "keywords:forbidden_words": Instruction(_forbidden),
    "keywords:frequency": Instruction(_frequency),
    "keywords:letter_frequency": Instruction(_letters),
    "length_constraints:number_sentences": Instruction(_sentences),
    "length_constraints:number_words": Instruction(_words),
    "punctuation:no_comma": Instruction(_NO_COMMA),
    "startend:end_checker": Instruction(
        _ending,
        _conflicts(
            "change_case:english_capital",
            "change_case:english_lowercase",
            "detectable_content:postscript",
            "detectable_format:number_bullet_lists",
        ),
    ),
    # The opening quotation mark comes before everything else, so nothing that has to start the answer goes with it.
    "startend:quotation": Instruction(
        _QUOTATION,
        _conflicts(
            "detectable_content:postscript",
            "detectable_format:number_bullet_lists",
            "detectable_format:title",
            "startend:end_checker",
        ),
    ),
}
"""Id in the public format → instruction."""
