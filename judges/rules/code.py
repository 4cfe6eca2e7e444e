"""The code judge: does the program in the response pass the tests of its row?

Source: CGPO (arXiv 2409.20370), section on the mixture of judges. The program is a fenced code block of the response;
which one, when there are several, is the option `block`. All tests must pass; a response without a block is violated.
The tests are metadata of the row:

- `unit_tests`: Python source with asserts, a text or a list of texts that share a namespace; `test…()` functions and
  unittest classes are run; `check(candidate)` is called with the function that the metadata `entry_point` names.
- `stdin_stdout`: `{"inputs": […], "outputs": […]}`, or a list of `{"stdin" or "input": …, "stdout" or "output": …}`.

Lists and objects may also be JSON text.

The program runs in a box (`judges.sandbox`), the tests in another one; docs/judges/code.md says what that guarantees.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from judges.errors import JudgesError
from judges.judge import Expense, Judge, Row
from judges.metadata import kind_of, structure, texts, value_of
from judges.options import GroupOf
from judges.rules.blocks import Block, fenced_blocks
from judges.rules.info_strings import PYTHON_TAGS
from judges.sandbox import Case, Sandbox, SandboxOptions, available, connect
from judges.sandbox.remote import QUEUE_SECONDS
from judges.verdict import Outcome, Verdict

MAX_PROGRAM_CHARS = 200_000
"""No answer is that long; parsing longer ones would take the judge's time."""

_BOM = "\ufeff"
"""A byte order mark, which Python reads over at the beginning of a file."""

_STARTING_SECONDS = 40.0
"""For starting boxes, also again after a failure of the sandbox."""

_log = logging.getLogger(__name__)
_UNSAFE = (
    "sandbox.unsafe_subprocess=true: programs written by a model run WITHOUT ISOLATION, with the rights of this user. "
    "They can read and change files, reach the network and go on after their verdict"
)
_ADDS = "```python\ndef add(a, b):\n    return {}\n```"
_TESTS = {"unit_tests": "assert add(1, 2) == 3\nassert add(-1, 1) == 0"}
_DOUBLES = {"stdin_stdout": {"inputs": ["2\n", "-4\n"], "outputs": ["4\n", "-8\n"]}}


class CodeJudge(Judge):
    """The response's Python program passes the row's unit tests, or prints what it should.

    Args:
        block: which fenced block is the program. `first_python` and `last_python` count blocks tagged as Python, and
            where there are none, blocks without a tag; `first` and `last` count all; `only` allows just one block.
        output: how printed text is compared: line by line without blanks at the ends, or word by word.
        sandbox: limits and way of isolation, see `judges.sandbox.SandboxOptions`.

    Raises:
        JudgesError: a wrong sandbox option, or nothing on this machine isolates programs.
    """

    requires_any = frozenset({"unit_tests", "stdin_stdout"})
    version = "2"
    expense = Expense.MODERATE
    not_in_cache_key = frozenset({"sandbox.url", "sandbox.retries"})
    examples = (
        (Row("Add two numbers.", _ADDS.format("a + b"), _TESTS), Outcome.SATISFIED),
        (Row("Add two numbers.", _ADDS.format("a - b"), _TESTS), Outcome.VIOLATED),
        (Row("Add two numbers.", "def add(a, b): return a + b", _TESTS), Outcome.VIOLATED),
        (Row("Add two numbers.", _ADDS.format("__import__('os')._exit(0)"), _TESTS), Outcome.VIOLATED),
        (Row("Add two numbers.", _ADDS.format("a + b"), {}), Outcome.UNKNOWN),
        (Row("Double a number.", "```\nprint(2 * int(input()))\n```", _DOUBLES), Outcome.SATISFIED),
        (Row("Double a number.", "```\nprint(4)\n```", _DOUBLES), Outcome.VIOLATED),
    )

    def __init__(
        self,
        block: Literal["first_python", "last_python", "first", "last", "only"] = "first_python",
        output: Literal["lines", "words"] = "lines",
        sandbox: Annotated[dict[str, Any] | None, GroupOf(SandboxOptions)] = None,
    ) -> None:
        self.block = block
        self.by_token = output == "words"
        self.options = SandboxOptions.parse(sandbox, "judge 'code', option 'sandbox'")
        self._sandbox: Sandbox | None = None
        # Above the sandbox's own limits, which say more: a row may have tests and cases, and boxes have to start.
        waiting = 2 * QUEUE_SECONDS if self.options.backend == "http" else 0.0
        self.timeout_seconds = 2 * self.options.wall_seconds + waiting + _STARTING_SECONDS
        _refuse_without_isolation(self.options)

    def prepare(self) -> None:
        """Starts the boxes, so that the first verdict does not wait for them."""
        if self._sandbox is None:
            self._sandbox = connect(self.options)

    def judge(self, row: Row) -> Verdict:
        tests, cases = _unit_tests(row.metadata), _cases(row.metadata)
        for parsed in (tests, cases):
            if isinstance(parsed, Verdict):
                return parsed
        if not tests and not cases:
            return Verdict.unknown("metadata `unit_tests` and `stdin_stdout` are empty")
        entry_point = value_of(row.metadata, "entry_point", "")
        if not isinstance(entry_point, str):
            return Verdict.unknown(f"metadata `entry_point` must be text, not {type(entry_point).__name__}")
        program = self._program(row.response)
        if isinstance(program, Verdict):
            return program
        return self._run(program, tests, cases, entry_point)  # type: ignore[arg-type]

    def _run(self, program: str, tests: list[str], cases: list[Case], entry_point: str) -> Verdict:
        self.prepare()
        assert self._sandbox is not None
        verdict = Verdict.satisfied()
        if tests:
            verdict = self._sandbox.run_tests(program, tests, entry_point)
        if cases and verdict.outcome is Outcome.SATISFIED:
            verdict = self._sandbox.run_cases(program, cases, self.by_token)
        return verdict

    def _program(self, response: str) -> str | Verdict:
        blocks = fenced_blocks(response.removeprefix(_BOM))
        if not blocks:
            return Verdict.violated("no code block")
        if self.block == "only" and len(blocks) > 1:
            return Verdict.violated(f"{len(blocks)} code blocks instead of one")
        chosen = blocks if self.block in ("first", "last", "only") else _python(blocks)
        if not chosen:
            return Verdict.violated("no Python code block")
        program = chosen[-1 if self.block.startswith("last") else 0].code.removeprefix(_BOM)
        if len(program) > MAX_PROGRAM_CHARS:
            return Verdict.violated(f"a program of {len(program)} characters (at most {MAX_PROGRAM_CHARS})")
        return program


def _python(blocks: list[Block]) -> list[Block]:
    """Blocks tagged as Python; where there are none, those without a tag."""
    tagged = [block for block in blocks if block.tag in PYTHON_TAGS]
    return tagged or [block for block in blocks if not block.tag]


def _refuse_without_isolation(options: SandboxOptions) -> None:
    if options.backend == "http":
        return
    reason = available(options)
    if reason is not None:
        raise JudgesError(f"the code judge does not run here: {reason}")
    if options.unsafe_subprocess:
        _warn_of_no_isolation()


@lru_cache(maxsize=1)
def _warn_of_no_isolation() -> None:
    """Once a process: judges are made several times, to be checked before they are asked."""
    _log.warning(_UNSAFE)


def _unit_tests(metadata: Mapping[str, Any]) -> list[str] | Verdict:
    """The texts of `unit_tests`; none when there are none."""
    given = texts(value_of(metadata, "unit_tests", []))
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, (list, tuple)) or any(not isinstance(text, str) for text in given):
        return Verdict.unknown("metadata `unit_tests` must be text or a list of texts")
    return [text.removeprefix(_BOM) for text in given if text.strip()]


def _cases(metadata: Mapping[str, Any]) -> list[Case] | Verdict:
    """The cases of `stdin_stdout`; none when there are none."""
    given = structure(value_of(metadata, "stdin_stdout"))
    if given and not isinstance(given, (Mapping, list, tuple)):
        return Verdict.unknown(f"metadata `stdin_stdout` must be an object or a list of cases, not {kind_of(given)}")
    if isinstance(given, Mapping):
        inputs, outputs = given.get("inputs"), given.get("outputs")
        if "fn_name" in given or not _lists_of_one_length(inputs, outputs):
            return Verdict.unknown("metadata `stdin_stdout` must have `inputs` and `outputs`, equally many texts")
        pairs = list(zip(inputs or [], outputs or [], strict=True))
    else:
        pairs = [_pair(item) for item in given or []]
    if any(not isinstance(part, str) for pair in pairs for part in pair):
        return Verdict.unknown("metadata `stdin_stdout`: what is read and what is printed must be text")
    return [Case(read, printed) for read, printed in pairs]


def _lists_of_one_length(inputs: Any, outputs: Any) -> bool:
    return isinstance(inputs, (list, tuple)) and isinstance(outputs, (list, tuple)) and len(inputs) == len(outputs)


def _pair(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, Mapping):
        return None, None
    return item.get("stdin", item.get("input")), item.get("stdout", item.get("output"))
