"""The outputs of a reward model, its heads: what each was trained for, what its number means, and a score of them.

    reward.json    {"schema": 1, "heads": [{"name", "objective", "training_rate", "true_rate", "mean", "std"}, …]}

It lies in the model's folder beside `config.json`; heads stand in the order of the model's outputs. A model of another
origin has no such file: its outputs are taken as they are, under the labels of its configuration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cgpo.errors import ConfigError, unknown_name
from cgpo.rewards.calibration import finite
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


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model.

    Attributes:
        names: of its columns.
        heads: what each was trained for, where the model tells; else its numbers are taken as they are.
    """

    names: tuple[str, ...]
    heads: tuple[Head, ...] | None = None

    def reward(self, raw: Sequence[float], weights: Mapping[int, float]) -> float | None:
        """Σ_j w_j · r_j over some columns, r_j as the heads say; None where one of them is NaN or infinite."""
        parts = [raw[j] if self.heads is None else self.heads[j].reward(raw[j]) for j in weights]
        return finite(sum(w * part for w, part in zip(weights.values(), parts, strict=True)))


def describe_outputs(width: int, labels: Mapping[int, str], heads: Sequence[Head] | None, where: str) -> Outputs:
    """Names and meaning of a model's columns.

    Args:
        width: how many numbers the model gives for a text.
        labels: `id2label` of its configuration.
        heads: of `reward.json`, where it has one.
        where: the setting the model comes from, for messages.

    Raises:
        ConfigError: `reward.json` names another number of heads.
    """
    if heads is not None:
        if len(heads) != width:
            named = ", ".join(head.name for head in heads)
            raise ConfigError(
                f"{where}: its reward.json names {len(heads)} heads ({named}), but it has {width} outputs"
            )
        return Outputs(tuple(head.name for head in heads), tuple(heads))
    names = tuple(str(labels.get(j, f"LABEL_{j}")) for j in range(width))
    if len(set(names)) < width or len(labels) != width:
        names = tuple(f"LABEL_{j}" for j in range(width))
    return Outputs(names)


def choose_heads(outputs: Outputs, head: str | None, heads: Mapping[str, float], where: str) -> dict[int, float]:
    """The columns that make a score, with their weights.

    Args:
        outputs: the model's.
        head: the one that is the score, or None.
        heads: several with weights, or empty.
        where: the reward's place in the configuration.

    Raises:
        ConfigError: there is no such head, or none was named and the model has several.
    """
    names = outputs.names
    if head is None and not heads:
        if len(names) == 1:
            return {0: 1.0}
        raise ConfigError(
            f"{where}.head: the model has {len(names)} outputs ({', '.join(names)}): name the one that is the reward, "
            f"or several with weights as {where}.heads"
        )
    weights = heads or {str(head): 1.0}
    for name in weights:
        if name not in names:
            raise ConfigError(unknown_name("head", name, names, f"{where}.{'heads' if heads else 'head'}"))
    return {names.index(name): weight for name, weight in weights.items()}


def _heads(data: Any) -> list[Head]:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']} instead of {SCHEMA}")
    heads = [Head(**head) for head in data["heads"]]
    names = [head.name for head in heads]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"a head's name must be text: {names}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"the heads' names must differ, and there must be one: {names}")
    return heads
