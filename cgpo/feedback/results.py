"""The results of `cgpo feedback evaluate` and `correlate` on disk: a JSON file for programs, a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError
from cgpo.report.page import Page, write_page
from cgpo.storage.disk import write_atomically


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A kind of result.

    Attributes:
        name: `evaluation` or `correlation`: of the files, of the sub-command's option, and in messages.
        command: the sub-command that writes it.
        schema: the version of its form.
        keys: what it must hold.
    """

    name: str
    command: str
    schema: int
    keys: Sequence[str]

    @property
    def json_name(self) -> str:
        return f"{self.name}.json"

    @property
    def page_name(self) -> str:
        return f"{self.name}.html"

    def write(self, folder: Path, result: Mapping[str, Any], page: Page) -> None:
        """Writes both files.

        Raises:
            RunError: the disk is full, or the folder cannot be written.
        """
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
        write_atomically(folder / self.json_name, text.encode(), f"the {self.name}")
        write_page(folder / self.page_name, page)

    def read(self, path: Path) -> dict[str, Any]:
        """A result as it was written.

        Args:
            path: the file, or the folder it lies in.

        Raises:
            ConfigError: it cannot be read, is none, or of another version.
        """
        where = f"--{self.name} {path}"
        try:
            result = json.loads((path / self.json_name if path.is_dir() else path).read_text(encoding="utf-8"))
            if result["schema"] != self.schema or any(key not in result for key in self.keys):
                raise ValueError(f"schema {result['schema']} with the keys {', '.join(result)}")
        except OSError as error:
            raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            what = f"{self.name} of `cgpo feedback {self.command} --output`"
            raise ConfigError(f"{where}: no {what}: {error}") from error
        return dict(result)


EVALUATION = ResultFile("evaluation", "evaluate", 1, ("report", "time"))
CORRELATION = ResultFile("correlation", "correlate", 1, ("pearson", "leave_one_out"))


def check_output(folder: Path | None) -> None:
    """Refuses an output folder that cannot be one, before hours of scoring.

    Raises:
        ConfigError: it is a file, or its parent does not exist.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder}: it exists and is no folder")
    if not folder.absolute().parent.is_dir():
        raise ConfigError(f"--output {folder}: there is no folder {folder.absolute().parent}")
