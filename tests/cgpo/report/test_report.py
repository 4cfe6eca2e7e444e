"""The report and the closing table say what happened, and no more than is known."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tracking_runs import CONFIG, evaluation, write_evaluations, write_run

from cgpo.errors import RunError
from cgpo.report.line_chart import Series, line_chart
from cgpo.report.run_page import write_report
from cgpo.report.terminal import print_changes
from cgpo.storage.environment import write_environment
from judges.terminal import open_console


class Page(HTMLParser):
    """Collects what a browser would see: elements with their attributes, and text outside of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def _page(run_dir: Path) -> Page:
    return Page(write_report(run_dir).read_text(encoding="utf-8"))


def _printed(run_dir: Path, width: int = 80) -> str:
    out = io.StringIO()
    print_changes(open_console(out, width=width), run_dir)
    return out.getvalue()


def test_a_whole_run(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo")
    write_environment(run_dir, world_size=2)
    page = _page(run_dir)
    assert "All 8 steps are done." in page.text
    for fact in ("smollm2", "8 of 8", "6 min 40 s", "cgpo 0.1.0", "python 3"):
        assert fact in page.text
    assert "42 % (84/198)" in page.text
    assert "64 % (127/198)" in page.text
    assert "+22 [+15, +29]" in page.text
    assert "unknown 2 before, 2 after" in page.text
    for curve in ("satisfied, of known verdicts", "calibrated reward", "log_ratio, nats per response"):
        assert page.text.count(curve) >= 2, "one curve for each stratum"
    for curve in ("unknown, of all verdicts", "response length, tokens", "largest KL factor", "sync/logprob gap"):
        assert curve in page.text
    assert "learning 4 min 28 s 33.5 s 67 %" in page.text
    assert "the last sentence has no answer" in page.text
    assert "held-out prompt math-0" in page.text


def test_settings_that_explain_curves_are_said(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo")
    text = CONFIG.replace("{name: smollm2}", "{name: smollm2, dtype: bfloat16, lora: {rank: 8}}")
    text = text.replace("weight: 0.5}", "weight: 0.5, schedule: {start: 2, end: 7, every: 2}}")
    text = text.replace("learning_rate: 1.0e-5", "learning_rate: 1.0e-5, schedule: cosine, warmup_steps: 2")
    text += "weighting: {method: improvement, min_factor: 0.5, max_factor: 3.0}\n"
    (run_dir / "config.yaml").write_text(text)
    (run_dir / "checkpoints").mkdir()
    (run_dir / "checkpoints" / "best.json").write_text('{"step": 4, "metric": "math/satisfied_rate", "value": 0.5}')
    changes = {f"strata.math.optimizer.{key}": {"old": 1, "new": 2} for key in ("beta", "clip_range", "eps", "kl_max")}
    changes["strata.math.optimizer.name"] = {"old": "grpo", "new": "crpg"}
    line = {"schema": 1, "time": "2026-01-01", "step": 3, "changes": changes}
    (run_dir / "config-history.jsonl").write_text(json.dumps(line) + "\n")
    page = _page(run_dir)
    for said in (
        "smollm2 (bfloat16, LoRA of rank 8)",
        "1e-05, cosine to 0 of it, 2 warm-up steps",
        "by improvement, each ρ × 0.5 to 3.0",
        "step 4: math/satisfied_rate 0.5",
        "weight 0.5 · from step 3 to 7, every 2 steps",
        "After step 3 the run went on with other settings: strata.math.optimizer.name grpo → crpg,",
        "and 1 more (",
    ):
        assert said in page.text
    assert "weight 1.0 · from" not in page.text


def test_hostile_responses_stay_text(tmp_path: Path) -> None:
    page = _page(write_run(tmp_path / "demo"))
    assert "<script>alert('x')</script> \\ud800 \\x00 \\u202e reversed & <img src=x onerror=alert(1)>" in page.text
    assert "no </td> answer <b>" in page.text
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]


def test_the_page_needs_no_network_and_allows_only_its_own_script(tmp_path: Path) -> None:
    html = write_report(write_run(tmp_path / "demo")).read_text(encoding="utf-8")
    page = Page(html)
    assert not re.search(r"(src|href)=[\"'](?!#)|url\(|@import", html)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "Content-Security" in str(a)]
    digest = base64.b64encode(hashlib.sha256("".join(page.scripts).encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert len(html) < 2_000_000


def test_samples_carry_what_the_filters_ask_for_and_keep_to_the_limit(tmp_path: Path) -> None:
    page = _page(write_run(tmp_path / "demo"))
    samples = [attrs for _, attrs in page.tags if "data-outcome" in attrs]
    assert {a["data-stratum"] for a in samples} == {"math", "chat"}
    assert {a["data-outcome"] for a in samples} >= {"satisfied", "violated", "unknown"}
    training = [a for a in samples if a["data-source"] == "training"]
    assert len(training) == 12, "tracking.report_samples: 6 a stratum"


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert "No step has been recorded yet." in page.text
    assert "config.yaml is missing" in page.text
    assert "No held-out evaluation has been recorded" in page.text
    assert "No responses have been recorded." in page.text


def test_a_killed_run_says_how_far_it_came(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo", steps=5)
    write_evaluations(run_dir, [evaluation(0, 84)])
    with (run_dir / "metrics.jsonl").open("ab") as file:
        file.write(b'{"schema": 1, "st')
    page = _page(run_dir)
    assert "Not finished: 5 of 8 steps are recorded." in page.text
    assert "One evaluation so far, at step 0" in page.text


def test_damaged_files_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo")
    (run_dir / "config.yaml").write_text("{")
    (run_dir / "rollouts" / "step-000008.parquet").write_bytes(b"damaged")
    (run_dir / "metrics.jsonl").write_text("garbage\n" + (run_dir / "metrics.jsonl").read_text())
    write_evaluations(run_dir, [evaluation(0, 84) | {"strata": {"math": {"satisfied": 3}}}, evaluation(8, 127)])
    page = _page(run_dir)
    assert "metrics.jsonl line 1 is damaged" in page.text
    assert "step-000008.parquet cannot be read" in page.text
    assert "config.yaml cannot be read" in page.text
    assert "training step 7" in page.text
    assert "64 % (127/198)" in page.text


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere is not a run directory"):
        write_report(tmp_path / "nowhere")


def test_closing_table_fits_80_columns_and_shows_counts_change_and_places(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo")
    (run_dir / "report.html").touch()
    text = _printed(run_dir)
    assert "step 0 to 8 (rates in points, 95 % intervals)" in text
    assert re.search(r"satisfied +42 % \(84/198\) +64 % \(127/198\) +\+22 \[\+15, \+29\]", text)
    assert re.search(r" {4}math +42 %", text)
    assert re.search(r"calibrated reward +0\.50 +0\.60 +\+0\.10", text)
    assert re.search(r"KL, nats +0\.00 +3\.20", text)
    assert f"report:   {run_dir}/report.html\n" in text
    assert f"samples:  {run_dir}/rollouts\n" in text
    assert max(len(line) for line in text.splitlines() if str(run_dir) not in line) <= 80


def test_closing_table_with_one_or_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert "No held-out evaluation was made" in _printed(tmp_path)
    write_evaluations(tmp_path, [evaluation(0, 84)])
    text = _printed(tmp_path)
    assert "Held-out evaluation at step 0" in text
    assert "change" not in text


def test_closing_table_on_an_ascii_terminal(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "demo")
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_changes(open_console(out, width=80), run_dir)
    out.flush()


def test_a_chart_breaks_its_line_where_a_value_is_unknown() -> None:
    chart = line_chart("rate", [Series("all", [(1, 0.0), (2, 0.5), (3, None), (4, 1.0)])], rate=True)
    assert chart is not None
    assert chart.svg.count("<polyline") == 2
    assert chart.svg.count("<circle") == 3
    assert chart.last == "100 %"
    assert "all, step 2: 50 %" in chart.svg


def test_a_chart_without_a_known_value_is_left_out() -> None:
    assert line_chart("rate", [Series("all", [(1, None)])]) is None


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [-1e-9, 1e9], [5e-324, 0.0], [1e308, 3.0], [1e199, -1e199]])
def test_charts_of_odd_values_are_drawn_inside_the_frame(values: list[float]) -> None:
    chart = line_chart("x", [Series("x", list(enumerate(values)))])
    assert chart is not None
    assert all(0 <= float(y) <= 180 for y in re.findall(r'cy="([^"]+)"', chart.svg))


def test_long_runs_are_averaged_and_say_so() -> None:
    chart = line_chart("x", [Series("x", [(n, float(n % 2)) for n in range(1, 601)])])
    assert chart is not None
    assert chart.svg.count("<circle") == 200
    assert chart.note == "each point is a mean over about 3 steps"


@pytest.mark.parametrize(
    ("name", "change", "colour"),
    [
        ("satisfied", +0.2, "good"),
        ("satisfied", -0.2, "bad"),
        ("satisfied", -0.05, ""),  # may be chance
        ("truncated", -0.2, "good"),
        ("truncated", +0.2, "bad"),
        ("calibrated_reward", -0.2, "bad"),
        ("win_rate", +0.2, "good"),
        ("farewell", +0.2, "bad"),
        ("refusal", +0.2, ""),
        ("kl", +0.2, ""),
        ("response_tokens", -0.2, ""),
    ],
)
def test_a_change_has_the_colour_of_what_is_better(tmp_path: Path, name: str, change: float, colour: str) -> None:
    def half(value: float, key: str) -> dict[str, Any]:
        measure = {key: value, "low": value - 0.1, "high": value + 0.1, "n": 100}
        probes = {"probes": {name: measure}} if name in ("farewell", "refusal") else {name: measure}
        return {"n": 100, "prompts": 100, "unknown": 0, "judges": {}, **probes}

    key = "mean" if name in ("calibrated_reward", "kl", "response_tokens") else "rate"
    lines = [
        {"schema": 1, "step": step, "strata": {"math": half(value, key)}}
        for step, value in [(0, 0.5), (1, 0.5 + change)]
    ]
    lines[1]["changes"] = {"math": {k: v for k, v in half(change, "change").items() if k not in ("n", "prompts")}}
    write_evaluations(tmp_path, lines)
    cells = [attrs["class"] for tag, attrs in _page(tmp_path).tags if tag == "td" and attrs.get("class")]
    assert cells[-1] == f"num {colour}".strip()
