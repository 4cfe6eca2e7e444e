"""Families of hostile programs: each bites where nothing holds it, and the sandbox refuses it.

The programs stand in `hostile/`. A careless verifier (`hostile/naive.py`) runs them in a throw-away namespace, to show
that they pass there or do harm; the sandbox must refuse them. Right programs in unusual ways of writing must pass.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hostile import endings, equality, harm, reading, reports, world  # noqa: F401 - each adds its families
from hostile.family import DOUBLE, FAMILIES, SPIN, Family
from hostile.unusual import RIGHT

from judges.sandbox import Case, LocalSandbox, SandboxOptions, box, isolation
from judges.verdict import Outcome, Verdict

DOCS = Path(__file__).parents[3] / "docs" / "judges" / "code.md"
NAIVE = Path(__file__).parent / "hostile" / "naive.py"
LIMITS = {"cpu_seconds": 2, "memory_mib": 96, "file_mib": 4, "output_kib": 64}
PATIENT = 60.0
"""Seconds of wall time for what ends by itself: a bound on hanging."""


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[dict[bool, LocalSandbox]]:
    """By whether the programs end by themselves."""
    made = {
        ends: LocalSandbox(SandboxOptions.parse({**LIMITS, "wall_seconds": PATIENT if ends else SPIN}))
        for ends in (True, False)
    }
    yield made
    for sandbox in made.values():
        sandbox.close()


def careless(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the careless verifier makes of the programs; where one ended the verifier, another goes on behind it."""
    results: list[dict[str, Any]] = []
    while len(results) < len(jobs):
        answers = _careless(json.dumps(jobs[len(results) :]))
        results += answers
        if len(results) < len(jobs):
            results.append({"passes": False, "harms": ["harness"]})
    return results


def _careless(jobs: str) -> list[dict[str, Any]]:
    """In a box with `/proc` and without a filter of system calls."""
    options = SandboxOptions.parse({"file_mib": 8})
    interpreter, program = box.runtime(options).interpreter, isolation.bubblewrap()
    assert program is not None
    command = isolation.box_command(interpreter, options, None)
    place = command.index("--remount-ro")
    command[place:place] = ["--proc", "/proc"]
    with contextlib.ExitStack() as opened:
        executable, environment, held = box._reachable(program, opened)
        ended = subprocess.run(
            ["bwrap", *command, *isolation.python_command(interpreter, NAIVE.read_text(encoding="utf-8"))],
            executable=executable,
            env=environment,
            pass_fds=held,
            input=jobs.encode(),
            capture_output=True,
            cwd="/",
            check=False,
            **box._other_user(),
        )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def judged(sandbox: LocalSandbox, harness: str, program: str, tests: str) -> Verdict:
    if harness == "printed":
        return sandbox.run_cases(program, [Case(*json.loads(tests))])
    if harness == "values":
        tests = f"assert all(abs(double(given) - wanted) <= 1e-9 for given, wanted in {tests})"
    return sandbox.run_tests(program, [tests])


def test_there_are_many_of_them() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES) >= 54
    assert len({program for family in FAMILIES for program in family.programs}) >= 300


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_bites_where_nothing_holds_it(family: Family) -> None:
    jobs = [
        {
            "harness": family.harness,
            "program": program,
            "tests": tests,
            "seconds": family.seconds,
            "bites": family.bites,
        }
        for program, tests in family.programs
    ]
    for job, result in zip(jobs, careless(jobs), strict=True):
        bites = result["passes"] if family.bites == "passes" else family.bites in result["harms"]
        assert bites, (job["program"], result)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_refused(family: Family, sandboxes: dict[bool, LocalSandbox]) -> None:
    sandbox = sandboxes[family.seconds != SPIN]
    for program, tests in family.programs:
        verdict = judged(sandbox, family.harness, program, tests)
        assert verdict.outcome is Outcome.VIOLATED, (program, verdict)


def test_nothing_of_them_is_left(sandboxes: dict[bool, LocalSandbox]) -> None:
    """No process but those of the boxes that are kept, and no file."""
    stays = next(family for family in FAMILIES if family.name == "processes that stay")
    before = set(psutil.Process().children(recursive=True))
    for program, tests in stays.programs:
        judged(sandboxes[True], stays.harness, program, tests)
    psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=60)
    assert not set(psutil.Process().children(recursive=True)) - before
    assert not list(Path("/tmp").glob("far-*"))


@pytest.mark.parametrize("name", RIGHT)
def test_right_programs_in_unusual_ways_pass(name: str, sandboxes: dict[bool, LocalSandbox]) -> None:
    verdict = sandboxes[True].run_tests(textwrap.dedent(RIGHT[name]), [DOUBLE])
    assert verdict.outcome is Outcome.SATISFIED, verdict


def test_docs_list_the_families() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Families of cheats\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^- (.+)$", section, re.MULTILINE)) == sorted(family.name for family in FAMILIES)
