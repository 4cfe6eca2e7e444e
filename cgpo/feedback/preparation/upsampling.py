"""Raising the share of positive reactions (SPEC: 10 % at a true rate of some 2 %), exactly and the same every time.

With P positive and N negative rows and a wanted share s:

    copies:             P′ = s·N / (1 − s), rounded; every positive row counts ⌊P′/P⌋ times, P′ mod P of them once more
    dropping-negatives: N′ = (1 − s)·P / s, rounded; the others are left out

Which rows get the extra copy, or are left out, follows from the seed and the rows alone. The share that comes out is
q = P′/(P′ + N), which differs from s by rounding only; it is q that scoring undoes. A share that is higher than s
already stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cgpo.feedback.preparation.settings import UpsamplingSettings
from cgpo.feedback.preparation.table import Ints, Table, priority


@dataclass(frozen=True, slots=True)
class Upsampling:
    """What came of it.

    Attributes:
        copies: how often each row counts, 0 for rows left out, [N].
        before: the share of positives before.
        after: the share after, q.
        note: why nothing was done; empty where something was.
    """

    copies: Ints
    before: float
    after: float
    note: str = ""


def upsample(table: Table, settings: UpsamplingSettings, seed: int) -> Upsampling:
    """Copies for each row of a table with both classes.

    Args:
        table: the rows to learn from.
        settings: the wanted share, and how to reach it.
        seed: of what is drawn.
    """
    positive = table.label == 1
    count, others = int(positive.sum()), int((~positive).sum())
    before = count / (count + others)
    copies = np.ones(len(table), dtype=np.int64)
    share = settings.positive_share
    if before >= share:
        return Upsampling(copies, before, before, f"the share is {before:.4g} already, not below {share:g}: left")
    order = np.argsort(priority(table.row_hash, seed, "upsampling"), kind="stable")
    if settings.by == "copies":
        wanted = max(count, round(share * others / (1 - share)))
        copies[positive] = wanted // count
        copies[order[positive[order]][: wanted % count]] += 1
    else:
        kept = max(1, round((1 - share) * count / share))
        copies[order[~positive[order]][kept:]] = 0
    after = float(copies[positive].sum() / copies.sum())
    return Upsampling(copies, before, after)
