"""Where metrics go besides `metrics.jsonl`: TensorBoard, Weights & Biases, trackio.

`metrics.jsonl` is the record; these are views of it. Their packages are imported when a run asks for them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cgpo.config import TrackingSettings
from cgpo.errors import ConfigError
from cgpo.storage.disk import write_atomically, writing
from cgpo.tracking.metrics import Metrics


class Logger(Protocol):
    """A view of the metrics. Numbers that are None are left out."""

    def log(self, step: int, metrics: Metrics) -> None:
        """Records one step."""

    def close(self) -> None:
        """Flushes and ends; may be called twice."""


def make_loggers(
    settings: TrackingSettings, run_dir: Path, first_step: int, config: Mapping[str, Any] | None = None
) -> list[Logger]:
    """The views that the settings ask for. Call it on rank 0 only.

    Args:
        settings: `tracking.*`.
        run_dir: the run's directory; its name is the run's name.
        first_step: the first step that will be logged. TensorBoard hides what it holds of it and of later ones; wandb
            and trackio cannot take points back and show repeated steps twice.
        config: the resolved configuration, secrets redacted, to be shown beside the curves.

    Raises:
        ConfigError: a package that the settings ask for is not installed.
    """
    loggers: list[Logger] = []
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(run_dir / "tensorboard", first_step))
    if settings.wandb:
        loggers.append(WandbLogger(settings.project, run_dir, config or {}))
    if settings.trackio:
        loggers.append(TrackioLogger(settings.project, run_dir, config or {}))
    return loggers


class TensorBoardLogger:
    """Event files in `<run_dir>/tensorboard`."""

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise _missing("tensorboard", "train", error) from error
        self._folder = folder
        with writing("TensorBoard's events", folder):
            # Steps that a killed run logged after its last checkpoint are hidden, not shown twice.
            self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def log(self, step: int, metrics: Metrics) -> None:
        with writing("TensorBoard's events", self._folder):
            for name, value in _known(metrics).items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbLogger:
    """A run on Weights & Biases; a resumed run goes on in the same one. `WANDB_MODE=offline` works as usual."""

    def __init__(self, project: str, run_dir: Path, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing("wandb", "tracking", error) from error
        self._run = wandb.init(
            project=project,
            name=run_dir.name,
            id=_remembered_id(run_dir, "wandb"),
            resume="allow",
            dir=str(run_dir),
            config=dict(config),
        )
        # With a step of its own the x axis also takes steps that a resumed run repeats.
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Metrics) -> None:
        self._run.log({"step": step, **_known(metrics)})

    def close(self) -> None:
        self._run.finish()


class TrackioLogger:
    """A run in trackio's local database, which holds all runs of this machine unless `TRACKIO_DIR` is set."""

    def __init__(self, project: str, run_dir: Path, config: Mapping[str, Any]) -> None:
        try:
            import trackio
        except ImportError as error:
            raise _missing("trackio", "tracking", error) from error
        self._trackio = trackio
        self._open = True
        # trackio finds a run to resume by its name, and run directories elsewhere may have the same one.
        name = f"{run_dir.name}-{_remembered_id(run_dir, 'trackio')[:6]}"
        trackio.init(project=project, name=name, resume="allow", config=dict(config), embed=False)

    def log(self, step: int, metrics: Metrics) -> None:
        self._trackio.log(_known(metrics), step=step)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._trackio.finish()


def _known(metrics: Metrics) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def _remembered_id(run_dir: Path, tracker: str) -> str:
    """The tracker's name for this run, made once and kept in the run directory so that a resume finds it."""
    path = run_dir / f"{tracker}_run.json"
    if path.exists():
        return str(json.loads(path.read_text())["id"])
    run_id = secrets.token_hex(8)
    write_atomically(path, json.dumps({"schema": 1, "id": run_id}).encode(), f"the id of the {tracker} run")
    return run_id


def _missing(package: str, extra: str, error: ImportError) -> ConfigError:
    return ConfigError(
        f"tracking.{package}=true needs the package {package}, which cannot be imported ({error}). "
        f"Type: pip install 'cgpo[{extra}]'   or set tracking.{package}=false"
    )
