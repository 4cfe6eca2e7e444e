"""Reading a run directory for people: what is missing or damaged becomes a sentence, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cgpo.report.changes import Evaluation, StratumChange, compare_evaluations, first_and_last
from cgpo.report.sides import NO_SIDES, Sides, compare_sides
from cgpo.storage.jsonl import read_jsonl

EVALUATIONS = "evaluation.jsonl"


@dataclass(frozen=True, slots=True)
class Changes:
    """The run's evaluations, compared.

    Attributes:
        steps: step of the first and of the last evaluation; None where there is none.
        strata: first against last.
        confidence: level of the intervals, or None when the configuration cannot be read.
        sides: safety violations and false refusals.
    """

    steps: tuple[int | None, int | None] = (None, None)
    strata: tuple[StratumChange, ...] = ()
    confidence: float | None = None
    sides: Sides = NO_SIDES


def read_mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    """The mapping in a YAML or JSON file; empty when there is none."""
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return {}
    return found if isinstance(found, dict) else {}


def read_changes(run_dir: Path, config: Mapping[str, Any], problems: list[str]) -> Changes:
    """What changed between the first and the last evaluation of the run."""
    found = read_jsonl(run_dir / EVALUATIONS)
    problems += found.problems
    level = dig(config, "eval", "confidence")
    try:
        return changes_of(found.records, level if isinstance(level, float) else None)
    except (TypeError, ValueError, KeyError) as error:
        problems.append(f"{run_dir / EVALUATIONS} has a line of an unexpected form: {error}")
        return Changes()


def changes_of(evaluations: Sequence[Evaluation], confidence: float | None) -> Changes:
    """First against last of these evaluations.

    Raises:
        TypeError, ValueError, KeyError: a line is of an unexpected form.
    """
    before, after = first_and_last(evaluations)
    strata, sides = tuple(compare_evaluations(evaluations)), compare_sides(evaluations)
    return Changes((_step(before), _step(after)), strata, confidence, sides)


def dig(tree: Any, *keys: str) -> Any:
    """The value at a path of keys, or None."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _step(evaluation: Evaluation | None) -> int | None:
    return None if evaluation is None else int(evaluation.get("step", 0))
