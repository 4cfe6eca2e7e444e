"""The work in progress beside an output file, with which a killed command goes on: the folder `OUTPUT.partial`.

It holds `rows` (one line a judged row, in order) and `state.json`, which says of which job the rows are, how many bytes
of them are whole and how far the input was read. The state is replaced as a whole after the rows are on the disk: what
stands behind the bytes it names was written shortly before a kill, is cut off and judged again. The folder is locked
while a process works in it and gone when the output is there. A folder of that name with other files is left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from judges.errors import JudgesError

SCHEMA = 2
"""Version of `state.json`."""
SAVE_SECONDS = 1.0
"""How much work a kill may cost."""

_ROWS, _STATE, _NEW_STATE, _LOCK, _FINISHED = "rows", "state.json", "state.json.new", "lock", "finished"
_NAMES = frozenset({_ROWS, _STATE, _NEW_STATE, _LOCK, _FINISHED})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come.

    Attributes:
        line: the input's line (or row) up to which rows are judged.
        end: where in the input reading goes on.
        summary: what came of these rows, as plain data.
    """

    line: int
    end: int
    summary: dict[str, Any]


class Partial:
    """The work in progress of one output file. Use it as a context manager; leaving it keeps what was saved.

    Args:
        output: the output file; symbolic links are followed and stay.

    Raises:
        JudgesError: `output` is a folder, a device or the like, or in no folder; or another process works on it.
        OSError: the folder cannot be written to.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._target = _regular(output)
        self.folder = self._target.with_name(f"{self._target.name}.partial")
        self._rows: IO[bytes] | None = None
        self._lock: IO[str] | None = None
        self._job: dict[str, Any] = {}
        self._whole = 0
        self._written = 0
        self._saved_at = 0.0
        self._progress: Progress | None = None
        self._unsaved: Callable[[], Progress] | None = None

    def __enter__(self) -> Self:
        self._lock = _locked(self.folder, self.output)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is None and not (self.folder / _STATE).exists():
            self.discard()
        self._close()
        assert self._lock is not None
        self._lock.close()

    def start(self, job: dict[str, Any]) -> Progress | None:
        """Goes on with what is saved of the job, or begins it.

        Args:
            job: what determines the output, as plain data by name; compared with that of the saved rows.

        Returns:
            Where to go on, or None for the beginning.

        Raises:
            JudgesError: the saved rows are those of another job; the message says what differs.
        """
        state = self._state()
        self._job = job
        if state is None:
            self._rows = (self.folder / _ROWS).open("wb")
            return None
        differing = [name for name in job if state["job"].get(name) != job[name]]
        if differing:
            raise JudgesError(self._other_job(state, job, differing))
        self._rows = (self.folder / _ROWS).open("r+b")
        self._rows.truncate(state["bytes"])
        self._rows.seek(0, os.SEEK_END)
        self._whole = self._written = state["bytes"]
        self._progress = Progress(state["line"], state["end"], state["summary"])
        return self._progress

    def write(self, line: bytes) -> None:
        """Adds a row's line."""
        assert self._rows is not None
        self._rows.write(line)
        self._written += len(line)

    def reached(self, progress: Callable[[], Progress]) -> None:
        """Tells that the rows written so far are whole; now and then that is saved."""
        self._whole = self._written
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save(progress())
        else:
            self._unsaved = progress

    def save(self, progress: Progress) -> None:
        """Puts the rows and then the state on the disk. Call it between rows only."""
        assert self._rows is not None
        self._rows.flush()
        os.fsync(self._rows.fileno())
        state = {
            "schema": SCHEMA,
            "job": self._job,
            "bytes": self._whole,
            "line": progress.line,
            "end": progress.end,
            "summary": progress.summary,
        }
        new = self.folder / _NEW_STATE
        with new.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / _STATE)
        self._progress, self._unsaved = progress, None
        self._saved_at = time.monotonic()

    def finish(self, make: Callable[[Path, Path], None]) -> None:
        """Makes the output of the saved rows, in the place of an older one, and removes the folder.

        Args:
            make: gets the file of rows, which it may use up by renaming it, and the file to make.
        """
        if self._unsaved is not None:
            self.save(self._unsaved())
        self._close()
        finished = self.folder / _FINISHED
        make(self.folder / _ROWS, finished)
        with finished.open("rb") as file:
            os.fsync(file.fileno())
        finished.replace(self._target)
        self.discard()

    def discard(self) -> None:
        """Removes the folder with everything this class put into it."""
        self._close()
        self._progress = None
        for name in (_STATE, _NEW_STATE, _ROWS, _FINISHED, _LOCK):  # the state first: without it, rows mean nothing
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody put files of their own there
            self.folder.rmdir()

    @property
    def saved(self) -> Progress | None:
        """How far the job has come on the disk."""
        return self._progress

    def start_anew(self) -> None:
        """Removes what is saved, whatever job it belongs to; the lock stays."""
        for name in (_STATE, _NEW_STATE, _ROWS, _FINISHED):
            (self.folder / name).unlink(missing_ok=True)

    def _state(self) -> dict[str, Any] | None:
        """What was saved, or None where there is nothing to go on with."""
        path, rows, finished = self.folder / _STATE, self.folder / _ROWS, self.folder / _FINISHED
        if path.exists() and finished.exists() and not rows.exists():
            finished.replace(rows)  # killed after the rows were renamed and before they were the output
        if not path.exists() or not rows.exists():  # nothing was saved, or the output was made and only that remains
            self.start_anew()
            return None
        try:
            state: dict[str, Any] = json.loads(path.read_bytes())
            usable = state["schema"] == SCHEMA and rows.stat().st_size >= state["bytes"]
        except (ValueError, KeyError, TypeError) as error:
            raise JudgesError(f"{path} cannot be read ({error}); --fresh starts anew") from error
        if not usable:
            raise JudgesError(f"{self.folder} is damaged or of another version of this program; --fresh starts anew")
        return state

    def _other_job(self, state: dict[str, Any], job: dict[str, Any], differing: list[str]) -> str:
        changes = "; ".join(f"{name}: was {_show(state['job'].get(name))}, is {_show(job[name])}" for name in differing)
        return (
            f"{self.folder} holds {state['summary'].get('rows', '?')} judged rows of a job that was stopped, and that "
            f"differs from this one ({changes}). The same command as then goes on with it; --fresh starts anew"
        )

    def _close(self) -> None:
        if self._rows is not None:
            rows, self._rows = self._rows, None
            with suppress(OSError):  # a full disk; what counts is what was saved
                rows.close()


def _regular(path: Path) -> Path:
    try:
        target = path.resolve()  # through symbolic links, which stay as they are
    except RuntimeError as error:  # before Python 3.13, what a loop of links raises
        raise JudgesError(f"{path}: {error}") from error
    # resolve() takes `missing/..` for nothing; the system does not, and only it knows which file is meant.
    for folder in (path.parent, target.parent):
        if not folder.is_dir():
            raise JudgesError(f"{path}: there is no folder {folder}")
    if target.exists() and not path.exists():  # a symbolic link with such a `missing/..`
        raise JudgesError(f"{path}: is a symbolic link through a folder that does not exist")
    if target.exists() and not target.is_file():
        raise JudgesError(f"{path}: is not a regular file")
    return target


def _locked(folder: Path, output: Path) -> IO[str]:
    """The lock of the folder, which is made if need be."""
    while True:
        if folder.exists() and not folder.is_dir():
            raise JudgesError(f"{output}: the work in progress needs the name {folder}, which is taken by a file")
        folder.mkdir(exist_ok=True)
        if not _ours(folder):
            raise JudgesError(
                f"{output}: the work in progress needs the name {folder}, which is a folder with other files; "
                "move it away or choose another output"
            )
        path = folder / _LOCK
        try:
            file = path.open("a+")
        except FileNotFoundError:  # another process has just finished and removed the folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip()
            file.close()
            raise JudgesError(f"{output}: another run is writing it{f' (process {who})' if who else ''}") from None
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        file.close()  # it was the lock of a run that has just finished


def _ours(folder: Path) -> bool:
    """Whether the folder is empty or a work in progress: the lock is the first file made in it and the last removed."""
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:  # another process has just finished and removed it
        return True
    return not names or (_LOCK in names and (_STATE in names or names <= _NAMES))


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
