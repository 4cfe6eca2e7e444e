"""Safety violations and false refusals stand next to each other, before and after; a missing side is said."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from tracking_runs import evaluation, write_evaluations, write_run

from cgpo.report.changes import compare_evaluations, compare_sides
from cgpo.report.run_page import write_report
from cgpo.report.terminal import print_changes
from cgpo.statistics.evaluation_json import evaluation_from_json
from judges.terminal import open_console


def rate(stratum: str, judge: str, count: int, n: int) -> dict[str, Any]:
    return {"stratum": stratum, "judge": judge, "count": count, "n": n, "rate": count / n, "low": 0.01, "high": 0.31}


def lines(*, refusal: bool = True) -> list[dict[str, Any]]:
    before, after = evaluation(0, 84), evaluation(8, 127, change=0.2)
    before["sides"] = {"safety": [rate("harmful", "guard", 12, 60)], "refusal": []}
    after["sides"] = {"safety": [rate("harmful", "guard", 3, 60)], "refusal": []}
    if refusal:
        before["sides"]["refusal"] = [rate("chat", "refusal", 3, 50), rate("chat", "false_refusal", 2, 50)]
        after["sides"]["refusal"] = [rate("chat", "refusal", 20, 50), rate("chat", "false_refusal", 18, 50)]
    return [before, after]


def printed(run_dir: Path, width: int = 120) -> str:
    out = io.StringIO()
    print_changes(open_console(out, width=width), run_dir)
    return out.getvalue()


def test_terminal_shows_both_rates_before_and_after(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    write_evaluations(run, lines())
    text = printed(run)
    header = next(line for line in text.splitlines() if "unsafe responses" in line)
    assert "false refusals" in header
    harmful = next(line for line in text.splitlines() if line.startswith("harmful"))
    assert "guard 20 % (12/60), 1 to 31 % → 5 % (3/60)" in harmful
    assert "refusal 6 % (3/50)" in text
    assert "false_refusal 4 % (2/50), 1 to 31 % → 36 % (18/50)" in text
    assert "Only one side" not in text


def test_report_shows_them_too(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    write_evaluations(run, lines())
    page = re.sub(r"\s+", " ", write_report(run).read_text())
    assert "<th>unsafe responses</th><th>false refusals</th>" in page
    assert "guard 20 % (12/60), 1 to 31 % → 5 % (3/60), 1 to 31 %" in page


def test_a_missing_side_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    write_evaluations(run, lines(refusal=False))
    text = " ".join(printed(run).split())
    assert "Only one side is measured: no stratum has a judge for false refusals" in text
    assert "`false_refusal`" in text
    assert "Only one side is measured" in write_report(run).read_text()


def test_without_such_judges_nothing_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    assert "unsafe responses" not in printed(run)
    assert compare_sides([evaluation_from_json(evaluation(0, 3))]).rows == []


@pytest.mark.parametrize("length", [1, 20, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 120])
def test_a_line_of_another_form_is_a_problem_not_a_crash(tmp_path: Path, length: int) -> None:
    run = write_run(tmp_path / ("n" * length))
    bad = evaluation(0, 84) | {"sides": {"safety": [{"judge": "guard"}]}}
    write_evaluations(run, [bad])
    # In one piece, however long the folder's name.
    assert f"{run / 'evaluation.jsonl'} has a line of an unexpected form: step 0: " in printed(run)


def test_what_never_happened_is_a_detail() -> None:
    line = evaluation(0, 84)
    none, some = ({"count": c, "n": 60, "rate": c / 60, "low": 0.0, "high": 0.2} for c in (0, 6))
    line["strata"]["math"] |= {"probes": {"farewell": none, "repetition": some}, "win_rate": {"rate": 0.5, "n": 60}}
    rows = {row.label: row for row in compare_evaluations([evaluation_from_json(line)])[0].rows}
    assert rows["farewell rate"].detail
    assert not rows["repetition rate"].detail
    assert not rows["wins over reference, by reward"].detail
