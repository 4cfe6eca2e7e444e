"""The journal of verdicts: what the judges have said since the oldest checkpoint a run may go on from.

    journal/rank-00000.jsonl    {"schema": 1, "step": 12, "key": "…", "metadata": hash, "verdicts": {judge: {…}}}
                                {"schema": 1, "step": 12, "key": "…", "scores": {reward: number or null}}
                                {"schema": 1, "step": 12, "discarded": true}

A step that a kill broke off is done again. Its responses come out the same, but a verdict that ran into a time limit
might not, and the run would part from one that was never killed. So every judgement is written down the moment it is
there, and a response of the same step, stratum, prompt, index and text before the same judges is not judged again –
unknown verdicts too – unless the metadata of its row have changed, as they may before the first checkpoint (lines of
earlier versions do not say). A step that ended because too much was unknown is the exception (`discard`): it has to be
judged anew, or the run could never get past it.

Scores of rewards that a server or a judge gives are kept for the same reason (`cgpo.rewards.scoring`); those that a
model computes here come out the same.

Each rank appends to its own file and reads every rank's when it starts, because the number of ranks may have changed.
A line cut off by a kill, or damaged, is dropped: that response is judged again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.data.ids import metadata_hash
from cgpo.responses.stratum import Stratum
from cgpo.storage.disk import write_atomically, writing
from cgpo.types import Rollout
from judges import Judgement

SCHEMA = 1
_WHAT = "the journal of verdicts"


@dataclass(frozen=True, slots=True)
class _Known:
    """A judgement, and the hash of the metadata it was made with; None where an earlier version did not say."""

    judgement: Judgement
    metadata: str | None


class Journal:
    """Judges responses and keeps their verdicts.

    Args:
        folder: `<run_dir>/journal`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / f"rank-{distributed.rank():05d}.jsonl"
        self._lock = threading.Lock()
        self._failed: OSError | TypeError | ValueError | None = None
        self._known: dict[tuple[int, str], _Known] = {}
        self._scores: dict[tuple[int, str], dict[str, float | None]] = {}
        for file in sorted(folder.glob("rank-*.jsonl")):
            for record in _read(file):
                with suppress(KeyError, TypeError, ValueError):  # damaged: that response is judged or scored again
                    if "scores" in record:
                        self._scores[record["step"], record["key"]] = dict(record["scores"])
                    else:
                        known = _Known(Judgement.from_json(record["verdicts"]), record.get("metadata"))
                        self._known[record["step"], record["key"]] = known

    def submit(self, step: int, strata: Mapping[str, Stratum], rollout: Rollout) -> Future[Judgement]:
        """Gives a response to the judges of its stratum, or answers from the journal.

        Args:
            step: index of the step, from 0; verdicts of another step are never reused.
            strata: by name; that of the response judges it.
            rollout: the finished response.
        """
        stratum = strata[rollout.request.stratum]
        key, metadata = _key(stratum, rollout), metadata_hash(rollout.request.prompt)
        answered: Future[Judgement] = Future()
        known = self._known.get((step, key))
        if known is not None and known.metadata in (None, metadata):
            answered.set_result(known.judgement)
            return answered

        def answer(judged: Future[Judgement]) -> None:
            self._answer(judged, answered, {"step": step, "key": key, "metadata": metadata})

        stratum.submit(rollout).add_done_callback(answer)
        return answered

    def scores_of(self, step: int) -> StepScores:
        """Where rewards keep scores of a step that another attempt might not give."""
        return StepScores(self, step)

    def score(self, step: int, key: str) -> dict[str, float | None] | None:
        """Reward name → score that was noted in that step, or None."""
        return self._scores.get((step, key))

    def note_scores(self, step: int, key: str, scores: Mapping[str, float | None]) -> None:
        """Writes scores down; a failure to write is raised by `flush`."""
        self._write({"schema": SCHEMA, "step": step, "key": key, "scores": dict(scores)})

    def flush(self) -> None:
        """Waits until everything said so far is on the disk.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        with self._lock, writing(_WHAT, self._file):
            if self._failed is not None:
                raise self._failed
            if self._file.exists():
                _sync(self._file)

    def discard(self, step: int) -> None:
        """Forgets a step's verdicts: when it is done again, its responses are judged anew; every rank calls it.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        self._known = {at: known for at, known in self._known.items() if at[0] != step}
        self._scores = {at: scores for at, scores in self._scores.items() if at[0] != step}
        for file in {self._file, *self._my_files()}:
            with self._lock, writing(_WHAT, file):
                self._append({"schema": SCHEMA, "step": step, "discarded": True}, file)
                _sync(file)
        self.flush()

    def forget_before(self, step: int) -> None:
        """Drops what no checkpoint needs any more: the verdicts of steps before `step`; every rank calls it.

        Raises:
            RunError: the disk is full, or a file cannot be written.
        """
        self._known = {at: known for at, known in self._known.items() if at[0] >= step}
        self._scores = {at: scores for at, scores in self._scores.items() if at[0] >= step}
        for file in self._my_files():
            with self._lock:  # judges that were broken off in mid-step may still be answering
                records = [record for record in _read(file) if record["step"] >= step]
                write_atomically(file, "".join(json.dumps(record) + "\n" for record in records).encode(), _WHAT)

    def _my_files(self) -> list[Path]:
        """This rank's share of the files: the ranks of an earlier start may have been more."""
        files = sorted(self._folder.glob("rank-*.jsonl"))
        size = distributed.world_size()
        return [file for file in files if int(file.stem.removeprefix("rank-")) % size == distributed.rank()]

    def _answer(self, judged: Future[Judgement], answered: Future[Judgement], what: dict[str, Any]) -> None:
        """Writes down, then tells. In that order: a waiting thread is woken before a future's callbacks are called."""
        if judged.cancelled():
            answered.cancel()
        elif (error := judged.exception()) is not None:
            answered.set_exception(error)
        else:
            # In whatever thread finished the judgement; a failure to write is raised by `flush`.
            self._write({"schema": SCHEMA, **what, "verdicts": judged.result().as_json(with_cost=True)})
            answered.set_result(judged.result())

    def _write(self, record: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._append(record)
            except (OSError, TypeError, ValueError) as error:
                self._failed = error

    def _append(self, record: dict[str, Any], file: Path | None = None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (file or self._file).open("ab") as opened:
            # A line of its own: after a kill the file may end in the middle of one.
            opened.write(b"\n" + json.dumps(record).encode() + b"\n")


class StepScores:
    """The scores of one step in the journal (`cgpo.rewards.scoring.StoredScores`)."""

    def __init__(self, journal: Journal, step: int) -> None:
        self._journal = journal
        self._step = step

    def get(self, key: str) -> Mapping[str, float | None] | None:
        """Reward name → score of an earlier attempt at the step, or None."""
        return self._journal.score(self._step, key)

    def put(self, key: str, scores: Mapping[str, float | None]) -> None:
        """Writes scores down."""
        self._journal.note_scores(self._step, key, scores)


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _key(stratum: Stratum, rollout: Rollout) -> str:
    """What a judgement is of: the row, the text, and who judges it how."""
    request = rollout.request
    judges = [spec.as_config() for spec in stratum.settings.judges]
    parts = [stratum.name, request.prompt.id, request.index, rollout.response, judges, stratum.settings.hide_reasoning]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _read(file: Path) -> list[dict[str, Any]]:
    """The readable records of a file, without what a later line discards."""
    records: list[dict[str, Any]] = []
    with writing(_WHAT, file):
        lines = file.read_bytes().split(b"\n")
    for record in _parse(lines):
        if record.get("discarded"):
            records = [other for other in records if other["step"] != record["step"]]
        else:
            records.append(record)
    return records


def _parse(lines: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # empty, or cut off by a kill
            continue
        if isinstance(record, dict) and record.get("schema") == SCHEMA and isinstance(record.get("step"), int):
            yield record
