"""`cgpo feedback correlate` on scored responses, in this process; with a model in test_feedback_evaluate's manner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgpo.cli import main

RATES = [0.01, 0.012, 0.02, 0.022, 0.03, 0.033, 0.04, 0.041, 0.05, 0.052]
OFFLINE = [0.012, 0.010, 0.019, 0.025, 0.028, 0.036, 0.037, 0.045, 0.048, 0.055]


def responses(offline: list[float] = OFFLINE, prompts: int = 8) -> list[dict[str, Any]]:
    """Each policy's responses to the same prompts; an easy prompt is easy for all."""
    return [
        {
            "policy": f"p{i}",
            "prompt": f"Question {q}?",
            "response": f"Answer {i} to {q}.",
            "love": value * (1 + (q - (prompts - 1) / 2) / 10),
        }
        for i, value in enumerate(offline)
        for q in range(prompts)
    ]


def write(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def observed(file: Path, n: int = 100_000) -> str:
    lines = ["policy,positives,n", *(f"p{i},{round(rate * n)},{n}" for i, rate in enumerate(RATES))]
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["feedback", "correlate", *map(str, words)])
    return int(ended.value.code or 0)


def correlated(tmp_path: Path, rows: list[dict[str, Any]], rates: str) -> dict[str, Any]:
    path = write(tmp_path / "responses.jsonl", rows)
    words = ("--responses", path, "--score-column", "love", "--observed", rates, "--output", tmp_path / "out")
    assert run(*words) == 0
    found: dict[str, Any] = json.loads((tmp_path / "out" / "correlation.json").read_text())
    return found


def test_ten_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = correlated(tmp_path, responses(), observed(tmp_path / "rates.csv"))
    r = float(np.corrcoef(OFFLINE, RATES)[0, 1])
    assert found["pearson"]["estimate"] == pytest.approx(r, abs=1e-6)
    assert 0.8 < found["pearson"]["low"] < r < found["pearson"]["high"] < 1
    assert found["pearson"]["low"] < found["pearson_exact_numbers"]["low"] + 0.03
    assert found["n"] == 10
    assert found["p_value"] < 0.001
    assert not found["p_value_exact"]
    assert found["carried_by"] is None
    assert found["warnings"] == []
    assert [one["offline"]["estimate"] for one in found["policies"]] == pytest.approx(OFFLINE)
    page = (tmp_path / "out" / "correlation.html").read_text()
    assert page.count("<circle") == 10
    assert "Pearson r" in capsys.readouterr().out


def test_prompts_that_are_easy_for_all_do_not_widen_the_interval(tmp_path: Path) -> None:
    """A prompt that lifts every policy by the same amount changes no order: the interval is that of exact numbers."""
    rows = responses()
    for row in rows:
        question = int(row["prompt"].split()[1].rstrip("?"))
        row["love"] = OFFLINE[int(row["policy"][1:])] + question  # far more than the policies differ by
    found = correlated(tmp_path, rows, observed(tmp_path / "rates.csv", 10**9))
    exact = found["pearson_exact_numbers"]
    assert np.arctanh(found["pearson"]["low"]) == pytest.approx(np.arctanh(exact["low"]), abs=0.1)
    assert found["policies"][0]["offline"]["high"] - found["policies"][0]["offline"]["low"] > 2


def test_few_reactions_widen_the_interval(tmp_path: Path) -> None:
    sure = correlated(tmp_path, responses(), observed(tmp_path / "sure.csv"))
    unsure = correlated(tmp_path, responses(), observed(tmp_path / "unsure.csv", 1000))
    assert unsure["pearson"]["low"] < sure["pearson"]["low"] - 0.02


def test_unequal_prompts_and_lost_policies_are_named(tmp_path: Path) -> None:
    rows = [r for r in responses(OFFLINE[:6]) if not (r["policy"] == "p2" and r["prompt"] in ("Question 1?",))]
    rows += [dict(r, policy="stranger") for r in rows[:8]]
    (tmp_path / "rates.json").write_text(
        json.dumps([{"policy": f"p{i}", "rate": rate} for i, rate in enumerate(RATES) if i != 0])
    )
    notes = " ".join(correlated(tmp_path, rows, str(tmp_path / "rates.json"))["warnings"])
    assert "nothing was observed of them: p0, stranger" in notes
    assert "no scored responses: p6, p7, p8, p9" in notes
    assert "7 of 8 are common to all; prompts answered: p2 7" in notes
    assert "taken as exact" in notes


def test_three_policies_have_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = correlated(tmp_path, responses(OFFLINE[:3]), observed(tmp_path / "rates.csv"))
    assert found["pearson"]["estimate"] is not None
    assert (found["pearson"]["low"], found["pearson"]["high"]) == (None, None)
    assert "no interval with fewer than 4" in capsys.readouterr().out


def test_changes_and_a_file_for_each_policy(tmp_path: Path) -> None:
    words: list[str | Path] = []
    for i in range(4):
        rows = [{k: v for k, v in r.items() if k != "policy"} for r in responses() if r["policy"] == f"p{i}"]
        words += ["--policy", f"arm {i}={write(tmp_path / f'{i}.jsonl', rows)}"]
    changes = [
        {"policy": f"arm {i}", "change": 0.1 * i, "low": 0.1 * i - 0.02, "high": 0.1 * i + 0.02} for i in range(4)
    ]
    words += ["--observed", write(tmp_path / "changes.jsonl", changes), "--score-column", "love"]
    assert run(*words, "--output", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "correlation.json").read_text())
    assert found["policies"][1]["observed"] == pytest.approx({"estimate": 0.1, "low": 0.08, "high": 0.12, "n": 1})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--score-column", "love"], "name the responses"),
        (["--responses", "r.jsonl"], "one of --model"),
        (["--responses", "r.jsonl", "--score-column", "lovee"], "Did you mean 'love'?"),
        (["--policy", "sft", "--score-column", "love"], "must be NAME=ROWS"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "percent.csv"], "not percent"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "few.csv"], "at least as large"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "twice.csv"], "stands there twice"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "mixed.jsonl"], "cannot be compared"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "other.csv"], "no policy has both"),
        (["--responses", "r.jsonl", "--score-column", "love", "--observed", "gone.csv"], "no such file"),
    ],
)
def test_bad_input_is_named(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "r.jsonl", responses(OFFLINE[:2]))
    observed(tmp_path / "rates.csv")
    (tmp_path / "percent.csv").write_text("policy,rate\np0,2.1\n")
    (tmp_path / "few.csv").write_text("policy,positives,n\np0,9,5\n")
    (tmp_path / "twice.csv").write_text("policy,rate\np0,0.1\np0,0.2\n")
    (tmp_path / "other.csv").write_text("policy,rate\nq,0.1\n")
    write(tmp_path / "mixed.jsonl", [{"policy": "p0", "rate": 0.1}, {"policy": "p1", "change": 0.1}])
    if "--observed" not in words:
        words = [*words, "--observed", "rates.csv"]
    assert run(*words) == 2
    assert said in capsys.readouterr().err


def test_missing_scores_are_counted_and_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = responses(prompts=20)  # 200 rows
    for row in rows[:3]:
        row["love"] = None
    path, rates = write(tmp_path / "r.jsonl", rows), observed(tmp_path / "rates.csv")
    words = ("--responses", path, "--score-column", "love", "--observed", rates)
    assert run(*words) == 1
    assert "3 of 200 responses have no finite score" in capsys.readouterr().err
    assert run(*words, "--max-missing-rate", "0.02", "--output", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "correlation.json").read_text())
    assert found["policies"][0]["missing"] == 3
    assert found["policies"][0]["offline"]["n"] == 17


def test_names_of_policies_are_no_markup(tmp_path: Path) -> None:
    rows = [dict(r, policy=f"<script>{r['policy']}") for r in responses(OFFLINE[:4])]
    rates = write(
        tmp_path / "rates.jsonl", [{"policy": f"<script>p{i}", "rate": RATES[i], "n": 1000} for i in range(4)]
    )
    correlated(tmp_path, rows, rates)
    assert "<script>" not in (tmp_path / "out" / "correlation.html").read_text()


@pytest.mark.parametrize("number", [1e300, -1e300, 10**400])
def test_numbers_that_no_sum_can_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str], number: float) -> None:
    rows = responses()
    rows[3]["love"] = number
    path = write(tmp_path / "responses.jsonl", rows)
    rates = observed(tmp_path / "rates.csv")
    assert run("--responses", path, "--score-column", "love", "--observed", rates) == 2
    said = capsys.readouterr().err
    assert "row 4: `love`" in said
    assert len(said.replace(path, "")) < 200
    changes = write(tmp_path / "changes.jsonl", [{"policy": "p0", "change": number}])
    path = write(tmp_path / "responses.jsonl", responses())
    assert run("--responses", path, "--score-column", "love", "--observed", changes) == 2
    assert "row 1: `change`" in capsys.readouterr().err
