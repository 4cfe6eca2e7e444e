"""The command line of the judges, run as users run it: in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from judges import cli

MATH = {"prompt": "17 + 25?", "metadata": {"answer": "42"}}


def judges(*arguments: object, path: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or []), "COLUMNS": "80"}
    command = [sys.executable, "-m", "judges", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_come_back_in_order_with_verdicts_and_all_they_had(tmp_path: Path) -> None:
    said = [42 if n % 3 else 41 for n in range(200)]
    rows = [{"id": n, "extra": {"ü": [n]}, **MATH, "response": f"The final answer is {x}."} for n, x in enumerate(said)]
    source, target = write(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    result = judges("run", "--judge", "math,refusal", "--input", source, "--output", target, "--workers", 2)
    assert result.returncode == 0, result.stderr
    judged = read(target)
    assert [{k: row[k] for k in rows[0]} for row in judged] == rows
    assert [row["satisfied"] for row in judged] == [x == 42 for x in said]
    assert judged[0]["verdicts"]["math"] == {"verdict": "violated", "reason": "41 differs from 42", "score": None}
    assert list(judged[0]["verdicts"]) == ["math", "refusal"]
    assert "200 rows written" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.jsonl"]


def test_malformed_rows_have_their_line_number_and_are_unknown(tmp_path: Path) -> None:
    good = {**MATH, "response": "The final answer is 42."}
    rows = [
        good,
        "{broken",
        "",
        '["a list"]',
        {**MATH},
        {**good, "response": 3},
        {**good, "metadata": []},
        {**good, "prompt": [{"role": "user"}]},
        '{"prompt": "p", "response": "r", "x": NaN}',
        {**good, "metadata": None},
        {**good, "prompt": [{"role": "user", "content": "hi"}]},
        '{"prompt": "p", "response": "lone \\ud800 surrogate. The final answer is 42.", "metadata": {"answer": 42}}',
        {**good, "verdicts": "old", "satisfied": "old"},
    ]
    source, target = write(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    result = judges("run", "--judge", "math", "--input", source, "--output", target)
    assert result.returncode == 0, result.stderr
    judged = read(target)
    assert [row["satisfied"] for row in judged] == [True, *[None] * 8, True, True, True]
    reasons = [row["verdicts"]["math"]["reason"] for row in judged]
    assert reasons[1].startswith("malformed row: not JSON")
    assert judged[1]["raw"] == "{broken"
    assert reasons[2:7] == [
        "malformed row: not a JSON object but a list",
        "malformed row: no `response`",
        "malformed row: `response` must be text, not a number",
        "malformed row: `metadata` must be an object, not an empty list",
        'malformed row: message 1 of `prompt` must be {"role": text, "content": text}',
    ]
    assert reasons[8] == "missing metadata: answer"
    for line in (2, 4, 5, 6, 7, 8, 9):
        assert f"rows.jsonl line {line}: " in result.stderr


def test_strict_stops_at_the_first_malformed_row_and_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": "x"}, "{broken"])
    target = tmp_path / "out.jsonl"
    target.write_text("from before")
    result = judges("run", "--judge", "math", "--input", source, "--output", target, "--strict")
    assert result.returncode == 2
    assert "rows.jsonl line 2: not JSON" in result.stderr
    assert target.read_text() == "from before"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("limit", "status"), [("0.2", 1), ("0.5", 0)])
def test_too_many_unknown_verdicts_are_a_failure(tmp_path: Path, limit: str, status: int) -> None:
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": "x"}, {"prompt": "p", "response": "x"}])
    arguments = ("--input", source, "--output", tmp_path / "out.jsonl", "--max-unknown-rate", limit)
    result = judges("run", "--judge", "math", *arguments)
    assert result.returncode == status
    assert ("judge 'math' is unknown on 50.0% of the rows" in result.stderr) == bool(status)
    assert len(read(tmp_path / "out.jsonl")) == 2


def test_a_judge_that_never_decides_is_a_failure_that_says_why(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": "x", "metadata": {"language": "en"}}, {"prompt": "p", "response": "x"}]
    source, target = write(tmp_path / "rows.jsonl", [*rows, rows[1], "{broken"]), tmp_path / "out.jsonl"
    result = judges("run", "--judge", "math,language", "--input", source, "--output", target)
    assert result.returncode == 1
    assert "error: judge 'math' is unknown on every row that it concerns, most often: missing metadata" in result.stderr
    assert "3 × missing metadata: answer" in result.stdout
    assert len(read(target)) == 4


def test_malformed_rows_alone_do_not_make_a_judge_undecided(tmp_path: Path) -> None:
    """The only row of the language judge is too short to have a language, so it does not concern that."""
    rows = [{"prompt": "p", "response": "42", "metadata": {"language": "en"}}, "{broken"]
    source = write(tmp_path / "rows.jsonl", rows)
    result = judges("run", "--judge", "language", "--input", source, "--output", tmp_path / "out.jsonl")
    assert result.returncode == 0, result.stderr
    outcomes = next(line.split() for line in result.stdout.splitlines() if line.startswith("language"))
    assert outcomes == ["language", "0", "0", "1", "1", "0"]


def test_reasons_in_a_summary_survive_a_kill_and_stay_bounded() -> None:
    from judges.files.rows import InputRow, Summary
    from judges.verdict import Judgement, Verdict

    summary = Summary()
    for n in range(1000):
        reason = "often" if n % 2 == 0 else f"{n} " + 1000 * "x"
        summary.add(InputRow(n, 1, {}, None), Judgement({"j": Verdict.unknown(reason)}))
    again = Summary.from_json(json.loads(json.dumps(summary.as_json())))
    assert again.unknown_reasons == summary.unknown_reasons
    assert again.unknown_reasons["j"].most_common(1) == [("often", 500)]
    assert len(json.dumps(again.as_json())) < 60_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "mth"], "unknown judge 'mth'. Did you mean 'math'? Allowed: "),
        (["--judge", "math,math"], "'math' is named twice. Give one of them a name of its own: --judge math,NEW=math"),
        (["--judge", "math,"], "an empty name"),
        (["--judge", "math", "--option", "format=boxed"], "write it as NAME.KEY=VALUE"),
        (["--judge", "math", "--option", "refusal.x=1"], "'refusal' is not among math"),
        (["--judge", "math", "--option", "mat.format=boxed"], "'mat' is not among math. Did you mean 'math'?"),
        (["--judge", "math", "--option", "math.format=lastnumber"], "Did you mean 'last_number'?"),
        (["--judge", "a=math,a=refusal"], "'a' is named twice"),
        (["--judge", "math,math=refusal"], "'math' is named twice"),
        (["--judge", "a="], "an empty name"),
        (["--judge", "math", "--option", "math.fromat=boxed"], "Did you mean 'format'?"),
        (["--judge", "math", "--option", "math.format=bxed"], "'phrase', 'boxed' or 'last_number'"),
        (["--judge", "math", "--workers", "0"], "whole number of at least 1"),
        (["--judge", "math", "--max-unknown-rate", "2"], "number from 0 to 1"),
        (["--judge", "math", "--input", "no-such-file.jsonl"], "no-such-file.jsonl: No such file or directory"),
        (["--judge", "math", "--output", "no-such-folder/out.jsonl"], "there is no folder"),
        (["--judge", "math", "--output", "/dev/null"], "/dev/null: is not a regular file"),
        (["--judge", "math", "--input", "/dev/null"], "/dev/null has no rows"),
    ],
)
def test_wrong_use_is_one_message_and_status_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": "x"}])
    result = judges("run", "--input", source, "--output", tmp_path / "out.jsonl", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_options_reach_the_judge(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": r"So \boxed{42}."}])
    options = ("--option", "math.format=boxed", "--option", "math.timeout_seconds=5")
    result = judges("run", "--judge", "math", *options, "--input", source, "--output", tmp_path / "out.jsonl")
    assert result.returncode == 0, result.stderr
    assert read(tmp_path / "out.jsonl")[0]["satisfied"] is True


def test_one_judge_twice_with_different_options(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def short(row, words: int = 3):\n    return len(row.response.split()) <= words\n")
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": r"So it is \boxed{42}."}])
    judge = f"math,boxed=math,long={file}:short,{file}:short"
    options = ("--option", "boxed.format=boxed", "--option", "long.words=9")
    result = judges("run", "--judge", judge, *options, "--input", source, "--output", tmp_path / "out.jsonl")
    assert result.returncode == 0, result.stderr
    verdicts = read(tmp_path / "out.jsonl")[0]["verdicts"]
    assert {name: verdict["verdict"] for name, verdict in verdicts.items()} == {
        "math": "violated",
        "boxed": "satisfied",
        "long": "satisfied",
        "short": "violated",
    }


@pytest.mark.parametrize(
    ("judge", "options", "message"),
    [
        ("own.py:polit", [], "own.py has no function or class 'polit'. Did you mean 'polite'?"),
        ("own.py", [], "own.py' is a file: name the function or class in it too"),
        ("code", ["--option", "code.sandbox.wall_seconds=-3"], "error: judge 'code', option 'sandbox': wall_seconds: "),
        ("math", ["--option", 'math.phrase=""'], "error: judge 'math' cannot be created: `phrase` is empty"),
        ("safety", ["--option", "safety.llm.modle=x"], "option 'llm': unknown option 'modle'. Did you mean 'model'?"),
    ],
)
def test_messages_are_in_the_words_of_the_user(tmp_path: Path, judge: str, options: list[str], message: str) -> None:
    (tmp_path / "own.py").write_text("def polite(row):\n    return True\n")
    result = judges("check", judge.replace("own.py", f"{tmp_path}/own.py"), *options)
    assert result.returncode == 2
    assert message in result.stderr
    for internal in ("_judge_file_", "AttributeError", "JudgesError", "ValueError", "Value error"):
        assert internal not in result.stderr


def test_a_misspelt_command_has_a_nearest_match() -> None:
    result = judges("rum")
    assert result.returncode == 2
    assert "Did you mean 'run'?" in result.stderr


def test_rows_as_other_programs_write_them(tmp_path: Path) -> None:
    said = [{"role": "assistant", "content": "The final answer is 1."}, {"role": "user", "content": "Sure?"}]
    last = {"role": "assistant", "content": "The final answer is 42."}
    rows = [
        {"completion": [*said, last], "answer": "42"},
        {"question": None, "completion": last["content"], "answer": "42", "metadata": {"answer": "41"}},
        {"completion": said, "metadata": '{"answer": "1"}'},
        {"completion": said[1:], "answer": "42"},
        {"completion": said, "metadata": "[1]"},
        {"response": "The final answer is 42.", "answer": "42"},
    ]
    source, target = write(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    keys = ("--prompt-key", "question", "--response-key", "completion", "--metadata-key", "answer")
    result = judges("run", "--judge", "math", *keys, "--no-prompt", "--input", source, "--output", target)
    assert result.returncode == 0, result.stderr
    judged = read(target)
    assert [row["satisfied"] for row in judged] == [True, True, True, None, None, None]
    assert [row["verdicts"]["math"]["reason"] for row in judged[3:]] == [
        "malformed row: `completion` has no message of the role assistant",
        "malformed row: `metadata` must be an object, or text with one: not a JSON object but a list",
        "malformed row: no `completion`",
    ]
    assert [{key: row[key] for key in given} for row, given in zip(judged, rows, strict=True)] == rows
    again = judges("run", "--judge", "math", *keys, "--input", source, "--output", tmp_path / "strict.jsonl")
    assert again.returncode == 1
    assert "rows.jsonl line 1: no `question`" in again.stderr


def test_metadata_from_inside_an_object(tmp_path: Path) -> None:
    row = {"prompt": "17 + 25?", "response": "The final answer is 42.", "reward_model": {"ground_truth": "42"}}
    source, target = write(tmp_path / "rows.jsonl", [row]), tmp_path / "out.jsonl"
    arguments = ("run", "--judge", "math", "--input", source, "--output", target, "--metadata-key")
    assert judges(*arguments, "answer=reward_model.ground_truth").returncode == 0
    assert read(target)[0]["satisfied"] is True
    wrong = judges(*arguments, "answer=")
    assert wrong.returncode == 2
    assert "write it as KEY or KEY=FIELD" in wrong.stderr


def test_the_output_may_not_be_the_input_and_links_stay(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [{**MATH, "response": "The final answer is 42."}])
    before = source.read_text()
    link, hard, old = tmp_path / "link.jsonl", tmp_path / "hard.jsonl", write(tmp_path / "old.jsonl", [])
    link.symlink_to(source)
    hard.hardlink_to(source)
    for target in (source, link, hard):
        result = judges("run", "--judge", "math", "--input", source, "--output", target)
        assert result.returncode == 2
        assert "is the input" in result.stderr
    assert source.read_text() == before
    link.unlink()
    link.symlink_to(old)
    assert judges("run", "--judge", "math", "--input", source, "--output", link).returncode == 0
    assert link.is_symlink()
    assert read(old)[0]["satisfied"] is True


def test_list_shows_name_kind_metadata_and_origin() -> None:
    result = judges("list")
    assert result.returncode == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "rule" in lines["math"]
    assert "answer" in lines["math"]
    assert "cgpo" in lines["math"]
    assert "instruction_id_list, kwargs" in lines["instruction_following"]


def cells(output: str, option: str) -> list[str]:
    """The line of an option in the tables of `judge list NAME`."""
    line = next(line for line in output.splitlines() if line.startswith(f"{option} "))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize(
    ("judge", "said", "options"),
    [
        (
            "math",
            ["Final answer equal to metadata `answer`", "metadata it needs: answer"],
            [["format", "phrase | boxed | last_number", '"phrase"'], ["phrase", "text", '"The final answer is"']],
        ),
        (
            "safety",
            ["metadata it needs: none", "options llm.…, as safety.llm.KEY=VALUE:"],
            [
                ["model", "text", "required", "The name under which the endpoint serves it; for the other back ends"],
                ["requests_per_second", "number > 0 | null", "null", "Requests started per second at most."],
                ["max_batch", "whole number ≥ 1", "32", "Questions computed side by side by the back ends"],
            ],
        ),
        (
            "code",
            ["metadata it needs: stdin_stdout or unit_tests", "options sandbox.…, as code.sandbox.KEY=VALUE:"],
            [
                ["output", "lines | words", '"lines"'],
                ["wall_seconds", "number > 0, ≤ 3600", "10.0", "Wall time of one verdict: all tests of one response"],
            ],
        ),
    ],
)
def test_list_of_one_judge_shows_all_that_its_user_must_know(
    judge: str, said: list[str], options: list[list[str]]
) -> None:
    result = judges("list", judge)
    assert result.returncode == 0, result.stderr
    for text in said:
        assert text in result.stdout
    for expected in options:
        found = cells(result.stdout, expected[0])
        assert found[:3] == expected[:3]
        assert " ".join(found[3:]).startswith(" ".join(expected[3:]))
    for option in ("as", "threshold", "abstain_within", "timeout_seconds"):
        assert cells(result.stdout, option)[0] == option


def test_list_of_a_judge_in_a_file_and_of_none(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text('def short(row, words: int = 3, hints: "list[str] | None" = None):\n    """Few words."""\n')
    found = judges("list", f"{file}:short")
    assert found.returncode == 0, found.stderr
    assert "Few words." in found.stdout
    assert cells(found.stdout, "words") == ["words", "whole number", "3"]
    assert cells(found.stdout, "hints") == ["hints", "list of text | null", "null"]
    wrong = judges("list", "mth")
    assert wrong.returncode == 2
    assert "Did you mean 'math'?" in wrong.stderr


def test_check_of_a_plugin_finds_what_breaks_the_contract(install) -> None:
    code = """
        import os, random
        from judges import Verdict
        def bad(row):
            if row.response == "": os._exit(1)
            return random.random() < 0.5
    """
    folder = install("bad-judge", code, bad="bad")
    result = judges("check", "bad", path=[str(folder)])
    assert result.returncode == 1
    assert "FAILED deterministic" in result.stdout
    assert "FAILED stays in its process: empty: ended the process: ended its process (exit status 1)" in result.stdout
    assert "ok     serialisable" in result.stdout
    assert judges("check", "bda", path=[str(folder)]).returncode == 2


@pytest.mark.parametrize("command", [[], ["list"], ["run"], ["compare"], ["check"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--help"])
    assert stopped.value.code == 0
    assert "example" in capsys.readouterr().out


def test_the_same_commands_fit_under_another_program() -> None:
    parser = argparse.ArgumentParser(prog="cgpo judge")
    cli.add_arguments(parser)
    assert "cgpo judge run --judge math,refusal" in parser.format_help()
    assert cli.run(parser.parse_args(["list"])) == 0


def test_rows_are_read_as_they_are_needed(tmp_path: Path) -> None:
    """An endless input (a pipe that stays open) must not be read far ahead of the judges."""
    from judges.files.jsonl import read_rows
    from judges.files.rows import in_flight, judge_rows
    from judges.mixture import Mixture
    from judges.running.workers import JudgeWorkers

    reader, writer = os.pipe()
    written = []

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            for n in range(20_000):
                file.write(json.dumps({"prompt": "p", "response": f"{n} {'x' * 2000}"}).encode() + b"\n")
                written.append(n)

    thread = threading.Thread(target=feed)
    thread.start()
    with JudgeWorkers(1) as workers, os.fdopen(reader, "rb") as file:
        rows = judge_rows(read_rows(file), Mixture(["refusal"], workers), in_flight(1))
        first, _ = next(rows)
        assert first.line == 1
        assert len(written) < 1000
    thread.join()
