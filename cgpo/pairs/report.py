"""The report of `cgpo preferences`: counts, why prompts gave no pair, and whether the longer response won."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.config import PreferencesSettings, RunSettings
from cgpo.data.contamination import Contaminated, contaminated_report
from cgpo.pairs.pair import PreferencePair
from cgpo.pairs.ranked_pairs import RankedPairs, StratumCounts
from cgpo.statistics.intervals import rate_interval
from cgpo.statistics.resampling import CONFIDENCE
from cgpo.storage.jsonl import SCHEMA

LONGER_WINS = 0.65
"""Share of pairs in which the longer response is the chosen one, from which on there is a warning."""


def preferences_report(
    settings: RunSettings, ranked: RankedPairs, contaminated: Sequence[Contaminated]
) -> dict[str, Any]:
    """The report as it stands on disk."""
    return {
        "schema": SCHEMA,
        "command": "preferences",
        "model": settings.model.name,
        "pairs": len(ranked.pairs),
        "strata": {name: counts.as_json() for name, counts in ranked.counts.items()},
        "duplicates": ranked.duplicates,
        "contradictions": ranked.contradictions,
        "contaminated": contaminated_report(contaminated),
        "length": length_of_pairs(ranked.pairs),
    }


def length_of_pairs(pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """Mean words of both sides, and how often the longer one is chosen, with a 95 % interval; ties are not counted.

    `warning` is a sentence where the interval lies above one half and the share is 0.65 or more, else null.
    """
    lengths = [(len(p.chosen.split()), len(p.rejected.split())) for p in pairs]
    decided = [c > r for c, r in lengths if c != r]
    rate = rate_interval(sum(decided), len(decided), CONFIDENCE)
    wins = rate.estimate is not None and rate.low is not None and rate.estimate >= LONGER_WINS and rate.low > 0.5
    return {
        "chosen_words": statistics.fmean(c for c, _ in lengths) if lengths else None,
        "rejected_words": statistics.fmean(r for _, r in lengths) if lengths else None,
        "longer_is_chosen": {"rate": rate.estimate, "low": rate.low, "high": rate.high, "n": rate.n},
        "warning": (
            f"in {rate.estimate:.0%} of {rate.n} pairs the longer response is the better one: what learns from them "
            "may learn to write longer"
        )
        if wins
        else None,
    }


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """The report in words, a line each."""
    lines = [f"{report['pairs']} pairs from responses of {report['model']}"]
    for name, counts in report["strata"].items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts["pairs"].items()) or "no pairs"
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts["outcomes"].items() if count)
        sampled = f"{counts['prompts']} prompts and {counts['responses']} responses"
        lines.append(f"  {name}: {kinds} from {sampled} ({outcomes})")
        if counts["prompts_without_pair"]:
            reasons = ", ".join(f"{reason} {count}" for reason, count in counts["prompts_without_pair"].items())
            lines.append(f"    prompts without a pair: {reasons}")
    contaminated = report["contaminated"]
    left_out = {
        "duplicates": report["duplicates"],
        "contradictions": report["contradictions"],
        "held-out prompts": contaminated["exact"] + contaminated["near"],
    }
    if any(left_out.values()):
        lines.append("  left out: " + ", ".join(f"{count} {what}" for what, count in left_out.items() if count))
    length = report["length"]
    lines.append(f"  words: {length['chosen_words']:.1f} chosen, {length['rejected_words']:.1f} rejected")
    if length["warning"]:
        lines.append(f"  warning: {length['warning']}")
    return lines


def no_pairs(settings: PreferencesSettings, counts: Mapping[str, StratumCounts]) -> str:
    """The message where no prompt gave a pair, with the reasons over all strata."""
    total = sum((stratum.without_pair for stratum in counts.values()), Counter[str]())
    reasons = ", ".join(f"{reason}: {count}" for reason, count in total.most_common())
    return (
        f"no prompt gave a pair ({reasons or 'there were none'}): raise preferences.responses_per_prompt (now "
        f"{settings.responses_per_prompt}) or preferences.temperature, or rank by something else (preferences.rank_by)"
    )
