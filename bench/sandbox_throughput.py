"""Programs per second through the code judge, in worker processes, and whether anything grows or is left behind.

    python bench/sandbox_throughput.py [--programs 10000] [--processes 2] [--output FILE]

The programs are small functions with three assertions each, right and wrong ones in turn; a box of its own for each.
Measured after a warm-up in which every worker has started its boxes. Memory is the resident memory of this process
and all its descendants, each page counted once (proportional set size), after the warm-up and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import psutil

from judges.judge import Row
from judges.running.workers import JudgeWorkers
from judges.sandbox.isolation import bubblewrap
from judges.spec import JudgeSpec

WARM_UP = 50
TESTS = "assert add({n}, 1) == {n} + 1\nassert add(0, 0) == 0\nassert add(-{n}, {n}) == 0"


def row(number: int) -> Row:
    """The number-th program; every other one is wrong."""
    sign = "+" if number % 2 == 0 else "-"
    program = f"def add(a, b):\n    # program {number}\n    return a {sign} b"
    return Row("Add two numbers.", f"```python\n{program}\n```", {"unit_tests": TESTS.format(n=number + 1)})


def memory_mib() -> float:
    """Proportional set size of this process and its descendants, in MiB."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def judge(workers: JudgeWorkers, numbers: range, at_once: int) -> tuple[float, int]:
    """Seconds for these programs, and how many verdicts were wrong. At most `at_once` wait at a time."""
    spec = JudgeSpec("code")
    wrong, start, waiting = 0, time.perf_counter(), []
    for number in numbers:
        waiting.append((number, workers.submit(spec, row(number))))
        if len(waiting) >= at_once:
            wrong += is_wrong(*waiting.pop(0))
    wrong += sum(is_wrong(*item) for item in waiting)
    return time.perf_counter() - start, wrong


def is_wrong(number: int, future) -> bool:
    return future.result().outcome != ("violated" if number % 2 else "satisfied")


def leftovers(before: set[str]) -> tuple[int, int]:
    """Processes and files that outlive the workers."""
    deadline = time.monotonic() + 10
    while psutil.Process().children(recursive=True) and time.monotonic() < deadline:
        time.sleep(0.1)
    return len(psutil.Process().children(recursive=True)), len(files() - before)


def files() -> set[str]:
    return {str(path) for folder in (tempfile.gettempdir(), "/dev/shm") for path in Path(folder).iterdir()}


def main() -> None:
    """Measures and prints; writes JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    before = files()
    with JudgeWorkers(given.processes) as workers:
        judge(workers, range(WARM_UP), 4 * given.processes)
        memory_before = memory_mib()
        seconds, wrong = judge(workers, range(given.programs), 4 * given.processes)
        memory_after = memory_mib()
    processes, left = leftovers(before)
    result = {
        "programs": given.programs,
        "worker_processes": given.processes,
        "programs_per_second": round(given.programs / seconds, 1),
        "wrong_verdicts": wrong,
        "memory_mib_after_warm_up": round(memory_before, 1),
        "memory_mib_at_the_end": round(memory_after, 1),
        "processes_left": processes,
        "files_left": left,
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "kernel": platform.release(),
            "bubblewrap": os.popen(f"{bubblewrap()} --version").read().strip(),
        },
    }
    print(json.dumps(result, indent=2))
    if given.output:
        given.output.write_text(json.dumps(result, indent=2) + "\n")
    if wrong or processes:
        sys.exit(1)


if __name__ == "__main__":
    main()
