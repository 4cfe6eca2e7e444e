"""Caps: how much one user, or one text that many rows share, may contribute. What goes is drawn without a look at it,
but for the cap on a user's positive reactions, which is on those alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cgpo.feedback.preparation.near_duplicates import group
from cgpo.feedback.preparation.settings import CapSettings
from cgpo.feedback.preparation.table import Hashes, Ints, Mask, Table, priority


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
