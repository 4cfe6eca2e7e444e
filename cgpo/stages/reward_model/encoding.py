"""The rows of all heads as tokens, as the trainer takes them: each text once, rows that heads share once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cgpo.config import HeadSettings, PointwiseHeadSettings, RegressionHeadSettings
from cgpo.errors import DataError
from cgpo.rewards.encoding import Encoded, ResponseEncoder
from cgpo.rewards.heads import Head
from cgpo.stages.reward_model.losses import TrainingRow
from cgpo.stages.reward_model.rows import RewardRow, Text, positives
from cgpo.stages.reward_model.split import Split
from cgpo.types import Prompt


def describe_head(name: str, head: HeadSettings, train: list[RewardRow], true_rate: float | None) -> Head:
    """The meaning of a head's outputs, from its training rows.

    Args:
        name: the head's.
        head: its settings.
        train: the rows it is trained on.
        true_rate: p₀ as the data tells, or None.

    Raises:
        DataError: the training rows hold one class only, or ratings that are all the same.
    """
    if isinstance(head, PointwiseHeadSettings):
        positive, total = positives(train)
        if positive in (0, total):
            raise DataError(
                f"reward_stage.heads.{name}: {positive} of {total} training rows are positive: a probability cannot be "
                "learnt from one class. Look at the labels (for feedback, at which reactions count as positive)"
            )
        rate = positive / total
        return Head(name, "pointwise", training_rate=rate, true_rate=true_rate or head.true_rate or rate)
    if isinstance(head, RegressionHeadSettings):
        ratings = [row.target for row in train]
        mean = math.fsum(ratings) / len(ratings)
        std = math.sqrt(math.fsum((rating - mean) ** 2 for rating in ratings) / len(ratings))
        if std <= 1e-12 * max(1.0, abs(mean)):
            raise DataError(
                f"reward_stage.heads.{name}: all {len(ratings)} training ratings are {mean:g}: there is nothing to "
                f"learn. Is {head.rating_column!r} the right column?"
            )
        return Head(name, "regression", mean=mean, std=std)
    return Head(name, "pairwise")


@dataclass(frozen=True)
class EncodedRows:
    """Rows as tokens.

    Attributes:
        texts: each distinct text once.
        train: rows to train on.
        validation: rows to decide by when to stop.
        truncated: how many texts are longer than the model reads.
    """

    texts: list[Encoded]
    train: list[TrainingRow]
    validation: list[TrainingRow]
    truncated: int


def encode_rows(splits: Mapping[str, Split], heads: list[Head], encoder: ResponseEncoder) -> EncodedRows:
    """Tokens of the rows to train on and to stop by; heads stand in the order of the model's outputs."""
    table = _Texts(encoder)
    train = _merged({h: splits[head.name].train for h, head in enumerate(heads)}, heads, table)
    validation = _merged({h: splits[head.name].validation for h, head in enumerate(heads)}, heads, table)
    return EncodedRows(table.encoded, train, validation, sum(text.truncated for text in table.encoded))


class _Texts:
    """Texts as tokens, by number."""

    def __init__(self, encoder: ResponseEncoder) -> None:
        self._encoder = encoder
        self._numbers: dict[Text, int] = {}
        self.encoded: list[Encoded] = []

    def numbers(self, row: RewardRow) -> tuple[int, ...]:
        """The numbers of a row's texts."""
        numbers = []
        for key in row.texts:
            if key not in self._numbers:
                self._numbers[key] = len(self.encoded)
                self.encoded.append(self._encoder.encode(Prompt("", row.prompt), key[1]))
            numbers.append(self._numbers[key])
        return tuple(numbers)


def _merged(rows: Mapping[int, list[RewardRow]], heads: list[Head], table: _Texts) -> list[TrainingRow]:
    """The rows of all heads; one row of several heads, such as two ratings of a response, is shown once."""
    targets: list[dict[int, float]] = []
    shapes: list[tuple[tuple[int, ...], int]] = []
    same: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for number, of_head in rows.items():
        head = heads[number]
        # The n-th row of a head with some texts joins the n-th of other heads: a head may have several alike.
        taken: Counter[tuple[tuple[int, ...], int]] = Counter()
        for row in of_head:
            shape = (table.numbers(row), row.copies)
            places = same.setdefault(shape, [])
            if taken[shape] == len(places):
                places.append(len(targets))
                targets.append({})
                shapes.append(shape)
            targets[places[taken[shape]]][number] = (row.target - head.mean) / head.std
            taken[shape] += 1
    return [TrainingRow(texts, tuple(t.items()), copies) for (texts, copies), t in zip(shapes, targets, strict=True)]
