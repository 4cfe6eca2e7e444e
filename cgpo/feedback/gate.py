"""The gate for a release: rules with their default limits, and what becomes of each.

A rule passes when the bound of the interval that speaks against a release keeps the limit: the lower one of what must
be at least something. What is unknown fails, also where its file is not given. Rules on runs apply to every stratum of
every run given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cgpo.errors import ConfigError, RunError, unknown_name
from cgpo.evaluation.file import EvaluationFile
from cgpo.feedback.gate_values import Value, from_correlation, from_evaluation, from_run, unknown
from cgpo.feedback.results import CORRELATION, EVALUATION
from cgpo.statistics.evaluation import Evaluation
from cgpo.storage.file_names import EVALUATION_NAME

Source = Literal["evaluation", "correlation", "run"]

Direction = Literal["at least", "at most"]

AT_LEAST: Direction = "at least"
AT_MOST: Direction = "at most"


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of rule.

    Attributes:
        source: where its value comes from.
        direction: `at least` is held against the lower bound, `at most` against the upper one.
        text: what is measured.
        named: whether a name follows after a slash, as in `violation/farewell`.
    """

    source: Source
    direction: Direction
    text: str
    named: bool = False


RULES: Mapping[str, Rule] = {
    "later_data": Rule("evaluation", AT_LEAST, "share of rows later than the model's last training example"),
    "missing_scores": Rule("evaluation", AT_MOST, "share of rows without a score"),
    "auroc": Rule("evaluation", AT_LEAST, "AUROC"),
    "over_length": Rule("evaluation", AT_LEAST, "AUROC above that of length alone"),
    "length_correlation": Rule("evaluation", AT_MOST, "Pearson r of score and length, without its sign"),
    "ece_over_rate": Rule("evaluation", AT_MOST, "ECE as a share of the observed rate"),
    "brier_skill": Rule("evaluation", AT_LEAST, "Brier skill over the base rate"),
    "top_lift": Rule("evaluation", AT_LEAST, "lift of the top tenth"),
    "correlation": Rule("correlation", AT_LEAST, "Pearson r of offline score and observed rate"),
    "correlation_left_out": Rule("correlation", AT_LEAST, "the lowest Pearson r with one policy left out"),
    "satisfied_change": Rule("run", AT_LEAST, "change of the satisfied rate"),
    "unknown_share": Rule("run", AT_MOST, "share of responses whose outcome is unknown"),
    "win_rate": Rule("run", AT_LEAST, "wins over the reference, by all rewards or by `win_rate/REWARD`", named=True),
    "violation": Rule("run", AT_MOST, "rate of violations of `violation/JUDGE`, a judge or a probe", named=True),
    "violation_change": Rule("run", AT_MOST, "its change, `violation_change/JUDGE`", named=True),
}

DEFAULTS: Mapping[str, float] = {
    "later_data": 1.0,
    "missing_scores": 0.01,
    "auroc": 0.7,
    "over_length": 0.02,
    "length_correlation": 0.3,
    "ece_over_rate": 0.5,
    "brier_skill": 0.0,
    "top_lift": 1.5,
    "correlation": 0.5,
    "correlation_left_out": 0.5,
    "satisfied_change": -0.1,
    "unknown_share": 0.05,
    "win_rate/helpfulness": 0.4,
    "violation_change/farewell": 0.05,
}

_MAY_STAND_ALONE = ("win_rate",)


def rule_of(name: str) -> tuple[Rule, str]:
    """The kind of a rule and the name after the slash.

    Raises:
        ConfigError: there is no such rule.
    """
    kind, slash, subject = name.partition("/")
    rule = RULES.get(kind)
    if rule is None:
        raise ConfigError(unknown_name("rule", kind, RULES, "--rules"))
    if bool(slash) != bool(subject) or (slash and not rule.named):
        raise ConfigError(f"--rules: {name!r} has nothing to name after a slash: the rule is {kind!r}")
    if rule.named and not slash and kind not in _MAY_STAND_ALONE:
        raise ConfigError(f"--rules: {name!r} must say which, e.g. {kind}/farewell")
    return rule, subject


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that are demanded.

    Attributes:
        limits: rule → limit, in the order in which rules are shown.
        off: rules that are turned off.
        named: rules that the file names; the others are defaults.
    """

    limits: Mapping[str, float]
    off: tuple[str, ...]
    named: frozenset[str]


def read_rules(file: Path | None) -> Limits:
    """The defaults, with what the file says in their place.

    Raises:
        ConfigError: the file cannot be read, names a rule that does not exist, or a limit is no number.
    """
    given = {str(name): value for name, value in _rules_in(file).items()}
    limits: dict[str, float | None] = dict(DEFAULTS)
    for name, value in given.items():
        rule_of(name)
        limits[name] = _limit(name, value)
    wanted = {name: limit for name, limit in limits.items() if limit is not None}
    off = tuple(name for name, limit in limits.items() if limit is None)
    return Limits(wanted, off, frozenset(given) & frozenset(wanted))


def _rules_in(file: Path | None) -> Mapping[Any, Any]:
    import yaml

    if file is None:
        return {}
    try:
        rules = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--rules {file}: cannot be read: {error}") from error
    if rules is None:
        return {}
    if not isinstance(rules, dict):
        raise ConfigError(f"--rules {file}: must be `rule: limit` lines, e.g. `auroc: 0.8`, not {rules!r}")
    return rules


def _limit(name: str, value: Any) -> float | None:
    """YAML reads `off` as false."""
    if value is None or value is False or value == "off":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"--rules: {name}: the limit must be a number, or `off`; found {value!r}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a rule.

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


def decide(name: str, rule: Rule, limit: float, source: str, value: Value) -> Result:
    """Holds a value against a limit."""
    at_least = rule.direction == AT_LEAST
    bound, side = (value.low, "lower") if at_least else (value.high, "upper")
    # Bounds are differences and quotients of rates: the last bit must not decide.
    passed = bound is not None and (bound >= limit - 1e-12 if at_least else bound <= limit + 1e-12)
    if bound is None:
        reason = f"unknown is not a pass: {value.reason}"
    elif value.low == value.high:
        reason = f"{bound:.3g} is {'' if passed else 'not '}{rule.direction} {limit:g}"
    else:
        reason = f"the {side} bound {bound:.3g} is {'' if passed else 'not '}{rule.direction} {limit:g}"
    if bound is not None and value.reason:
        reason += f" ({value.reason})"
    return Result(name, source, rule.text, value.estimate, value.low, value.high, rule.direction, limit, passed, reason)


class Sources:
    """The files whose numbers are held against the limits.

    Args:
        evaluation: evaluation.json, or its folder.
        correlation: correlation.json, or its folder.
        runs: run directories.

    Raises:
        ConfigError: one cannot be read.
    """

    def __init__(self, evaluation: Path | None, correlation: Path | None, runs: Sequence[Path]) -> None:
        self._evaluation = None if evaluation is None else EVALUATION.read(evaluation)
        self._correlation = None if correlation is None else CORRELATION.read(correlation)
        self._runs = {str(folder): last_evaluation(folder) for folder in runs}

    def results(self, name: str, limit: float, named: bool) -> Iterator[Result]:
        """The outcome of a rule: a result, or one for each stratum of each run.

        Without its source a rule fails; only those on runs do not apply then, unless the file of rules names them.
        """
        rule, subject = rule_of(name)
        kind = name.partition("/")[0]
        files = {"evaluation": self._evaluation, "correlation": self._correlation, "run": self._runs or None}
        if files[rule.source] is None:
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
                for stratum in last.strata:
                    value = from_run(kind, subject, stratum, last)
                    yield decide(name, rule, limit, f"{folder}, {stratum}", value)


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


def last_evaluation(folder: Path) -> Evaluation:
    """The last evaluation of a run.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    if not (folder / EVALUATION_NAME).is_file():
        raise ConfigError(
            f"--run {folder}: it has no {EVALUATION_NAME}: no run of `cgpo train`, or one without held-out prompts"
        )
    try:
        evaluations = EvaluationFile(folder).read()
    except RunError as error:  # bad input here: exit status 1 would say that the gate was closed
        raise ConfigError(f"--run {folder}: {error}") from error
    if not evaluations:
        raise ConfigError(f"--run {folder}: {EVALUATION_NAME} is empty: the run has not been evaluated")
    return evaluations[-1]


def apply_rules(rules: Limits, sources: Sources) -> list[Result]:
    """The results of all rules, in their order."""
    return [
        result for name, limit in rules.limits.items() for result in sources.results(name, limit, name in rules.named)
    ]
