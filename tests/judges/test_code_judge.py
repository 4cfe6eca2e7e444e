"""The code judge: which program is taken, which tests, and the canonical solutions of two public data sets."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judges import registry
from judges.contract import check_judge
from judges.judge import Judge, Row
from judges.rules.blocks import fenced_blocks
from judges.running.workers import JudgeWorkers
from judges.spec import JudgeSpec
from judges.verdict import Outcome, Verdict

DATA = Path(__file__).parents[2].parent / "shared" / "data"
RIGHT, WRONG = "def f(x): return x + 1", "def f(x): return x"
TESTS = {"unit_tests": "assert f(1) == 2"}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    yield from made()


def made(**options: Any) -> Iterator[Judge]:
    judge = registry.create("code", options)
    judge.prepare()
    yield judge
    judge._sandbox.close()


def fenced(code: str, tag: str = "python") -> str:
    return f"```{tag}\n{code}\n```"


def verdict(judge: Judge, response: str, metadata: dict[str, Any] = TESTS) -> Verdict:
    return judge.verdict(Row("A question?", response, metadata))


def test_the_contract_is_kept() -> None:
    results = check_judge(JudgeSpec("code"))
    assert [(r.name, r.explanation) for r in results if not r.passed] == []


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        ("no fence", []),
        ("```\na\n```", [("", "a")]),
        ("```python\na\nb\n```", [("python", "a\nb")]),
        ("x\n```Py title=1\na\n```\ny", [("py", "a")]),
        ("```\r\na\r\n```\r\n", [("", "a")]),
        ("~~~py\n```\n~~~", [("py", "```")]),
        ("````\n```\na\n```\n````", [("", "```\na\n```")]),
        ("```python\na", [("python", "a")]),  # cut off
        ("```a\n1\n```\n```b\n2\n```", [("a", "1"), ("b", "2")]),
        ("1. x\n   ```python\n   if a:\n       b\n   ```", [("python", "if a:\n    b")]),
        ("```python\nx = '''\n```text\n'''\n```", [("python", "x = '''\n```text\n'''")]),
        ("`inline` and ```also inline```", []),
        ("```not`a`fence\n```", [("", "")]),
        ("~~~ a`b\nc\n~~~~ \nd", [("a`b", "c")]),
        ("``\na\n``", []),
        # Long lines that are no fences: a backtracking search would not come back from these.
        ("```" + " " * 10**6 + "`", []),
        ("~" * 10**6 + "`\na", [("`", "a")]),
        ("`" * 10**6 + "x`", []),
        (" " * 10**6 + "x", []),
    ],
)
def test_fenced_blocks(text: str, blocks: list[tuple[str, str]]) -> None:
    assert [(block.tag, block.code) for block in fenced_blocks(text)] == blocks


def test_a_megabyte_of_fences() -> None:
    assert len(fenced_blocks("```\n" * 250_000)) == 125_000  # every other fence opens one


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (fenced(RIGHT), "satisfied"),
        (fenced(WRONG), "violated"),
        (RIGHT, "violated"),  # no block
        ("", "violated"),
        (fenced(RIGHT, ""), "satisfied"),
        (fenced("ls", "bash") + "\n" + fenced(RIGHT, "py"), "satisfied"),
        (fenced("out: 2", "") + "\n" + fenced(RIGHT), "satisfied"),  # tagged ones come first
        (fenced(RIGHT, "javascript"), "violated"),
        (fenced(RIGHT) + "\n" + fenced(WRONG), "satisfied"),
        (fenced(WRONG) + "\n" + fenced(RIGHT), "violated"),
        (f"```python\n{RIGHT}", "satisfied"),
    ],
)
def test_the_first_python_block_is_the_program(judge: Judge, response: str, outcome: str) -> None:
    assert verdict(judge, response).outcome == outcome


@pytest.mark.parametrize(
    ("block", "response", "outcome"),
    [
        ("last_python", fenced(WRONG) + "\n" + fenced(RIGHT) + "\n" + fenced("ls", "sh"), "satisfied"),
        ("first", fenced("ls", "sh") + "\n" + fenced(RIGHT), "violated"),
        ("last", fenced(WRONG) + "\n" + fenced(RIGHT, "sh"), "satisfied"),
        ("only", fenced(RIGHT), "satisfied"),
        ("only", fenced(RIGHT) + "\n" + fenced(RIGHT), "violated"),
    ],
)
def test_the_option_block_chooses(block: str, response: str, outcome: str) -> None:
    for judge in made(block=block):
        assert verdict(judge, response).outcome == outcome


def test_a_response_without_a_program_needs_no_box(judge: Judge) -> None:
    assert verdict(judge, "no").reason == "no code block"
    assert verdict(judge, fenced("ls", "bash")).reason == "no Python code block"
    assert "characters" in verdict(judge, fenced("#" * 300_000)).reason


DOUBLE = fenced("for _ in range(int(input())): print(2 * int(input()))")


@pytest.mark.parametrize(
    ("cases", "outcome"),
    [
        ({"inputs": ["1\n4\n", "2\n1\n3\n"], "outputs": ["8\n", "2\n6\n"]}, "satisfied"),
        ({"inputs": ["1\n4\n", "2\n1\n3\n"], "outputs": ["8\n", "2\n7\n"]}, "violated"),
        ({"inputs": ["2\n1\n3"], "outputs": ["2  \n6\n\n\n"]}, "satisfied"),  # blanks at the ends do not count
        ({"inputs": ["2\n1\n3"], "outputs": ["2 6"]}, "violated"),
        ({"inputs": ["2\n1\n3"], "outputs": ["2\n6\n8"]}, "violated"),
        ({"inputs": ["2\n1\n3"], "outputs": ["2"]}, "violated"),
        ([{"stdin": "1\n4\n", "stdout": "8"}], "satisfied"),
        ([{"input": "1\n4\n", "output": "9"}], "violated"),
        ([{"input": "1\n4\n"}], "unknown"),
        ({"inputs": ["1\n"], "outputs": []}, "unknown"),
        ({"inputs": [[1]], "outputs": [["8"]], "fn_name": "f"}, "unknown"),
        ({"inputs": [1], "outputs": [8]}, "unknown"),
        ([], "unknown"),
        ("text", "unknown"),
    ],
)
def test_programs_that_read_and_print(judge: Judge, cases: Any, outcome: str) -> None:
    found = verdict(judge, DOUBLE, {"stdin_stdout": cases})
    assert found.outcome == outcome, found


def test_words_can_be_compared_instead_of_lines() -> None:
    for judge in made(output="words"):
        cases = {"stdin_stdout": [{"input": "2\n1\n3", "output": "2 6"}]}
        assert verdict(judge, DOUBLE, cases).outcome is Outcome.SATISFIED


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nn, *rest = map(int, sys.stdin.read().split())\nfor x in rest: sys.stdout.write(f'{2 * x}\\n')",
        "n, x = open(0).read().split()\nprint(2 * int(x))\nexit()",
        "import sys, os\nos.read(0, 100)\nos.write(1, b'8\\n')\nos._exit(0)",
        "def main():\n    input()\n    print(2 * int(input()))\nif __name__ == '__main__':\n    main()",
        "import sys, threading\nsys.setrecursionlimit(10**5)\nthreading.stack_size(2**26)\n"
        "def main():\n    input()\n    print(2 * int(input()))\nt = threading.Thread(target=main)\nt.start()",
        "import sys\nwrite = sys.stdout.buffer.write\nread = sys.stdin.buffer.readline\nread()\n"
        "write(b'%d' % (2 * int(read())))",
        "import atexit\natexit.register(print, 8)",
        "out = open(1, 'w', closefd=False)\nout.write('8\\n')",
        "import io\nout = io.TextIOWrapper(io.FileIO(1, 'w', closefd=False))\nout.write('8\\n')",
        "import io, sys\nout = sys.stdout\nsys.stdout = io.StringIO()\nprint('debug')\nout.write('8\\n')",
        "import os\nprint(8 if os.path.basename(__file__) == 'solution.py' else 0)",
    ],
)
def test_common_ways_to_read_and_print(judge: Judge, program: str) -> None:
    found = verdict(judge, fenced(program), {"stdin_stdout": [{"input": "1\n4\n", "output": "8"}]})
    assert found.outcome is Outcome.SATISFIED, found


@pytest.mark.parametrize(
    "metadata",
    [{}, {"unit_tests": ""}, {"unit_tests": []}, {"unit_tests": [1]}, {**TESTS, "entry_point": 3}, {"answer": "4"}],
)
def test_missing_or_malformed_metadata_is_unknown(judge: Judge, metadata: dict[str, Any]) -> None:
    assert verdict(judge, fenced(RIGHT), metadata).outcome is Outcome.UNKNOWN


def test_an_input_that_does_not_fit_is_unknown(judge: Judge) -> None:
    cases = {"stdin_stdout": [{"input": "1" * 5_000_000, "output": "8"}]}
    assert "file_mib" in verdict(judge, DOUBLE, cases).reason


def test_both_kinds_of_tests_must_pass(judge: Judge) -> None:
    program = fenced(f"{RIGHT}\nif __name__ == '__main__':\n    print(f(int(input())))")
    good, bad = [{"input": "1", "output": "2"}], [{"input": "1", "output": "3"}]
    assert verdict(judge, program, {**TESTS, "stdin_stdout": good}).outcome is Outcome.SATISFIED
    assert verdict(judge, program, {**TESTS, "stdin_stdout": bad}).outcome is Outcome.VIOLATED


def test_it_runs_in_worker_processes() -> None:
    spec = JudgeSpec("code", {"sandbox": {"wall_seconds": 4.0}})
    rows = [Row("?", fenced(program), TESTS) for program in (RIGHT, WRONG, "while True: pass") * 3]
    with JudgeWorkers(2) as workers:
        outcomes = [f.result().outcome.value for f in [workers.submit(spec, row) for row in rows]]
    assert outcomes == ["satisfied", "violated", "violated"] * 3


# -- public data -----------------------------------------------------------------------------------------------------


def lines(path: str) -> list[dict[str, Any]]:
    if not (DATA / path).exists():
        pytest.skip(f"needs the public data set {path} in a folder `shared/data` beside the project")
    return [json.loads(line) for line in (DATA / path).open(encoding="utf-8")]


def humaneval() -> list[tuple[str, str, dict[str, Any]]]:
    rows = lines("humaneval/HumanEval.jsonl")[::8]
    return [
        (row["entry_point"], row["prompt"] + row["canonical_solution"], {"unit_tests": row["test"], **entry(row)})
        for row in rows
    ]


def entry(row: dict[str, Any]) -> dict[str, str]:
    return {"entry_point": row["entry_point"]}


def mbpp() -> list[tuple[str, str, dict[str, Any]]]:
    rows = lines("mbpp/mbpp.jsonl")[::20]
    return [
        (name_tested(row["test_list"][0]), row["code"], {"unit_tests": [row["test_setup_code"], *row["test_list"]]})
        for row in rows
    ]


def name_tested(test: str) -> str:
    calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    return next(name for name in names if name not in ("set", "sorted", "tuple", "list", "len"))


@pytest.mark.parametrize("rows", [humaneval, mbpp])
def test_canonical_solutions_pass_and_mutants_fail(judge: Judge, rows: Any) -> None:
    for name, solution, metadata in rows():
        found = verdict(judge, fenced(solution), metadata)
        assert found.outcome is Outcome.SATISFIED, (name, found)
        nothing = f"{solution}\n\ndef {name}(*args, **kwargs):\n    return None\n"
        other = (
            f"{solution}\n\n_right = {name}\n"
            f"def {name}(*args, **kwargs):\n    return [_right(*args, **kwargs), 'something else']\n"
        )
        for mutant in (nothing, other):
            assert verdict(judge, fenced(mutant), metadata).outcome is Outcome.VIOLATED, name


def test_cases_as_json_text(judge: Judge) -> None:
    """As data sets in the manner of APPS have them."""
    cases = {"inputs": ["1\n2\n", "1\n-3\n"], "outputs": ["4\n", "-6\n"]}
    assert verdict(judge, DOUBLE, {"stdin_stdout": json.dumps(cases)}).outcome is Outcome.SATISFIED
    cases["outputs"][1] = "6\n"
    assert verdict(judge, DOUBLE, {"stdin_stdout": json.dumps(cases)}).outcome is Outcome.VIOLATED
    for text, problem in (("{broken", "not JSON"), ("3", "an object or a list of cases")):
        found = verdict(judge, DOUBLE, {"stdin_stdout": text})
        assert found.outcome is Outcome.UNKNOWN
        assert problem in found.reason


@pytest.mark.parametrize(
    "tag", ["python3.11", "python,linenos", "{.python}", "python:main.py", "main.py", "python\u200b"]
)
def test_blocks_that_are_python_by_their_info_string(judge: Judge, tag: str) -> None:
    """They are chosen before others, and as the last ones when those are asked for."""
    other = fenced("not a program", "text")
    assert verdict(judge, f"{other}\n{fenced(RIGHT, tag)}").outcome is Outcome.SATISFIED
    assert verdict(judge, f"{other}\n{fenced(WRONG, tag)}").outcome is Outcome.VIOLATED


def test_a_byte_order_mark_is_read_over(judge: Judge) -> None:
    for response in (fenced(f"\ufeff{RIGHT}"), f"\ufeff{fenced(RIGHT)}"):
        assert verdict(judge, response).outcome is Outcome.SATISFIED
    assert verdict(judge, fenced(RIGHT), {"unit_tests": f"\ufeff{TESTS['unit_tests']}"}).outcome is Outcome.SATISFIED
    assert verdict(judge, fenced(f"\ufeff{WRONG}")).outcome is Outcome.VIOLATED
    assert verdict(judge, fenced(f"\ufeff\ufeff{RIGHT}")).outcome is Outcome.VIOLATED  # no Python takes two
