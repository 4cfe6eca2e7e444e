"""The settings that differ between runs, which make labels of points and series of points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from cgpo.errors import ConfigError, unknown_name

IGNORED = ("run_dir", "run_base", "tracking", "sft_stage", "reward_stage", "dpo_stage", "preferences")
"""Settings of which a training run's policy does not depend."""

REPEATED = "seed"
"""Runs that differ in nothing else are repetitions: points of one series with one label."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The settings that differ.

    Attributes:
        values: dotted setting → its value in each run, in the order of the runs.
        label: the setting that labels the points; None where nothing differs.
        series: the settings that part the points into series.
    """

    values: Mapping[str, Sequence[Any]]
    label: str | None
    series: tuple[str, ...]

    def label_of(self, run: int) -> str:
        """The label of a run's point; empty where nothing was swept."""
        return "" if self.label is None else value_text(self.values[self.label][run])

    def order_of(self, run: int) -> tuple[int, float, str]:
        """Sorts the points of a series: numbers by size, then text."""
        value = None if self.label is None else self.values[self.label][run]
        return (0, float(value), "") if _is_number(value) else (1, 0.0, value_text(value))

    def series_of(self, run: int) -> str:
        """The name of the series a run belongs to."""
        return "; ".join(f"{self.short(key)}: {value_text(self.values[key][run])}" for key in self.series)

    def short(self, key: str) -> str:
        """The end of a dotted setting, as long as it has to be to name no other one that differs."""
        parts = key.split(".")
        for length in range(1, len(parts)):
            name = ".".join(parts[-length:])
            if sum(other == name or other.endswith(f".{name}") for other in self.values) == 1:
                return name
        return key


def differences(configs: Sequence[Mapping[str, Any]], preferred: str, wanted: str | None = None) -> Differences:
    """Compares the settings of runs.

    Args:
        configs: the settings of each.
        preferred: the setting that labels the points if it differs.
        wanted: the setting that has to.

    Raises:
        ConfigError: `wanted` does not differ between the runs.
    """
    flat = [dict(_leaves(config, ())) for config in configs]
    keys = [key for key in dict.fromkeys(k for one in flat for k in one) if key.split(".")[0] not in IGNORED]
    values = {key: [one.get(key) for one in flat] for key in keys}
    differing = {key: of_runs for key, of_runs in values.items() if len(set(map(repr, of_runs))) > 1}
    if wanted is not None and wanted not in differing:
        raise ConfigError(unknown_name("setting that differs", wanted, differing, "--label"))
    candidates = {key: of_runs for key, of_runs in differing.items() if key != REPEATED}
    label = wanted or (preferred if preferred in candidates else _most_varied(candidates))
    others = {key: of_runs for key, of_runs in candidates.items() if key != label}
    return Differences(differing, label, _telling(others, None if label is None else differing[label]))


def value_text(value: Any) -> str:
    """`0.3`, `repetition, farewell`, `none`."""
    if value is None:
        return "–"
    if _is_number(value):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return (
            str(value["name"])
            if set(value) == {"name"}
            else ", ".join(f"{k}={value_text(v)}" for k, v in value.items())
        )
    if isinstance(value, list):
        return ", ".join(map(value_text, value)) or "none"
    return str(value)


def _leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield ".".join(path), tree


def _most_varied(candidates: Mapping[str, Sequence[Any]]) -> str | None:
    """The setting with the most values; of several a number, and of several the first."""
    return max(
        candidates,
        key=lambda key: (len(set(map(repr, candidates[key]))), all(map(_is_number, candidates[key]))),
        default=None,
    )


def _telling(others: Mapping[str, Sequence[Any]], label: Sequence[Any] | None) -> tuple[str, ...]:
    """Without settings that say no more than the label or one before them: what goes hand in hand is one difference."""
    partitions = [] if label is None else [_partition(label)]
    telling = []
    for key, values in others.items():
        partition = _partition(values)
        if partition not in partitions:
            partitions.append(partition)
            telling.append(key)
    return tuple(telling)


def _partition(values: Sequence[Any]) -> tuple[int, ...]:
    """Which runs have equal values: for each, the first run with its value."""
    texts = list(map(repr, values))
    return tuple(texts.index(text) for text in texts)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
