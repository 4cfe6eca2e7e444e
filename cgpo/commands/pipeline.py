"""`cgpo pipeline`: SFT → reward model → DPO → CGPO, each a process of its own that starts from the models before it.

A stage that is done is skipped; one that was killed goes on. A stage that began before an earlier one ended was made
from another model than is there now, and is refused. No torch here: the stages' processes load it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from cgpo.commands.shared_options import RunOptions
from cgpo.errors import ConfigError
from cgpo.storage.file_names import (
    CHECKPOINTS_NAME,
    CONFIG_NAME,
    EVALUATION_NAME,
    REPORT_NAME,
    STATE_NAME,
    step_name,
)
from cgpo.storage.run_directory import move_aside, stage_is_done, would_go_on
from judges.command_options import Form, add_options, read_options
from judges.printing import say

if TYPE_CHECKING:
    from cgpo.compose import Composed

Stage = Literal["sft", "reward", "dpo", "train"]

STAGES: tuple[str, ...] = get_args(Stage)
"""In the order in which they run."""

Start = Callable[[Sequence[str], Mapping[str, str]], int]
"""(arguments of `cgpo`, environment) → exit status."""


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Which stages run."""

    first: Annotated[Stage | None, Form(metavar="STAGE", name="--from", either="part")] = None
    """leave out what comes before STAGE"""
    only: Annotated[Stage | None, Form(metavar="STAGE", either="part")] = None
    """one stage alone: sft, reward, dpo, train"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo pipeline`."""
    parser.description = (
        "Runs the four stages of an experiment, each starting from the model of the one before. The same command "
        "started again skips stages that are done and goes on in the one that is not."
    )
    parser.epilog = "example: cgpo pipeline experiment=pipeline --dry-run"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Runs the stages, or prints their plans."""
    options = read_options(args, Options)
    flags = ["--verbose"] if options.verbose else []
    pipeline = Pipeline(
        options.overrides, options.config_dir, first=options.first, only=options.only, fresh=options.fresh, flags=flags
    )
    if options.dry_run:
        pipeline.print_plan()
        return 0
    return pipeline.run()


@dataclass(frozen=True)
class Planned:
    """A stage with its configuration.

    Attributes:
        name: one of `STAGES`.
        composed: the whole configuration, with the stage's run directory.
        configuration: the part of it that its run directory belongs to.
    """

    name: str
    composed: Composed
    configuration: dict[str, Any]

    @property
    def run_dir(self) -> Path:
        """Its run directory."""
        return Path(self.composed.settings.run_dir)

    @property
    def begun(self) -> bool:
        """Whether it has left anything there. Raises ConfigError where that belongs to other settings."""
        return would_go_on(self.run_dir, self.configuration)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        if not self.begun:
            return False
        if self.name == "train":
            return _trained(self.run_dir, self.composed)
        return stage_is_done(self.run_dir)


class Pipeline:
    """The stages of an experiment.

    Args:
        overrides: settings for every stage.
        config_dir: a folder of the user's own YAML files.
        first: leave out the stages before this one.
        only: this stage alone.
        fresh: start the chosen stages anew; what is there is moved aside.
        flags: further options of every stage.

    Raises:
        ConfigError: the settings are wrong, or a run directory belongs to others.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        config_dir: str | None = None,
        *,
        first: str | None = None,
        only: str | None = None,
        fresh: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        self._flags = list(flags)
        self._overrides = list(overrides)
        self._config_dir = config_dir
        self._fresh = fresh
        self._all = [_planned(name, overrides, config_dir) for name in STAGES]
        if len({stage.run_dir for stage in self._all}) < len(STAGES):
            raise ConfigError(
                "run_dir names the directory of one stage; set run_base, with which the directories of all begin: "
                "run_base=runs/mine gives runs/mine-sft, runs/mine-reward, runs/mine-dpo and runs/mine"
            )
        begin = STAGES.index(first or only or STAGES[0])
        self._chosen = self._all[begin : begin + 1] if only else self._all[begin:]

    def run(self, start: Start | None = None) -> int:
        """Runs what is not done yet; returns the exit status of the first stage that failed, or 0.

        Args:
            start: runs a stage; by default in a process of its own.

        Raises:
            ConfigError: a stage was made from an older model than is there now.
            RunError: a directory cannot be moved aside, or another process runs in it.
        """
        if not self._fresh:
            for stage in self._chosen:
                self._check_fresh(stage)
        elif os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0":
            # All at once: should the first be killed, what follows must not be taken for made from its model.
            for stage in self._chosen[1:]:
                move_aside(stage.run_dir)
        for stage in self._chosen:
            number = f"[{STAGES.index(stage.name) + 1}/{len(STAGES)}]"
            if not self._fresh and stage.done:
                _say(f"{number} cgpo {stage.name}: {stage.run_dir} is done already")
                continue
            _say(f"{number} cgpo {stage.name}: {stage.run_dir}")
            status = (start or start_process)(self._words(stage), _environment(stage.name))
            if status:
                again = "the same command without --fresh" if self._fresh else "the same command"
                _say(f"cgpo pipeline: {stage.name} ended with status {status}; {again} goes on from there")
                return status
        return 0

    def print_plan(self) -> None:
        """Prints what the stages would do."""
        from cgpo.stages.stage_plan import print_stage_plan
        from cgpo.training.run_plan import print_run_plan

        for stage in self._chosen:
            if stage.name == "train":
                print_run_plan(stage.composed, fresh=self._fresh)
            else:
                print_stage_plan(stage.name, stage.composed, fresh=self._fresh)

    def _words(self, stage: Planned) -> list[str]:
        fresh = ["--fresh"] if self._fresh else []
        folder = ["--config-dir", self._config_dir] if self._config_dir is not None else []
        return [stage.name, *self._overrides, *folder, *fresh, *self._flags]

    def _check_fresh(self, stage: Planned) -> None:
        """Refuses a stage that began before an earlier one ended, or is now to be done."""
        if not stage.begun:
            return
        for earlier in self._chosen[: self._chosen.index(stage)]:
            if not earlier.done:
                raise ConfigError(
                    f"{stage.run_dir} was begun before {earlier.run_dir} ended, which is not done: it would stay made "
                    f"from an older model. Start it and what follows anew: cgpo pipeline … --only {earlier.name}, then "
                    f"--from {stage.name} --fresh"
                )
        began = (stage.run_dir / CONFIG_NAME).stat().st_mtime
        for earlier in self._all[: STAGES.index(stage.name)]:
            ended = earlier.run_dir / REPORT_NAME
            if ended.is_file() and ended.stat().st_mtime > began:
                raise ConfigError(
                    f"{stage.run_dir} was begun before {earlier.run_dir} ended: it was made from another model than is "
                    f"there now. Start it and what follows anew: cgpo pipeline … --from {stage.name} --fresh"
                )


def _planned(name: str, overrides: Sequence[str], config_dir: str | None) -> Planned:
    from cgpo.compose import compose
    from cgpo.stages.configuration import compose_stage, stage_configuration

    if name == "train":
        composed = compose(overrides, config_dir=config_dir)
        return Planned(name, composed, composed.as_dict())
    composed = compose_stage(name, overrides, config_dir)
    return Planned(name, composed, stage_configuration(name, composed.settings))


def _trained(run_dir: Path, composed: Composed) -> bool:
    """Whether a training run has its last checkpoint and its last evaluation."""
    settings = composed.settings
    steps = settings.train.steps
    if not (run_dir / CHECKPOINTS_NAME / step_name(steps) / STATE_NAME).is_file():
        return False
    if not settings.eval.after:
        return True
    file = run_dir / EVALUATION_NAME
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return any(line.endswith("}") and json.loads(line).get("step") == steps for line in lines)


def _environment(stage: str) -> dict[str, str]:
    """This process's environment. Under torchrun the stages share one store, and each needs names of its own in it."""
    environment = dict(os.environ)
    if "TORCHELASTIC_RESTART_COUNT" in environment:
        environment["TORCHELASTIC_RESTART_COUNT"] = str(
            int(environment["TORCHELASTIC_RESTART_COUNT"]) * len(STAGES) + STAGES.index(stage)
        )
    return environment


def start_process(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a `cgpo` command and waits for it; a signal to stop goes on to it, and its checkpoint is waited for.

    Should this process be killed outright, the stage is told to stop (Linux).
    """
    command = [sys.executable, "-m", "cgpo", *words]
    process = subprocess.Popen(command, env=dict(environment), preexec_fn=_stop_with_parent)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # Ctrl-C in a terminal reaches the stage by itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _stop_with_parent() -> None:
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _say(text: str) -> None:
    if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0":
        say(text, file=sys.stderr)
