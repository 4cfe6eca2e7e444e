"""The correlation of policies' offline scores with their reaction rates online: its numbers, and the same in words.

    correlation.json    {"schema", "model", "head", "score", "confidence", "policies": [{"policy", "responses",
                         "prompts", "missing", "offline": interval, "observed": interval}], "n", "pearson", "spearman",
                         "pearson_exact_numbers", "p_value", "p_value_exact", "leave_one_out": {policy: r},
                         "carried_by", "warnings": […]}
    correlation.html    the same for people

Prompts are what the offline means are resampled by: all responses to a prompt, of every policy at once, because an easy
prompt lifts all policies together and says nothing of their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cgpo.errors import DataError, listed
from cgpo.feedback.policy_rows import Observed, PolicyResponse
from cgpo.feedback.results import CORRELATION
from cgpo.report.charts import Chart
from cgpo.report.head_report import interval_words
from cgpo.report.page import Page, Section, Table
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart
from cgpo.report.terminal import print_table
from cgpo.statistics.correlation import FEWEST
from cgpo.statistics.intervals import mean_interval
from cgpo.statistics.offline_online import OfflineOnline, offline_online
from cgpo.statistics.resampling import RESAMPLES, Floats, cluster_index, cluster_sums, resampled_sums

_SEED = 20250514

Values = Sequence[float | None]


def correlate(
    rows: Sequence[PolicyResponse], values: Values, observed: Mapping[str, Observed], confidence: float
) -> dict[str, Any]:
    """All of correlation.json but for the model.

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
            f"no policy has both scored responses ({listed(sorted(answered))}) and an observed rate "
            f"({listed(sorted(observed))})"
        )
    scored = [(r, float(v)) for r, v in zip(rows, values, strict=True) if v is not None and r.policy in names]
    means, draws = _offline(scored, names)
    generator = np.random.default_rng(_SEED)
    online = np.stack([observed[name].draws(generator, RESAMPLES) for name in names], axis=1)
    agreement = offline_online(means, [observed[name].value for name in names], draws, online, confidence)
    policies = [_policy(name, rows, values, observed[name], confidence) for name in names]
    left_out = {"observed": sorted(answered - set(observed)), "responses": sorted(set(observed) - answered)}
    return {
        "schema": CORRELATION.schema,
        "confidence": confidence,
        "policies": policies,
        "n": agreement.n,
        **{key: asdict(getattr(agreement, key)) for key in ("pearson", "spearman", "pearson_exact_numbers")},
        "p_value": agreement.p_value,
        "p_value_exact": agreement.p_value_exact,
        "leave_one_out": dict(zip(names, agreement.leave_one_out, strict=True)),
        "carried_by": None if agreement.carried_by is None else names[agreement.carried_by],
        "warnings": _warnings(agreement, names, [row for row, _ in scored], observed, left_out),
    }


def _offline(scored: Sequence[tuple[PolicyResponse, float]], names: Sequence[str]) -> tuple[list[float], Floats]:
    """Mean of each policy, [n], and the means of resampled prompts, [R, n]; a draw without a policy has its mean."""
    place = {name: i for i, name in enumerate(names)}
    n = len(names)
    columns = np.zeros((len(scored), 2 * n))
    for row, (response, value) in enumerate(scored):
        columns[row, place[response.policy]] = value
        columns[row, n + place[response.policy]] = 1
    totals = columns.sum(axis=0)
    means = totals[:n] / totals[n:]
    drawn = resampled_sums(cluster_sums(columns, cluster_index(len(scored), [_key(r) for r, _ in scored])))
    counts = drawn[:, n:]
    draws: Floats = np.where(counts > 0, drawn[:, :n] / np.maximum(counts, 1), means)
    return means.tolist(), draws


def _policy(
    name: str, rows: Sequence[PolicyResponse], values: Values, observed: Observed, confidence: float
) -> dict[str, Any]:
    answers = [(row, value) for row, value in zip(rows, values, strict=True) if row.policy == name]
    known = [(_key(row), value) for row, value in answers if value is not None]
    offline = mean_interval([value for _, value in known], confidence, [key for key, _ in known])
    return {
        "policy": name,
        "responses": len(answers),
        "prompts": len({_key(row) for row, _ in answers}),
        "missing": len(answers) - len(known),
        "offline": asdict(offline),
        "observed": asdict(observed.interval(confidence)),
    }


def _warnings(
    agreement: OfflineOnline,
    names: Sequence[str],
    rows: Sequence[PolicyResponse],
    observed: Mapping[str, Observed],
    left_out: Mapping[str, Sequence[str]],
) -> list[str]:
    notes = []
    if agreement.pearson.estimate is None:
        notes.append(f"{agreement.n} policies, or all alike: a correlation needs three that differ")
    elif agreement.n < FEWEST:
        notes.append(f"{agreement.n} policies: there is no interval with fewer than {FEWEST}")
    if left_out["observed"]:
        notes.append(f"left out, nothing was observed of them: {listed(left_out['observed'])}")
    if left_out["responses"]:
        notes.append(f"left out, they have no scored responses: {listed(left_out['responses'])}")
    if (text := _prompts_note(names, rows)) is not None:
        notes.append(text)
    exact = [name for name in names if observed[name].n is None and observed[name].error is None]
    if exact:
        notes.append(f"taken as exact, for nothing is said of the uncertainty of what was observed: {listed(exact)}")
    if agreement.carried_by is not None:
        rest = agreement.leave_one_out[agreement.carried_by]
        notes.append(
            f"one policy carries it: without {names[agreement.carried_by]} Pearson r is {rest:+.2f} instead of "
            f"{agreement.pearson.estimate:+.2f}"
        )
    return notes


def _prompts_note(names: Sequence[str], rows: Sequence[PolicyResponse]) -> str | None:
    """Says so where the policies did not answer the same prompts equally often: prompts then enter the comparison."""
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in rows:
        by_prompt = counts[row.policy]
        by_prompt[_key(row)] = by_prompt.get(_key(row), 0) + 1
    first = counts[names[0]]
    if all(by_prompt == first for by_prompt in counts.values()):
        return None
    every = set().union(*counts.values())
    common = set.intersection(*(set(by_prompt) for by_prompt in counts.values()))
    short = [f"{name} {len(by_prompt)}" for name, by_prompt in counts.items() if len(by_prompt) < len(every)]
    if not short:
        return "the policies did not answer each prompt equally often, so prompts enter the comparison"
    return (
        f"the policies did not answer the same prompts, so prompts enter the comparison: {len(common)} of {len(every)} "
        f"are common to all; prompts answered: {listed(short)}"
    )


def _key(row: PolicyResponse) -> str:
    return json.dumps(row.prompt, sort_keys=True)


def print_correlation(correlation: dict[str, Any]) -> None:
    """Prints the tables of a correlation, and its warnings."""
    from judges.terminal import open_console

    console = open_console()
    print_table(console, f"{correlation['score']} offline against what was observed", policy_table(correlation))
    print_table(
        console, "", Table(("over policies", f"{100 * correlation['confidence']:g} % interval"), numbers(correlation))
    )
    for text in correlation["warnings"]:
        console.print(f"warning: {text}", markup=False)


def policy_table(correlation: dict[str, Any]) -> Table:
    """The numbers of each policy, and r without it."""
    rows = [
        (
            policy["policy"],
            f"{policy['responses']} to {policy['prompts']}",
            str(policy["missing"]),
            interval_words(policy["offline"], ".4g"),
            interval_words(policy["observed"], ".4g"),
            _number(correlation["leave_one_out"][policy["policy"]]),
        )
        for policy in correlation["policies"]
    ]
    return Table(("policy", "responses to prompts", "missing", "offline", "observed", "r without it"), rows)


def numbers(correlation: dict[str, Any]) -> list[tuple[str, str]]:
    """The correlations in words: (name, text)."""
    known = [r for r in correlation["leave_one_out"].values() if r is not None]
    p_value, method = correlation["p_value"], "every order tried" if correlation["p_value_exact"] else "orders drawn"
    return [
        ("policies", str(correlation["n"])),
        ("Pearson r", interval_words(correlation["pearson"], "+.2f")),
        ("  if all numbers were exact", interval_words(correlation["pearson_exact_numbers"], "+.2f")),
        ("Spearman ρ", interval_words(correlation["spearman"], "+.2f")),
        (
            "p, permutation test",
            "unknown" if p_value is None else f"{p_value:.2g} ({method})",
        ),
        ("Pearson r, one left out", f"{min(known):+.2f} to {max(known):+.2f}" if known else "unknown"),
    ]


def correlation_page(correlation: dict[str, Any]) -> Page:
    """correlation.html."""
    text = (
        "Each point is a policy with the intervals of both numbers. The interval of r holds that there are few "
        "policies, and that each policy's numbers are uncertain.",
    )
    section = Section(
        "Policies",
        text=text,
        tables=[Table(("over policies", "value (interval)"), numbers(correlation)), policy_table(correlation)],
        charts=[plot(correlation)],
    )
    status = (
        f"{correlation['score']} of {correlation['model']}"
        if correlation["model"]
        else f"scores in the column {correlation['score']}"
    )
    return Page("Offline and online", status, warnings=correlation["warnings"], sections=[section])


def plot(correlation: dict[str, Any]) -> Chart | None:
    """Offline against observed."""
    points = [
        Point(
            policy["offline"]["estimate"],
            policy["observed"]["estimate"],
            policy["observed"]["low"],
            policy["observed"]["high"],
            policy["offline"]["low"],
            policy["offline"]["high"],
            policy["policy"],
        )
        for policy in correlation["policies"]
    ]
    return points_chart(
        "offline against observed", [PointSeries("policies", points)], Axis(correlation["score"]), Axis("observed")
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
