"""`cgpo feedback gate`: pass or fail for a release, rule by rule.

`--json`: {"schema", "passed", "results": [{"rule", "source", "measure", "value", "low", "high", "direction", "limit",
"passed", "reason"}], "off": [rule], "not_applied": [rule]}
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cgpo.errors import ConfigError
from judges.command_options import Form, add_options, read_options
from judges.printing import json_text, say

if TYPE_CHECKING:
    from cgpo.feedback.gate import Result

SCHEMA = 1

_DESCRIPTION = """Passes or fails a reward model, and the policies trained with it, rule by rule with value, interval,
limit and reason. A rule looks at the bound of the interval that speaks against a release, not at the estimate, and
fails on what is unknown. Exit status: 0 passed, 1 failed, 2 bad input."""

_EPILOG = """examples:
  cgpo feedback gate --evaluation evaluation --correlation correlation
  cgpo feedback gate --evaluation evaluation --correlation correlation --run runs/rluf --rules rules.yaml --json

rules.yaml: a rule's name and its limit, or `off`; the others keep their defaults (docs/feedback.md):
  auroc: 0.8
  correlation: off
  violation/farewell: 0.02"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is decided on."""

    evaluation: Annotated[Path | None, Form(Path, "FILE")] = None
    """evaluation.json of `cgpo feedback evaluate`, or its folder"""
    correlation: Annotated[Path | None, Form(Path, "FILE")] = None
    """correlation.json of `cgpo feedback correlate`, or its folder"""
    run: Annotated[tuple[Path, ...], Form(Path, "RUN", collect=tuple)] = ()
    """a run's directory; may be repeated"""
    rules: Annotated[Path | None, Form(Path, "FILE.yaml")] = None
    """limits of your own"""
    json: bool = False
    """print the result as JSON"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback gate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Applies the rules and prints their results: 0 passed, 1 failed.

    Raises:
        ConfigError: bad input.
    """
    from cgpo.feedback.gate import Sources, apply_rules, read_rules

    options = read_options(args, Options)
    if options.evaluation is None and options.correlation is None and not options.run:
        raise ConfigError("nothing to decide on: give --evaluation, --correlation or --run")
    rules = read_rules(options.rules)
    results = apply_rules(rules, Sources(options.evaluation, options.correlation, options.run))
    outcome = {
        "schema": SCHEMA,
        "passed": bool(results) and all(result.passed for result in results),
        "results": [asdict(result) for result in results],
        "off": list(rules.off),
        "not_applied": [name for name in rules.limits if not any(result.rule == name for result in results)],
    }
    if options.json:
        say(json_text(outcome, indent=1))
    else:
        _print(outcome, results)
    return 0 if outcome["passed"] else 1


def _print(outcome: Mapping[str, Any], results: Sequence[Result]) -> None:
    from cgpo.report.page import Table
    from cgpo.report.terminal import print_table
    from judges.terminal import open_console

    console = open_console()
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
        say(f"FAIL {result.rule} ({result.source}): {result.reason}")
    for key, text in (("off", "off"), ("not_applied", "not applied without --run")):
        if outcome[key]:
            say(f"{text}: {', '.join(outcome[key])}")
    verdict = "passed" if outcome["passed"] else f"failed: {len(failed)} of {len(results)} rules"
    say(f"gate {verdict}")


def _value_words(result: Result) -> str:
    if result.value is None:
        return "unknown"
    if result.low is None or result.high is None or result.low == result.high:
        return f"{result.value:.3g}"
    return f"{result.value:.3g} ({result.low:.3g} to {result.high:.3g})"
