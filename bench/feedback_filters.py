"""Measures the filters of `cgpo feedback prepare` on SIMULATED users whose honesty is known.

    python bench/feedback_filters.py [--rows 100000] [--users 4000] [--adversarial 0.05] [--seeds 1 2 3]

For each kind of user: how many there are in the training period, how many of them, of their rows and of their positive
reactions the filters drop; over all seeds together. The honest users' line is the false alarms.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cgpo.feedback.preparation.prepare import prepare
from cgpo.feedback.settings import LogSettings, PrepareSettings
from cgpo.feedback.simulation.settings import Simulation
from cgpo.feedback.simulation.simulator import Log, simulate
from cgpo.tracking.progress import StageProgress

HONEST = "honest"


@dataclass(slots=True)
class Counts:
    """Of one kind of user."""

    users: set[tuple[int, int]] = field(default_factory=set)
    dropped_users: set[tuple[int, int]] = field(default_factory=set)
    rows: int = 0
    dropped_rows: int = 0
    positives: int = 0
    dropped_positives: int = 0
    by_filter: Counter[str] = field(default_factory=Counter)


def dropped_by_filters(log: Log, folder: Path) -> tuple[dict[int, str], float]:
    """Row of the log → the filter that dropped it; and where the held-out rows begin."""
    source = folder / "logs.jsonl"
    with source.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in log.rows())
    now = float(log.times.max()) + 1
    prepare(str(source), folder / "out", PrepareSettings(LogSettings(now=now)), progress=StageProgress("off"))
    reasons = {}
    for line in (folder / "out" / "dropped.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["reason"].startswith("filter: "):
            reasons[int(row["row"].rpartition(" ")[2]) - 1] = row["reason"].removeprefix("filter: ")
    report = json.loads((folder / "out" / "report.json").read_text())
    return reasons, float(report["heldout"]["from"])


def count(log: Log, seed: int, dropped: dict[int, str], border: float, kinds: dict[str, Counts]) -> None:
    """Adds the rows of the training period."""
    for row in range(len(log.users)):
        if log.times[row] >= border:
            continue
        user = int(log.users[row])
        counts = kinds.setdefault(log.kinds[user], Counts())
        counts.users.add((seed, user))
        counts.rows += 1
        counts.positives += int(log.reactions[row])
        if row in dropped:
            counts.dropped_users.add((seed, user))
            counts.dropped_rows += 1
            counts.dropped_positives += int(log.reactions[row])
            counts.by_filter[dropped[row]] += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--users", type=int, help="default: one for every 25 rows")
    parser.add_argument("--adversarial", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    kinds: dict[str, Counts] = {}
    seconds = 0.0
    for seed in args.seeds:
        log = simulate(Simulation(args.rows, seed, adversarial=args.adversarial, users=args.users))
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            dropped, border = dropped_by_filters(log, Path(folder))
            seconds += time.process_time() - started
        count(log, seed, dropped, border, kinds)
    print(f"{args.rows:,} rows, {args.adversarial:.0%} adversarial users, seeds {args.seeds}")
    print(f"{'':10}{'users':>7}{'dropped':>9}{'rows':>9}{'dropped':>9}{'positive':>10}{'dropped':>9}")
    for name in [HONEST, *sorted(set(kinds) - {HONEST})]:
        c = kinds[name]
        print(
            f"{name:10}{len(c.users):7,}{len(c.dropped_users) / len(c.users):9.2%}{c.rows:9,}"
            f"{c.dropped_rows / c.rows:9.2%}{c.positives:10,}{c.dropped_positives / max(1, c.positives):9.2%}"
            f"  {dict(c.by_filter)}"
        )
    print(f"{seconds / len(args.seeds):.1f} CPU seconds a log")


if __name__ == "__main__":
    main()
