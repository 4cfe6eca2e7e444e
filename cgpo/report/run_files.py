"""Reading a run directory for people: what is missing or damaged becomes a sentence, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cgpo.report.changes import Changes, changes_of
from cgpo.statistics.evaluation import Evaluation
from cgpo.statistics.evaluation_json import read_evaluation
from cgpo.storage.file_names import EVALUATION_NAME
from cgpo.storage.jsonl import read_jsonl


def read_mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    """The mapping in a YAML or JSON file; empty when there is none."""
    if not path.exists():
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return {}
    return tree if isinstance(tree, dict) else {}


def read_evaluations(path: Path) -> tuple[list[Evaluation], list[str]]:
    """What can be read of a run's evaluations, and a sentence for each line that is damaged or of another form."""
    lines = read_jsonl(path)
    evaluations, problems = [], list(lines.problems)
    for line in lines.records:
        evaluation, parts = read_evaluation(line)
        evaluations.append(evaluation)
        if parts:
            problems.append(f"{path} has a line of an unexpected form: step {line.get('step')}: {'; '.join(parts)}")
    return evaluations, problems


def read_changes(run_dir: Path, config: Mapping[str, Any], problems: list[str]) -> Changes:
    """The changes between the first and the last evaluation of the run."""
    evaluations, damaged = read_evaluations(run_dir / EVALUATION_NAME)
    problems += damaged
    level = dig(config, "eval", "confidence")
    return changes_of(evaluations, level if isinstance(level, float) else None)


def dig(tree: Any, *keys: str) -> Any:
    """The value at a path of keys, or None."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
