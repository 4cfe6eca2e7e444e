"""Synthetic preference pairs, from the strata's own prompts: for a reward model that nobody has labelled data for.

    judged                          a response that every judge is satisfied with over one that a judge found violated
    shuffle swap loop empty truncate        a response over a corruption of itself (`cgpo.pairs.corruption`)
    hostile                                 the same, by a hostile sentence; on request

The responses are sampled from the policy's model. A pair of unknown verdicts is no pair. Held-out prompts are set
apart before pairs are made, so a `swap` never carries a held-out response into training. Everything follows from the
run's seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from cgpo.config import RewardPairSettings
from cgpo.pairs.cleaning import without_duplicates
from cgpo.pairs.corruption import CORRUPTIONS, HOSTILE, corrupt
from cgpo.pairs.pair import JUDGED, PreferencePair, choose_heldout, prompt_key
from cgpo.pairs.response_file import SampledResponse
from judges import Outcome

Contrast = tuple[str, str, str]
"""(kind of pair, better response, worse response)."""


def synthetic_pairs(
    responses: Sequence[SampledResponse], settings: RewardPairSettings, seed: int
) -> list[PreferencePair]:
    """Pairs from judged responses, with kind and split; the same for the same responses in any order.

    Raises:
        DataError: a stratum has fewer than two prompts.
    """
    strata: dict[str, list[SampledResponse]] = defaultdict(list)
    for response in sorted(responses, key=lambda r: r.key):
        strata[response.stratum].append(response)
    pairs: list[PreferencePair] = []
    for of_stratum in strata.values():
        heldout = choose_heldout((prompt_key(r.prompt) for r in of_stratum), settings.heldout_share, seed)
        for part in (False, True):
            chosen = [r for r in of_stratum if (prompt_key(r.prompt) in heldout) is part]
            pairs += _pairs_of_part(chosen, settings, seed, heldout=part)
    return without_duplicates(pairs)


def _pairs_of_part(
    responses: Sequence[SampledResponse], settings: RewardPairSettings, seed: int, *, heldout: bool
) -> list[PreferencePair]:
    """Pairs of one stratum's training prompts, or of its held-out ones."""
    wanted = settings.kinds or [JUDGED, *CORRUPTIONS]
    kinds = [kind for kind in [*CORRUPTIONS, HOSTILE] if kind in wanted]
    corruptions = settings.corruptions_per_prompt if kinds else 0
    by_prompt: dict[str, list[SampledResponse]] = defaultdict(list)
    for response in responses:
        by_prompt[prompt_key(response.prompt)].append(response)
    texts = {key: [r.response for r in group if r.response.strip()] for key, group in by_prompt.items()}
    pairs = []
    for position, (key, group) in enumerate(by_prompt.items()):
        others = [text for other, of_other in texts.items() if other != key for text in of_other]
        # Kinds take turns over the prompts, so that each gets its share whatever the number of prompts.
        order = [kinds[(position * corruptions + i) % len(kinds)] for i in range(len(kinds))]
        # There are many hostile sentences: where the other kinds give too few pairs, more of it are made.
        order += [HOSTILE] * (corruptions if HOSTILE in kinds else 0)
        rng = random.Random(f"{seed}:{group[0].stratum}:{group[0].prompt_id}")
        judged = _judged(group) if JUDGED in wanted else ()
        contrasts = [*judged, *islice(_corrupted(group, others, order, rng, heldout=heldout), corruptions)]
        pairs += [_pair(group[0], contrast, heldout) for contrast in contrasts]
    return pairs


def _judged(responses: Sequence[SampledResponse]) -> Iterator[Contrast]:
    """Satisfied over violated, each response in at most one pair."""
    good = [r.response for r in responses if r.outcome is Outcome.SATISFIED]
    bad = [r.response for r in responses if r.outcome is Outcome.VIOLATED]
    for chosen, rejected in zip(dict.fromkeys(good), dict.fromkeys(bad), strict=False):
        yield JUDGED, chosen, rejected


def _corrupted(
    responses: Sequence[SampledResponse],
    others: Sequence[str],
    kinds: Sequence[str],
    rng: random.Random,
    *,
    heldout: bool,
) -> Iterator[Contrast]:
    """A response over its corruption, kind by kind, where it can be made."""
    usable = [r for r in responses if r.response.strip() and r.outcome is not Outcome.UNKNOWN]
    satisfied = [r for r in usable if r.outcome is Outcome.SATISFIED]
    best = satisfied or usable
    candidates_of = {
        # What violates the judges is not surely better than another prompt's response, which may satisfy them.
        "swap": satisfied,
        # To cut what the token limit has cut before would only teach that longer is better.
        "truncate": [r for r in best if r.complete],
    }
    for kind in kinds:
        candidates = candidates_of.get(kind, best)
        if not candidates:
            continue
        texts = corrupt(kind, rng.choice(candidates).response, others, rng, heldout=heldout)
        if texts is not None and texts[0].split() != texts[1].split():
            yield kind, *texts


def _pair(response: SampledResponse, contrast: Contrast, heldout: bool) -> PreferencePair:
    kind, chosen, rejected = contrast
    return PreferencePair(response.prompt, chosen, rejected, kind, response.stratum, response.prompt_id, heldout)
