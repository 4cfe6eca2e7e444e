"""The split in time: training rows, then (after a gap, if any) held-out rows.

Rows of one time are on one side. A conversation is on one side: a training row goes where its conversation is also
held out, that is where prompt and response are those of a held-out row, one's conversation is the beginning of the
other's, or both have one conversation id.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from cgpo.errors import DataError
from cgpo.feedback.logs.table import Mask, Table
from cgpo.feedback.settings import SplitSettings


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows are where; masks over a table's rows, [N].

    Attributes:
        border: Unix seconds of the first held-out row's earliest possible time.
        period: rows of the training period.
        gap: rows between the periods.
        heldout: held-out rows.
        shared: rows of the training period whose conversation is held out.
    """

    border: float
    period: Mask
    gap: Mask
    heldout: Mask
    shared: Mask

    @property
    def train(self) -> Mask:
        """Rows to learn from."""
        return self.period & ~self.shared


def split(table: Table, settings: SplitSettings) -> Split:
    """Splits a table.

    Raises:
        DataError: a side has no rows, or the training side has reactions of one class only; says the counts.
    """
    border = _border(table, settings)
    heldout = table.time >= border
    period = table.time < border - settings.gap
    sides = Split(border, period, ~heldout & ~period, heldout, period & conversations_shared(table, heldout))
    _check(table, sides)
    return sides


def _border(table: Table, settings: SplitSettings) -> float:
    if settings.heldout_from is not None:
        return settings.heldout_from
    first = min(len(table) - 1, round(len(table) * (1 - settings.heldout_share)))
    return float(np.sort(table.time)[first])


def conversations_shared(table: Table, heldout: Mask) -> Mask:
    """The rows that are not held out but whose conversation is, [N]."""
    known = table.conversation != 0
    held_prefix = heldout[table.prefix_rows]
    by_id = known & np.isin(table.conversation, table.conversation[heldout & known])
    equal = np.isin(table.whole, table.whole[heldout])
    begins_a_heldout = np.isin(table.whole, table.prefixes[held_prefix])
    shared = by_id | equal | begins_a_heldout
    goes_on = np.isin(table.prefixes, table.whole[heldout])
    shared[table.prefix_rows[goes_on]] = True
    not_heldout: Mask = shared & ~heldout
    return not_heldout


def _check(table: Table, sides: Split) -> None:
    train, heldout = table.take(sides.train), table.take(sides.heldout)
    where = f"the held-out rows begin at {time_text(sides.border)}"
    span = f"the log goes from {time_text(table.time[0])} to {time_text(table.time[-1])}"
    if sides.period.any() and not len(train):
        raise DataError(
            f"there are no training rows: the conversations of all {int(sides.period.sum()):,} rows of the training "
            f"period are also held out; {where}, {span} (--heldout-from, --heldout-share)"
        )
    for what, part in (("training", train), ("held-out", heldout)):
        if not len(part):
            raise DataError(f"there are no {what} rows: {where}, {span} (--heldout-from, --heldout-share, --gap)")
    if train.positives in (0, len(train)):
        raise DataError(
            f"the training rows have reactions of one class only: {train.positives:,} positive, "
            f"{len(train) - train.positives:,} not; {where}, {span}"
        )


def time_text(seconds: float) -> str:
    """`2025-05-14 08:30:00 UTC`."""
    try:
        return f"{datetime.datetime.fromtimestamp(float(seconds), datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
