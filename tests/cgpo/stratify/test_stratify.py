"""`cgpo stratify`: what is written, what is left unassigned, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli import main
from cgpo.stratify.assignment import best

ROWS: list[dict[str, Any]] = [
    {"prompt": "What is 3 + 4?", "task": "maths", "answer": "7", "level": 1},
    {"prompt": [{"role": "user", "content": "Calculate 12 + 9."}], "task": "maths", "answer": 21},
    {"prompt": "How do I keep basil alive?", "task": "talk", "note": "äöü"},
    {"prompt": "Suggest a name for a kitten.", "task": "talk"},
    {"prompt": "Bonjour !", "task": None},
    {"prompt": "Translate: good morning.", "task": "translation"},
]


def write(file: Path, rows: list[Any]) -> str:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(file)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def stratify(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["stratify", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return write(tmp_path / "rows.jsonl", ROWS)


BY_COLUMN = ["--column", "task", "--map", "maths=math", "--map", "talk=chat"]


def test_by_a_column(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert stratify("--input", rows, "--output", str(out), *BY_COLUMN) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "chat.jsonl",
        "math.jsonl",
        "summary.json",
        "unassigned.jsonl",
    ]
    added = {"stratum": "math", "stratum_score": None}
    assert read(out / "math.jsonl") == [row | added for row in ROWS[:2]]
    assert [row["note"] for row in read(out / "chat.jsonl") if "note" in row] == ["äöü"]
    assert [row["prompt"] for row in read(out / "unassigned.jsonl")] == ["Bonjour !", "Translate: good morning."]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["rows"] == {"math": 2, "chat": 2, "unassigned": 2}
    assert summary["unassigned"] == {"no value in task": 1, "task = 'translation' is not mapped": 1}
    shown = capsys.readouterr().out
    assert "33.3%" in shown
    assert "task = 'translation' is not mapped" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "rows.jsonl"]


def test_values_can_be_the_names(tmp_path: Path) -> None:
    given = [{"prompt": "a", "stratum": "one"}, {"prompt": "b", "stratum": "Two"}]
    out = tmp_path / "out"
    assert stratify("--input", write(tmp_path / "in.jsonl", given), "--output", str(out), "--column", "stratum") == 2
    assert stratify(
        "--input", write(tmp_path / "in.jsonl", given), "--output", str(out), "--column", "stratum", "--key", "part"
    ) == 0  # fmt: skip
    assert read(out / "one.jsonl") == [{"prompt": "a", "stratum": "one", "part": "one", "part_score": None}]
    assert read(out / "unassigned.jsonl")[0]["part"] is None


def test_the_truth_is_compared(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [row | {"guess": "maths" if i in (0, 2) else "talk"} for i, row in enumerate(ROWS)]
    rows = write(tmp_path / "rows.jsonl", given)
    arguments = ["--column", "guess", "--map", "maths=math", "--map", "talk=chat", "--truth", "task"]
    assert stratify("--input", rows, "--output", str(tmp_path / "out"), *arguments) == 0
    truth = json.loads((tmp_path / "out" / "summary.json").read_text())["truth"]
    # Known: 5 of 6. Right: rows 0 (math) and 3 (chat).
    assert (truth["known"], truth["assigned"], truth["right"]) == (5, 5, 2)
    assert ["math", "chat", 1] in truth["confusion"]
    assert "right: 2 of 5 (40.0%)" in capsys.readouterr().out


def test_hostile_truths_and_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that a terminal, its markup or UTF-8 stumbles over is neither obeyed nor fatal."""
    hostile = ["[/red]", "[link=x]", "\ud800", "\x1b[2J", "x" * 5000]
    rows = [{"prompt": "p", "task": "math", "label": text} for text in hostile]
    file = write(tmp_path / "rows.jsonl", [*rows, *({"prompt": "p", "task": text} for text in hostile)])
    assert stratify("--input", file, "--output", str(tmp_path / "out"), "--column", "task", "--truth", "label") == 0
    said = capsys.readouterr().out
    assert "[/red]" in said
    assert "\x1b[2J" not in said
    assert max(map(len, said.splitlines())) < 300
    truths = {row[0] for row in json.loads((tmp_path / "out" / "summary.json").read_text())["truth"]["confusion"]}
    assert truths == set(hostile)


def test_a_tie_is_not_decided_even_without_a_margin() -> None:
    found = best({"math": 0.25, "chat": 0.25, "code": 0.0}, margin=0.0)
    assert (found.stratum, found.reason) == (None, "no difference between chat and math")
    assert best({"math": 0.25, "chat": 0.5}, margin=0.0).stratum == "chat"


def test_bad_rows_are_listed_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [ROWS[0], "{no json", {"question": "?"}, {"prompt": " ", "task": "maths"}, ROWS[2]]
    rows = write(tmp_path / "rows.jsonl", given)
    arguments = ["--input", rows, "--output", str(tmp_path / "out"), *BY_COLUMN]
    assert stratify(*arguments) == 2
    said = capsys.readouterr().err
    for expected in ("3 of 5 rows", "row 2: not valid JSON", "row 3: no column 'prompt'", "row 4: the prompt is empty"):
        assert expected in said
    assert not (tmp_path / "out").exists()
    assert stratify(*arguments, "--max-bad-rate", "0.6") == 0
    assert "left out: 3 of 5" in capsys.readouterr().err
    assert len(read(tmp_path / "out" / "math.jsonl")) == 1


def test_a_killed_command_leaves_nothing_that_hinders_the_next(rows: str, tmp_path: Path) -> None:
    rest = tmp_path / ".out.partial"
    rest.mkdir()
    (rest / "old.jsonl").write_text("half a li")
    assert stratify("--input", rows, "--output", str(tmp_path / "out"), *BY_COLUMN) == 0
    assert not rest.exists()
    assert not (tmp_path / "out" / "old.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--column", "tsk"], "Did you mean 'task'?"),
        ([], "--column"),
        (["--column", "task", "--map", "maths"], "VALUE=STRATUM"),
        (["--column", "task", "--map", "maths=Math"], "no name of a stratum"),
        (["--column", "task", "--map", "x=math"], "none of the 6 rows"),
        (["--column", "task", "--llm", "model=x"], "--llm has no use"),
        (["--method", "embeddings"], "--strata FILE.yaml"),
        (["--method", "embeddings", "--strata", "nowhere.yaml"], "nowhere.yaml"),
        (["--method", "judge", "experiment=quickstart"], "--llm model=NAME"),
        (["--column", "task", "--prompt-column", "promt"], "no column 'promt'"),
    ],
)
def test_refusals(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert stratify("--input", rows, "--output", str(tmp_path / "out"), *arguments) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(
    rows: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert stratify("--input", rows, "--output", str(tmp_path / "out"), *BY_COLUMN) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_parquet_and_dates(tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"prompt": ["a", "b"], "task": ["math", "chat"], "day": [datetime.date(2026, 1, 2)] * 2})
    pq.write_table(table, tmp_path / "rows.parquet")
    out = tmp_path / "out"
    assert stratify("--input", str(tmp_path / "rows.parquet"), "--output", str(out), "--column", "task") == 0
    assert read(out / "chat.jsonl")[0]["day"] == "2026-01-02"


STRATA = """
math: {description: Arithmetic., examples: ['What is 2 + 2?', Calculate 7 - 3.]}
chat: Everyday questions about cooking, plants, pets and names.
"""


def test_by_embeddings(rows: str, tmp_path: Path) -> None:
    (tmp_path / "strata.yaml").write_text(STRATA)
    out = tmp_path / "out"
    arguments = ["--method", "embeddings", "--strata", str(tmp_path / "strata.yaml"), "--margin", "0.1"]
    assert stratify("--input", rows, "--output", str(out), *arguments) == 0
    assert [row["answer"] for row in read(out / "math.jsonl")] == ["7", 21]
    found = read(out / "chat.jsonl")
    assert {"How do I keep basil alive?", "Suggest a name for a kitten."} <= {row["prompt"] for row in found}
    assert all(row["stratum_score"] >= 0.1 for row in found)
    assert all(row["stratum_score"] < 0.1 for row in read(out / "unassigned.jsonl"))


class Model(BaseHTTPRequestHandler):
    """Says Yes to arithmetic where there is a digit, to talk where there is a question mark; undecided on 'Bonjour'."""

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        kind, prompt = text.split("<<PROMPT")[0], text.split("<<PROMPT")[1]
        if "Translate" in prompt:
            self.send_error(400, "refused")
            return
        fits = any(c.isdigit() for c in prompt.split("\n")[1]) if "Arithmetic" in kind else "?" in prompt.split("\n")[1]
        p = [-0.7, -0.7] if "Bonjour" in prompt else [-0.1, -3.0] if fits else [-3.0, -0.1]
        top = [{"token": token, "logprob": value} for token, value in zip(("Yes", "No"), p, strict=True)]
        place = {"token": "Yes", "logprob": p[0], "top_logprobs": top}
        reply = json.dumps({"choices": [{"logprobs": {"content": [place]}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_by_a_judge_model(tmp_path: Path, endpoint: str) -> None:
    given = [ROWS[1], ROWS[2], ROWS[3], ROWS[4], ROWS[5]]
    (tmp_path / "strata.yaml").write_text(STRATA)
    out = tmp_path / "out"
    arguments = ["--method", "judge", "--strata", str(tmp_path / "strata.yaml")]
    arguments += ["--llm", "model=m", "--llm", f"base_url={endpoint}", "--llm", "retries=0"]
    assert stratify("--input", write(tmp_path / "in.jsonl", given), "--output", str(out), *arguments) == 0
    (math,), (chat,) = read(out / "math.jsonl"), read(out / "chat.jsonl")
    assert math["answer"] == 21
    assert chat["prompt"] == "How do I keep basil alive?"
    # p(Yes) share: e^−0.1 / (e^−0.1 + e^−3) = 0.94785 against 0.05215.
    assert chat["stratum_score"] == pytest.approx(0.89570, abs=1e-4)
    reasons = json.loads((out / "summary.json").read_text())["unassigned"]
    assert reasons.pop("No to every stratum") == 1
    assert reasons.pop("less than 0.05 between chat and math") == 1
    ((reason, count),) = reasons.items()
    assert count == 1
    assert reason.startswith("no answer: ")
    assert "400" in reason


def test_a_judge_model_that_cannot_be_reached_writes_nothing(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "strata.yaml").write_text(STRATA)
    llm = ["--llm", "model=m", "--llm", "base_url=http://127.0.0.1:9/v1", "--llm", "retries=0"]
    arguments = ["--method", "judge", "--strata", str(tmp_path / "strata.yaml"), *llm]
    assert stratify("--input", rows, "--output", str(tmp_path / "out"), *arguments) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
