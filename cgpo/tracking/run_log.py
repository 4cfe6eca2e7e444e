"""The log of a run directory: what libraries write, while the terminal is left to the command's own words.

<run_dir>/run.log          of rank 0: a header line for each start, then everything that libraries wrote
<run_dir>/run.rank1.log    of another rank

A command that diverts its output gives file descriptors 1 and 2 to the log, for C++ and for the processes it starts,
and keeps duplicates of what they were for itself. Before the run directory is known, what libraries write waits in a
temporary file. Nothing is diverted with `--verbose`, nor where somebody has taken the place of this process's streams
(pytest, a notebook), nor for a function that is called as a library: then everything is shown as it comes.
"""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TextIO

from cgpo import __version__
from cgpo.storage.file_names import log_name
from judges.printing import say

NOTICES = ("cgpo", "judges")
"""Loggers whose messages are meant for the person, from the level INFO on."""


class _Diversion:
    """The streams of a command that has given file descriptors 1 and 2 away.

    Attributes:
        stdout: where standard output was.
        stderr: where standard error was.
        path: the log, once there is a run directory.
    """

    def __init__(self, command: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.stdout, self.stderr = _duplicate(sys.stdout), _duplicate(sys.stderr)
        self.path: Path | None = None
        self._command = command
        self._early: IO[bytes] | None = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115 - until there is a log
        self._give_away(self._early.fileno())
        sys.stdout, sys.stderr = _forgiving(1), _forgiving(2)
        # The fatal signals: where it was goes to the person, the words of the library that aborted are in the log.
        faulthandler.enable(file=self.stderr, all_threads=False)

    def open_in(self, run_dir: Path, rank: int, ranks: int) -> None:
        """Goes on in the log of a run directory, which gets what was written before.

        A log that cannot be written is no reason not to run: then it stays where it is.
        """
        path = run_dir / log_name(rank)
        try:
            with path.open("ab") as log:
                log.write(self._header(rank, ranks).encode())
                if self._early is not None:
                    _flush_own()
                    self._early.seek(0)
                    shutil.copyfileobj(self._early, log)
                log.flush()
                self._give_away(log.fileno())
        except OSError as error:
            say(f"warning: {path} cannot be written: {error.strerror}", file=self.stderr)
            return
        self.path = path
        if self._early is not None:
            self._early.close()
            self._early = None

    def early_words(self) -> str:
        """What was written while there was no log."""
        if self._early is None:
            return ""
        _flush_own()
        self._early.seek(0)
        return self._early.read().decode(errors="replace")

    def _header(self, rank: int, ranks: int) -> str:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        return (
            f"--- {now} cgpo {__version__}: cgpo {self._command}, rank {rank} of {ranks}, process {os.getpid()} ---\n"
        )

    @staticmethod
    def _give_away(descriptor: int) -> None:
        for ours in (1, 2):
            os.dup2(descriptor, ours)


_diversion: _Diversion | None = None


class _Notices(logging.Handler):
    """Shows what is logged for the person."""

    speak: Callable[[str], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):
            if self.speak is not None:
                self.speak(record.getMessage())
            else:
                say(record.getMessage(), file=user_stderr())


_notices = _Notices(logging.INFO)


def divert(command: str) -> None:
    """Diverts this process's output until its end; a second call changes nothing.

    Args:
        command: name of the command, for the log.
    """
    global _diversion
    own = sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__
    if _diversion is None and own and sys.stdout is not None and sys.stderr is not None:
        _diversion = _Diversion(command)


def open_log(run_dir: Path, rank: int, ranks: int) -> Path | None:
    """From here on what is diverted goes to the log of this run directory, which this command has claimed.

    Returns:
        The log; None where nothing is diverted, or it cannot be written.
    """
    if _diversion is None:
        return None
    _diversion.open_in(run_dir, rank, ranks)
    return _diversion.path


def log_path() -> Path | None:
    """The log that this process writes, if any."""
    return None if _diversion is None else _diversion.path


def early_words() -> str:
    """What libraries wrote while there was no log to hold it."""
    return "" if _diversion is None else _diversion.early_words()


def is_diverted() -> bool:
    """Whether libraries write to a log."""
    return _diversion is not None


def user_stdout() -> TextIO:
    """Where a command's answer goes."""
    return sys.stdout if _diversion is None else _diversion.stdout


def user_stderr() -> TextIO:
    """Where progress and errors go."""
    return sys.stderr if _diversion is None else _diversion.stderr


def show_notices() -> None:
    """From here on what this project's modules log for the person is shown, on standard error."""
    for name in NOTICES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(_notices)


def show_notices_by(speak: Callable[[str], None] | None, *, warnings_only: bool = False) -> None:
    """Gives notices to a display, which knows how to print above what it draws.

    Args:
        speak: shows one; None: standard error again.
        warnings_only: for a display that is switched off.
    """
    _notices.speak = speak
    _notices.setLevel(logging.WARNING if warnings_only else logging.INFO)


class _Forgiving(io.FileIO):
    """A file of whose trouble nobody hears: a full disk under the log is no reason to end a run."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return len(data)  # type: ignore[arg-type]


def _forgiving(descriptor: int) -> TextIO:
    raw = io.BufferedWriter(_Forgiving(descriptor, "wb", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _duplicate(stream: TextIO) -> TextIO:
    """The same place under another descriptor, which processes that are started do not inherit."""
    return open(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)


def _flush_own() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
