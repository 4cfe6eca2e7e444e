"""`config.yaml` of a run and `config-history.jsonl` beside it: the settings it was started with, and their changes.

config.yaml             the whole configuration, secrets redacted
config-history.jsonl    {"schema": 1, "time", "step", "changes": {key: {"old", "new"}}}, one line a start that
                        changed anything; `step` is the newest checkpoint's, from which the run went on

A few settings may change when a run goes on, others only where the user allows it by name. The rest is refused key by
key, so that no run is ever continued unawares under settings it was not started with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, RunError, unknown_name
from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.file_names import CHECKPOINTS_NAME, CONFIG_NAME, HISTORY_NAME, step_of

SCHEMA = 1
"""Version of the form of `config.yaml`."""

HISTORY_SCHEMA = 1

MAY_RISE = ("train.steps",)
"""Settings that may be larger when a run goes on, unless the learning rate depends on how many steps there are."""

MAY_CHANGE = (
    *("run_dir", "run_base", "tracking", "train.save_every", "train.keep_checkpoints", "train.keep_best"),
    *("train.share_prompts", "train.attention", "train.reuse_engine_logprobs", "train.float32_logits"),
    "rollout.max_logprob_gap_quantile",
    *("sft_stage.save_every", "reward_stage.save_every", "dpo_stage.save_every"),
    *("deepspeed.zero_stage", "watch.divergence", "watch.warn_z", "watch.warn_z_heldout", "watch.phrases"),
)
"""Settings (or groups of them) that do not alter what is computed but for rounding: where, how it is laid out and
spread over ranks, and what is recorded and kept."""

_SECRET = re.compile(r"(^|_)(api_?key|token|secret|password|passwd|credentials?)$", re.IGNORECASE)
_REDACTED = "<redacted>"
_ABSENT = "(not set)"


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
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{file} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("schema"), int):
        raise RunError(f"{file} is not the configuration of a run: it has no `schema` number")
    if config["schema"] > SCHEMA:
        raise RunError(f"{file} has schema {config['schema']}; this version of cgpo knows up to {SCHEMA}. Update cgpo")
    del config["schema"]
    return config


def write_config(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Writes the configuration of a run, secrets redacted.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    import yaml

    body = yaml.safe_dump(_redact(resolved), sort_keys=False, allow_unicode=True, width=100)
    text = f"schema: {SCHEMA}\n{body}".encode("utf-8", "backslashreplace")
    write_atomically(folder / CONFIG_NAME, text, "the run's configuration")


def adopt_configuration(path: str | Path, resolved: Mapping[str, Any]) -> None:
    """Makes a configuration that may differ from the run's so far the run's own, and records what has changed.

    Raises:
        RunError: `config.yaml` cannot be read or written.
    """
    folder, config = Path(path), _redact(resolved)
    stored = read_config(folder)
    if stored != config:
        _record_changes(folder, _flatten(stored), _flatten(config))
        write_config(folder, config)


def check_same_configuration(folder: Path, resolved: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Makes sure that a configuration is that of the run in `folder`, but for what may change.

    Args:
        folder: the run directory.
        resolved: the whole configuration as plain data.
        allow: settings, or groups of them, that may differ, as given to `--allow-changes`.

    Raises:
        ConfigError: others differ (each key, old → new), or `allow` names no setting.
        RunError: `config.yaml` cannot be read.
    """
    old, new = _flatten(read_config(folder)), _flatten(_redact(resolved))
    _check_allowed_names(allow, [*old, *new])
    schedule = str(old.get("train.schedule", "constant"))
    problems = [
        problem
        for key in sorted(old.keys() | new.keys())
        if not _within(key, [*MAY_CHANGE, *allow])
        and (problem := _problem(key, old.get(key, _ABSENT), new.get(key, _ABSENT), schedule))
    ]
    if problems:
        raise ConfigError(
            f"{folder} belongs to a run with another configuration:\n  " + "\n  ".join(problems) + "\n"
            "Give the old values to go on with that run, set another run_dir, start anew with --fresh (the old "
            "directory is kept beside it), or go on with the new values: "
            f"--allow-changes {','.join(problem.partition(':')[0] for problem in problems)}"
        )


def first_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first key, by name, whose values differ: (key, our value, their value), secrets redacted."""
    old, new = _flatten(_redact(ours)), _flatten(_redact(theirs))
    for key in sorted(old.keys() | new.keys()):
        if not _equal(old.get(key, _ABSENT), new.get(key, _ABSENT)):
            return key, _show(old.get(key, _ABSENT)), _show(new.get(key, _ABSENT))
    return None


def _problem(key: str, old: Any, new: Any, schedule: str) -> str | None:
    """Why the run cannot go on with another value of a setting; None where it can."""
    if _equal(old, new):
        return None
    if key in MAY_RISE and _is_number(old) and _is_number(new):
        if new > old and schedule != "constant":
            return (
                f"{key}: {old} → {new} (train.schedule={schedule} was laid out over {old} steps: its rates would "
                "have been others; it may rise only with a constant schedule)"
            )
        return None if new > old else f"{key}: {old} → {new} (it may only rise)"
    return f"{key}: {_show(old)} → {_show(new)}"


def _within(key: str, names: Iterable[str]) -> bool:
    """Whether a dotted key is one of `names` or inside one of them: `train.betas` is inside `train`."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _check_allowed_names(allow: Sequence[str], keys: Iterable[str]) -> None:
    """Makes sure that what may change are settings: flattened keys, or groups of them."""
    groups = {key.rsplit(".", cut)[0] for key in keys for cut in range(key.count(".") + 1)}
    for name in allow:
        if name not in groups:
            raise ConfigError(unknown_name("setting", name, _beside(name, groups), "--allow-changes"))


def _beside(name: str, groups: set[str]) -> set[str]:
    """The groups a name may have meant: what stands in the innermost group around it that exists."""
    around = name.rpartition(".")[0]
    while around and around not in groups:
        around = around.rpartition(".")[0]
    return {group for group in groups if group.rpartition(".")[0] == around}


def _record_changes(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Adds a line with every flattened key whose value differs."""
    changes = {
        key: {"old": old.get(key, _ABSENT), "new": new.get(key, _ABSENT)}
        for key in sorted(old.keys() | new.keys())
        if old.get(key, _ABSENT) != new.get(key, _ABSENT)
    }
    checkpoints = (folder / CHECKPOINTS_NAME).glob("*")
    steps = [step for path in checkpoints if (step := step_of(path.name)) is not None]
    time = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"schema": HISTORY_SCHEMA, "time": time, "step": max(steps, default=0), "changes": changes}
    append_line(folder / HISTORY_NAME, json.dumps(line), "the history of the configuration")


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
    leaves: dict[str, Any] = {}
    for key, value in items:
        leaves |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def _redact(value: Any, key: str = "") -> Any:
    """Plain data with secrets replaced, and tuples as the lists that YAML gives back."""
    if isinstance(value, Mapping):
        return {str(k): _redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(v) for v in value]
    return _REDACTED if isinstance(value, str) and value and _SECRET.search(key) else value
