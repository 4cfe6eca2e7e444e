"""Verdicts already obtained, kept in an SQLite file: the same question to the same judge is not asked twice.

The key covers everything that determines a verdict: the judge's name, version and source, the package it comes from,
its options (the model among them), prompt, response and metadata. Unknown verdicts are not kept: asked again, a judge
may know. Several processes may use one file.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from judges import registry
from judges.errors import JudgesError
from judges.judge import Judge, Row
from judges.spec import JudgeSpec
from judges.verdict import Cost, Outcome, Verdict

_log = logging.getLogger(__name__)

SCHEMA = 1
_APPLICATION_ID = 0x43475043  # "CGPC": tells our files from other databases
_OPEN_SECONDS = 30.0
"""How long to wait for another process when the file is opened."""
_WAIT_SECONDS = 1.0
"""How long a verdict may wait for another process that writes; judges wait with it."""
_PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of `judges`, not of this room."""
_KEPT = frozenset({Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE})


class VerdictCache:
    """Verdicts on disk. Use it as a context manager; any thread may call it.

    A disk that is full or gone while the cache is in use costs the cache, not the run: a warning says so once, and
    judging goes on without it.

    Args:
        path: the file; made if it is not there.

    Raises:
        JudgesError: the file is something else, or of another version, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._broken = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_OPEN_SECONDS, check_same_thread=False, isolation_level=None)
            self._open_in_turn()
            self._database.execute(f"PRAGMA busy_timeout = {int(_WAIT_SECONDS * 1000)}")
        except (sqlite3.Error, OSError) as error:
            raise JudgesError(f"verdict cache {path}: {error}; delete it, or name another file") from error

    def get(self, key: str) -> Verdict | None:
        """The verdict kept under `key`, at the cost of a cached one, or None."""
        rows = self._execute("SELECT outcome, reason, score FROM verdicts WHERE key = ?", (key,))
        if not rows:
            return None
        return _verdict(*rows[0])

    def put(self, key: str, verdict: Verdict) -> None:
        """Keeps a verdict that is not unknown."""
        if verdict.outcome in _KEPT:
            values = (key, verdict.outcome.value, verdict.reason, verdict.score, int(time.time()))
            self._execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", values)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._broken = True
            self._database.close()

    def __enter__(self) -> VerdictCache:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_in_turn(self) -> None:
        """Opens it, however many begin with a new file at once: SQLite waits for nobody to change the journal."""
        until = time.monotonic() + _OPEN_SECONDS
        while True:
            try:
                return self._open()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            self._database.rollback()
            time.sleep(0.02)

    def _open(self) -> None:
        self._database.execute("BEGIN")  # all three at one time: another process may be making it
        empty = not self._database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        self._database.execute("COMMIT")
        if not empty and application != _APPLICATION_ID:
            raise JudgesError(f"{self.path} is a database, but no verdict cache; name another file")
        if not empty and version != SCHEMA:
            raise JudgesError(f"verdict cache {self.path} has schema {version}, not {SCHEMA}; delete it")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost the last verdicts
        self._database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._database.execute(f"PRAGMA user_version = {SCHEMA}")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS verdicts "
            "(key TEXT PRIMARY KEY, outcome TEXT NOT NULL, reason TEXT NOT NULL, score REAL, made INTEGER NOT NULL) "
            "WITHOUT ROWID"
        )

    def _execute(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._broken:
                return []
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                    return []  # another process writes for long: this one verdict is not kept, or asked for again
                self._broken = True
                _log.warning(f"warning: verdict cache {self.path}: {error}; going on without it")
                return []


def _verdict(outcome: Any, reason: Any, score: Any) -> Verdict | None:
    """What is kept in a row; None when the row was damaged, which is then as if it were not there."""
    if outcome not in _KEPT or not isinstance(reason, str):
        return None
    if score is not None and not (isinstance(score, float) and math.isfinite(score)):
        return None
    return Verdict(Outcome(outcome), reason, score, Cost(cached=1))


def judge_identity(spec: JudgeSpec, judge: type[Judge]) -> str:
    """Everything about a judge that determines its verdicts, as text."""
    options = {key: value for key, value in spec.options.items() if key != registry.TIMEOUT_OPTION}
    for path in judge.not_in_cache_key:
        group, _, name = path.rpartition(".")
        if not group:
            options.pop(name, None)
        elif isinstance(options.get(group), Mapping):
            options[group] = {key: value for key, value in options[group].items() if key != name}
    parts = [SCHEMA, spec.name, judge.version, registry.origin(spec.name), _source_hash(judge), options]
    return json.dumps(parts, sort_keys=True)


def verdict_key(identity: str, row: Row) -> str | None:
    """The key of one verdict; None when the row holds something that is not plain data."""
    prompt = row.prompt if isinstance(row.prompt, str) else [dict(message) for message in row.prompt]
    try:
        text = json.dumps([identity, prompt, row.response, dict(row.metadata)], sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _source_hash(judge: type[Judge]) -> str:
    """So that an edited judge is another judge even where nobody raised its version.

    Of our own judges the whole package counts, because what decides lies in many files; of others' the judge's file.
    """
    function = judge.__dict__.get("function")
    origin = function.__func__ if isinstance(function, staticmethod) else judge
    try:
        path = inspect.getsourcefile(origin)
        if path is None:
            return ""
        in_package = Path(path).resolve().is_relative_to(_PACKAGE)
        return _package_hash() if in_package else hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    except (TypeError, OSError):  # made at run time, or installed without source: the version has to do
        return ""


@cache
def _package_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
