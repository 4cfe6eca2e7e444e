"""The outputs of a sequence classifier: which there are, what they mean, and a score made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cgpo.errors import ConfigError, unknown_name
from cgpo.rewards.calibration import finite
from cgpo.rewards.heads import Head


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


def choose(outputs: Outputs, head: str | None, heads: Mapping[str, float], where: str) -> dict[int, float]:
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
    wanted = heads or {str(head): 1.0}
    for name in wanted:
        if name not in names:
            raise ConfigError(unknown_name("head", name, names, f"{where}.{'heads' if heads else 'head'}"))
    return {names.index(name): weight for name, weight in wanted.items()}
