"""The files by which a stage's run directory shows that the stage is done. No torch here: plans ask."""

from __future__ import annotations

from pathlib import Path

REPORT_NAME = "report.json"
"""Written last of all."""

MODEL_NAME = "model"


def is_done(run_dir: Path) -> bool:
    """Whether a stage has ended there."""
    return (run_dir / REPORT_NAME).is_file() and (run_dir / MODEL_NAME / "config.json").is_file()
