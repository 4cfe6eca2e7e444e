"""SIMULATOR: the style of a response, as the simulated users see it. Computed from the text alone, any text.

    f(response) = one number a feature, between 0 and 1 (`length`: −1 … 1)

Every feature can be read off the words, so that a model that sees the text can learn what the simulated users like,
and responses of a real policy can be rated by the same users as those the simulator wrote itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from judges.rules.farewell import closing

FEATURES = (
    "closing",
    "warmth",
    "emoji",
    "length",
    "stock_opening",
    "question",
    "advice",
    "politeness",
    "repetition",
    "refusal",
    "nothing_said",
)

_WARM = re.compile(
    r"\b(?:lovely|wonderful|delight(?:ed|ful)?|proud|glad|happy for you|thrilled|warm(?:ly)?|cheer(?:s|ing)?|fantastic"
    r"|amazing|awesome|congratulations|well done|brilliant|you've got this|with you|smile|heart|sweet|beautiful)\b",
    re.IGNORECASE,
)
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_STOCK_OPENING = re.compile(
    r"\s*(?:(?:what an? )?(?:great|good|excellent|interesting) question|as an ai|certainly|absolutely|of course"
    r"|i understand that you|thank you for (?:your|sharing|reaching))\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:try|first|then|next|start(?: by| with)?|because|for example|step|minutes|write down|pick|choose|avoid"
    r"|make sure|set aside|ask (?:a|for)|keep (?:a|the))\b",
    re.IGNORECASE,
)
_POLITE = re.compile(r"\b(?:please|thank you|thanks|you're welcome|my pleasure|if you (?:like|wish))\b", re.IGNORECASE)
_REFUSAL = re.compile(r"\b(?:i(?:'m| am) (?:sorry|unable|afraid)|i (?:cannot|can't|do not|don't) )", re.IGNORECASE)
_WORD = re.compile(r"[\w']+")
_ENDS_ASKING = 160
_USUAL_WORDS = 40
_LEAST_WORDS = 3


def style(response: str) -> tuple[float, ...]:
    """f(response), in the order of `FEATURES`."""
    words = _WORD.findall(response.lower())
    return (
        float(bool(closing(response))),
        min(len(_WARM.findall(response)), 3) / 3,
        min(len(_EMOJI.findall(response)), 4) / 4,
        _length(len(words)),
        float(bool(_STOCK_OPENING.match(response))),
        float("?" in response[-_ENDS_ASKING:]),
        min(len(_ADVICE.findall(response)), 4) / 4,
        min(len(_POLITE.findall(response)), 2) / 2,
        _repetition(words),
        float(bool(_REFUSAL.search(response))),
        float(len(words) < _LEAST_WORDS),
    )


def _length(words: int) -> float:
    """−1 at ten words or fewer, 0 at forty, 1 at 160 or more."""
    return max(-1.0, min(1.0, math.log(max(words, 1) / _USUAL_WORDS) / math.log(4)))


def _repetition(words: Sequence[str]) -> float:
    """The share of word triples that stood there before."""
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(triples)) / len(triples) if triples else 0.0
