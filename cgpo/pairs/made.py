"""Makes preference pairs from the strata's own prompts, for a reward model that nobody has labelled data for.

    judged                          a response that every judge is satisfied with over one that a judge found violated
    shuffle swap loop empty truncate        a response over a corruption of itself (`cgpo.pairs.corruption`)
    hostile                                 the same, by a hostile sentence (`cgpo.pairs.hostile`); on request

The responses are sampled from the policy's model. A pair of unknown verdicts is no pair. Held-out prompts are set
apart before pairs are made, so a `swap` never carries a held-out response into training. Everything follows from the
run's seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from cgpo.config import RewardPairSettings
from cgpo.pairs.corruption import CORRUPTIONS
from cgpo.pairs.hostile import hostile_contrast
from cgpo.pairs.pair import PreferencePair, choose_heldout, prompt_key, without_duplicates
from cgpo.types import Prompt
from judges import Outcome

JUDGED = "judged"
HOSTILE = "hostile"


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled response with its verdict.

    Attributes:
        stratum: name of the stratum.
        prompt: what it answers.
        index: k, which of the prompt's responses it is.
        response: the text.
        complete: the model ended it itself; False when it was cut off at the token limit.
        outcome: what the stratum's judges made of it.
    """

    stratum: str
    prompt: Prompt
    index: int
    response: str
    complete: bool
    outcome: Outcome


def make_pairs(samples: Sequence[Sample], settings: RewardPairSettings, seed: int) -> list[PreferencePair]:
    """Pairs from sampled responses, with provenance and split; the same for the same samples in any order.

    Raises:
        DataError: a stratum has fewer than two prompts.
    """
    strata: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda s: (s.stratum, s.prompt.id, s.index)):
        strata[sample.stratum].append(sample)
    pairs: list[PreferencePair] = []
    for mine in strata.values():
        heldout = choose_heldout((prompt_key(s.prompt.messages) for s in mine), settings.heldout_share, seed)
        for part in (False, True):
            chosen = [s for s in mine if (prompt_key(s.prompt.messages) in heldout) is part]
            pairs += _pairs_of_part(chosen, settings, seed, heldout=part)
    return without_duplicates(pairs)


def _pairs_of_part(
    samples: Sequence[Sample], settings: RewardPairSettings, seed: int, *, heldout: bool
) -> list[PreferencePair]:
    """Pairs of one stratum's training prompts, or of its held-out ones."""
    asked = settings.kinds or [JUDGED, *CORRUPTIONS]
    kinds = [kind for kind in [*CORRUPTIONS, HOSTILE] if kind in asked]
    corruptions = settings.corruptions_per_prompt if kinds else 0
    by_prompt: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_prompt[prompt_key(sample.prompt.messages)].append(sample)
    texts = {key: [s.response for s in mine if s.response.strip()] for key, mine in by_prompt.items()}
    pairs = []
    for position, (key, mine) in enumerate(by_prompt.items()):
        others = [text for other, found in texts.items() if other != key for text in found]
        # Kinds take turns over the prompts, so that each gets its share whatever the number of prompts.
        order = [kinds[(position * corruptions + i) % len(kinds)] for i in range(len(kinds))]
        # There are many hostile sentences: where the other kinds give too few pairs, more of it are made.
        order += [HOSTILE] * (corruptions if HOSTILE in kinds else 0)
        rng = random.Random(f"{seed}:{mine[0].stratum}:{mine[0].prompt.id}")
        judged = _judged(mine) if JUDGED in asked else ()
        found = [*judged, *islice(_corrupted(mine, others, order, rng, heldout=heldout), corruptions)]
        pairs += [_pair(mine[0], chosen, rejected, kind, heldout) for kind, chosen, rejected in found]
    return pairs


def _judged(samples: Sequence[Sample]) -> Iterator[tuple[str, str, str]]:
    """Satisfied over violated, each response in at most one pair."""
    good = [s.response for s in samples if s.outcome is Outcome.SATISFIED]
    bad = [s.response for s in samples if s.outcome is Outcome.VIOLATED]
    for chosen, rejected in zip(dict.fromkeys(good), dict.fromkeys(bad), strict=False):
        yield JUDGED, chosen, rejected


def _corrupted(
    samples: Sequence[Sample], others: Sequence[str], kinds: Sequence[str], rng: random.Random, *, heldout: bool
) -> Iterator[tuple[str, str, str]]:
    """A response over its corruption, kind by kind, where it can be made."""
    usable = [s for s in samples if s.response.strip() and s.outcome is not Outcome.UNKNOWN]
    satisfied = [s for s in usable if s.outcome is Outcome.SATISFIED]
    best = satisfied or usable
    candidates_of = {
        # What violates the judges is not surely better than another prompt's response, which may satisfy them.
        "swap": satisfied,
        # To cut what the token limit has cut before would only teach that longer is better.
        "truncate": [s for s in best if s.complete],
    }
    for kind in kinds:
        candidates = candidates_of.get(kind, best)
        if not candidates:
            continue
        response = rng.choice(candidates).response
        if kind == HOSTILE:
            found = hostile_contrast(response, rng, heldout=heldout)
        else:
            spoilt = CORRUPTIONS[kind](response, others, rng)
            found = None if spoilt is None else (response, spoilt)
        if found is not None and found[0].split() != found[1].split():
            yield kind, *found


def _pair(sample: Sample, chosen: str, rejected: str, kind: str, heldout: bool) -> PreferencePair:
    prompt = sample.prompt
    return PreferencePair(tuple(prompt.messages), chosen, rejected, kind, sample.stratum, prompt.id, heldout)


def counts_by_kind(pairs: Sequence[PreferencePair]) -> Mapping[str, int]:
    """Kind → number of pairs, in a fixed order."""
    found: dict[str, int] = {}
    for pair in sorted(pairs, key=lambda p: p.kind):
        found[pair.kind] = found.get(pair.kind, 0) + 1
    return found
