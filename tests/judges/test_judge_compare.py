"""`judge compare`: numbers worked out by hand, and what must not be compared."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judges import cli
from judges.files.kappa import Agreement, wilson


def table(both: int, only_a: int, only_b: int, neither: int) -> Agreement:
    s, v = "satisfied", "violated"
    return Agreement(Counter({(s, s): both, (s, v): only_a, (v, s): only_b, (v, v): neither}))


def test_kappa_and_its_interval_by_hand() -> None:
    """20, 5, 10, 15: p_o = 0.7, p_e = 0.5·0.6 + 0.5·0.4 = 0.5, kappa = 0.4.

    The variance: 0.4·(1 − 1.1·0.6)² + 0.3·(1 − 0.9·0.6)² = 0.10972; 0.6²·(0.1·1.1² + 0.2·0.9²) = 0.10188;
    (0.4 − 0.5·0.6)² = 0.01; (0.10972 + 0.10188 − 0.01) / (0.5²·50) = 0.016128.
    """
    found = table(20, 5, 10, 15)
    assert found.rate == pytest.approx(0.7)
    assert found.kappa() == pytest.approx(0.4)
    half = 1.959964 * math.sqrt(0.016128)
    assert found.kappa_interval() == pytest.approx((0.4 - half, 0.4 + half), abs=1e-6)


def test_full_and_no_agreement() -> None:
    assert table(5, 0, 0, 5).kappa() == 1.0
    assert table(5, 0, 0, 5).kappa_interval() is None
    assert table(0, 5, 5, 0).kappa() == -1.0
    assert table(10, 0, 0, 0).kappa() is None  # chance alone agrees always
    assert Agreement().rate is None
    assert Agreement().kappa() is None


def test_wilson_by_hand() -> None:
    """7 of 10: centre (0.7 + 3.84146/20) / 1.384146 = 0.644511, half 1.959964/1.384146·√(0.021 + 0.0096037)."""
    low, high = wilson(7, 10)
    assert low == pytest.approx(0.396779, abs=1e-5)
    assert high == pytest.approx(0.892211, abs=1e-5)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


SHORT = {"s": "satisfied", "v": "violated", "u": "unknown", "n": "not_applicable", "j": "not_judged"}


def judged(path: Path, name: str, outcomes: str, **more: Any) -> Path:
    """A file of judged rows, one a letter; `more` gives further fields by a function of the row's number."""
    lines = []
    for number, letter in enumerate(outcomes):
        row: dict[str, Any] = {"prompt": "p", "response": f"r{number}", **{k: f(number) for k, f in more.items()}}
        row["verdicts"] = {name: {"verdict": SHORT[letter], "reason": f"because {letter}{number}", "score": None}}
        row["satisfied"] = {"s": True, "v": False}.get(letter)
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines))
    return path


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["compare", *map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert cli.main(["compare", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_two_judged_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = judged(tmp_path / "a.jsonl", "j", "ssvvuuns")
    b = judged(tmp_path / "b.jsonl", "j", "svvsuvss")
    found = compared(capsys, a, b)
    assert found["rows"] == 8
    one = found["comparisons"]["j"]
    assert (one["decided"], one["agreements"], one["agreement"]) == (5, 3, 0.6)
    assert one["confusion"]["unknown"] == {"satisfied": 0, "violated": 1, "unknown": 1, "neutral": 0, "missing": 0}
    assert one["confusion"]["neutral"]["satisfied"] == 1
    assert [(d["line_a"], d["a"], d["b"]) for d in one["disagreements"]] == [
        (2, "satisfied", "violated"),
        (4, "violated", "satisfied"),
    ]
    assert one["disagreements"][0]["reason_b"] == "because v1"
    assert found["comparisons"]["all of them"]["decided"] == 5  # of unknown or neutral rows, none is decided


def test_two_unknowns_do_not_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = judged(tmp_path / "a.jsonl", "j", "uus")
    one = compared(capsys, a, a)["comparisons"]["j"]
    assert (one["rows"], one["decided"], one["agreements"]) == (3, 1, 1)


def test_another_judge_in_the_other_file_or_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = judged(tmp_path / "a.jsonl", "x", "ssv"), judged(tmp_path / "b.jsonl", "y", "svv")
    found = compared(capsys, a, b, "--judge", "x", "--judge-b", "y")
    assert found["comparisons"]["x / y"]["agreements"] == 2
    both = tmp_path / "both.jsonl"
    rows = [json.loads(line) for line in a.read_text().splitlines()]
    for row, other in zip(rows, b.read_text().splitlines(), strict=True):
        row["verdicts"] |= json.loads(other)["verdicts"]
    both.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert compared(capsys, both, "--judge", "x", "--judge-b", "y")["comparisons"]["x / y"]["agreements"] == 2


def test_positive_values_that_do_not_occur(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them: an error, for every label would count as violated; one of several: a warning."""
    a = judged(tmp_path / "a.jsonl", "j", "sv", label=lambda n: ["full_compliance", "refusal"][n])
    message = refused(capsys, a, "--label-key", "label", "--positive", "full-compliance")
    assert "no label in `label` is 'full-compliance'. Did you mean 'full_compliance'?" in message
    assert "Labels: full_compliance, refusal" in message
    assert cli.main(["compare", str(a), "--label-key", "label", "--positive", "full_compliance,refusl"]) == 0
    assert "warning: --positive: no label in `label` is 'refusl'. Did you mean 'refusal'?" in capsys.readouterr().err


def test_a_mistyped_key_has_a_nearest_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = judged(tmp_path / "a.jsonl", "j", "s", metadata=lambda n: {"id": n})
    b = judged(tmp_path / "b.jsonl", "j", "s", metadata=lambda n: {"id": n})
    assert "Did you mean 'metadata.id'?" in refused(capsys, a, b, "--key", "metadata.idd")


def test_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["good", "bad", "good", None]
    a = judged(tmp_path / "a.jsonl", "j", "ssvs", metadata=lambda n: {"label": labels[n]})
    one = compared(capsys, a, "--label-key", "metadata.label", "--positive", "good,fine")["comparisons"]["j"]
    assert (one["decided"], one["agreements"]) == (3, 1)
    assert one["confusion"]["satisfied"]["missing"] == 1
    assert "the label `metadata.label` is 'good'" in refused(capsys, a, "--label-key", "metadata.label")
    for judge in ([], ["--judge", "j"]):
        message = refused(capsys, a, "--label-key", "metadata.lable", *judge)
        assert "has a label in `metadata.lable`. Did you mean 'metadata.label'? Its fields: prompt, " in message
    b = judged(tmp_path / "b.jsonl", "j", "sv", label=lambda n: n == 0)
    assert compared(capsys, b, "--label-key", "label")["comparisons"]["j"]["agreements"] == 2
    c = judged(tmp_path / "c.jsonl", "j", "sv", label=lambda n: n)
    one = compared(capsys, c, "--label-key", "label", "--positive", "0")["comparisons"]["j"]
    assert one["agreements"] == 2


def test_rows_matched_by_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = judged(tmp_path / "a.jsonl", "j", "svsv", id=lambda n: n)
    lines = judged(tmp_path / "b.jsonl", "j", "ssss", id=lambda n: n).read_text().splitlines()
    b = tmp_path / "b.jsonl"
    b.write_text("\n".join([lines[3], lines[0], lines[1]]) + "\n")
    found = compared(capsys, a, b, "--key", "id")
    assert (found["rows"], found["only_in_a"], found["only_in_b"]) == (3, 1, 0)
    assert [(d["line_a"], d["line_b"]) for d in found["comparisons"]["j"]["disagreements"]] == [(2, 3), (4, 1)]
    assert "a.jsonl line 1: no `nr` to match it by" in refused(capsys, a, a, "--key", "nr")
    b.write_text("\n".join([lines[3], lines[0], lines[3]]) + "\n")
    assert "b.jsonl line 3: `id` is 3 as in line 1 already" in refused(capsys, a, b, "--key", "id")
    assert "b.jsonl line 3: `id` is 3 as in line 1 already" in refused(capsys, b, a, "--key", "id")


def test_what_does_not_belong_together_is_an_error_with_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = judged(tmp_path / "a.jsonl", "j", "sss"), tmp_path / "b.jsonl"
    lines = a.read_text().splitlines()
    b.write_text("\n".join([lines[0], lines[2], lines[1]]) + "\n")
    message = refused(capsys, a, b)
    assert f"{a} line 2 and {b} line 2 have different responses" in message
    b.write_text("\n".join(lines[:2]) + "\n")
    assert f"{b} ends after line 2, {a} goes on with line 3" in refused(capsys, a, b)
    b.write_text("\n".join([lines[0], '{"prompt": "p", "response": "r1"}', lines[2]]) + "\n")
    assert "b.jsonl line 2: no `verdicts`" in refused(capsys, a, b)
    b.write_text("\n".join([lines[0], "no json", lines[2]]) + "\n")
    assert "b.jsonl line 2: not JSON" in refused(capsys, a, b)
    assert "Did you mean 'j'" in refused(capsys, a, a, "--judge", "jj")
    assert "nothing to compare with" in refused(capsys, a)


def test_the_table_lists_disagreements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = judged(tmp_path / "a.jsonl", "j", "s" * 30), judged(tmp_path / "b.jsonl", "j", "sv" * 15)
    assert cli.main(["compare", str(a), str(b), "--judge", "j", "--show", "2"]) == 0
    text = capsys.readouterr().out
    assert "j: agreement 50.0% [33.2%, 66.8%] (15/30 decided rows), kappa 0.000" in text
    assert "line 2 / 2: satisfied / violated  because s1 | because v1" in text
    assert "line 6" not in text
    assert "15 disagreements in all" in text


def test_parquet_files_are_compared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    a = judged(tmp_path / "a.jsonl", "j", "sv", metadata=lambda n: {"ok": n == 0})
    rows = [json.loads(line) for line in a.read_text().splitlines()]
    for row in rows:
        row["verdicts"] = json.dumps(row["verdicts"])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    assert compared(capsys, a, tmp_path / "b.parquet")["comparisons"]["j"]["agreements"] == 2
    found = compared(capsys, tmp_path / "b.parquet", "--label-key", "metadata.ok")
    assert found["comparisons"]["j"]["agreements"] == 2


def test_what_is_no_verdict_is_an_error_that_names_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "judged.jsonl"
    row = {"prompt": "p", "response": "r", "verdicts": {"math": {"verdict": ["satisfied"]}}, "satisfied": True}
    path.write_text(json.dumps(row))
    assert cli.main(["compare", str(path), str(path)]) == 2
    assert "line 1: unknown verdict \"['satisfied']\" of judge 'math'" in capsys.readouterr().err
    path.write_text(json.dumps({**row, "verdicts": {}, "satisfied": []}))
    assert cli.main(["compare", str(path), str(path)]) == 0
