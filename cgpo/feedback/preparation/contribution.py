"""How much a row may contribute to training: caps on what many rows share, then upsampling of positive reactions.

Caps limit one user, or one text that many rows share. What goes is drawn without a look at it, but for the cap on a
user's positive reactions, which is on those alone.

Upsampling raises the share of positive reactions, exactly and the same every time. With P positive and N negative rows
and a wanted share s:

    copies:             P′ = s·N / (1 − s), rounded; every positive row counts ⌊P′/P⌋ times, P′ mod P of them once more
    dropping-negatives: N′ = (1 − s)·P / s, rounded; the others are left out

Which rows get the extra copy, or are left out, follows from the seed and the rows alone. The share that comes out is
q = P′/(P′ + N), which differs from s by rounding only; it is q that scoring undoes. A share that is higher than s
already stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cgpo.feedback.logs.near_duplicates import group
from cgpo.feedback.logs.table import Hashes, Ints, Mask, Table, priority
from cgpo.feedback.settings import CapSettings, UpsamplingSettings


def over_cap(groups: Ints, order: Hashes | Ints, limit: int) -> Mask:
    """The rows beyond the first `limit` of their group in the given order.

    Args:
        groups: group of each row; negative: in none, [N].
        order: smaller comes first and stays, [N].
        limit: rows that stay.

    Returns:
        [N].
    """
    places = np.lexsort((order, groups))
    ordered = groups[places]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(ordered)])
    rank = np.arange(len(ordered)) - np.repeat(starts, lengths)
    over = np.zeros(len(groups), dtype=np.bool_)
    over[places] = (rank >= limit) & (ordered >= 0)
    return over


def caps(table: Table, settings: CapSettings, seed: int) -> Iterator[tuple[str, str, Mask]]:
    """The caps, one after the other: each is told what those before it left.

    Yields:
        (reason, detail, rows over the cap [N]).
    """
    left = np.ones(len(table), dtype=np.bool_)
    newest = np.arange(len(table), 0, -1)  # rows are in order of time
    order: Hashes | Ints = newest if settings.keep == "newest" else priority(table.row_hash, seed, "caps")
    if settings.near_duplicates is not None:
        limit = settings.near_duplicates
        over = over_cap(group(table.signature), order, limit)
        left &= ~over
        yield "cap: near-duplicates", f"more than {limit:,} rows with nearly this response", over
    user = np.where(left, table.user, -1)
    if settings.user_rows is not None:
        over = over_cap(user, order, settings.user_rows)
        left &= ~over
        yield "cap: rows of a user", f"more than {settings.user_rows:,} rows of this user", over
    if settings.user_positives is not None:
        positive = np.where(left & (table.label == 1), table.user, -1)
        over = over_cap(positive, order, settings.user_positives)
        yield "cap: positives of a user", f"more than {settings.user_positives:,} positive reactions of this user", over


@dataclass(frozen=True, slots=True)
class Upsampling:
    """Copies of rows, and the share of positives before and after.

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
        left = max(1, round((1 - share) * count / share))
        copies[order[~positive[order]][left:]] = 0
    after = float(copies[positive].sum() / copies.sum())
    return Upsampling(copies, before, after)
