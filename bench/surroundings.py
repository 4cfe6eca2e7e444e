"""The surroundings of a measurement, written down with it: machine, versions, load, command."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def surroundings(packages: Iterable[str]) -> dict[str, Any]:
    """Machine, versions of the packages that are installed, load and command, taken before measuring."""
    return {
        "machine": {
            "cpu": _processor(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "versions": {name: version for name in packages if (version := _version(name))},
        "load_average_before": os.getloadavg()[0],
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "command": "python " + " ".join(sys.argv),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
