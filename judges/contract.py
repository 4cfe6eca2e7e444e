"""The public contract of a judge, as tests that anyone can run on their own judge: `cgpo judge check NAME`.

The judge runs in worker processes, as it does in training, so a check that a judge fails by hanging or crashing is
reported like any other.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from dataclasses import dataclass

from judges import registry
from judges.judge import Judge, Row
from judges.spec import JudgeSpec
from judges.verdict import Outcome, Verdict
from judges.workers import JudgeWorkers

_GRACE_SECONDS = 5.0
"""Beyond a judge's own limit: transfer of a large row, a killed worker's replacement."""

HOSTILE_TEXTS: dict[str, str] = {
    "empty": "",
    "white space": " \t\r\n\v\f\u2028\u00a0",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b\udfff",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85",
    "right-to-left": "\u202eabc\u202c שלום العربية",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "combining marks": "e" + "\u0301" * 2000,
    "braces": "{{{}}}{0}{name!r}%s%(x)d${y}\\frac{\\frac{" * 50,
    "deep nesting": "[" * 20000 + "(" * 20000 + "{" * 20000,
    "one long word": "a" * 1_000_000,
    "a million spaces": " " * 1_000_000 + ".",
    "a million line breaks": "\n" * 1_000_000 + ".",
    "a megabyte of text": "The final answer is 1. I cannot say, *really*, <<no>>. " * 20_000,
    "long number": "The final answer is " + "9" * 10_000,
    "power tower": "The final answer is 9^{9^{9^{9^{9}}}}",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, whether it passed, and what was seen."""

    name: str
    passed: bool
    explanation: str


@dataclass(frozen=True, slots=True)
class _Subject:
    spec: JudgeSpec
    judge: Judge
    rows: tuple[Row, ...]
    workers: JudgeWorkers

    def submit(self, row: Row) -> Future[Verdict]:
        return self.workers.submit(self.spec, row)

    def verdicts(self, rows: tuple[Row, ...]) -> list[Verdict]:
        return [future.result() for future in [self.submit(row) for row in rows]]


def check_judge(spec: JudgeSpec, processes: int = 2) -> list[CheckResult]:
    """Runs all checks on a judge.

    Args:
        spec: the judge with its options.
        processes: worker processes; at least 2, because an answer must not depend on the process that gives it.

    Raises:
        JudgesError: there is no such judge, or its options are wrong.
    """
    judge = registry.create(spec)
    rows = _sample_rows(judge)
    with JudgeWorkers(max(2, processes)) as workers, JudgeWorkers(1) as single:
        subject = _Subject(spec, judge, rows, workers)
        return [
            _examples(subject),
            _deterministic(subject),
            _batch_equals_single(subject, _Subject(spec, judge, rows, single)),
            _order_kept(subject),
            _missing_metadata(subject),
            _hostile_texts(subject),
            _time_limit(subject),
            _serialisable(subject),
        ]


def _sample_rows(judge: Judge) -> tuple[Row, ...]:
    """The judge's own examples and some general responses with the metadata of the examples."""
    metadata = [row.metadata for row, _ in judge.examples] or [{}]
    responses = ("Yes.", "no", "The final answer is 4.", "I'm sorry, but I can't help with that.", "* a\n* b", "3.5, 4")
    made = tuple(Row("A question?", text, metadata[n % len(metadata)]) for n, text in enumerate(responses))
    return tuple(row for row, _ in judge.examples) + made


def _examples(subject: _Subject) -> CheckResult:
    examples = subject.judge.examples
    if not examples:
        return CheckResult("examples", True, "the judge declares none (attribute `examples`)")
    if _options(subject.spec):
        return CheckResult("examples", True, "not tried: they are for the default options")
    verdicts = subject.verdicts(tuple(row for row, _ in examples))
    wrong = [
        f"{row.response!r}: expected {expected.value}, got {verdict.outcome.value} ({verdict.reason})"
        for (row, expected), verdict in zip(examples, verdicts, strict=True)
        if verdict.outcome is not expected
    ]
    return CheckResult("examples", not wrong, "; ".join(wrong) or f"{len(examples)} examples as declared")


def _deterministic(subject: _Subject) -> CheckResult:
    runs = [subject.verdicts(subject.rows) for _ in range(3)]
    differing = [row.response for row, *seen in zip(subject.rows, *runs, strict=True) if len(set(seen)) > 1]
    seen = f"{len(subject.rows)} rows, 3 times" if not differing else f"other verdicts the next time: {differing}"
    return CheckResult("deterministic", not differing, seen)


def _batch_equals_single(subject: _Subject, alone: _Subject) -> CheckResult:
    together = subject.verdicts(subject.rows)
    single = [alone.submit(row).result() for row in subject.rows]
    differing = [row.response for row, a, b in zip(subject.rows, together, single, strict=True) if a != b]
    seen = f"{len(subject.rows)} rows" if not differing else f"other verdicts when judged alone: {differing}"
    return CheckResult("batch equals single", not differing, seen)


def _order_kept(subject: _Subject) -> CheckResult:
    forwards, backwards = subject.verdicts(subject.rows), subject.verdicts(subject.rows[::-1])
    kept = forwards == backwards[::-1]
    return CheckResult("order kept", kept, "also when reversed" if kept else "verdicts depend on the order of the rows")


def _missing_metadata(subject: _Subject) -> CheckResult:
    judge, needed = subject.judge, sorted(subject.judge.requires)
    if not needed:
        return CheckResult("missing metadata", True, "the judge requires none")
    present = dict.fromkeys(judge.applies_only_with, "x")
    verdict = subject.submit(Row("A question?", "An answer.", present)).result()
    unknown = verdict.outcome is Outcome.UNKNOWN
    return CheckResult("missing metadata", unknown, f"without {', '.join(needed)}: {_show(verdict)}")


def _hostile_texts(subject: _Subject) -> CheckResult:
    """A judge may answer anything to such texts, in time; it may not fail on them."""
    metadata = subject.judge.examples[0][0].metadata if subject.judge.examples else {}
    rows = {name: Row("A question?", text, metadata) for name, text in HOSTILE_TEXTS.items()}
    rows["hostile prompt"] = Row(HOSTILE_TEXTS["lone surrogate"], "An answer.", metadata)
    futures = {name: subject.submit(row) for name, row in rows.items()}
    failed = {name: v for name, f in futures.items() if (v := f.result()).outcome is Outcome.UNKNOWN}
    excused = not subject.judge.examples and subject.judge.requires
    if excused:
        return CheckResult("hostile texts", True, "not reached: give `examples` with metadata to have them tried")
    seen = "; ".join(f"{name}: {_show(verdict)}" for name, verdict in failed.items())
    return CheckResult("hostile texts", not failed, seen or f"{len(rows)} texts")


def _time_limit(subject: _Subject) -> CheckResult:
    limit = registry.timeout(subject.spec)
    slowest, text = 0.0, ""
    for name in ("a megabyte of text", "deep nesting", "power tower"):
        metadata = subject.judge.examples[0][0].metadata if subject.judge.examples else {}
        start = time.monotonic()
        subject.submit(Row("A question?", HOSTILE_TEXTS[name], metadata)).result()
        if (taken := time.monotonic() - start) > slowest:
            slowest, text = taken, name
    return CheckResult("time limit", slowest <= limit + _GRACE_SECONDS, f"{slowest:.2f} s of {limit:g} s ({text})")


def _serialisable(subject: _Subject) -> CheckResult:
    verdicts = subject.verdicts(subject.rows)
    try:
        for verdict in verdicts:
            json.dumps(verdict.as_json(), allow_nan=False, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        return CheckResult("serialisable", False, str(error))
    return CheckResult("serialisable", True, f"{len(verdicts)} verdicts")


def _options(spec: JudgeSpec) -> bool:
    return any(name != registry.TIMEOUT_OPTION for name in spec.options)


def _show(verdict: Verdict) -> str:
    return f"{verdict.outcome.value} ({verdict.reason})" if verdict.reason else verdict.outcome.value
