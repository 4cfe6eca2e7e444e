"""A folder that appears whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from cgpo.errors import ConfigError, RunError
from cgpo.storage.disk import writing


class WholeFolder:
    """Files are written into `.<name>.partial` beside the folder, which is renamed at the end.

    A command that is killed leaves only that; the next one with the same folder begins it anew.

    Args:
        folder: must not exist, or be empty, unless it may be replaced.
        what: what is written, for messages.
        replace: replace a folder that exists, if it holds the file `marker`: it is moved aside until the new one is
            there.
        marker: a file that such a folder always has; nothing else is ever replaced.

    Raises:
        ConfigError: it holds something, or is none of those that may be replaced.
        RunError: it cannot be written, or another process writes it.
    """

    def __init__(self, folder: Path, what: str, *, replace: bool = False, marker: str = "") -> None:
        self.folder, self._what = folder, what
        whole = folder.absolute()
        self.path = whole.with_name(f".{whole.name}.partial")
        self._old = whole.with_name(f".{whole.name}.replaced")
        self._stack = ExitStack()
        with writing(what, folder):
            self._lock()
        try:
            with writing(what, folder):
                self._put_back()
            self._check(replace, marker)
            with writing(what, folder):
                shutil.rmtree(self.path, ignore_errors=True)
                self.path.mkdir()
        except BaseException:
            self._stack.close()
            raise

    def finish(self) -> None:
        """Makes the folder appear."""
        with writing(self._what, self.folder):
            if self.folder.exists():
                self.folder.rename(self._old)
            self.path.rename(self.folder)
            shutil.rmtree(self._old, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._stack.close()

    def _lock(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._stack.enter_context((self.path.parent / f"{self.path.name}.lock").open("wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stack.close()
            raise RunError(f"--output {self.folder}: another process is writing it") from error
        self._stack.callback(Path(lock.name).unlink, missing_ok=True)

    def _put_back(self) -> None:
        """What was moved aside by a command that was killed: it stays unless the new folder is there."""
        if self._old.exists() and not self.folder.exists():
            self._old.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _check(self, replace: bool, marker: str) -> None:
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        if not replace:
            hint = ", or replace it with --overwrite" if marker else ", or remove it"
            raise ConfigError(f"--output {self.folder} exists already; choose another folder{hint}")
        if not (self.folder / marker).is_file():
            raise ConfigError(
                f"--output {self.folder} has no {marker}, so it is none of those --overwrite replaces; choose another"
            )
