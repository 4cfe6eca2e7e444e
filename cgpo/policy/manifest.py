"""The manifest of a checkpoint: each file with size and hash, so that a damaged one is known before it is loaded.

    manifest.json    {"schema": 1, "files": {"state/mp_rank_00_model_states.pt": {"bytes": 123, "sha256": "…"}, …}}

It is written last: a folder without one was never finished. The ranks share the hashing; all of them must see the same
file system, as they must for DeepSpeed's own files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.storage.disk import human_bytes, sync_folder, write_atomically

SCHEMA = 1
NAME = "manifest.json"


class DamagedError(RunError):
    """A checkpoint is not what was written."""


Description = Mapping[str, dict[str, Any]]
"""What a manifest says of some files, by their names in the checkpoint."""


def describe(folder: Path, files: Iterable[Path]) -> Description:
    """Forces files of a checkpoint to the disk and describes them; on this rank alone.

    Raises:
        OSError: a file cannot be read or synced.
    """
    return {file.relative_to(folder).as_posix(): _describe(file) for file in files}


def write_manifest(folder: Path, described: Description) -> None:
    """Forces every file to the disk and writes the manifest; every rank must call it, after all have written.

    Args:
        folder: the checkpoint's.
        described: what this rank has described already.

    Raises:
        OSError: a file cannot be read or synced.
        RunError: the manifest cannot be written.
    """
    files = _joined(described)
    left = _for_this_rank([name for name in _files(folder) if name not in files])
    files |= _joined(describe(folder, (folder / name for name in left)))
    if distributed.rank() == 0:
        for inside in {folder, *((folder / name).parent for name in files)}:
            sync_folder(inside)
        text = json.dumps({"schema": SCHEMA, "files": dict(sorted(files.items()))}, indent=1)
        write_atomically(folder / NAME, text.encode(), "the checkpoint's manifest")


def _joined(described: Description) -> dict[str, Any]:
    """Those of all ranks."""
    return {name: entry for part in distributed.gather_objects(described) for name, entry in part.items()}


def verify(folder: Path) -> None:
    """Compares every file with the manifest; every rank must call it, and all get the same answer.

    Raises:
        DamagedError: a file is missing, has another size or another content; each is named.
    """
    with distributed.together():
        files = _read(folder)
        outcome = {
            name: problem for name in _for_this_rank(sorted(files)) if (problem := _problem(folder / name, files[name]))
        }
        parts = distributed.gather_objects(outcome)
    problems = {name: problem for part in parts for name, problem in part.items()}
    if problems:
        listed = "; ".join(f"{name} {problem}" for name, problem in sorted(problems.items()))
        raise DamagedError(f"{folder} is damaged: {listed}")


def _read(folder: Path) -> dict[str, Any]:
    file = folder / NAME
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise DamagedError(f"{file}: schema {manifest['schema']!r} instead of {SCHEMA}; another version wrote it")
        return dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{folder} is damaged: {NAME} cannot be read ({error})") from error


def _problem(file: Path, expected: dict[str, Any]) -> str | None:
    try:
        size = file.stat().st_size
        if size != expected["bytes"]:
            return f"has {human_bytes(size)} ({size} bytes) instead of {expected['bytes']}"
        return None if _hash(file) == expected["sha256"] else "has another content than was written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _describe(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    return {"bytes": file.stat().st_size, "sha256": _hash(file)}


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _for_this_rank(names: list[str]) -> list[str]:
    return names[distributed.rank() :: distributed.world_size()]
