"""One JSON Lines file for each stratum, in a folder that appears whole or not at all."""

from __future__ import annotations

import datetime
import decimal
import fcntl
import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from cgpo.errors import ConfigError, DataError, RunError
from cgpo.tracking.disk import writing

SUMMARY = "summary.json"


class OutputFolder:
    """Writes into `.<name>.partial` beside the folder and renames it at the end; a killed command leaves only that.

    Args:
        folder: the folder; must not exist, or be empty.

    Raises:
        ConfigError: it holds something.
        RunError: it cannot be written, or another process writes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--output {folder} exists already; choose another folder, or remove it")
        self._partial = folder.absolute().with_name(f".{folder.absolute().name}.partial")
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        with writing("the assigned rows", folder):
            self._start()

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
        with writing("the assigned rows", self.folder):
            if name not in self._files:
                self._files[name] = self._stack.enter_context((self._partial / f"{name}.jsonl").open("wb"))
            self._files[name].write(line)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Makes the folder appear."""
        with writing("the assigned rows", self.folder):
            (self._partial / SUMMARY).write_bytes(_json(summary, SUMMARY, indent=2))
            self._stack.close()
            self._partial.rename(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _start(self) -> None:
        self._partial.mkdir(parents=True, exist_ok=True)
        lock = self._stack.enter_context((self._partial.parent / f"{self._partial.name}.lock").open("wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stack.close()
            raise RunError(f"--output {self.folder}: another process is writing it") from error
        self._stack.callback(Path(lock.name).unlink, missing_ok=True)
        for rest in self._partial.iterdir():  # of a command that was killed
            rest.unlink()


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
