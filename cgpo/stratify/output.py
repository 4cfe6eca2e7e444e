"""One JSON Lines file for each stratum, in a folder that appears whole or not at all."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from cgpo.errors import DataError
from cgpo.storage.disk import writing
from cgpo.storage.whole_folder import WholeFolder

SUMMARY = "summary.json"
WHAT = "the assigned rows"


class OutputFolder:
    """The folder; see `WholeFolder`.

    Args:
        folder: must not exist, or be empty.

    Raises:
        ConfigError: it holds something.
        RunError: it cannot be written, or another process writes it.
    """

    def __init__(self, folder: Path) -> None:
        self._whole = WholeFolder(folder, WHAT)
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def write(self, name: str, row: Mapping[str, Any], where: str) -> None:
        """Appends a row to `<name>.jsonl`.

        Args:
            name: the file's name without its suffix.
            row: the row.
            where: its place in the input, for messages.

        Raises:
            DataError: it holds what JSON cannot.
            RunError: the disk is full.
        """
        line = _json(row, where)
        with writing(WHAT, self._whole.folder):
            if name not in self._files:
                self._files[name] = self._stack.enter_context((self._whole.path / f"{name}.jsonl").open("wb"))
            self._files[name].write(line)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Makes the folder appear."""
        with writing(WHAT, self._whole.folder):
            (self._whole.path / SUMMARY).write_bytes(_json(summary, SUMMARY, indent=2))
            self._stack.close()
        self._whole.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        self._whole.__exit__(*exception)


def _json(tree: Mapping[str, Any], where: str, indent: int | None = None) -> bytes:
    def plain(value: Any) -> Any:
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, decimal.Decimal):
            return str(value)
        raise DataError(f"{where}: holds a {type(value).__name__}, which JSON has no form for; leave that column out")

    try:
        return json.dumps(tree, ensure_ascii=False, default=plain, indent=indent).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate: JSON's own escape keeps it
        return json.dumps(tree, default=plain, indent=indent).encode() + b"\n"
