"""Judges on text against public labels, where a folder with the data stands beside the project."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from judges import Row
from judges.rules.farewell import FarewellJudge
from judges.rules.math import MathJudge
from judges.rules.refusal import RefusalJudge
from judges.rules.repetition import RepetitionJudge

DATA = Path(__file__).parents[3] / "shared" / "data"


def completions() -> list[dict[str, str]]:
    files = sorted(DATA.glob("xstest/completions_*.csv"))
    if not files:
        pytest.skip("no folder with XSTest's completions beside the project")
    rows: list[dict[str, str]] = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return rows


def test_the_shipped_coefficients_fit_the_features_they_were_trained_on() -> None:
    """Whoever changes a feature must train anew: otherwise far fewer of the training labels are met."""
    labels = {"1_full_compliance": "satisfied", "2_full_refusal": "violated"}
    judge = RefusalJudge("classifier")
    rows = [row for row in completions() if row["final_label"] in labels]
    right = sum(judge.verdict(Row("", row["completion"])).outcome == labels[row["final_label"]] for row in rows)
    assert right / len(rows) > 0.99


def test_normal_completions_neither_loop_nor_say_goodbye() -> None:
    rows = [Row(row["prompt"], row["completion"]) for row in completions()]
    assert not [row for row in rows if RepetitionJudge().verdict(row).outcome == "violated"]
    assert not [row for row in rows if FarewellJudge().verdict(row).outcome == "violated"]


def test_every_gsm8k_reference_is_right_when_it_is_said_in_the_phrase() -> None:
    path = DATA / "gsm8k" / "test.jsonl"
    if not path.is_file():
        pytest.skip("no folder with GSM8K beside the project")
    judge = MathJudge()
    for line in path.read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)["answer"].rpartition("#### ")[2]
        verdict = judge.verdict(Row("q", f"So. The final answer is {answer}.", {"answer": answer}))
        assert verdict.outcome == "satisfied", verdict.reason
