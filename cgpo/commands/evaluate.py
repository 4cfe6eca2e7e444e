"""`cgpo evaluate`: a run's checkpoint, or any other model, on the run's held-out prompts against its reference.

A checkpoint evaluated under the run's own settings of evaluation and judging joins the run's `evaluation.jsonl`. Under
other ones, and for another model, the result is only shown and written to `--output`: it would not pair with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.compose import Composed, to_plain, validate
from cgpo.config import ModelSettings, RunSettings
from cgpo.config.evaluation_metrics import evaluation_metrics
from cgpo.errors import ConfigError
from cgpo.evaluation.heldout import Evaluator, has_heldout
from cgpo.evaluation.standalone import EvaluationSession, open_evaluation
from cgpo.interrupt import StopSignal
from cgpo.policy.checkpoints import Checkpoint, Checkpoints
from cgpo.policy.export import checkpoint_model
from cgpo.policy.model import load_causal_lm, load_tokenizer
from cgpo.report.run_files import changes_of
from cgpo.report.summary import print_comparison
from cgpo.storage.claim import claim
from cgpo.storage.disk import write_atomically
from cgpo.storage.run_directory import read_config
from cgpo.tracking.display import Display, make_display
from cgpo.tracking.rollouts import RolloutRow

SCHEMA = 1
"""Version of the form of `--output`."""

REFERENCE_STEP = -1
"""In place of a step in the line that holds the reference's own numbers."""


@dataclass(frozen=True)
class Target:
    """What is evaluated.

    Attributes:
        checkpoint: a step, `best`, or None: the newest, or the model the run starts from when there is none.
        model: hub name or folder of a model to evaluate instead.
        output: JSON file for the result.
    """

    checkpoint: str | None = None
    model: str | None = None
    output: Path | None = None


@dataclass(frozen=True)
class _Measured:
    """A finished evaluation: the model's name for people, its line, and the reference's."""

    what: str
    line: dict[str, Any]
    reference: dict[str, Any]


def run_evaluation(composed: Composed, target: Target) -> None:
    """Evaluates and prints the result.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    if target.output is not None and not target.output.absolute().parent.is_dir():
        raise ConfigError(f"--output {target.output}: there is no folder {target.output.absolute().parent}")
    distributed.init_distributed()
    try:
        own = claim_for_evaluation(composed)
        display = make_display(composed.settings.tracking.display, rank=distributed.rank())
        try:
            with StopSignal(display.message) as stop:
                check = stop.check if distributed.world_size() == 1 else lambda: None
                measured = evaluate_target(composed.settings, own, target, display, check)
        finally:
            display.stop()
        if distributed.rank() == 0:
            _finish(composed.settings, target, measured)
    finally:
        distributed.close_distributed()


def claim_for_evaluation(composed: Composed) -> RunSettings:
    """Claims the run directory; what does not alter a checkpoint's responses may differ from the run's settings.

    Returns:
        The settings of the run there; those given when there is none yet.

    Raises:
        ConfigError: the directory belongs to a run of another configuration, or to a stage.
    """
    config = composed.as_dict()
    folder = Path(config["run_dir"])
    stored = read_config(folder) if (folder / "config.yaml").is_file() else config
    if "command" in stored:
        raise ConfigError(
            f"{folder} is the directory of cgpo {stored['command']}, not of a training run. Give the run_dir of one; "
            f"--model {folder}/model evaluates what the stage made"
        )
    free = ("eval", "rollout", "train", "judging", "deepspeed")
    claim(config["run_dir"], {**config, **{key: stored[key] for key in free}}, fresh=False)
    return validate(stored)


def evaluate_target(
    settings: RunSettings, own: RunSettings, target: Target, display: Display, check_stop: Callable[[], None]
) -> _Measured:
    """Evaluates what the target names; every rank must call it.

    Args:
        settings: what to evaluate with.
        own: settings of the run that wrote the checkpoints.
        target: what to evaluate.
        display: shows progress.
        check_stop: may raise to break off.

    Raises:
        ConfigError: nothing is held out, or there is no such model or checkpoint.
        RunError: the checkpoint cannot be read.
    """
    if target.model is not None:
        return _evaluate_model(settings, target.model, display, check_stop)
    checkpoint = _checkpoint(settings, target.checkpoint, display)
    with open_evaluation(settings, display) as session:
        evaluator = _prepared(session, display, check_stop)
        step = 0
        if checkpoint is not None:
            step = checkpoint.step
            session.push(checkpoint_model(checkpoint, own))
        elif settings.model.reference is not None:  # the engine may hold the reference by now
            session.push(load_causal_lm(settings.model.name, settings.model))
        rows = evaluator.rows(step, _progress(display, "evaluation"), check_stop)
        if (settings.eval, settings.judging) == (own.eval, own.judging):
            evaluator.record(step, rows)
        what = f"checkpoint of step {step}" if checkpoint else settings.model.name
        return _measured(what, step, rows, evaluator, settings)


def _evaluate_model(settings: RunSettings, name: str, display: Display, check_stop: Callable[[], None]) -> _Measured:
    """Another model against the run's reference, which speaks first, on an engine of its own."""
    model = settings.model
    same = _same_tokens(settings, name)
    reference = model if model.reference is None else _model(model.reference, model.reference_revision, model)
    with open_evaluation(settings.model_copy(update={"model": reference}), display) as session:
        _prepared(session, display, check_stop)
    other = _model(name, None, model, reference=reference.name, reference_revision=reference.revision)
    with open_evaluation(settings.model_copy(update={"model": other}), display, own_kl=same) as session:
        evaluator = Evaluator(session)
        if left_out := evaluator.prepare_from_disk():
            display.message(f"{left_out} responses left out: their prompts are too long for the reference")
        rows = evaluator.rows(0, _progress(display, "evaluation"), check_stop)
        return _measured(name, 0, rows, evaluator, settings)


def _measured(what: str, step: int, rows: list[RolloutRow], evaluator: Evaluator, settings: RunSettings) -> _Measured:
    reference = evaluator.reference_rows()
    name = settings.model.reference or settings.model.name
    own = evaluator.line(REFERENCE_STEP, reference, None)
    return _Measured(what, evaluator.line(step, rows, reference), {"model": name, **own})


def _prepared(session: EvaluationSession, display: Display, check_stop: Callable[[], None]) -> Evaluator:
    """An evaluator that knows what the reference says.

    Raises:
        ConfigError: nothing is held out.
    """
    if not has_heldout(session.strata):
        raise ConfigError("nothing to evaluate: no stratum has `heldout` prompts")
    session.make_baselines(_progress(display, "baseline responses"), check_stop)
    evaluator = Evaluator(session)
    evaluator.prepare(_progress(display, "reference responses"), check_stop)
    return evaluator


def _checkpoint(settings: RunSettings, wanted: str | None, display: Display) -> Checkpoint | None:
    """The checkpoint of that name; None when none is named and there is none.

    Raises:
        ConfigError: there is none of that name.
        RunError: it is damaged.
    """
    checkpoints = Checkpoints(Path(settings.run_dir) / "checkpoints", settings.train.keep_checkpoints)
    if wanted is None and not checkpoints.all():
        name = settings.model.name
        display.message(f"no checkpoint in {settings.run_dir}: evaluating {name}, the model the run starts from")
        return None
    found = checkpoints.find(wanted)
    found.verify()
    return found


def _model(name: str, revision: str | None, like: ModelSettings, **fields: Any) -> ModelSettings:
    """A model to be generated with, whole and in the given one's types."""
    plain = {"reference": None, "reference_revision": None, "reference_mode": "copy", "lora": None}
    return like.model_copy(update={**plain, "name": name, "revision": revision, **fields})


def _same_tokens(settings: RunSettings, name: str) -> bool:
    """Whether both models read text in the same tokens; only then can log-probs of a response be compared."""
    ours, theirs = (load_tokenizer(each, settings.model) for each in (settings.model.name, name))
    return bool(ours.get_vocab() == theirs.get_vocab())


def _progress(display: Display, phase: str) -> Callable[[int, int], None]:
    return lambda done, total: display.phase(phase, done, total)


def _finish(settings: RunSettings, target: Target, measured: _Measured) -> None:
    """Prints the table, writes `--output` and renews the report."""
    from rich.console import Console

    from cgpo.report.report import write_report

    lines = [measured.reference, measured.line]
    if measured.what == measured.reference["model"]:
        lines = [measured.line]  # the reference itself: nothing to compare with
    title = f"{measured.what} on held-out prompts"
    if len(lines) > 1:
        title += f", after the reference {measured.reference['model']}"
    print_comparison(Console(), changes_of(lines, settings.eval.confidence), title)
    if target.output is not None:
        write_atomically(target.output, result_json(settings, measured).encode(), "the result")
    write_report(Path(settings.run_dir))


def result_json(settings: RunSettings, measured: _Measured) -> str:
    """What `--output` holds: `{"schema", "model", "step", "eval", "strata", "sides", "changes", "reference",
    "metrics"}`; changes are against the reference, and metrics are the flat names of `evaluation_metrics`."""
    line = measured.line
    result = {
        "schema": SCHEMA,
        "model": measured.what,
        "step": line["step"],
        "eval": to_plain(settings)["eval"],
        "strata": line["strata"],
        "sides": line["sides"],
        "changes": line["changes"],
        "reference": {key: measured.reference[key] for key in ("model", "strata", "sides")},
        "metrics": evaluation_metrics(line),
    }
    return json.dumps(result, indent=1, allow_nan=False) + "\n"
