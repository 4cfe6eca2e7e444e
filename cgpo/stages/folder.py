"""What a supervised stage leaves in its run directory: `model/` whole or not at all, and `report.json` last of all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.storage.disk import write_atomically
from cgpo.storage.outcome import MODEL_NAME, REPORT_NAME, is_done

SCHEMA = 1


class StageFolder:
    """The run directory of a stage.

    Args:
        run_dir: the directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.model_dir = run_dir / MODEL_NAME
        self._report_file = run_dir / REPORT_NAME

    def report(self) -> dict[str, Any] | None:
        """What came out, if the stage is done.

        Raises:
            RunError: the report cannot be read.
        """
        if not is_done(self.run_dir):
            return None
        try:
            found: dict[str, Any] = json.loads(self._report_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self._report_file} cannot be read: {error}. Start anew with --fresh") from error
        return found

    def finish(self, report: dict[str, Any]) -> None:
        """Writes the report, on one rank. What a killed stage would have gone on from is then of no more use."""
        if distributed.rank() == 0:
            text = json.dumps({"schema": SCHEMA, **report}, indent=1, allow_nan=False)
            write_atomically(self._report_file, text.encode(), "the stage's report")
            shutil.rmtree(self.run_dir / "checkpoints", ignore_errors=True)
        distributed.barrier()

    def write_model(self, save: Callable[[Path], None] | None) -> None:
        """Makes `model/` by `save(folder)`; the ranks that do not write give None, and all wait.

        Raises:
            RunError: it could not be written.
        """
        if save is not None:
            temporary = self.run_dir / ".model.tmp"
            try:
                shutil.rmtree(temporary, ignore_errors=True)
                save(temporary)
                shutil.rmtree(self.model_dir, ignore_errors=True)
                temporary.rename(self.model_dir)
            except Exception as error:  # safetensors and transformers have errors of their own for a full disk
                shutil.rmtree(temporary, ignore_errors=True)
                raise RunError(f"the model could not be written to {self.model_dir}: {error}") from error
        distributed.barrier()
