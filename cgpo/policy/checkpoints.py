"""Checkpoints of a run: written aside, renamed when whole, verified when loaded; the newest ones and the best kept.

    checkpoints/step-000050/state/*.pt      what DeepSpeed writes: weights, optimiser state
                            random/         the random states of each rank
                            state.json      everything else that influences what comes next
                            manifest.json   size and hash of each of these files
                best.json                   which one is the best by a named metric

A folder without `manifest.json`, or under another name, was never finished and is ignored.

Most of the time goes into serialising, forcing to the disk and hashing. Nothing of it needs the run to wait, as long as
the weights stay as they are: `begin` collects and starts a thread on each rank, which writes and describes that rank's
files; `finish`, called before the weights change, waits for it, and puts the checkpoint in place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.errors import ConfigError, RunError
from cgpo.policy import manifest
from cgpo.policy.manifest import DamagedError, Description
from cgpo.policy.random_states import FOLDER as RANDOM_FOLDER
from cgpo.policy.random_states import restore_random_states, save_random_states
from cgpo.policy.saving import Write
from cgpo.storage.disk import is_write_failure, sync_folder, write_atomically
from cgpo.storage.file_names import BEST_NAME, STATE_NAME, step_name, step_of

SCHEMA = 2


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint on disk."""

    step: int
    folder: Path

    def read_state(self) -> dict[str, Any]:
        """The contents of its `state.json`.

        Raises:
            RunError: it cannot be read, or was written by another version.
        """
        file = self.folder / STATE_NAME
        try:
            state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}. Remove the folder to go on from an older one") from error
        if state.get("schema") != SCHEMA:
            raise RunError(f"{file}: schema {state.get('schema')!r} instead of {SCHEMA}; another version wrote it")
        return state

    def verify(self) -> None:
        """Compares its files with what was written; every rank must call it.

        Raises:
            DamagedError: they differ.
        """
        manifest.verify(self.folder)

    def restore_random_states(self) -> None:
        """Puts this rank's random states back."""
        restore_random_states(self.folder / RANDOM_FOLDER)


@dataclass(frozen=True)
class _Pending:
    """A checkpoint that is being written."""

    step: int
    described: Future[Description]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: `<run_dir>/checkpoints`.
        keep: how many of the newest to keep, besides the best.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self._pending: _Pending | None = None

    def all(self) -> list[Checkpoint]:
        """Finished checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        finished = [
            Checkpoint(step, path)
            for path in self.folder.iterdir()
            if (step := step_of(path.name)) is not None and (path / manifest.NAME).is_file()
        ]
        return sorted(finished, key=lambda c: c.step)

    def latest(self) -> Checkpoint | None:
        """The newest finished checkpoint, or None. Whether it is undamaged says `newest_whole`."""
        finished = self.all()
        return finished[-1] if finished else None

    def has(self, step: int) -> bool:
        """Whether there is a checkpoint of that step."""
        return any(c.step == step for c in self.all())

    def newest_whole(self, warn: Callable[[str], None], *, set_aside: bool = True) -> Checkpoint | None:
        """The newest checkpoint whose files are what was written, or None where there is none at all.

        A damaged one is said to be so and passed over in favour of an older whole one. Every rank must call it.

        Args:
            warn: told of each damaged one.
            set_aside: rename damaged ones to `damaged-step-…`, so that the run may write that step again.

        Raises:
            DamagedError: there are checkpoints, but none is whole.
        """
        finished, first = self.all(), None
        for checkpoint in reversed(finished):
            try:
                checkpoint.verify()
            except DamagedError as error:
                first = first or error
                warn(f"WARNING: {error}. It is passed over; the run loses what came after the next older checkpoint")
                continue
            if set_aside:
                self._set_aside([c for c in finished if c.step > checkpoint.step])
            return checkpoint
        if first is None:
            return None
        raise DamagedError(
            f"{first}. No older checkpoint is whole. Restore these files from a copy, or start anew with --fresh "
            "(the old directory is kept beside it)"
        )

    def find(self, name: str | None) -> Checkpoint:
        """A checkpoint by name.

        Args:
            name: `best`, the number of a step, or None for the newest.

        Raises:
            ConfigError: there is none of that name; those there are, are listed.
            RunError: there is none at all.
        """
        finished = self.all()
        if not finished:
            raise RunError(f"{self.folder.parent} has no checkpoint yet: train first, or lower train.save_every")
        if name is None:
            return finished[-1]
        best = self.read_best()
        by_name = {str(c.step): c for c in finished}
        step = str(best["step"]) if name == "best" and best else name
        if step not in by_name:
            allowed = [*by_name, *(["best"] if best else [])]
            hint = " (train.keep_best names the metric of the best one)" if name == "best" else ""
            raise ConfigError(f"--checkpoint {name}: no such checkpoint{hint}. There are: {', '.join(allowed)}")
        return by_name[step]

    @property
    def pending(self) -> int | None:
        """The step of the checkpoint that is being written, if one is: the same on every rank."""
        return None if self._pending is None else self._pending.step

    def begin(self, step: int, collect: Callable[[str], Write], state: Mapping[str, Any]) -> None:
        """Begins to write a checkpoint beside what comes next; every rank must call it.

        Args:
            step: steps done so far.
            collect: collects the policy's part for the folder it is given, on every rank.
            state: JSON-ready; `schema` and `step` are added.

        Raises:
            RunError: as `finish`.
        """
        self.finish()
        with self._explained(step):
            temporary = self._open(step)
            write = collect(str(temporary))
            self._note(temporary, step, state)
        executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending = _Pending(step, executor.submit(lambda: manifest.describe(temporary, write())))
        executor.shutdown(wait=False)  # the thread ends with its work

    def finish(self) -> None:
        """Waits for the checkpoint that is being written, and puts it in place; every rank must call it.

        Raises:
            RunError: the disk is full or not writable; earlier checkpoints are untouched.
        """
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        with self._explained(pending.step):
            with distributed.together():
                described = pending.described.result()
            self._complete(pending.step, described)

    def close(self) -> None:
        """Waits for what is being written. One rank alone also puts it in place; of several, others may not be here."""
        if distributed.world_size() == 1:
            self.finish()
        elif self._pending is not None:
            wait([self._pending.described])

    def save(self, step: int, write: Callable[[str], None], state: Mapping[str, Any]) -> None:
        """Writes a checkpoint at once; every rank must call it.

        Args:
            step: steps done so far.
            write: writes the policy's part into the folder it is given, on every rank.
            state: JSON-ready; `schema` and `step` are added.

        Raises:
            RunError: as `finish`.
        """
        self.finish()
        with self._explained(step):
            temporary = self._open(step)
            write(str(temporary))
            self._note(temporary, step, state)
            self._complete(step, {})

    def _open(self, step: int) -> Path:
        temporary = self._temporary(step)
        with distributed.together():
            if distributed.rank() == 0:
                self._remove_unfinished()
                temporary.mkdir(parents=True)
        return temporary

    def _temporary(self, step: int) -> Path:
        return self.folder / f".{step_name(step)}.tmp"

    def _note(self, temporary: Path, step: int, state: Mapping[str, Any]) -> None:
        """What stands beside the policy's part."""
        with distributed.together():
            save_random_states(temporary / RANDOM_FOLDER)
            if distributed.rank() == 0:
                text = json.dumps({"schema": SCHEMA, "step": step, **state}, indent=1)
                (temporary / STATE_NAME).write_text(text, encoding="utf-8")

    def _complete(self, step: int, described: Description) -> None:
        temporary = self._temporary(step)
        with distributed.together():
            distributed.barrier()
            manifest.write_manifest(temporary, described)
            if distributed.rank() == 0:
                _put_in_place(temporary, self.folder / step_name(step))
                self._remove_old()

    @contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """Says what a failure to write inside means for the run, and removes what is half-written."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            if not is_write_failure(error):
                raise
            free = shutil.disk_usage(self.folder if self.folder.exists() else Path.cwd()).free
            shutil.rmtree(self._temporary(step), ignore_errors=True)
            raise RunError(
                f"the checkpoint of step {step} could not be written to {self.folder} ({free / 2**30:.2f} GiB free): "
                f"{str(error).splitlines()[0]}. Earlier checkpoints are untouched; make room and start the same "
                "command again"
            ) from error

    def oldest_resumable(self) -> int:
        """The step of the oldest checkpoint a run may go on from; 0 where there is none."""
        newest = self.all()[-self.keep :]
        return newest[0].step if newest else 0

    def read_best(self) -> dict[str, Any] | None:
        """`{"step", "metric", "mode", "value"}` of the best checkpoint, or None where none is marked.

        Raises:
            RunError: `best.json` cannot be read.
        """
        file = self.folder / BEST_NAME
        try:
            best = json.loads(file.read_text(encoding="utf-8"))
            numbers = {"step": int(best["step"]), "value": float(best["value"])}
            return numbers | {key: str(best[key]) for key in ("metric", "mode")}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} cannot be read: {error}. Remove it; the next evaluation writes it anew") from error

    def is_better(self, value: float, metric: str, mode: str) -> bool:
        """Whether a checkpoint with that value would be better than the one marked; equal is not better.

        One that is marked but no longer there (it was damaged and set aside) is worse than any.

        Raises:
            RunError: as `read_best`.
        """
        best = self.read_best()
        if best is None or (best["metric"], best["mode"]) != (metric, mode) or not self.has(best["step"]):
            return True
        return bool(value > best["value"] if mode == "max" else value < best["value"])

    def mark_best(self, step: int, metric: str, mode: str, value: float) -> None:
        """Names the checkpoint of `step` the best; one rank calls it. The one marked before may then go.

        Raises:
            RunError: the file cannot be written.
        """
        marked = {"schema": 1, "step": step, "metric": metric, "mode": mode, "value": value}
        write_atomically(self.folder / BEST_NAME, json.dumps(marked).encode(), "which checkpoint is the best")
        self._remove_old()

    def _remove_old(self) -> None:
        best = self.read_best()
        for old in self.all()[: -self.keep]:
            if best is None or old.step != best["step"]:
                _remove(old.folder)

    def _remove_unfinished(self) -> None:
        """What a killed run left half-written or half-removed."""
        for path in self.folder.glob(".step-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _set_aside(self, damaged: list[Checkpoint]) -> None:
        with distributed.together():
            if distributed.rank() == 0:
                for checkpoint in damaged:
                    target = self.folder / f"damaged-{checkpoint.folder.name}"
                    shutil.rmtree(target, ignore_errors=True)
                    checkpoint.folder.rename(target)


def _put_in_place(temporary: Path, target: Path) -> None:
    if target.exists():
        _remove(target)  # never finished: a finished one of this step is not written again
    temporary.rename(target)
    sync_folder(target.parent)


def _remove(folder: Path) -> None:
    """Renames first: a kill in the middle must not leave half a checkpoint under its name."""
    trash = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(trash, ignore_errors=True)
    folder.rename(trash)
    shutil.rmtree(trash)
