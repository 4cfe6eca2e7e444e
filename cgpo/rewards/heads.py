"""The outputs of a reward model: what each was trained for, and what its number means.

    reward.json    {"schema": 1, "heads": [{"name", "objective", "training_rate", "true_rate", "mean", "std"}, …]}

It lies in the model's folder beside `config.json`; heads stand in the order of the model's outputs. A model of another
origin has no such file: its outputs are taken as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cgpo.errors import ConfigError
from cgpo.rewards.prior import prior_shift
from cgpo.statistics.odds import sigmoid
from cgpo.storage.disk import write_atomically

SCHEMA = 1
FILE_NAME = "reward.json"

Objective = Literal["pairwise", "pointwise", "regression"]


@dataclass(frozen=True, slots=True)
class Head:
    """One output of a reward model.

    Attributes:
        name: under which settings choose it.
        objective: what it was trained for. `pairwise`: scores without a unit; `pointwise`: the logit of a probability;
            `regression`: a rating, standardised.
        training_rate: `pointwise`: q, the share of positives it was trained on.
        true_rate: `pointwise`: p₀, the share among the users' reactions.
        mean: `regression`: mean of the training ratings.
        std: `regression`: their standard deviation.

    Raises:
        ValueError: a rate is not strictly between 0 and 1; or `mean` or `std` is not finite, or `std` not positive.
    """

    name: str
    objective: Objective
    training_rate: float = 0.5
    true_rate: float = 0.5
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f"head {self.name!r}: unknown objective {self.objective!r}")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(
                f"head {self.name!r}: mean {self.mean:g} and std {self.std:g} must be finite, std positive"
            )
        prior_shift(self.training_rate, self.true_rate)

    def reward(self, raw: float) -> float:
        """r(s, a) from the model's output.

        Returns:
            `pairwise`: the output; `pointwise`: the logit of its probability at the true rate; `regression`: a rating.
        """
        if self.objective == "pointwise":
            return raw + prior_shift(self.training_rate, self.true_rate)
        if self.objective == "regression":
            return raw * self.std + self.mean
        return raw

    def probability(self, reward: float) -> float:
        """The probability behind the reward of a `pointwise` head, at the true rate.

        Raises:
            ValueError: the head is none of a probability.
        """
        if self.objective != "pointwise":
            raise ValueError(f"head {self.name!r} was trained for {self.objective}: its reward is no probability")
        return sigmoid(reward)


def write_heads(folder: Path, heads: Sequence[Head]) -> None:
    """Writes `reward.json` into a model's folder.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    data = {"schema": SCHEMA, "heads": [asdict(head) for head in heads]}
    write_atomically(
        folder / FILE_NAME, json.dumps(data, indent=1, allow_nan=False).encode(), "the reward model's heads"
    )


def read_heads(folder: Path) -> list[Head] | None:
    """The heads of the model in a folder, in the order of its outputs; None where no file tells.

    Raises:
        ConfigError: the file is damaged, or of another version.
    """
    file = folder / FILE_NAME
    if not file.is_file():
        return None
    try:
        return _heads(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be used: {error}. `cgpo reward` writes it") from error


def _heads(data: Any) -> list[Head]:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']} instead of {SCHEMA}")
    heads = [Head(**found) for found in data["heads"]]
    names = [head.name for head in heads]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"a head's name must be text: {names}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"the heads' names must differ, and there must be one: {names}")
    return heads
