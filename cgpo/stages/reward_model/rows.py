"""The rows of a reward model's head: pairs, or single responses with a label or a rating."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgpo.config import PointwiseHeadSettings, RegressionHeadSettings, RowSourceSettings
from cgpo.data.messages import content, messages_of
from cgpo.data.prepared_feedback import FeedbackRow, read_prepared
from cgpo.data.rows import RawRow
from cgpo.data.stage_rows import column, parse_rows, stage_rows
from cgpo.errors import DataError
from cgpo.pairs.pair import PreferencePair, prompt_key
from judges import Message

Text = tuple[str, str]
"""`prompt_key` of a prompt, and a response."""

LARGEST_RATING = 1e100
"""The square of a larger one may not be a number."""


@dataclass(frozen=True, slots=True)
class RewardRow:
    """A row that a head learns from or is measured on.

    Attributes:
        prompt: the conversation so far, oldest first.
        responses: the better one and the worse one of a pair; or a single response.
        target: the pair's margin; or the label, 0 or 1; or the rating.
        copies: how often the row counts in training.
        heldout: is measured on and not trained on.
        kind: of a pair: why the one is worse.
        stratum: of a pair: where the prompt comes from.
        user: who reacted, where feedback tells.
    """

    prompt: tuple[Message, ...]
    responses: tuple[str, ...]
    target: float
    copies: int = 1
    heldout: bool = False
    kind: str = ""
    stratum: str = ""
    user: str | None = None

    @property
    def key(self) -> str:
        """The prompt, for splits."""
        return prompt_key(self.prompt)

    @property
    def texts(self) -> list[Text]:
        """Prompt and response of each side."""
        return [(self.key, response) for response in self.responses]


@dataclass(frozen=True)
class HeadRows:
    """All rows of a head.

    Attributes:
        rows: in order.
        by_prompt: no prompt is on both sides. False for a split that the data brought: in time, or files of their own.
        true_rate: p₀ of feedback, as its folder tells.
        bad: a sentence for each row that was left out as one that cannot be used.
        left_out: reason → how many rows were left out; None of pairs made from responses, or where nobody knows.
    """

    rows: list[RewardRow]
    by_prompt: bool = True
    true_rate: float | None = None
    bad: list[str] = field(default_factory=list)
    left_out: dict[str, int] | None = None


def row_of_pair(pair: PreferencePair) -> RewardRow:
    """A pair as a row."""
    return RewardRow(
        pair.prompt,
        (pair.chosen, pair.rejected),
        pair.margin,
        heldout=pair.heldout,
        kind=pair.kind,
        stratum=pair.stratum,
    )


def read_text_rows(head: PointwiseHeadSettings | RegressionHeadSettings, where: str) -> HeadRows:
    """The rows of a head that learns from single responses; which are held out is decided later, unless files say so.

    Args:
        head: its settings.
        where: its place in the configuration, for messages.

    Raises:
        DataError: a data set cannot be read, or a row is bad and that is to stop the stage.
    """
    if isinstance(head, PointwiseHeadSettings) and head.feedback is not None:
        return _feedback(head.feedback)
    rows, bad = _read(head, head, where)
    if head.heldout_path is None:
        return HeadRows(rows, bad=bad)
    held = RowSourceSettings(path=head.heldout_path, prompt_column=head.prompt_column, bad_rows=head.bad_rows)
    measured, more = _read(held, head, f"{where}.heldout_path", heldout=True)
    return HeadRows([*rows, *measured], by_prompt=False, bad=[*bad, *more])


def _feedback(folder: str) -> HeadRows:
    prepared = read_prepared(Path(folder))
    train = [_reaction(row, heldout=False) for row in prepared.train()]
    heldout = [_reaction(row, heldout=True) for row in prepared.heldout()]
    return HeadRows([*train, *heldout], by_prompt=False, true_rate=prepared.true_rate)


def _reaction(row: FeedbackRow, *, heldout: bool) -> RewardRow:
    return RewardRow(row.prompt, (row.response,), float(row.label), row.copies, heldout, user=row.user)


def _read(
    source: RowSourceSettings,
    head: PointwiseHeadSettings | RegressionHeadSettings,
    where: str,
    *,
    heldout: bool = False,
) -> tuple[list[RewardRow], list[str]]:
    rows, unreadable = stage_rows(source, where)
    name, value_of = _target(head)

    def parse(row: RawRow) -> RewardRow:
        return RewardRow(
            messages_of(column(row, head.prompt_column), row.where),
            (content(column(row, head.response_column), row.where, "the response"),),
            value_of(column(row, name), row.where, name),
            heldout=heldout,
        )

    return parse_rows(rows, parse, source, where, unreadable)


def _target(
    head: PointwiseHeadSettings | RegressionHeadSettings,
) -> tuple[str, Callable[[Any, str, str], float]]:
    if isinstance(head, RegressionHeadSettings):
        return head.rating_column, rating
    return head.label_column, label


def label(value: Any, where: str, name: str) -> float:
    """A label as 0.0 or 1.0; the words of CSV files too.

    Raises:
        DataError: it is none.
    """
    known = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}
    number = known.get(str(value).strip().lower())
    if number is None:
        raise DataError(f"{where}: {name!r} must be 0 or 1, or false or true; got {value!r}")
    return number


def rating(value: Any, where: str, name: str) -> float:
    """A rating as a finite number; numbers of CSV files, which are text, too.

    Raises:
        DataError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise DataError(f"{where}: {name!r} must be a number; got {value!r}")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: {name!r} must be a number; got {value!r}") from error
    if not math.isfinite(number) or abs(number) > LARGEST_RATING:
        raise DataError(f"{where}: {name!r} must be a finite number, at most {LARGEST_RATING:g} in size; got {value!r}")
    return number


def positives(rows: Sequence[RewardRow]) -> tuple[int, int]:
    """Positive rows and all, each counted `copies` times."""
    return sum(row.copies for row in rows if row.target == 1.0), sum(row.copies for row in rows)
