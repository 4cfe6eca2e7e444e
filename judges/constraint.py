"""One constraint of a mixture: usually one judge; optionally a threshold on its margin, or several judges that agree.

Beyond the paper, and off unless asked for (in a judge's settings, beside its own options):

    as: NAME               the verdict's name in files and metrics; needed when a judge is used twice in a mixture
    threshold: T           satisfied iff the judge's score ≥ T, whatever the judge itself decided
    abstain_within: B      unknown where |score − T| < B (T = 0 when there is no threshold)

    name: agreement        k of n judges on one constraint:
    at_least: K                satisfied by at least K of them → satisfied; no longer possible → violated; else unknown
    judges: [ … ]              judges that do not concern a row do not count, and K is then at most the number left
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judges import registry
from judges.errors import JudgesError, unknown_name
from judges.judge import Expense, Judge
from judges.spec import JudgeSpec
from judges.verdict import NEUTRAL, Cost, Outcome, Verdict

AGREEMENT = "agreement"
_AS, _THRESHOLD, _ABSTAIN = "as", "threshold", "abstain_within"
_AGREEMENT_OPTIONS = frozenset({_AS, "at_least", "judges"})


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one entry of a mixture asks of a response.

    Attributes:
        name: the verdict's name.
        members: the judges that are asked; one, or those that must agree.
        at_least: how many of them must be satisfied, for an agreement; None: `members` is a single judge.
        threshold: see the module; None: the judge decides itself.
        abstain_within: see the module; 0: never.
    """

    name: str
    members: tuple[JudgeSpec, ...]
    at_least: int | None = None
    threshold: float | None = None
    abstain_within: float = 0.0

    @classmethod
    def parse(cls, value: JudgeSpec | str | Mapping[str, Any]) -> Constraint:
        """The constraint that an entry of a mixture describes.

        Raises:
            JudgesError: an unknown judge or option, or numbers that make no sense.
        """
        spec = JudgeSpec.parse(value)
        if spec.name == AGREEMENT:
            return cls._agreement(spec)
        options = dict(spec.options)
        name = _name(options.pop(_AS, None), spec.name, spec.name)
        threshold = _number(options.pop(_THRESHOLD, None), spec.name, _THRESHOLD)
        abstain = _number(options.pop(_ABSTAIN, None), spec.name, _ABSTAIN)
        if abstain is not None and abstain < 0:
            raise JudgesError(f"judge {spec.name!r}, option {_ABSTAIN!r}: must be at least 0, not {abstain}")
        member = JudgeSpec(spec.name, options)
        registry.check(member)
        return cls(name, (member,), None, threshold, abstain or 0.0)

    @classmethod
    def _agreement(cls, spec: JudgeSpec) -> Constraint:
        for option in spec.options:
            if option not in _AGREEMENT_OPTIONS:
                raise JudgesError(unknown_name("option", option, _AGREEMENT_OPTIONS, "of an agreement of judges"))
        judges, k = spec.options.get("judges"), spec.options.get("at_least")
        if not isinstance(judges, list) or len(judges) < 2:
            raise JudgesError("an agreement of judges needs `judges`, a list of at least two")
        parsed = [cls.parse(judge) for judge in judges]
        for part, judge in zip(parsed, judges, strict=True):
            if part.at_least is not None or part.threshold is not None or part.abstain_within or part.name == AGREEMENT:
                raise JudgesError(f"a judge within an agreement takes only its own options, not {judge!r}")
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(judges):
            raise JudgesError(f"an agreement needs `at_least`, from 1 to the {len(judges)} judges, not {k!r}")
        return cls(_name(spec.options.get(_AS), AGREEMENT, AGREEMENT), tuple(p.members[0] for p in parsed), k)

    @property
    def expense(self) -> Expense:
        """That of its dearest judge."""
        return max(registry.load(member.name).expense for member in self.members)

    def judges(self) -> tuple[Judge, ...]:
        """Its judges, made here to ask what they need."""
        return tuple(registry.create(member) for member in self.members)

    def decide(self, verdicts: Sequence[Verdict]) -> Verdict:
        """The constraint's verdict from those of its members, in their order."""
        if self.at_least is not None:
            return self._agreed(verdicts, self.at_least)
        (verdict,) = verdicts
        by_score = self.threshold is not None or self.abstain_within > 0
        if not by_score or verdict.outcome not in (Outcome.SATISFIED, Outcome.VIOLATED):
            return verdict
        return replace(self._by_score(verdict), cost=verdict.cost)

    def _by_score(self, verdict: Verdict) -> Verdict:
        if verdict.score is None:
            return Verdict.unknown(f"{self.members[0].name} gave no score to compare with a threshold")
        limit = self.threshold or 0.0
        if abs(verdict.score - limit) < self.abstain_within:
            about = f"score {verdict.score:.4g} is within {self.abstain_within:g} of {limit:g}"
            return Verdict(Outcome.UNKNOWN, f"{about}: {verdict.reason}", verdict.score)
        if self.threshold is None:
            return verdict
        about = f"score {verdict.score:.4g}, threshold {limit:g}"
        return Verdict.of(verdict.score >= limit, f"{about}: {verdict.reason}", verdict.score)

    def _agreed(self, verdicts: Sequence[Verdict], at_least: int) -> Verdict:
        cost = sum((v.cost for v in verdicts if v.cost), Cost(verdicts=0))
        by_member = ", ".join(f"{m.name} {v.outcome.value}" for m, v in zip(self.members, verdicts, strict=True))
        counts = Counter(v.outcome for v in verdicts if v.outcome not in NEUTRAL)
        if not counts:
            return Verdict(Outcome.NOT_APPLICABLE, by_member, cost=cost)
        needed = min(at_least, counts.total())
        satisfied, unknown = counts[Outcome.SATISFIED], counts[Outcome.UNKNOWN]
        outcome = Outcome.UNKNOWN
        if satisfied >= needed:
            outcome = Outcome.SATISFIED
        elif satisfied + unknown < needed:
            outcome = Outcome.VIOLATED
        return Verdict(outcome, f"{satisfied} of {counts.total()} satisfied, {needed} needed: {by_member}", cost=cost)


def _name(given: Any, default: str, judge: str) -> str:
    if given is None:
        return default
    if not isinstance(given, str) or not given.strip():
        raise JudgesError(f"judge {judge!r}, option {_AS!r}: must be text, not {given!r}")
    return given


def _number(given: Any, judge: str, option: str) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise JudgesError(f"judge {judge!r}, option {option!r}: must be a finite number, not {given!r}")
    return float(given)
