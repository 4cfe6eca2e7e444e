"""How long commands take to answer: `python bench/startup.py`.

Starts `--help` of every command and `--dry-run` of those that have one, each several times in a process of its own, and
once more under `-X importtime`, which says by package how long imports take (a package's own modules, without what they
import); the rest of a dry run is composing, checking and printing. Prints a table and writes a JSON file. Needs an idle
machine; the first start of each command, which writes byte code, is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from surroundings import surroundings

from cgpo.cli import COMMANDS

SUBCOMMANDS = {
    "feedback": ("prepare", "evaluate", "correlate", "gate", "simulate"),
    "judge": ("list", "run", "compare", "check"),
}
EXPERIMENTS = {
    "train": "quickstart",
    "pipeline": "pipeline",
    "sft": "pipeline",
    "reward": "quickstart",
    "dpo": "pipeline",
    "preferences": "quickstart",
}
"""Command → the experiment of its dry run."""

LISTED = 6
"""So many packages of the slowest imports are listed."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("bench/results/startup.json"))
    options = parser.parse_args()
    result = surroundings(("pydantic", "hydra-core", "omegaconf", "rich"))
    result |= {"repeats": options.repeats, "seconds": {}}
    for arguments in _command_lines():
        measured = result["seconds"][" ".join(arguments)] = _measure(arguments, options.repeats)
        slowest = ", ".join(f"{name} {seconds:.2f}" for name, seconds in measured["imports_by_package"].items())
        print(f"{measured['wall']:5.2f} s  {' '.join(arguments):44} {slowest}", flush=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")


def _command_lines() -> list[list[str]]:
    helps = [[], *([name] for name in COMMANDS)]
    helps += [[name, sub] for name, subs in SUBCOMMANDS.items() for sub in subs]
    dry = [[name, f"experiment={experiment}", "--dry-run"] for name, experiment in EXPERIMENTS.items()]
    return [*([*words, "--help"] for words in helps), *dry]


def _measure(arguments: list[str], repeats: int) -> dict[str, Any]:
    _start(arguments)
    walls = [_start(arguments)[0] for _ in range(repeats)]
    traced, report = _start(arguments, "-X", "importtime")
    packages = _imports(report)
    return {
        "wall": round(statistics.median(walls), 3),
        "traced_wall": round(traced, 3),
        "traced_imports": round(sum(packages.values()), 3),
        "imports_by_package": {name: round(seconds, 3) for name, seconds in packages.most_common(LISTED)},
    }


def _start(arguments: list[str], *python_options: str) -> tuple[float, str]:
    """Wall seconds of one start, and what it wrote to stderr.

    Raises:
        RuntimeError: the command failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *python_options, "-m", "cgpo", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, done.stderr


def _imports(report: str) -> Counter[str]:
    """Package → seconds of its own modules, from the lines `import time: self [us] | cumulative | name`."""
    packages: Counter[str] = Counter()
    for line in report.splitlines():
        own, _, name = line.removeprefix("import time:").partition("|")
        if line.startswith("import time:") and own.strip().isdecimal():
            packages[name.rpartition("|")[2].strip().split(".")[0]] += int(own) / 1e6
    return packages


if __name__ == "__main__":
    main()
