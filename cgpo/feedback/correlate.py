"""`cgpo feedback correlate`: does the offline score of policies go with their reaction rates online?

    correlation.json    {"schema", "model", "head", "score", "confidence", "policies": [{"policy", "responses",
                         "prompts", "missing", "offline": interval, "observed": interval}], "n", "pearson", "spearman",
                         "pearson_exact_numbers", "p_value", "p_value_exact", "leave_one_out": {policy: r},
                         "carried_by", "warnings": […]}
    correlation.html    the same for people

Prompts are what the offline means are resampled by: all responses to a prompt, of every policy at once, because an easy
prompt lifts all policies together and says nothing of their order.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cgpo.errors import ConfigError, DataError, LimitError
from cgpo.feedback.correlation_words import correlation_page, print_correlation
from cgpo.feedback.policy_rows import Observed, PolicyResponse, read_observed, read_responses
from cgpo.feedback.results import read_result
from cgpo.feedback.scoring import HeadScorer, folder_for
from cgpo.report.page import write_page
from cgpo.statistics.correlation import FEWEST
from cgpo.statistics.head_metrics import probability
from cgpo.statistics.intervals import mean_interval
from cgpo.statistics.offline_online import OfflineOnline, offline_online
from cgpo.statistics.resampling import RESAMPLES, Floats, cluster_index, cluster_sums, resampled_sums
from cgpo.storage.disk import write_atomically

SCHEMA = 1
JSON_NAME, PAGE_NAME = "correlation.json", "correlation.html"
_SEED = 20250514

Values = Sequence[float | None]


def run(args: argparse.Namespace) -> int:
    """Correlates, prints, and writes `--output`.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    if (args.model is None) == (args.score_column is None):
        raise ConfigError("give one of --model (to score the responses) and --score-column (they are scored already)")
    folder_for(args.output)
    observed = read_observed(args.observed)
    rows = read_responses(args.responses, args.policy, args.score_column)
    values, what = scored(rows, args)
    found = {**what, **correlate(rows, values, observed, args.confidence)}
    print_correlation(found)
    if args.output is not None:
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        write_atomically(args.output / JSON_NAME, text.encode(), "the correlation")
        write_page(args.output / PAGE_NAME, correlation_page(found))
        print(f"written to {args.output}: {JSON_NAME}, {PAGE_NAME}")
    return 0


def scored(rows: Sequence[PolicyResponse], args: argparse.Namespace) -> tuple[list[float | None], dict[str, Any]]:
    """The number of each response whose mean is taken: P[positive] where the head gives one, else the score.

    Raises:
        LimitError: more scores are missing than `--max-missing-rate` allows.
    """
    if args.model is None:
        values = [row.score for row in rows]
        missing = sum(value is None for value in values)
        if missing / len(values) > args.max_missing_rate:
            raise LimitError(
                f"--score-column {args.score_column}: {missing} of {len(values)} responses have no finite score "
                f"(--max-missing-rate is {100 * args.max_missing_rate:g} %)"
            )
        return values, {"model": None, "head": None, "score": args.score_column}
    scorer = HeadScorer(args)
    found = scorer.score([row.prompt for row in rows], [row.response for row in rows])
    if not scorer.is_probability:
        return found.values, {"model": args.model, "head": scorer.name, "score": f"score of {scorer.name}"}
    chances = [None if value is None else probability(value) for value in found.values]
    return chances, {"model": args.model, "head": scorer.name, "score": f"P[{scorer.name}]"}


def correlate(
    rows: Sequence[PolicyResponse], values: Values, observed: Mapping[str, Observed], confidence: float
) -> dict[str, Any]:
    """What correlation.json holds, but for the model.

    Args:
        rows: the responses.
        values: the number of each, [N]; None: missing.
        observed: policy → what was observed.
        confidence: level in (0, 1).

    Raises:
        DataError: no policy has both responses and an observed number.
    """
    answered = {row.policy for row, value in zip(rows, values, strict=True) if value is not None}
    names = sorted(answered & set(observed))
    if not names:
        raise DataError(
            f"no policy has both scored responses ({_listed(sorted(answered))}) and an observed rate "
            f"({_listed(sorted(observed))})"
        )
    kept = [(r, float(v)) for r, v in zip(rows, values, strict=True) if v is not None and r.policy in names]
    means, draws = _offline(kept, names)
    generator = np.random.default_rng(_SEED)
    online = np.stack([observed[name].draws(generator, RESAMPLES) for name in names], axis=1)
    agreement = offline_online(means, [observed[name].value for name in names], draws, online, confidence)
    policies = [_policy(name, rows, values, observed[name], confidence) for name in names]
    left_out = {"observed": sorted(answered - set(observed)), "responses": sorted(set(observed) - answered)}
    return {
        "schema": SCHEMA,
        "confidence": confidence,
        "policies": policies,
        "n": agreement.n,
        **{key: asdict(getattr(agreement, key)) for key in ("pearson", "spearman", "pearson_exact_numbers")},
        "p_value": agreement.p_value,
        "p_value_exact": agreement.p_value_exact,
        "leave_one_out": dict(zip(names, agreement.leave_one_out, strict=True)),
        "carried_by": None if agreement.carried_by is None else names[agreement.carried_by],
        "warnings": _warnings(agreement, names, [row for row, _ in kept], observed, left_out),
    }


def _offline(kept: Sequence[tuple[PolicyResponse, float]], names: Sequence[str]) -> tuple[list[float], Floats]:
    """Mean of each policy, [n], and the means of resampled prompts, [R, n]; a draw without a policy has its mean."""
    place = {name: i for i, name in enumerate(names)}
    n = len(names)
    columns = np.zeros((len(kept), 2 * n))
    for row, (response, value) in enumerate(kept):
        columns[row, place[response.policy]] = value
        columns[row, n + place[response.policy]] = 1
    totals = columns.sum(axis=0)
    means = totals[:n] / totals[n:]
    drawn = resampled_sums(cluster_sums(columns, cluster_index(len(kept), [_key(r) for r, _ in kept])))
    counts = drawn[:, n:]
    draws: Floats = np.where(counts > 0, drawn[:, :n] / np.maximum(counts, 1), means)
    return means.tolist(), draws


def _policy(
    name: str, rows: Sequence[PolicyResponse], values: Values, observed: Observed, confidence: float
) -> dict[str, Any]:
    mine = [(row, value) for row, value in zip(rows, values, strict=True) if row.policy == name]
    known = [(_key(row), value) for row, value in mine if value is not None]
    offline = mean_interval([value for _, value in known], confidence, [key for key, _ in known])
    return {
        "policy": name,
        "responses": len(mine),
        "prompts": len({_key(row) for row, _ in mine}),
        "missing": len(mine) - len(known),
        "offline": asdict(offline),
        "observed": asdict(observed.interval(confidence)),
    }


def _warnings(
    found: OfflineOnline,
    names: Sequence[str],
    rows: Sequence[PolicyResponse],
    observed: Mapping[str, Observed],
    left_out: Mapping[str, Sequence[str]],
) -> list[str]:
    notes = []
    if found.pearson.estimate is None:
        notes.append(f"{found.n} policies, or all alike: a correlation needs three that differ")
    elif found.n < FEWEST:
        notes.append(f"{found.n} policies: there is no interval with fewer than {FEWEST}")
    if left_out["observed"]:
        notes.append(f"left out, nothing was observed of them: {_listed(left_out['observed'])}")
    if left_out["responses"]:
        notes.append(f"left out, they have no scored responses: {_listed(left_out['responses'])}")
    if (text := _prompts_note(names, rows)) is not None:
        notes.append(text)
    exact = [name for name in names if observed[name].n is None and observed[name].error is None]
    if exact:
        notes.append(f"taken as exact, for nothing is said of the uncertainty of what was observed: {_listed(exact)}")
    if found.carried_by is not None:
        rest = found.leave_one_out[found.carried_by]
        notes.append(
            f"one policy carries it: without {names[found.carried_by]} Pearson r is {rest:+.2f} instead of "
            f"{found.pearson.estimate:+.2f}"
        )
    return notes


def _prompts_note(names: Sequence[str], rows: Sequence[PolicyResponse]) -> str | None:
    """Says so where the policies did not answer the same prompts equally often: prompts then enter the comparison."""
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in rows:
        own = counts[row.policy]
        own[_key(row)] = own.get(_key(row), 0) + 1
    first = counts[names[0]]
    if all(own == first for own in counts.values()):
        return None
    every = set().union(*counts.values())
    common = set.intersection(*(set(own) for own in counts.values()))
    short = [f"{name} {len(own)}" for name, own in counts.items() if len(own) < len(every)]
    if not short:
        return "the policies did not answer each prompt equally often, so prompts enter the comparison"
    return (
        f"the policies did not answer the same prompts, so prompts enter the comparison: {len(common)} of {len(every)} "
        f"are common to all; prompts answered: {_listed(short)}"
    )


def _key(row: PolicyResponse) -> str:
    return json.dumps(row.prompt, sort_keys=True)


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def read_correlation(file: Path, where: str = "--correlation") -> dict[str, Any]:
    """A correlation.json.

    Raises:
        ConfigError: it is none, or of another version.
    """
    what = "correlation of `cgpo feedback correlate --output`"
    return read_result(file, JSON_NAME, SCHEMA, ("pearson", "leave_one_out"), what, where)
