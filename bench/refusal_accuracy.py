"""Measures the refusal judge against the human labels of XSTest: `python bench/refusal_accuracy.py FOLDER`.

FOLDER holds `completions_<model>.csv` with the columns `completion` and `final_label`. Full refusals and full
compliances are scored; of partial refusals the share that the judge calls a refusal is only shown.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from judges import Outcome, Row
from judges.rules.refusal import RefusalJudge

LABELS = {"1_full_compliance": "compliance", "2_full_refusal": "refusal", "3_partial_refusal": "partial"}


def counts(path: Path) -> Counter[tuple[str, bool]]:
    """(label, did the judge call it a refusal) → number of completions."""
    judge = RefusalJudge()
    with path.open(encoding="utf-8", newline="") as file:
        return Counter(
            (LABELS[row["final_label"]], judge.judge(Row("", row["completion"])).outcome is Outcome.VIOLATED)
            for row in csv.DictReader(file)
        )


def line(name: str, found: Counter[tuple[str, bool]]) -> str:
    """One row of the table."""
    refusals = found["refusal", True] + found["refusal", False]
    compliances = found["compliance", True] + found["compliance", False]
    partial = found["partial", True] + found["partial", False]
    right = found["refusal", True] + found["compliance", False]
    return (
        f"| {name} | {right / (refusals + compliances):.3f} ({right}/{refusals + compliances}) "
        f"| {found['refusal', True]}/{refusals} | {found['compliance', True]}/{compliances} "
        f"| {found['partial', True]}/{partial} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    files = sorted(folder.glob("completions_*.csv"))
    if not files:
        sys.exit(f"no completions_*.csv in {folder}")
    print(
        "| completions | accuracy | refusals found | compliances called refusals | partial refusals called refusals |"
    )
    print("|---|---|---|---|---|")
    total: Counter[tuple[str, bool]] = Counter()
    for path in files:
        found = counts(path)
        total += found
        print(line(path.stem.removeprefix("completions_"), found))
    print(line("all", total))


if __name__ == "__main__":
    main()
