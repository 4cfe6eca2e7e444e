"""Every command that prints what others wrote, over rows, files and names that would take the terminal over."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracking_runs import judged, write_run

from cgpo.cli import COMMANDS, main
from cgpo.tracking.display import make_display
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.progress import StageProgress
from cgpo.tracking.response_metrics import step_metrics
from cgpo.tracking.rollouts import RolloutRow
from judges import Verdict
from judges.cli import main as judges_main
from judges.contract import CheckResult

OBEYED = "".join(
    map(chr, [*range(1, 9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
)
EVIL = f"\x1b]0;title\x07\x1b[2J\x1b[31m evil {OBEYED} \u202e[bold]lieve[/bold][link=x]"
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK])|\r(?=\x1b)")
"""What rich itself tells the terminal: colours, the cursor's visibility, a line up, the line cleared."""
JUDGE = f'''
from judges import Verdict
def echo(row, word: str = ""):
    """{EVIL!r}"""
    if "crash" in row.response:
        raise ValueError(row.response)
    if "?" in row.response:
        return Verdict.unknown(row.response)
    return Verdict.of("good" in row.response, row.response + str(row.metadata))
'''


class Screen(io.TextIOWrapper):
    """A terminal that remembers what it got."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    def isatty(self) -> bool:
        return True

    def got(self) -> str:
        raw = self.buffer.getvalue()  # type: ignore[attr-defined]
        return str(raw.decode("utf-8", "surrogateescape"))


def assert_harmless(text: str) -> None:
    raw = sorted(set(OURS.sub("", text)) & set(OBEYED))
    assert not raw, f"{raw} in {text!r}"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Screen:
    """A terminal, in a working directory of its own."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)
    return Screen()


@pytest.fixture
def run(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command, and gives its status and all that the terminal got of it; none of it is obeyed."""

    def command(*words: object, program: Callable[[list[str]], Any] = main) -> tuple[int, str]:
        before = len(screen.got())
        with monkeypatch.context() as here:
            here.setattr(sys, "excepthook", sys.excepthook)
            for name in ("stdout", "stderr"):  # only now: pytest puts its own streams there before each part of a test
                here.setattr(sys, name, screen)
            try:
                status = program(list(map(str, words)))
            except SystemExit as ended:
                status = ended.code
        said = screen.got()[before:]
        assert_harmless(said)
        return int(status or 0), said

    return command


def write(file: Path | str, rows: list[Any]) -> Path:
    path = Path(file)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def rows() -> list[Any]:
    texts = ["good", "bad", "?", "crash"]
    made = [
        {"prompt": EVIL, "response": f"{text} {n} {EVIL}", "metadata": {"answer": EVIL, EVIL: EVIL}, "label": EVIL}
        for n, text in enumerate(texts * 2)
    ]
    return [*made, {"prompt": EVIL}, {"prompt": [{"role": EVIL}], "response": "r"}, f"no JSON {EVIL}"]


def test_judging(run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("echo.py").write_text(JUDGE)
    # The checks themselves take 10 s, and have tests of their own.
    monkeypatch.setattr(
        "judges.contract.check_judge", lambda spec: [CheckResult(EVIL, n % 2 == 0, EVIL) for n in range(4)]
    )
    source, out = write(f"rows {EVIL[:30]}.jsonl", rows()), f"out {EVIL[:30]}.jsonl"
    base = ("judge", "run", "--judge", "echo.py:echo", "--workers", 1, "--input", source)
    status, said = run(*base, "--output", out, "--max-unknown-rate", 0.1)
    assert status == 1
    assert "\\x1b]0;title\\x07" in said
    assert "malformed rows" in said or "warning:" in said
    status, said = run(*base, "--output", "-", program=lambda words: judges_main(words[1:]))
    judged_rows = [json.loads(line[line.index("{") :]) for line in said.splitlines() if '"verdicts"' in line]
    assert len(judged_rows) == len(rows())
    assert judged_rows[0] == {**rows()[0], **{key: judged_rows[0][key] for key in ("verdicts", "satisfied")}}
    assert EVIL in judged_rows[0]["verdicts"]["echo"]["reason"]
    assert run(*base, "--output", "strict.jsonl", "--strict")[0] == 2
    assert EVIL in json.loads(Path(out).read_text().splitlines()[0])["response"]
    assert_harmless(Path(out).read_text())
    labelled = write("labelled.jsonl", json.loads(f"[{','.join(Path(out).read_text().splitlines()[:8])}]"))
    words = ("judge", "compare", labelled, "--judge", "echo", "--label-key", "label", "--positive", EVIL)
    for more in ((), ("--show", 9), ("--json",), ("--key", f"no {EVIL}"), ("--positive", f"no {EVIL}")):
        run(*words, *more)
    assert "evil" in run(*words, "--show", 9)[1]
    assert json.loads(run(*words, "--json", "--show", 9)[1])["comparisons"]["echo"]["disagreements"]
    run("judge", "compare", out, "labelled.jsonl", "--show", 9)
    for more in (
        ("check", "echo.py:echo"),
        ("check", EVIL),
        ("list", "echo.py:echo"),
        ("list", EVIL),
        ("run", "--judge", EVIL),
    ):
        run("judge", *more)
    run("judge", EVIL)
    run("judge", "run", "--judge", "echo.py:echo", "--option", f"echo.{EVIL}=1", "--input", source, "--output", out)


def test_rows_to_strata_and_reactions(run: Callable[..., tuple[int, str]]) -> None:
    labelled = [{"prompt": EVIL, "task": EVIL, "label": EVIL}, {"prompt": EVIL, "task": "math", "label": EVIL}]
    source = write(f"rows {EVIL[:30]}.jsonl", [*labelled, {"prompt": 1, "task": EVIL}, f"no JSON {EVIL}"])
    words = ("stratify", "--input", source, "--output", f"strata {EVIL[:30]}", "--column", "task")
    run(*words, "--truth", "label", "--map", f"{EVIL}={EVIL}")
    run(*words, "--truth", "label", "--bad-rows", "drop")
    run(*words, "--truth", "label")
    log = [
        {
            "prompt": f"{EVIL} {n}",
            "response": f"{EVIL} {n % 7}",
            "reaction": n % 3 == 0,
            "time": 1.7e9 + n,
            "user": EVIL,
        }
        for n in range(60)
    ]
    log += [{"prompt": EVIL, "response": EVIL, "reaction": EVIL, "time": EVIL}, {"prompt": {EVIL: 1}}]
    write("log.jsonl", log)
    run("feedback", "prepare", "--input", "log.jsonl", "--output", f"prepared {EVIL[:30]}", "--now", 1.8e9)
    scored = [
        {"policy": f"{EVIL}{n % 4}", "prompt": f"p{n // 4}", "response": EVIL, "love": n % 5 / 5} for n in range(40)
    ]
    write("scored.jsonl", scored)
    write("rates.jsonl", [{"policy": f"{EVIL}{n}", "positives": 10 + n, "n": 100} for n in range(4)])
    words = ("feedback", "correlate", "--responses", "scored.jsonl", "--score-column", "love", "--observed")
    run(*words, "rates.jsonl", "--output", f"correlation {EVIL[:30]}")
    write("bad.jsonl", [{"policy": EVIL, "positives": EVIL}])
    run(*words, "bad.jsonl")
    run("feedback", "gate", "--correlation", f"correlation {EVIL[:30]}")
    run("feedback", "gate", "--correlation", f"correlation {EVIL[:30]}", "--json")
    run("feedback", "evaluate", "--model", EVIL, "--rows", "log.jsonl")


def hostile_run(folder: Path) -> Path:
    made = write_run(folder)
    written = [RolloutRow.of(judged(response=EVIL, prompt=EVIL, verdicts={"math": Verdict.unknown(EVIL)}))] * 40
    MetricsFile(made / "metrics.jsonl").append(9, step_metrics(written))
    (made / "metrics.jsonl").open("a").write(f"no JSON {EVIL}\n")
    (made / "evaluation.jsonl").open("a").write(f"no JSON {EVIL}\n")
    return made


def test_what_a_run_leaves(run: Callable[..., tuple[int, str]]) -> None:
    made = hostile_run(Path(f"run {EVIL[:30]}"))
    assert "report.html" in run("report", made)[1]
    run("tradeoff", made, made)
    run("tradeoff", EVIL)
    for command in ("report", "export"):
        run(command, f"no {EVIL[:30]}")


def test_settings_and_plans(run: Callable[..., tuple[int, str]]) -> None:
    name = f"rows {EVIL[:30]}.jsonl"
    write(name, [{"prompt": EVIL, "answer": EVIL}])
    for command in sorted(set(COMMANDS) - {"doctor"}):
        run(command, EVIL)
        run(command, f"--{EVIL}")
    for command in ("train", "sft", "reward", "dpo", "preferences", "pipeline", "evaluate"):
        run(command, f"experiment={EVIL}")
    quoted = '"' + EVIL[:30].replace('"', "") + '"'
    run("train", "experiment=quickstart", f"strata.math.prompts.path={quoted}", "--dry-run")
    run("train", "experiment=quickstart", f"run_dir={quoted}", f"model.name={quoted}", "--dry-run")
    run("sft", "experiment=quickstart", f"run_dir={quoted}", f"sft_stage.data.path={quoted}", "--dry-run")


@pytest.mark.parametrize("mode", ["live", "plain"])
def test_while_it_goes_on(screen: Screen, mode: str) -> None:
    display = make_display(mode, stream=screen)  # type: ignore[arg-type]
    display.phase(f"loading {EVIL}", 1, 2)
    display.start(3, [EVIL])
    display.message(f"note: {EVIL}")
    display.phase(EVIL)
    display.step(1, {"time/step": 1.0})
    display.stop()
    progress = StageProgress(mode, stream=screen)  # type: ignore[arg-type]
    progress.message(EVIL)
    with progress.task(EVIL, 2) as update:
        update(1, EVIL)
        update(2, EVIL)
    assert "evil" in screen.got()
    assert_harmless(screen.got())
