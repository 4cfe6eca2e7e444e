"""`cgpo evaluate`: a run's checkpoint, or any other model, on the run's held-out prompts against its reference.

Or, with `--lm-eval`, an exported model on the tasks of lm-evaluation-harness.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cgpo.commands.shared_options import SettingsOptions
from cgpo.errors import ConfigError
from judges.command_options import Form, add_options, read_options
from judges.number_types import count

if TYPE_CHECKING:
    from cgpo.compose import Composed
    from cgpo.config import RunSettings
    from cgpo.evaluation.target import Measured, Target
    from cgpo.tracking.run_start import Shown


@dataclass(frozen=True, kw_only=True)
class Options(SettingsOptions):
    """What is evaluated."""

    checkpoint: Annotated[str | None, Form(str, "STEP", default="the newest")] = None
    """that of this step, or `best`"""
    model: Annotated[str | None, Form(str, "NAME")] = None
    """a hub name or folder to evaluate instead of a checkpoint"""
    output: Annotated[Path | None, Form(Path, "FILE")] = None
    """write the numbers to a JSON file"""
    lm_eval: Annotated[str | None, Form(str, "TASKS")] = None
    """tasks of lm-evaluation-harness, or YAML files of tasks"""
    lm_eval_limit: Annotated[int | None, Form(count, "N")] = None
    """only so many examples of each task"""
    lm_eval_chat: bool = False
    """put the model's chat template around examples"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo evaluate`."""
    parser.description = (
        "Evaluates a checkpoint (the newest) of the run these settings describe, or another model, on the run's "
        "held-out prompts, against the run's reference; or an exported model on tasks of lm-evaluation-harness."
    )
    parser.epilog = "example: cgpo evaluate experiment=quickstart --output result.json"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints the result."""
    options = read_options(args, Options)
    if options.lm_eval is not None:
        from cgpo.evaluation.harness import run_harness

        model, chat, limit = _harness_model(options), options.lm_eval_chat, options.lm_eval_limit
        run_harness(model, options.lm_eval, options.output, chat=chat, limit=limit)
        return 0
    if options.model is not None and options.checkpoint is not None:
        raise ConfigError("--model and --checkpoint exclude each other: one names another model, one a checkpoint")
    from cgpo.compose import compose

    composed = compose(options.overrides, config_dir=options.config_dir)
    options.divert_unless_verbose("evaluate")
    from cgpo.evaluation.target import Target

    run_evaluation(composed, Target(options.checkpoint, options.model), options.output)
    return 0


def _harness_model(options: Options) -> str:
    """The model for `--lm-eval`. Raises ConfigError where there is none, or options that the harness does not use."""
    if options.model is None:
        raise ConfigError("--lm-eval needs --model FOLDER, an exported checkpoint: cgpo export RUN --output FOLDER")
    if options.overrides or options.checkpoint is not None:
        raise ConfigError(
            "--lm-eval evaluates --model on the harness's own tasks: it takes no settings, no --checkpoint"
        )
    return options.model


def run_evaluation(composed: Composed, target: Target, output: Path | None = None) -> None:
    """Evaluates and prints the result; every rank calls it.

    Args:
        composed: the configuration.
        target: what to evaluate.
        output: JSON file for the result.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    from cgpo import distributed
    from cgpo.evaluation.target import evaluate_target
    from cgpo.interrupt import StopSignal
    from cgpo.tracking.display import make_display

    if output is not None and not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.absolute().parent}")
    distributed.read_ranks()
    display = make_display(composed.settings.tracking.display, rank=distributed.rank())
    try:
        try:
            stored = claim_for_evaluation(composed, display)
            with StopSignal(display.message) as stop:
                check = stop.check if distributed.world_size() == 1 else lambda: None
                measured = evaluate_target(composed.settings, stored, target, display, check)
        finally:
            display.stop()
        if distributed.rank() == 0:
            _finish(composed.settings, measured, output)
    finally:
        distributed.close_distributed()


def claim_for_evaluation(composed: Composed, shown: Shown) -> RunSettings:
    """Starts in the run directory; what does not alter a checkpoint's responses may differ from the run's settings.

    Returns:
        The settings of the run there; those given when there is none yet.

    Raises:
        ConfigError: the directory belongs to a run of another configuration, or to a stage.
    """
    from cgpo.compose import validate
    from cgpo.storage.file_names import CONFIG_NAME
    from cgpo.storage.run_config import read_config
    from cgpo.tracking.run_start import start_run

    config = composed.as_dict()
    folder = Path(config["run_dir"])
    stored = read_config(folder) if (folder / CONFIG_NAME).is_file() else config
    if "command" in stored:
        raise ConfigError(
            f"{folder} is the directory of cgpo {stored['command']}, not of a training run. Give the run_dir of one; "
            f"--model {folder}/model evaluates what the stage made"
        )
    free = ("eval", "rollout", "train", "judging", "deepspeed")
    start_run(config["run_dir"], {**config, **{key: stored[key] for key in free}}, shown)
    return validate(stored)


def _finish(settings: RunSettings, measured: Measured, output: Path | None) -> None:
    """Prints the table, writes `--output` and renews the report."""
    from cgpo.evaluation.target import result_json
    from cgpo.report.changes import changes_of
    from cgpo.report.run_page import write_report
    from cgpo.report.terminal import print_comparison
    from cgpo.storage.disk import write_atomically
    from cgpo.tracking.run_log import user_stdout
    from judges.terminal import open_console

    evaluations = [measured.reference, measured.evaluation]
    if measured.model == measured.reference_model:
        evaluations = [measured.evaluation]  # the reference itself: nothing to compare with
    title = f"{measured.model} on held-out prompts"
    if len(evaluations) > 1:
        title += f", after the reference {measured.reference_model}"
    print_comparison(open_console(user_stdout()), changes_of(evaluations, settings.eval.confidence), title)
    if output is not None:
        write_atomically(output, result_json(settings, measured).encode(), "the result")
    write_report(Path(settings.run_dir))
