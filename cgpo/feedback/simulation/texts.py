"""SIMULATOR: a seeded grammar that writes prompts, and the responses of policies that differ in style."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cgpo.feedback.simulation import sentences as pools

_MAX_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class PolicyStyle:
    """How a simulated policy writes: the probability that a response has a part, or how many sentences on average.

    Attributes:
        name: in the column `policy` of the log.
    """

    name: str
    stock: float
    warm: float
    advice: float
    plain: float
    polite: float
    question: float
    closing: float
    emoji: float
    repeat: float
    refuse: float


def policy_styles(count: int) -> tuple[PolicyStyle, ...]:
    """`count` policies, always the same ones: each leans a way of its own."""
    return tuple(_policy_style(number) for number in range(1, count + 1))


def _policy_style(number: int) -> PolicyStyle:
    draw = random.Random(f"simulated policy {number}")
    return PolicyStyle(
        name=f"policy-{number:02}",
        stock=draw.uniform(0.05, 0.5),
        warm=draw.uniform(0.1, 0.8),
        advice=draw.uniform(0.3, 2.0),
        plain=draw.uniform(0.6, 2.0),
        polite=draw.uniform(0.05, 0.4),
        question=draw.uniform(0.1, 0.6),
        closing=draw.choice((0.02, 0.04, 0.08, 0.15, 0.3)),
        emoji=draw.uniform(0.02, 0.4),
        repeat=draw.uniform(0.0, 0.15),
        refuse=draw.uniform(0.0, 0.08),
    )


def write_prompt(rng: random.Random) -> tuple[str, str]:
    """A user's message, and its topic."""
    topic = rng.choice(pools.TOPICS)
    pool = pools.ASKING if rng.random() < 0.5 else pools.TELLING
    return _sentence(rng.choice(pool), topic, rng.choice(pools.LEADS)), topic


def write_response(style: PolicyStyle, topic: str, rng: random.Random) -> str:
    """A response about `topic` as this policy writes: opening, body, politeness, question, closing, emoji."""
    if rng.random() < style.refuse:
        return _sentence(rng.choice(pools.REFUSALS), topic)
    parts = _body(style, topic, rng)
    if rng.random() < style.stock:
        parts.insert(0, _sentence(rng.choice(pools.STOCK), topic))
    for chance, pool in ((style.polite, pools.POLITE), (style.question, pools.QUESTIONS)):
        if rng.random() < chance:
            parts.append(_sentence(rng.choice(pool), topic))
    if rng.random() < style.closing:
        parts.append(rng.choice(pools.CLOSINGS))
    if rng.random() < style.emoji:
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(parts))
            parts[place] += f" {rng.choice(pools.EMOJI)}"
    return " ".join(parts)


def _body(style: PolicyStyle, topic: str, rng: random.Random) -> list[str]:
    """Warm sentences first, then what there is to say; never empty."""
    warm = rng.sample(pools.WARM, rng.randint(1, 3)) if rng.random() < style.warm else []
    rest = _some(pools.ADVICE, style.advice, rng) + _some(pools.PLAIN, style.plain, rng)
    rng.shuffle(rest)
    parts = [_sentence(text, topic) for text in warm + (rest or [rng.choice(pools.PLAIN)])]
    if rng.random() < style.repeat:
        parts += parts[-rng.randint(1, 2) :]
    return parts


def _some(pool: Sequence[str], mean: float, rng: random.Random) -> list[str]:
    """Different sentences, 0 … 4 of them, binomial with this mean."""
    return rng.sample(pool, sum(rng.random() < mean / _MAX_SENTENCES for _ in range(_MAX_SENTENCES)))


def _sentence(text: str, topic: str, before: str = "") -> str:
    return before + text.format(topic=topic, Topic=topic[0].upper() + topic[1:])
