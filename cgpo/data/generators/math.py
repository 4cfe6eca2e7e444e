"""Procedural arithmetic in digits and words, with answers: the stratum whose learning can be seen.

A problem is an operation with its operands; the wordings of a problem (order of commuting operands, digits or
words, phrasing) are different prompts about the same thing. The split into training and held-out is by problem, so a
sum that was trained on in any wording is in no held-out prompt.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from cgpo.config import Settings
from cgpo.data.generators.base import Generator, Item, is_heldout

Operation = Literal["add", "subtract", "multiply"]
Style = Literal["digits", "mixed", "words"]
Wording = Literal["question", "task", "story"]
Place = Literal["before", "after"]

_HELDOUT_SHARE = 5
_REQUESTS: dict[Place, str] = {
    "before": 'End your response with "The final answer is [answer]." {task}',
    "after": "{task} End your response with: The final answer is [answer].",
}
_SIGNS: dict[Operation, str] = {"add": "+", "subtract": "-", "multiply": "*"}
_NAMES: dict[Operation, str] = {"add": "plus", "subtract": "minus", "multiply": "times"}
_TASKS: dict[Wording, tuple[str, ...]] = {
    "question": ("What is {sum}?", "How much is {sum}?"),
    "task": ("Calculate {sum}.", "Work out {sum}."),
}
_STORIES: dict[Operation, tuple[str, str, str]] = {
    "add": ("Tom has {} apples", " and gets {} more", ". How many apples has he now?"),
    "subtract": ("Mia has {} pens", " and loses {}", ". How many pens has she left?"),
    "multiply": ("There are {} boxes", " with {} bags in each", ". How many bags are there?"),
}
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


class MathOptions(Settings):
    """Options of the math generator."""

    operations: list[Operation] = Field(default=["add"], min_length=1)
    """Any of `add`, `subtract` (the result is never negative), `multiply`."""
    terms: int = Field(default=2, ge=2, le=3)
    """Operands of a problem."""
    min_operand: int = Field(default=1, ge=0, le=99)
    """Smallest operand."""
    max_operand: int = Field(default=20, ge=1, le=99)
    """Largest operand."""
    max_result: int | None = Field(default=20, ge=0)
    """Largest answer; null sets no limit."""
    styles: list[Style] = Field(default=["digits", "mixed"], min_length=1)
    """How operands are written: all in `digits`, all in `words`, or `mixed` (some of each)."""
    wordings: list[Wording] = Field(default=["question", "task"], min_length=1)
    """`question` ("What is 3 + 4?"), `task` ("Calculate 3 + 4.") and `story` (a word problem)."""
    requests: list[Place] = Field(default=["before"], min_length=1)
    """Where the wish for the closing phrase stands: `before` the problem (a small model then computes better) or
    `after` it, as in the public data sets."""

    @model_validator(mode="after")
    def _consistent(self) -> MathOptions:
        if self.min_operand > self.max_operand:
            raise ValueError(f"min_operand {self.min_operand} is above max_operand {self.max_operand}")
        return self


@dataclass(frozen=True, slots=True)
class Problem:
    """An operation on operands; for operations that commute, in ascending order."""

    operation: Operation
    operands: tuple[int, ...]

    @property
    def answer(self) -> int:
        """The result."""
        first, *others = self.operands
        return {
            "add": sum(self.operands),
            "subtract": first - sum(others),
            "multiply": math.prod(self.operands),
        }[self.operation]

    @property
    def heldout(self) -> bool:
        """Whether it is kept for evaluation."""
        return is_heldout(f"{self.operation} {' '.join(map(str, self.operands))}", _HELDOUT_SHARE)


def in_words(number: int) -> str:
    """0 to 99 in English: `seven`, `forty-two`."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def _items(options: MathOptions, heldout: bool, rng: random.Random) -> Iterator[Item]:
    """Round by round, so that a problem comes back in another wording only after all others had their turn."""
    limit = math.inf if options.max_result is None else options.max_result
    problems = [p for p in _problems(options) if p.answer <= limit and p.heldout == heldout]
    rng.shuffle(problems)
    queue = deque((problem, _shuffled_wordings(problem, options, rng)) for problem in problems)
    while queue:
        problem, texts = queue.popleft()
        text = next(texts, None)
        if text is not None:
            yield Item(text, {"answer": str(problem.answer)})
            queue.append((problem, texts))


def _problems(options: MathOptions) -> Iterator[Problem]:
    numbers = range(options.min_operand, options.max_operand + 1)
    for operation in sorted(set(options.operations)):
        if operation != "subtract":
            for operands in itertools.combinations_with_replacement(numbers, options.terms):
                yield Problem(operation, operands)
            continue
        for first in numbers:
            for others in itertools.combinations_with_replacement(numbers, options.terms - 1):
                if sum(others) <= first:
                    yield Problem(operation, (first, *others))


def _shuffled_wordings(problem: Problem, options: MathOptions, rng: random.Random) -> Iterator[str]:
    """Every wording once, the styles by turns so that each is as frequent as another; lazy."""
    styles = sorted(set(options.styles))
    rng.shuffle(styles)
    by_style = [list(dict.fromkeys(_wordings(problem, style, options))) for style in styles]
    for texts in by_style:
        rng.shuffle(texts)
    for turn in itertools.zip_longest(*by_style):
        yield from (text for text in turn if text is not None)


def _wordings(problem: Problem, style: Style, options: MathOptions) -> Iterator[str]:
    for numbers in _written(problem, style):
        for wording in sorted(set(options.wordings)):
            for task in _tasks(problem.operation, numbers, wording, style):
                for place in sorted(set(options.requests)):
                    yield _REQUESTS[place].format(task=task)


def _written(problem: Problem, style: Style) -> Iterator[list[str]]:
    """The operands as text, in every order that leaves the answer and every choice of words and digits."""
    for operands in _orders(problem):
        for words in itertools.product((False, True), repeat=len(operands)):
            if style == _style(words):
                yield [in_words(n) if as_word else str(n) for n, as_word in zip(operands, words, strict=True)]


def _orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    if problem.operation != "subtract":
        return itertools.permutations(problem.operands)
    first, *others = problem.operands
    return ((first, *order) for order in itertools.permutations(others))


def _style(words: tuple[bool, ...]) -> Style:
    if all(words):
        return "words"
    return "mixed" if any(words) else "digits"


def _tasks(operation: Operation, numbers: list[str], wording: Wording, style: Style) -> Iterator[str]:
    if wording == "story":
        start, middle, end = _STORIES[operation]
        yield start.format(numbers[0]) + "".join(middle.format(number) for number in numbers[1:]) + end
        return
    # Names of operations go with numbers in words, signs with any that holds a digit.
    sign = _NAMES[operation] if style == "words" else _SIGNS[operation]
    for template in _TASKS[wording]:
        yield template.format(sum=f" {sign} ".join(numbers))


MATH = Generator("math", MathOptions, _items)
"""Arithmetic, a fifth of the problems held out. Metadata: `answer`."""
