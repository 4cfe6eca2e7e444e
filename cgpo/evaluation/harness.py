"""`cgpo evaluate --lm-eval TASKS --model FOLDER`: an exported model on tasks of lm-evaluation-harness.

The harness is an extra (`cgpo[lm_eval]`) and imported here only. Tasks are names it knows, whose data it downloads, or
YAML files of the user's own (https://github.com/EleutherAI/lm-evaluation-harness, docs/new_task_guide.md), whose data
may be local files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgpo import __version__
from cgpo.errors import ConfigError, DataError
from cgpo.models.assets import resolve_model
from cgpo.storage.disk import write_atomically

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
"""Version of the form of `--output`."""

NOT_INSTALLED = (
    "--lm-eval needs lm-evaluation-harness, which is not installed ({error}). Type: pip install 'cgpo[lm_eval]'"
)


@dataclass(frozen=True, slots=True)
class Score:
    """One number of the harness.

    Attributes:
        task: the task.
        metric: the metric, with its filter where it has one: `exact_match (strict-match)`.
        value: its value, or None when it is not finite.
        error: its standard error, or None where there is none.
        n: examples, or None where the harness does not say.
    """

    task: str
    metric: str
    value: float | None
    error: float | None
    n: int | None


def run_harness(model: str, tasks: str, output: Path | None, *, chat: bool = False, limit: int | None = None) -> None:
    """Evaluates, prints a table and writes `output`: `{"schema", "model", "versions", "scores": [...]}`.

    Args:
        model: folder or hub name of a causal language model.
        tasks: names or YAML files, separated by commas.
        output: JSON file for the numbers.
        chat: put the model's chat template around the examples.
        limit: only so many examples of each task.

    Raises:
        ConfigError: the harness is not installed, the model cannot be loaded, or a task is not known.
        DataError: a task's data cannot be had.
    """
    from judges.terminal import open_console

    if limit is not None and limit < 1:
        raise ConfigError(f"--lm-eval-limit {limit}: must be at least 1")
    if output is not None and not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.absolute().parent}")
    scores = evaluate_tasks(model, tasks, chat=chat, limit=limit)
    open_console().print(_table(model, scores))
    if output is not None:
        write_atomically(output, _as_json(model, scores).encode(), "the result")


def evaluate_tasks(model: str, tasks: str, *, chat: bool = False, limit: int | None = None) -> list[Score]:
    """The harness's numbers; arguments and errors as `run_harness`."""
    try:
        from lm_eval import simple_evaluate
        from lm_eval.config.evaluate_config import EvaluatorConfig
    except ImportError as error:
        raise ConfigError(NOT_INSTALLED.format(error=error)) from error
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if absent := [name for name in names if name.endswith((".yaml", ".yml")) and not Path(name).is_file()]:
        raise ConfigError(f"--lm-eval {absent[0]}: no such file")
    if not names:
        raise ConfigError("--lm-eval: no task named")
    path = resolve_model(model)
    config = EvaluatorConfig(model="hf", tasks=names)
    try:
        manager = config.process_tasks()
    except ValueError as error:
        raise ConfigError(f"--lm-eval {tasks}: {error}. `lm-eval ls tasks` lists the tasks there are") from error
    language_model = _load(model, path)
    try:
        results = simple_evaluate(
            language_model, tasks=config.tasks, task_manager=manager, limit=limit, apply_chat_template=chat
        )
    except (OSError, ValueError) as error:  # no network, no such file, columns that are not there
        raise DataError(f"--lm-eval {tasks}: {str(error).strip() or type(error).__name__}") from error
    assert results is not None, "the harness answers on the first rank"
    return read_scores(results)


def read_scores(results: Mapping[str, Any]) -> list[Score]:
    """The numbers in what `simple_evaluate` returns: `{"results": {task: {"acc,none": …, "acc_stderr,none": …}}}`."""
    scores = []
    for task, numbers in results["results"].items():
        counts = results.get("n-samples", {}).get(task, {})
        for key, value in numbers.items():
            name, _, filtered = key.partition(",")
            if not filtered or name.endswith("_stderr") or isinstance(value, str):
                continue
            error = _finite(numbers.get(f"{name}_stderr,{filtered}"))
            metric = name if filtered == "none" else f"{name} ({filtered})"
            scores.append(Score(task, metric, _finite(value), error, counts.get("effective")))
    return scores


def _load(model: str, path: str) -> Any:
    import torch
    from lm_eval.models.huggingface import HFLM

    device = "cuda" if torch.cuda.is_available() else "cpu"  # its own default is cuda, there or not
    try:
        return HFLM(pretrained=path, dtype="auto", device=device)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"--model {model}: cannot be loaded as a causal language model: {first}") from error


def _table(model: str, scores: list[Score]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"lm-evaluation-harness, {model}"), title_justify="left", box=None, header_style="dim")
    for header in ("task", "metric", "value", "standard error", "examples"):
        table.add_column(header, overflow="fold")
    for score in scores:
        shown = ["–" if number is None else f"{number:.4g}" for number in (score.value, score.error)]
        table.add_row(*(Text(text) for text in (score.task, score.metric, *shown, str(score.n or "–"))))
    return table


def _as_json(model: str, scores: list[Score]) -> str:
    from importlib.metadata import version

    result = {
        "schema": SCHEMA,
        "model": model,
        "versions": {"cgpo": __version__, "lm_eval": version("lm_eval")},
        "scores": [
            {"task": s.task, "metric": s.metric, "value": s.value, "standard_error": s.error, "n": s.n} for s in scores
        ],
    }
    return json.dumps(result, indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
