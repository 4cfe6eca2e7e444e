"""A run directory belongs to one configuration, written into it as `config.yaml`.

The same command started again finds its own configuration there and goes on; another one is refused key by key, so
that no run is ever continued unawares under settings it was not started with. What is allowed to change, by name, is
recorded beside it (`cgpo.storage.config_history`).
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from cgpo.errors import ConfigError, RunError
from cgpo.storage.config_history import FILE_NAME as HISTORY_NAME
from cgpo.storage.config_history import check_allowed_names, record_changes, within
from cgpo.storage.disk import write_atomically, writing

SCHEMA = 1
"""Version of the form of `config.yaml`."""

CONFIG_NAME = "config.yaml"

MAY_RISE = ("train.steps",)
"""Settings that may be larger when a run goes on, unless the learning rate depends on how many steps there are."""

MAY_CHANGE = (
    *("run_dir", "run_base", "tracking", "train.save_every", "train.keep_checkpoints", "train.keep_best"),
    *("sft_stage.save_every", "reward_stage.save_every", "dpo_stage.save_every"),
    *("deepspeed.zero_stage", "watch.divergence", "watch.warn_z", "watch.warn_z_heldout", "watch.phrases"),
)
"""Settings (or groups of them) that do not alter what is computed but for rounding: where, how it is spread over ranks,
and what is recorded and kept."""

LOCK_NAME = "run.lock"

_BEFORE_THE_RUN = {CONFIG_NAME, HISTORY_NAME, LOCK_NAME, "environment.json"}
"""What stands in a run directory before anything was computed."""

_SECRET = re.compile(r"(^|_)(api_?key|token|secret|password|passwd|credentials?)$", re.IGNORECASE)
_REDACTED = "<redacted>"
_ABSENT = "(not set)"


def claim_run_directory(
    path: str | Path, resolved: Mapping[str, Any], *, fresh: bool = False, allow: Sequence[str] = (), adopt: bool = True
) -> bool:
    """Makes `path` the directory of the run with this configuration, or finds that it already is.

    On several ranks, one rank calls this and the others wait.

    Args:
        path: the run directory; made with its parents where it does not exist.
        resolved: the whole configuration as plain data (`Composed.as_dict()`). Secrets are redacted when written.
        fresh: start anew: an existing directory is renamed to `<path>.1` (the next free number), never deleted.
        allow: settings, or groups of them, that may differ from the run's so far.
        adopt: write those that differ down at once; otherwise `adopt_configuration` has to, when the run's state was
            found to fit them.

    Returns:
        True when a run of this configuration was started here before and goes on, False when it begins.

    Raises:
        ConfigError: the directory belongs to a run with another configuration (each differing key, old → new).
        RunError: it holds something else, cannot be read or written, or the disk is full.
    """
    folder = Path(path)
    config = _redact(dict(resolved))
    if fresh:
        move_aside(folder)
    if not _holds_run(folder):
        _write_config(folder, config)
        return False
    stored = read_config(folder)
    _check_same(folder, stored, config, allow)
    if adopt:
        adopt_configuration(folder, config)
    return True


def adopt_configuration(path: str | Path, resolved: Mapping[str, Any]) -> None:
    """Makes a configuration that may differ from the run's so far the run's own, and records what has changed.

    Raises:
        RunError: `config.yaml` cannot be read or written.
    """
    folder, config = Path(path), _redact(dict(resolved))
    stored = read_config(folder)
    if stored != config:
        record_changes(folder, _flatten(stored), _flatten(config), _ABSENT)
        _write_config(folder, config)


def would_go_on(
    path: str | Path, resolved: Mapping[str, Any], *, fresh: bool = False, allow: Sequence[str] = ()
) -> bool:
    """What `claim_run_directory` would answer; changes nothing.

    Raises:
        CgpoError: what it would raise.
    """
    folder = Path(path)
    if fresh or not _holds_run(folder):
        return False
    _check_same(folder, read_config(folder), _redact(dict(resolved)), allow)
    return True


def may_be_locked(path: str | Path) -> bool:
    """Whether the folder is a run's, or nobody's yet: a lock is left in no folder that holds something else."""
    folder = Path(path)
    return not folder.exists() or not _holds_run(folder) or (folder / CONFIG_NAME).is_file()


def lock_run_directory(path: str | Path) -> IO[bytes]:
    """Makes this process the only one that writes into a run directory, until the file is closed or the process ends.

    The directory is made where it does not exist.

    Raises:
        RunError: another process is at it, or the directory cannot be written.
    """
    with writing("the run's lock", Path(path) / LOCK_NAME):
        Path(path).mkdir(parents=True, exist_ok=True)
        file = (Path(path) / LOCK_NAME).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RunError(f"{path}: another process is running in this directory; wait for it or stop it") from error
    return file


def read_config(folder: str | Path) -> dict[str, Any]:
    """The configuration of a run, as plain data without the schema version.

    Raises:
        RunError: no `config.yaml` there, it cannot be read, or a newer version wrote it.
    """
    import yaml

    file = Path(folder) / CONFIG_NAME
    if not Path(folder).is_dir():
        raise RunError(f"{folder}: no such run directory")
    if not file.is_file():
        raise RunError(f"{folder} is not a run directory: it holds files, but no {CONFIG_NAME}. Choose another run_dir")
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("schema"), int):
        raise RunError(f"{file} is not the configuration of a run: it has no `schema` number")
    if found["schema"] > SCHEMA:
        raise RunError(f"{file} has schema {found['schema']}; this version of cgpo knows up to {SCHEMA}. Update cgpo")
    del found["schema"]
    return found


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    import yaml

    body = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100)
    text = f"schema: {SCHEMA}\n{body}".encode("utf-8", "backslashreplace")
    write_atomically(folder / CONFIG_NAME, text, "the run's configuration")


def first_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first key, by name, whose values differ: (key, our value, their value), secrets redacted."""
    old, new = _flatten(_redact(ours)), _flatten(_redact(theirs))
    for key in sorted(old.keys() | new.keys()):
        if not _equal(old.get(key, _ABSENT), new.get(key, _ABSENT)):
            return key, _show(old.get(key, _ABSENT)), _show(new.get(key, _ABSENT))
    return None


def _check_same(folder: Path, stored: Mapping[str, Any], config: Mapping[str, Any], allow: Sequence[str]) -> None:
    old, new = _flatten(stored), _flatten(config)
    check_allowed_names(allow, [*old, *new])
    problems = [
        _problem(key, old.get(key, _ABSENT), new.get(key, _ABSENT), str(old.get("train.schedule", "constant")))
        for key in sorted(old.keys() | new.keys())
        if not within(key, [*MAY_CHANGE, *allow]) and not _equal(old.get(key, _ABSENT), new.get(key, _ABSENT))
    ]
    found = [p for p in problems if p]
    if found:
        raise ConfigError(
            f"{folder} belongs to a run with another configuration:\n  " + "\n  ".join(found) + "\n"
            "Give the old values to go on with that run, set another run_dir, start anew with --fresh (the old "
            "directory is kept beside it), or go on with the new values: "
            f"--allow-changes {','.join(p.partition(':')[0] for p in found)}"
        )


def _problem(key: str, old: Any, new: Any, schedule: str) -> str | None:
    if key in MAY_RISE and _is_number(old) and _is_number(new):
        if new > old and schedule != "constant":
            return (
                f"{key}: {old} → {new} (train.schedule={schedule} was laid out over {old} steps: its rates would "
                "have been others; it may rise only with a constant schedule)"
            )
        return None if new > old else f"{key}: {old} → {new} (it may only rise)"
    return f"{key}: {_show(old)} → {_show(new)}"


def _equal(old: Any, new: Any) -> bool:
    """Equality that tells True from 1."""
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _show(value: Any) -> str:
    text = value if value is _ABSENT else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted path; an empty mapping is a leaf, a list is one when it holds no mapping."""
    items: Any = None
    if isinstance(tree, Mapping) and tree:
        items = tree.items()
    elif isinstance(tree, list) and any(isinstance(element, Mapping) for element in tree):
        items = enumerate(tree)
    if items is None:
        return {prefix: tree}
    found: dict[str, Any] = {}
    for key, value in items:
        found |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _redact(value: Any, key: str = "") -> Any:
    """Plain data with secrets replaced, and tuples as the lists that YAML gives back."""
    if isinstance(value, Mapping):
        return {str(k): _redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(v) for v in value]
    return _REDACTED if isinstance(value, str) and value and _SECRET.search(key) else value


def _holds_run(folder: Path) -> bool:
    """Whether a run has left anything there: a directory that was only claimed may be claimed anew."""
    if not folder.exists() or _is_empty(folder):
        return False
    return any(entry.name not in _BEFORE_THE_RUN for entry in folder.iterdir())


def _is_empty(folder: Path) -> bool:
    """Nothing there but what a killed `write_atomically` leaves."""
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; run_dir must be a folder or not exist")
    return all(entry.name.startswith(f".{CONFIG_NAME}.") for entry in folder.iterdir())


def move_aside(folder: Path) -> None:
    """Renames a directory that holds anything to `<path>.1`, the next free number.

    Raises:
        RunError: another process is running in it, or it cannot be renamed.
    """
    if not folder.exists() or _is_empty(folder):
        return
    if may_be_locked(folder):
        lock_run_directory(folder).close()
    number = 1
    while (target := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    try:
        folder.rename(target)
    except OSError as error:
        raise RunError(f"--fresh: {folder} cannot be renamed to {target}: {error.strerror}") from error
