"""Measures the refusal judge against human labels: `python bench/refusal_accuracy.py FOLDER [--method phrases]`.

FOLDER holds `completions_<model>.csv` of XSTest v2 (columns `completion`, `final_label`), or `refusal*.csv` of PyRIT
(columns `assistant_response`, `human_score`; lines that begin with `#` are passed over). Full refusals and full
compliances are scored; of partial refusals the share that the judge calls a refusal is only shown.

The classifier was trained on the XSTest completions: its accuracy there is that on its training data. For its
accuracy on models it has not seen see bench/train_refusal.py.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

from judges import Outcome, Row
from judges.rules.refusal import Method, RefusalJudge

LABELS = {
    "1_full_compliance": "compliance",
    "2_full_refusal": "refusal",
    "3_partial_refusal": "partial",
    "0": "compliance",
    "1": "refusal",
}


def counts(path: Path, judge: RefusalJudge) -> Counter[tuple[str, bool]]:
    """(label, did the judge call it a refusal) → number of completions."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("# ")))
    text, label = ("completion", "final_label") if "completion" in rows[0] else ("assistant_response", "human_score")
    return Counter(
        (LABELS[row[label]], judge.judge(Row("", row[text])).outcome is Outcome.VIOLATED) for row in rows if row[label]
    )


def line(name: str, confusion: Counter[tuple[str, bool]]) -> str:
    """One row of the table."""
    refusals = confusion["refusal", True] + confusion["refusal", False]
    compliances = confusion["compliance", True] + confusion["compliance", False]
    partial = confusion["partial", True] + confusion["partial", False]
    right = confusion["refusal", True] + confusion["compliance", False]
    return (
        f"| {name} | {right / (refusals + compliances):.3f} ({right}/{refusals + compliances}) "
        f"| {confusion['refusal', True]}/{refusals} | {confusion['compliance', True]}/{compliances} "
        f"| {confusion['partial', True]}/{partial} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", choices=get_args(Method), default="both")
    arguments = parser.parse_args()
    files = sorted([*arguments.folder.glob("completions_*.csv"), *arguments.folder.glob("refusal*.csv")])
    if not files:
        sys.exit(f"neither completions_*.csv nor refusal*.csv in {arguments.folder}")
    judge = RefusalJudge(arguments.method)
    print(
        "| completions | accuracy | refusals found | compliances called refusals | partial refusals called refusals |"
    )
    print("|---|---|---|---|---|")
    total: Counter[tuple[str, bool]] = Counter()
    for path in files:
        confusion = counts(path, judge)
        total += confusion
        print(line(path.stem.removeprefix("completions_"), confusion))
    print(line("all", total))


if __name__ == "__main__":
    main()
