"""The surroundings of a checkpoint – baselines, versions, strata – and their check by a run that goes on from it.

The policy, the samplers and the optimisers are state and are put back. The rest is not state of this process, but the
next step depends on it all the same: the baseline responses on disk, the configuration, the packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cgpo.errors import RunError
from cgpo.responses.stratum import Stratum
from cgpo.storage.environment import describe_environment
from cgpo.storage.file_names import CONFIG_NAME


def stratum_state(stratum: Stratum) -> dict[str, Any]:
    """JSON-ready: where a stratum's sampler stands and what its optimiser has learnt, and which of them it was."""
    return {
        "sampler": {"kind": type(stratum.sampler).__name__, "state": stratum.sampler.state_dict()},
        "optimizer": {"kind": stratum.settings.optimizer.name, "state": stratum.optimizer.state_dict()},
    }


def restore_strata(strata: Mapping[str, Stratum], saved: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Puts back what `stratum_state` kept.

    A stratum, a kind of sampling or an optimiser that the checkpoint does not have – they changed by permission –
    begins anew, and `say` is told so.

    Raises:
        DataError: a stratum's prompts or seed are not those of the checkpoint.
    """
    for name, stratum in strata.items():
        if name not in saved:
            say(f"stratum {name} is not in the checkpoint: it begins at its first prompts")
            continue
        kinds = {"sampler": type(stratum.sampler).__name__, "optimizer": stratum.settings.optimizer.name}
        for part, kind in kinds.items():
            before = saved[name][part]
            if before["kind"] == kind:
                getattr(stratum, part).load_state_dict(before["state"])
            else:
                say(f"stratum {name}: {part} {before['kind']} → {kind}; the new one begins anew")


def describe_surroundings(run_dir: Path, baselines: Path, verdict_cache: str | None) -> dict[str, Any]:
    """JSON-ready: configuration (copy and hash), baselines (length and hash), verdict cache (place), versions."""
    config = (run_dir / CONFIG_NAME).read_text(encoding="utf-8") if (run_dir / CONFIG_NAME).exists() else ""
    return {
        "configuration": {"sha256": hashlib.sha256(config.encode()).hexdigest(), "text": config},
        "baselines": pin(baselines),
        "verdict_cache": verdict_cache,
        "versions": describe_environment()["versions"],
    }


def pin(file: Path) -> dict[str, Any]:
    """Length and hash of a file that only grows; a file that does not exist is empty."""
    digest, length = hashlib.sha256(), 0
    if file.exists():
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
                length += len(block)
    return {"file": file.name, "bytes": length, "sha256": digest.hexdigest()}


def check_pin(file: Path, pinned: Mapping[str, Any], checkpoint: Path) -> None:
    """Makes sure that a file still begins with what it held when the checkpoint was written.

    Raises:
        RunError: it is shorter, or something else.
    """
    digest, left = hashlib.sha256(), pinned["bytes"]
    if file.exists():
        with file.open("rb") as opened:
            while left and (block := opened.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
    if left or digest.hexdigest() != pinned["sha256"]:
        difference = f"it lacks {left} of {pinned['bytes']} bytes" if left else "its first part has changed"
        raise RunError(
            f"{file} is not the file that {checkpoint} relies on: {difference}. Restore it from a copy, or start "
            "anew with --fresh"
        )


def changed_versions(saved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`torch 2.13.0 → 2.14.0` of each package that has another version than when the checkpoint was written."""
    absent = "(not installed)"
    return [
        f"{name} {saved.get(name, absent)} → {now.get(name, absent)}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    ]
