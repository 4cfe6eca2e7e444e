"""The rules of `cgpo feedback gate` and their default limits. A limit is compared with a bound, not an estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cgpo.errors import ConfigError, unknown_name

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
    """What is demanded.

    Attributes:
        limits: rule → limit, in the order in which rules are shown.
        off: rules that are turned off.
        named: rules that were asked for by name; the others are defaults.
    """

    limits: Mapping[str, float]
    off: tuple[str, ...]
    named: frozenset[str]


def read_rules(file: Path | None) -> Limits:
    """The defaults, with what the file says in their place.

    Raises:
        ConfigError: the file cannot be read, names a rule that does not exist, or a limit is no number.
    """
    own = {str(name): value for name, value in _own(file).items()}
    limits: dict[str, float | None] = dict(DEFAULTS)
    for name, value in own.items():
        rule_of(name)
        limits[name] = _limit(name, value)
    wanted = {name: limit for name, limit in limits.items() if limit is not None}
    off = tuple(name for name, limit in limits.items() if limit is None)
    return Limits(wanted, off, frozenset(own) & frozenset(wanted))


def _own(file: Path | None) -> Mapping[Any, Any]:
    import yaml

    if file is None:
        return {}
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--rules {file}: cannot be read: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"--rules {file}: must be `rule: limit` lines, e.g. `auroc: 0.8`, not {found!r}")
    return found


def _limit(name: str, value: Any) -> float | None:
    """YAML reads `off` as false."""
    if value is None or value is False or value == "off":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"--rules: {name}: the limit must be a number, or `off`; found {value!r}")
    return float(value)
