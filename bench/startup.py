"""How long commands take to answer: `python bench/startup.py`.

Starts `--help` of every command and `--dry-run` of those that have one, each several times in a process of its own, and
once more under `-X importtime`, which says by package how long imports take (a package's own modules, without what they
import). Then `cgpo train … --dry-run` by cause: the interpreter, running modules that are imported, composing (Hydra),
typing (pydantic), checking names, printing; the rest is the parser, finding modules and the end of the process. Prints
tables and writes a JSON file. Needs an idle machine; the first start of each command, which writes byte code, is not
counted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from importlib.machinery import SourceFileLoader
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

CAUSES = {
    "composing": "cgpo.compose:hydra_tree",
    "typing": "cgpo.compose:validate",
    "checking names": "cgpo.compose:check_names",
    "printing": "cgpo.training.run_plan:print_run_plan",
}
"""Part of `cgpo train … --dry-run` → the function that does it, under the name by which it is called."""

LISTED = 6
"""So many packages of the slowest imports are listed."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("bench/results/startup.json"))
    parser.add_argument("--by-cause", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.by_cause is not None:
        _dry_run_by_cause(options.by_cause)
        return
    result = surroundings(("pydantic", "hydra-core", "omegaconf", "rich"))
    result |= {"repeats": options.repeats, "seconds": {}}
    for arguments in _command_lines():
        measured = result["seconds"][" ".join(arguments)] = _measure(arguments, options.repeats)
        slowest = ", ".join(f"{name} {seconds:.2f}" for name, seconds in measured["imports_by_package"].items())
        print(f"{measured['wall']:5.2f} s  {' '.join(arguments):44} {slowest}", flush=True)
    result["train_by_cause"] = _train_by_cause(options.repeats)
    print(
        "cgpo train … --dry-run:", ", ".join(f"{name} {value:.2f}" for name, value in result["train_by_cause"].items())
    )
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
    """Wall seconds of one start of `cgpo`, and what it wrote to stderr. Raises as `_wall`."""
    return _wall([*python_options, "-m", "cgpo", *arguments])


def _wall(arguments: list[str]) -> tuple[float, str]:
    """Wall seconds of a Python process, and what it wrote to stderr.

    Raises:
        RuntimeError: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
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


def _train_by_cause(repeats: int) -> dict[str, float]:
    """Medians of the seconds by cause, the slowest first; of whole processes, so that they add up to `all`."""
    rows = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "causes.json"
            wall, _ = _wall([str(Path(__file__).resolve()), "--by-cause", str(file)])
            causes = Counter({"interpreter": _wall(["-c", "pass"])[0]}) + Counter(json.loads(file.read_text()))
        rows.append({**causes, "rest": wall - sum(causes.values()), "all": wall})
    medians = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def _dry_run_by_cause(file: Path) -> None:
    """A dry run in this process; writes the seconds of each cause, without those of causes inside it."""
    watch = _Watch()
    run_module = SourceFileLoader.exec_module
    SourceFileLoader.exec_module = watch.timed("imports", run_module)  # type: ignore[method-assign]
    for cause, place in CAUSES.items():
        module_name, _, name = place.partition(":")
        module = importlib.import_module(module_name)
        setattr(module, name, watch.timed(cause, getattr(module, name)))
    from cgpo.cli import main as cgpo

    try:
        cgpo(["train", f"experiment={EXPERIMENTS['train']}", "--dry-run"])
    finally:
        file.write_text(json.dumps(watch.seconds))


class _Watch:
    """Seconds by cause; while one cause is inside another only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    def timed(self, cause: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._count()
            self._running.append(cause)
            try:
                return function(*args, **kwargs)
            finally:
                self._count()
                self._running.pop()

        return run

    def _count(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


if __name__ == "__main__":
    main()
