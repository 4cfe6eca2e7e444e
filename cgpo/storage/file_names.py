"""The names of what stands in a run directory, for whoever writes it and whoever reads it."""

from __future__ import annotations

import re

CONFIG_NAME = "config.yaml"
"""The settings the run was started with (`cgpo.storage.run_config`)."""

HISTORY_NAME = "config-history.jsonl"
"""What was changed of them since."""

LOCK_NAME = "run.lock"

LOG_NAME = "run.log"
"""What libraries said (`cgpo.tracking.run_log`); of rank 0."""

ENVIRONMENT_NAME = "environment.json"
"""Versions and machine (`cgpo.storage.environment`)."""

METRICS_NAME = "metrics.jsonl"
"""A line of numbers for each step."""

EVALUATION_NAME = "evaluation.jsonl"
"""A line for each evaluation on held-out prompts."""

EVALUATIONS_NAME = "evaluations"
"""Folder of the responses to held-out prompts, a file for each evaluation."""

REFERENCE_NAME = "reference"
"""Folder of π_ref's responses to held-out prompts."""

BASELINES_NAME = "baselines.jsonl"
"""Baseline responses with their scores and, where an optimiser learns from them, verdicts."""

JOURNAL_NAME = "journal"
"""Folder of the verdicts of the steps that may be done again."""

VERDICTS_NAME = "verdicts.sqlite"
"""The verdict cache."""

WARNINGS_NAME = "warnings.jsonl"
"""A line for each warning of over-optimisation."""

PHRASES_NAME = "phrases.jsonl"
"""A line for each look at a stratum's phrases."""

ROLLOUTS_NAME = "rollouts"
"""Folder of the training's responses, a file for each step."""

CHECKPOINTS_NAME = "checkpoints"

STATE_NAME = "state.json"
"""Of a checkpoint: what goes on besides weights and optimiser state."""

BEST_NAME = "best.json"
"""Among the checkpoints: which one is the best by a metric."""

PAGE_NAME = "report.html"

REPORT_NAME = "report.json"
"""Of a supervised stage or of pairs: written last of all, so that it marks the end."""

MODEL_NAME = "model"
"""Folder of the model that a stage leaves."""

_STEP = re.compile(r"step-(\d{6,})")

_LOG = re.compile(r"run(\.rank\d+)?\.log")


def log_name(rank: int) -> str:
    """`run.log`, and `run.rank1.log` of another rank."""
    return LOG_NAME if rank == 0 else f"run.rank{rank}.log"


def is_log(name: str) -> bool:
    """Whether a file is a rank's log."""
    return _LOG.fullmatch(name) is not None


def step_name(step: int) -> str:
    """`step-000050`: of a checkpoint, or of a step's file without its suffix."""
    return f"step-{step:06d}"


def step_of(name: str) -> int | None:
    """The step of a name of `step_name`; None for any other name."""
    match = _STEP.fullmatch(name)
    return None if match is None else int(match[1])
