"""How well a reward model orders held-out pairs, and whether it does so by length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.evaluation.intervals import rate_interval
from cgpo.rewards.model import Reward
from cgpo.stages.pairs import GIVEN, PreferencePair
from cgpo.stages.preferences import JUDGED

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A held-out pair with its scores; None where the model gave no finite one."""

    pair: PreferencePair
    chosen: float | None
    rejected: float | None

    @property
    def correct(self) -> bool:
        """r(chosen) > r(rejected). A tie or a missing score is not correct."""
        return self.chosen is not None and self.rejected is not None and self.chosen > self.rejected


def score_pairs(reward: Reward, pairs: Sequence[PreferencePair]) -> list[ScoredPair]:
    """Scores both responses of every pair."""
    prompts = [pair.as_prompt() for pair in pairs]
    scores = reward.score([*prompts, *prompts], [p.chosen for p in pairs] + [p.rejected for p in pairs])
    return [ScoredPair(p, scores[i], scores[len(pairs) + i]) for i, p in enumerate(pairs)]


def accuracy_report(scored: Sequence[ScoredPair]) -> dict[str, Any]:
    """Accuracy with counts and 95 % Wilson intervals, over all pairs, by kind and by stratum, and what length does.

    Returns:
        `{"accuracy": rate, "by_kind": {kind: rate}, "by_stratum": {name: rate}, "length": {"accuracy",
        "correlation"}}`. `length.accuracy` is that of "the longer response is better" (a tie counts half);
        `length.correlation` is Pearson's, of score and number of characters, over responses that nobody corrupted.
        Either is null without data.
    """
    kinds = sorted({s.pair.kind for s in scored})
    strata = sorted({s.pair.stratum for s in scored if s.pair.stratum})
    return {
        "accuracy": _rate(scored),
        "by_kind": {kind: _rate([s for s in scored if s.pair.kind == kind]) for kind in kinds},
        "by_stratum": {name: _rate([s for s in scored if s.pair.stratum == name]) for name in strata},
        "length": {"accuracy": _length_accuracy([s.pair for s in scored]), "correlation": _correlation(scored)},
    }


def _rate(scored: Sequence[ScoredPair]) -> dict[str, Any]:
    count = sum(s.correct for s in scored)
    found = rate_interval(count, len(scored), CONFIDENCE)
    return {"count": count, "n": found.n, "rate": found.estimate, "low": found.low, "high": found.high}


def _length_accuracy(pairs: Sequence[PreferencePair]) -> float | None:
    points = [0.5 * ((len(p.chosen) > len(p.rejected)) + (len(p.chosen) >= len(p.rejected))) for p in pairs]
    return math.fsum(points) / len(points) if points else None


def _correlation(scored: Sequence[ScoredPair]) -> float | None:
    natural: dict[tuple[str, str], float] = {}
    for s in scored:
        texts = [(s.pair.chosen, s.chosen)]
        if s.pair.kind in (JUDGED, GIVEN):
            texts.append((s.pair.rejected, s.rejected))
        natural.update({(repr(s.pair.prompt), text): score for text, score in texts if score is not None})
    lengths = [float(len(text)) for _, text in natural]
    return pearson(lengths, list(natural.values()))


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation; None with fewer than three points or without variance."""
    n = len(x)
    if n < 3:
        return None
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    dx, dy = [v - mean_x for v in x], [v - mean_y for v in y]
    spread = math.sqrt(math.fsum(v * v for v in dx) * math.fsum(v * v for v in dy))
    return math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / spread if spread else None


def accuracy_lines(report: dict[str, Any]) -> list[str]:
    """The report in words, a line each."""
    length = report["length"]
    lines = [f"held-out accuracy {_words(report['accuracy'])}"]
    lines += [f"  {kind:<10} {_words(rate)}" for kind, rate in report["by_kind"].items()]
    lines += [f"  stratum {name}: {_words(rate)}" for name, rate in report["by_stratum"].items()]
    lines.append(
        f"  length alone would get {_number(length['accuracy'])}; "
        f"correlation of score and length {_number(length['correlation'])}"
    )
    return lines


def _words(rate: dict[str, Any]) -> str:
    if rate["rate"] is None:
        return "– (no pairs)"
    return f"{rate['rate']:.2f} ({rate['count']}/{rate['n']}, 95 % interval {rate['low']:.2f} to {rate['high']:.2f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
