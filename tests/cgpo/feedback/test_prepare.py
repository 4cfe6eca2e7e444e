"""`cgpo feedback prepare`: from a log to a prepared folder."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgpo.cli import build_parser, main
from cgpo.commands.feedback.prepare import Files
from cgpo.data.prepared_feedback import Prepared, read_prepared
from cgpo.errors import ConfigError, DataError
from cgpo.feedback.preparation.prepare import prepare
from cgpo.feedback.preparation.report import Outcome
from cgpo.feedback.settings import PrepareSettings
from judges.command_options import read_options

NOW = 1_750_000_000
START = NOW - 1_000_000


def log_rows(count: int = 100) -> list[dict[str, Any]]:
    """Every tenth row is positive; every row a text, a user and a time of its own; the last tenth is held out."""
    return [
        {
            "prompt": f"Question {n}?",
            "response": f"Answer number {n}, which is {n * n} and {n * 7919} and no other.",
            "reaction": n % 10 == 0,
            "time": START + 100 * n,
            "user": f"user{n}",
            "policy": "A" if n % 2 else "B",
        }
        for n in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(log: str, output: Path, *arguments: str) -> Outcome:
    words = ["feedback", "prepare", "--input", log, "--output", str(output), "--now", str(NOW), *arguments]
    args = build_parser().parse_args(words)
    files = read_options(args, Files)
    return prepare(files.input, files.output, read_options(args, PrepareSettings), overwrite=files.overwrite)


def prepared(folder: Path, rows: list[dict[str, Any]], *arguments: str) -> Prepared:
    run(write(folder / "log.jsonl", rows), folder / "out", *arguments)
    return read_prepared(folder / "out")


def dropped(found: Prepared) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (found.folder / "dropped.jsonl").read_text().splitlines()]
    return [(line["row"].rsplit("/")[-1], line["reason"]) for line in lines]


def test_numbers_by_hand(tmp_path: Path) -> None:
    """90 training rows, 9 positive: p₀ = 0.1. To 25 %: P′ = 0.25 · 81 / 0.75 = 27, three copies of each; q = 27/108."""
    found = prepared(tmp_path, log_rows(), "--positive-share", "0.25")
    assert (found.true_rate, found.training_rate) == (0.1, 0.25)
    train, heldout = found.train(), found.heldout()
    assert [row.copies for row in train] == [3 if n % 10 == 0 else 1 for n in range(90)]
    assert [(row.label, row.copies) for row in heldout] == [(int(n == 90), 1) for n in range(90, 100)]
    assert train[10].prompt == ({"role": "user", "content": "Question 10?"},)
    assert (train[10].response, train[10].label, train[10].time) == (log_rows()[10]["response"], 1, START + 1000)
    assert (train[10].user, train[10].policy) == ("user10", "B")
    assert dropped(found) == []
    assert found.report["counts"] == {
        "log_rows": 100, "bad_rows": 0, "repeated_rows": 0, "train_rows": 90, "train_positives": 9,
        "train_copies": 108, "train_positive_copies": 27, "negatives_left_out": 0, "heldout_rows": 10,
        "heldout_positives": 1,
    }  # fmt: skip


def test_negatives_can_be_left_out_instead(tmp_path: Path) -> None:
    found = prepared(tmp_path, log_rows(), "--positive-share", "0.25", "--by", "dropping-negatives")
    assert sum(row.label for row in found.train()) == 9
    assert len(found.train()) == 36
    assert (found.true_rate, found.training_rate) == (0.1, 0.25)
    assert found.report["counts"]["negatives_left_out"] == 54


BAD: list[tuple[dict[str, Any], str]] = [
    ({"response": None}, "response missing"),
    ({"response": "  "}, "response empty"),
    ({"response": 7}, "response bad"),
    ({"response": "\ud800"}, "response bad"),
    ({"prompt": None}, "conversation bad"),
    ({"prompt": []}, "conversation bad"),
    ({"prompt": [{"role": "assistant", "content": "Hi"}]}, "conversation bad"),
    ({"prompt": [{"role": "narrator", "content": "Hi"}]}, "conversation bad"),
    ({"prompt": None, "conversation": [{"role": "user", "content": "Hi"}], "response": None}, "response missing"),
    ({"reaction": "meh"}, "reaction not understood"),
    ({"time": None}, "time missing"),
    ({"time": "noon"}, "time unreadable"),
    ({"time": NOW + 301}, "time in the future"),
    ({"user": 1.5}, "user not text"),
    ({"policy": ["A"]}, "policy not text"),
    ({"conversation_id": ""}, "conversation_id not text"),
]


def test_every_bad_row_is_counted_and_listed_with_its_place(tmp_path: Path) -> None:
    rows = log_rows(200)
    for number, (cells, _) in enumerate(BAD):
        rows[number] |= cells
    path = write(tmp_path / "log.jsonl", rows)
    with open(path, "a") as file:
        file.write("{half a row\n[]\n")
    run(path, tmp_path / "out")
    found = read_prepared(tmp_path / "out")
    reasons = [reason for _, reason in BAD]
    expected = [(f"log.jsonl row {n}", reason) for n, reason in enumerate(reasons, start=1)]
    assert dropped(found) == [*expected, ("log.jsonl row 201", "not readable"), ("log.jsonl row 202", "not readable")]
    assert found.report["counts"]["bad_rows"] == 18
    assert found.report["dropped"]["time in the future"] == 1


def test_a_little_in_the_future_is_the_clocks_difference(tmp_path: Path) -> None:
    rows = log_rows()
    rows[-1]["time"] = NOW + 299
    assert prepared(tmp_path, rows).report["counts"]["bad_rows"] == 0


def test_too_many_bad_rows_are_refused_with_a_table(tmp_path: Path) -> None:
    rows = log_rows()
    for row in rows[:11]:
        row["time"] = None
    with pytest.raises(
        DataError, match=r"11 of 100 rows cannot be used.*0\.1(.|\n)*11 × time missing(.|\n)*row 1: no"
    ) as e:
        prepared(tmp_path, rows)
    assert "row 4" not in str(e.value)  # three examples
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]
    assert prepared(tmp_path, rows, "--max-bad-share", "0.11").report["counts"]["bad_rows"] == 11


def test_milliseconds_are_not_guessed_but_hinted_at(tmp_path: Path) -> None:
    rows = [row | {"time": row["time"] * 1000} for row in log_rows()]
    with pytest.raises(DataError, match="--time-unit ms"):
        prepared(tmp_path, rows)
    assert prepared(tmp_path, rows, "--time-unit", "ms").train()[0].time == START


@pytest.mark.parametrize(
    ("reactions", "arguments", "words"),
    [
        ([False], [], "one class only: 0 positive, 100 not. Values found: False 100"),
        ([True], [], "one class only: 100 positive, 0 not"),
        (["loved", None], ["--positive", "love"], "'loved' 50.*--positive is love.*'loved' instead of 'love'"),
    ],
)
def test_reactions_of_one_class_are_refused(tmp_path: Path, reactions: Any, arguments: Any, words: str) -> None:
    rows = [row | {"reaction": reactions[n % len(reactions)]} for n, row in enumerate(log_rows())]
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, rows, *arguments)


def test_words_without_positive_ones_are_refused(tmp_path: Path) -> None:
    rows = [row | {"reaction": "love" if row["reaction"] else "like"} for row in log_rows()]
    with pytest.raises(DataError, match=r"100 × reaction not understood(.|\n)*--positive"):
        prepared(tmp_path, rows)
    assert prepared(tmp_path, rows, "--positive", "love").true_rate == 0.1


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    rows = [{("reactions" if k == "reaction" else k): v for k, v in row.items()} for row in log_rows()]
    with pytest.raises(DataError, match=r"no row has a column 'reaction'. Did you mean --column reaction=reactions\?"):
        prepared(tmp_path, rows)
    assert prepared(tmp_path, rows, "--column", "reaction=reactions").true_rate == 0.1
    with pytest.raises(DataError, match="no row has a column 'who'"):
        run(str(tmp_path / "log.jsonl"), tmp_path / "b", "--column", "reaction=reactions", "--column", "user=who")
    with pytest.raises(ConfigError, match=r"unknown column 'reactoin'.*Did you mean 'reaction'"):
        run(str(tmp_path / "log.jsonl"), tmp_path / "b", "--column", "reactoin=reactions")


def test_the_last_message_of_a_conversation_is_the_response(tmp_path: Path) -> None:
    rows = log_rows()
    for row in rows:
        turn = [{"role": "user", "content": row.pop("prompt")}, {"role": "assistant", "content": row.pop("response")}]
        row["conversation"] = turn
    with_conversations = prepared(tmp_path, rows)
    (tmp_path / "plain").mkdir()
    assert with_conversations.train() == prepared(tmp_path / "plain", log_rows()).train()


def forms(folder: Path) -> dict[str, str]:
    """The same log in every form."""
    import pyarrow
    import pyarrow.parquet

    rows = log_rows()
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with gzip.open(folder / "log.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "log.parquet")
    (folder / "parts").mkdir()
    write(folder / "parts" / "b.jsonl", rows[:30])
    write(folder / "parts" / "a.jsonl", rows[30:])
    return {name: str(folder / name) for name in ("log.csv", "log.jsonl.gz", "log.parquet", "parts/*.jsonl")}


def test_every_form_of_a_log_gives_the_same(tmp_path: Path) -> None:
    plain = prepared(tmp_path, log_rows())
    for name, path in forms(tmp_path).items():
        run(path, tmp_path / "again", "--overwrite")
        for file in ("train.jsonl", "heldout.jsonl"):
            assert (tmp_path / "again" / file).read_bytes() == (plain.folder / file).read_bytes(), name


def test_what_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"log\.parquet.*cannot be read as Parquet"):
        run(str(tmp_path / "log.parquet"), tmp_path / "out")
    with pytest.raises(DataError, match=r"no such file.*Did you mean .*log\.parquet"):
        run(str(tmp_path / "logs.parquet"), tmp_path / "out")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="there are no rows"):
        run(str(tmp_path / "empty.jsonl"), tmp_path / "out")


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_order_of_the_log_changes_nothing(tmp_path: Path, seed: int) -> None:
    rows = log_rows(150)
    rows += [dict(rows[n]) for n in range(0, 40, 4)]  # repeated
    for row in rows[40:80]:
        row |= {"time": START + 6000, "user": "one", "response": "The very same answer for all of these questions."}
    arguments = ["--max-user-rows", "9", "--max-near-duplicates", "12", "--seed", str(seed % 3), "--overwrite"]
    straight = prepared(tmp_path, rows, *arguments)
    files = {name: (straight.folder / name).read_bytes() for name in ("train.jsonl", "heldout.jsonl")}
    reasons = straight.report["dropped"]
    random.Random(seed).shuffle(rows)
    again = prepared(tmp_path, rows, *arguments)
    assert {name: (again.folder / name).read_bytes() for name in files} == files
    assert again.report["dropped"] == reasons
    assert reasons["repeated row"] == 10
    assert reasons["cap: near-duplicates"] == 28


def test_the_true_rate_is_measured_before_filters_and_caps(tmp_path: Path) -> None:
    rows = log_rows(1000)
    fan = [row | {"user": "fan", "reaction": True, "time": START + n} for n, row in enumerate(log_rows(60))]
    found = prepared(tmp_path, rows + fan, "--heldout-from", str(START + 90_000))
    assert found.true_rate == (90 + 60) / (900 + 60)
    reasons = found.report["dropped"]
    assert reasons["filter: share"] == 60
    assert found.report["filters"][1]["findings"][0]["who"] == "fan"
    unfiltered = prepared(
        tmp_path, rows + fan, "--heldout-from", str(START + 90_000), "--filters", "none", "--overwrite"
    )
    assert unfiltered.true_rate == found.true_rate
    assert unfiltered.report["dropped"] == {"cap: positives of a user": 10}


def test_users_are_hashed_everywhere(tmp_path: Path) -> None:
    fan = [row | {"user": "Fanny Secret", "reaction": True, "time": START + n} for n, row in enumerate(log_rows(60))]
    rows = [row | {"user": f"Secret {row['user']}"} for row in log_rows(400)] + fan
    found = prepared(tmp_path, rows, "--hash-users")
    for file in found.folder.iterdir():
        assert b"Secret" not in file.read_bytes(), file.name
    assert len({row.user for row in found.train()}) > 300
    assert found.report["dropped"]["filter: share"] == 60
    (tmp_path / "salt").write_text("a salt that is long enough")
    mine = ["--hash-users", "--salt-file", str(tmp_path / "salt"), "--overwrite"]
    once, twice = (prepared(tmp_path, rows, *mine).train()[0].user for _ in range(2))
    assert once == twice != found.report
    other = prepared(tmp_path, rows, "--hash-users", "--overwrite").train()[0].user
    assert other not in (once, found.train)


def test_heldout_rows_of_one_class_are_said(tmp_path: Path) -> None:
    rows = log_rows()
    rows[90]["reaction"] = False
    assert any(
        "held-out rows have reactions of one class only" in note for note in prepared(tmp_path, rows).report["notes"]
    )


def test_the_page_escapes_what_users_wrote(tmp_path: Path) -> None:
    fan = [
        row | {"user": "<script>alert(1)</script>", "reaction": True, "time": START + n}
        for n, row in enumerate(log_rows(60))
    ]
    page = (prepared(tmp_path, log_rows(400) + fan).folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_command_prints_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(tmp_path / "log.jsonl", log_rows())
    with pytest.raises(SystemExit) as done:
        main(["feedback", "prepare", "--input", log, "--output", str(tmp_path / "out"), "--now", str(NOW)])
    assert not done.value.code
    said = " ".join(capsys.readouterr().out.split())
    assert "valid rows 100 10 10.000% 100" in said
    assert "true rate 10.0000%, training rate 10.0000%" in said
    with pytest.raises(SystemExit) as done:
        main(["feedback", "prepare", "--input", log, "--output", str(tmp_path / "out")])
    assert done.value.code == 2
    assert "exists already" in capsys.readouterr().err


def test_the_commands_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "feedback.md").read_text()
    commands = re.findall(r"^cgpo (feedback prepare .*)$", page, re.MULTILINE)
    (example,) = re.findall(r"```json\n(.*?)\n```", page, re.DOTALL)
    write(tmp_path / "logs.jsonl", [*log_rows(2000), json.loads(example)])
    monkeypatch.chdir(tmp_path)
    assert len(commands) == 2
    for command in commands:
        with pytest.raises(SystemExit) as done:
            main(shlex.split(command))
        assert not done.value.code
    for option in re.findall(r"`(--[a-z-]+)", page[page.index("## Logs") : page.index("## Evaluating")]):
        assert option in ("--adversarial",) or option in build_help(), option


def build_help() -> str:
    """All options of the command."""
    from cgpo.commands.feedback.prepare import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.format_help()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--filters", "brust"], "unknown filter 'brust'. Did you mean 'burst'?"),
        (["--positive-share", "1"], "must be a number strictly between 0 and 1, not '1'"),
        (["--max-user-rows", "0"], "must be a whole number of at least 1, not '0'"),
        (["--heldout-from", "soon"], "--heldout-from: 'soon' is neither ISO 8601 nor a Unix time"),
        (["--column", "reaction"], "must be WHAT=COLUMN"),
        (["--salt-file", "salt"], "--salt-file has no use without --hash-users"),
        (["--hash-users", "--salt-file", "short"], "--salt-file: short: a salt has 16 to 64 bytes, this one 4"),
        (
            ["--heldout-from", "2025-05-14", "--heldout-share", "0.2"],
            "--heldout-share: not allowed with argument --held",
        ),
        (["--time-unit", "min"], "--time-unit: invalid choice: 'min' (choose from"),
        (["--hash-users", "--salt-file", "nowhere"], "nowhere cannot be read"),
    ],
)
def test_bad_arguments(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    (tmp_path / "salt").write_text("0123456789abcdef")
    (tmp_path / "short").write_text("0123")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(["feedback", "prepare", "--input", "log.jsonl", "--output", str(tmp_path / "out"), *arguments])
    assert done.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_killed_command_leaves_no_folder(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", log_rows(30_000))
    command = [sys.executable, "-m", "cgpo", "feedback", "prepare", "--input", "log.jsonl", "--output", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    spill = tmp_path / ".out.partial" / "texts.tmp"
    while not (spill.exists() and spill.stat().st_size) and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    run(write(tmp_path / "log.jsonl", log_rows()), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl", "out"]
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_a_prepared_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no prepared folder: it has no report\.json"):
        read_prepared(tmp_path)
    found = prepared(tmp_path, log_rows())
    with (found.folder / "train.jsonl").open("a") as file:
        file.write('{"schema": 1, "prompt": "Hi"}\n')
    with pytest.raises(DataError, match=r"train\.jsonl row 91 is damaged"):
        found.train()
    whole = json.loads((found.folder / "heldout.jsonl").read_text().splitlines()[0])
    for wrong in ({"time": 10**400}, {"time": float("nan")}, {"user": ["u"]}, {"label": 0.5}, {"copies": 0}):
        (found.folder / "heldout.jsonl").write_text(json.dumps({**whole, **wrong}) + "\n")
        with pytest.raises(DataError, match=r"heldout\.jsonl row 1"):
            found.heldout()
    for rate in (0, 1, float("nan"), 10**400):
        report = json.dumps({"schema": 1, "true_rate": rate, "training_rate": 0.1})
        (found.folder / "report.json").write_text(report)
        with pytest.raises(DataError, match=r"report\.json"):
            read_prepared(found.folder)
    (found.folder / "report.json").write_text('{"schema": 2}')
    with pytest.raises(DataError, match="schema 2"):
        read_prepared(found.folder)
