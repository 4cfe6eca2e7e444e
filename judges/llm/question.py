"""A question to a model with two possible answers, and the probabilities of the two.

The verdict comes from the probabilities of the first token of a positive and a negative answer after a fixed prompt
(docs/method.md, "Verdicts have three values"): violated iff p(negative) > p(positive), summed over the answers'
spellings, with no sampling and no parsing of text. Spellings of "TRUE" are TRUE, True and true, with or without a space
before; where a tokenizer splits them, their unambiguous beginnings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from judges.judge import Message
from judges.verdict import Verdict


class LLMError(Exception):
    """A question that got no usable answer; the text says why. Becomes an `unknown` verdict.

    Attributes:
        calls: requests it took all the same.
        seconds: how long they took, from the question's turn on.
    """

    calls = 0
    seconds = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked.

    Attributes:
        messages: the conversation; the answer is what the assistant would say next.
        positive: the answer that means satisfied.
        negative: the answer that means violated.
        template_arguments: further arguments of the model's chat template.
        leading_whitespace: how many tokens of white space a model may put before its answer (Llama Guard puts one).
    """

    messages: tuple[Message, ...]
    positive: str
    negative: str
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    leading_whitespace: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The probabilities of the two answers.

    Attributes:
        positive, negative: summed over spellings; None when no spelling was among the tokens the model reported.
        least: no token that was not reported is likelier than this; 0 when all were looked at.
        calls: requests it took.
        tokens: prompt and completion tokens of those requests.
        seconds: how long they took, from the question's turn on.
    """

    positive: float | None
    negative: float | None
    least: float = 0.0
    calls: int = 1
    tokens: int = 0
    seconds: float = 0.0

    @property
    def margin(self) -> float | None:
        """p(positive) − p(negative), or None when neither was reported; a missing one counts as `least`."""
        if self.positive is None and self.negative is None:
            return None
        positive = self.least if self.positive is None else self.positive
        negative = self.least if self.negative is None else self.negative
        return positive - negative

    def verdict(self, question: Question) -> Verdict:
        """Violated iff p(negative) > p(positive); unknown when neither was reported."""
        margin = self.margin
        if margin is None:
            return Verdict.unknown(
                f"neither {question.positive!r} nor {question.negative!r} is among the likeliest tokens"
            )
        shown = f"p({question.positive}) = {_shown(self.positive)}, p({question.negative}) = {_shown(self.negative)}"
        return Verdict.of(margin >= 0, shown, margin)


def answer_of(tokens: Iterable[tuple[str, float]], question: Question, *, complete: bool) -> Answer:
    """Sums the probabilities of the spellings of both answers.

    Args:
        tokens: text and log-probability of the likeliest next tokens.
        question: what was asked.
        complete: whether `tokens` is the whole vocabulary.

    Raises:
        LLMError: together they are likelier than 1.
    """
    sums: dict[bool, float] = {}
    least = 1.0
    for text, logprob in dict(tokens).items():  # a token that is reported twice is one token
        probability = math.exp(logprob)
        least = min(least, probability)
        side = side_of(text, question.positive, question.negative)
        if side is not None:
            sums[side] = sums.get(side, 0.0) + probability
    if sum(sums.values()) > 1.001:
        raise LLMError(f"the probabilities of both answers add up to {sum(sums.values()):.4g}")
    if complete:
        return Answer(sums.get(True, 0.0), sums.get(False, 0.0))
    return Answer(sums.get(True), sums.get(False), least)


def side_of(token: str, positive: str, negative: str) -> bool | None:
    """True for a token that begins the positive answer, False for the negative one, None for neither or both."""
    text = token.strip(" \t\r\n▁Ġ")
    if not text:
        return None
    begins = [any(spelling.startswith(text) for spelling in spellings(answer)) for answer in (positive, negative)]
    return begins[0] if begins[0] != begins[1] else None


def spellings(answer: str) -> tuple[str, ...]:
    """The ways a model may write an answer, each once."""
    return tuple(dict.fromkeys((answer, answer.upper(), answer.capitalize(), answer.lower())))


def _shown(probability: float | None) -> str:
    return "not reported" if probability is None else f"{probability:.3g}"
