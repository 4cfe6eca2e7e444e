"""`cgpo feedback gate`: pass or fail for a release, rule by rule.

`--json`: {"schema", "passed", "results": [{"rule", "source", "measure", "value", "low", "high", "direction", "limit",
"passed", "reason"}], "off": [rule], "not_applied": [rule]}

A rule passes when the bound of the interval that speaks against a release keeps the limit: the lower one of what must
be at least something. What is unknown fails, also where --evaluation or --correlation is not given. Rules on runs apply
to every stratum of every run given.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, RunError
from cgpo.evaluation.file import FILE_NAME, EvaluationFile
from cgpo.feedback.correlate import read_correlation
from cgpo.feedback.evaluate import read_evaluation
from cgpo.feedback.gate_rules import AT_LEAST, Rule, read_rules, rule_of
from cgpo.feedback.gate_values import Value, from_correlation, from_evaluation, from_run, unknown
from cgpo.report.page import Table
from cgpo.report.terminal import print_table
from cgpo.storage.text import showable

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A rule with what became of it.

    Attributes:
        rule: its name.
        source: `evaluation`, `correlation`, or a run's directory and stratum.
        measure: what is measured.
        value: the estimate; None: unknown.
        low: lower bound.
        high: upper bound.
        direction: `at least` or `at most`.
        limit: what the bound is held against.
        passed: whether it keeps the limit.
        reason: in words.
    """

    rule: str
    source: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    direction: str
    limit: float
    passed: bool
    reason: str


def run(args: argparse.Namespace) -> int:
    """Applies the rules and prints what became of them: 0 passed, 1 failed.

    Raises:
        ConfigError: bad input.
    """
    if args.evaluation is None and args.correlation is None and not args.run:
        raise ConfigError("nothing to decide on: give --evaluation, --correlation or --run")
    rules = read_rules(args.rules)
    values = _Values(args)
    results = [
        result for name, limit in rules.limits.items() for result in values.results(name, limit, name in rules.named)
    ]
    found = {
        "schema": SCHEMA,
        "passed": bool(results) and all(result.passed for result in results),
        "results": [asdict(result) for result in results],
        "off": list(rules.off),
        "not_applied": [name for name in rules.limits if not any(result.rule == name for result in results)],
    }
    if args.json:
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        _print(found, results)
    return 0 if found["passed"] else 1


def decide(name: str, rule: Rule, limit: float, source: str, value: Value) -> Result:
    """Holds a value against a limit."""
    at_least = rule.direction == AT_LEAST
    bound, side = (value.low, "lower") if at_least else (value.high, "upper")
    # Bounds are differences and quotients of rates: the last bit must not decide.
    kept = bound is not None and (bound >= limit - 1e-12 if at_least else bound <= limit + 1e-12)
    if bound is None:
        reason = f"unknown is not a pass: {value.reason}"
    elif value.low == value.high:
        reason = f"{bound:.3g} is {'' if kept else 'not '}{rule.direction} {limit:g}"
    else:
        reason = f"the {side} bound {bound:.3g} is {'' if kept else 'not '}{rule.direction} {limit:g}"
    if bound is not None and value.reason:
        reason += f" ({value.reason})"
    return Result(name, source, rule.text, value.estimate, value.low, value.high, rule.direction, limit, kept, reason)


class _Values:
    """The files that were given."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._evaluation = None if args.evaluation is None else read_evaluation(args.evaluation)
        self._correlation = None if args.correlation is None else read_correlation(args.correlation)
        self._runs = {str(folder): last_evaluation(folder) for folder in args.run}

    def results(self, name: str, limit: float, named: bool) -> Iterator[Result]:
        """What becomes of a rule: a result, or one for each stratum of each run.

        Without its source a rule fails; only those on runs do not apply then, unless they were asked for by name.
        """
        rule, subject = rule_of(name)
        kind = name.partition("/")[0]
        found = {"evaluation": self._evaluation, "correlation": self._correlation, "run": self._runs or None}
        if found[rule.source] is None:
            if rule.source != "run" or named:
                reason = f"--{rule.source} was not given (`{name}: off` in --rules does without)"
                yield decide(name, rule, limit, rule.source, unknown(reason))
        elif self._evaluation is not None and rule.source == "evaluation":
            with _damaged("--evaluation"):
                value = from_evaluation(kind, self._evaluation)
                result = decide(name, rule, limit, rule.source, value)
            yield result
        elif self._correlation is not None and rule.source == "correlation":
            with _damaged("--correlation"):
                value = from_correlation(kind, self._correlation)
                result = decide(name, rule, limit, rule.source, value)
            yield result
        else:
            for folder, last in self._runs.items():
                for stratum in last["strata"]:
                    with _damaged(f"--run {folder}"):
                        value = from_run(kind, subject, stratum, last)
                        result = decide(name, rule, limit, f"{folder}, {stratum}", value)
                    yield result


@contextmanager
def _damaged(where: str) -> Iterator[None]:
    """Says of a file that lacks what a rule looks for, or has something else there, that it is damaged.

    Raises:
        ConfigError: it is.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError) as error:
        raise ConfigError(f"{where}: the file is damaged: {type(error).__name__}: {error}. Make it anew") from error


def last_evaluation(folder: Path) -> dict[str, Any]:
    """The last line of a run's evaluation.jsonl.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    if not (folder / FILE_NAME).is_file():
        raise ConfigError(
            f"--run {folder}: it has no {FILE_NAME}: no run of `cgpo train`, or one without held-out prompts"
        )
    try:
        lines = EvaluationFile(folder).read()
    except RunError as error:  # bad input here: exit status 1 would say that the gate was closed
        raise ConfigError(f"--run {folder}: {error}") from error
    if not lines:
        raise ConfigError(f"--run {folder}: {FILE_NAME} is empty: the run has not been evaluated")
    if not isinstance(lines[-1].get("strata"), dict):
        raise ConfigError(f"--run {folder}: {FILE_NAME} is damaged: its last line has no strata")
    return lines[-1]


def _print(found: dict[str, Any], results: list[Result]) -> None:
    from rich.console import Console

    console = Console()
    rows = [
        (
            "pass" if result.passed else "FAIL",
            result.rule,
            result.source,
            _value_words(result),
            f"{result.direction} {result.limit:g}",
        )
        for result in results
    ]
    print_table(console, "", Table(("", "rule", "of", "value", "limit"), rows))
    failed = [result for result in results if not result.passed]
    for result in failed:
        print(showable(f"FAIL {result.rule} ({result.source}): {result.reason}"))
    for key, text in (("off", "off"), ("not_applied", "not applied without --run")):
        if found[key]:
            print(f"{text}: {', '.join(found[key])}")
    verdict = "passed" if found["passed"] else f"failed: {len(failed)} of {len(results)} rules"
    print(f"gate {verdict}")


def _value_words(result: Result) -> str:
    if result.value is None:
        return "unknown"
    if result.low is None or result.high is None or result.low == result.high:
        return f"{result.value:.3g}"
    return f"{result.value:.3g} ({result.low:.3g} to {result.high:.3g})"
