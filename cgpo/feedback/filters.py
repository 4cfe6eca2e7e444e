"""Filters for adversarial patterns. Each has a statistic, a threshold and words for what it drops; all are documented
in docs/feedback.md. They run in the order of `settings.FILTERS`; each sees what those before it left.

Rows that do not say their user can be seen by none of them but are never dropped for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cgpo.feedback import content_model
from cgpo.feedback.near_duplicates import group
from cgpo.feedback.settings import FilterSettings
from cgpo.feedback.spill import Spill
from cgpo.feedback.table import Ints, Mask, Table, priority
from cgpo.feedback.user_rates import check_rates
from cgpo.feedback.windows import Window, excess_windows

LONGEST_EXCERPT = 80
MIN_TESTED = 20
"""`rate` and `content` compare users with one another: with fewer than this many of them they say nothing."""

MIN_EXPECTED_AUROC = 0.55
"""Below this the content tells too little of honest reactions to suspect anybody by it."""

FEW_OCCASIONS = 2
"""A user most of whose positive reactions are coordinated, on so many occasions or more, leaves with all rows."""

SHARE_LEVEL = 1e-3
"""A large share alone is no offence: heavy users have one."""

CROWDED_LEVEL = 0.05
"""Crowded rows alone are no offence: the user must also react more than honest users, at this one-sided level."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was dropped.

    Attributes:
        who: the user, or an excerpt of the text.
        rows: how many rows.
        positives: how many of them positive.
        reason: the numbers in words.
    """

    who: str
    rows: int
    positives: int
    reason: str


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What a filter did.

    Attributes:
        name: of the filter.
        rule: its statistic and threshold in words, with numbers.
        findings: what it found.
        finding: the number of the finding for each row that is dropped, −1 for others, [N] of the whole table.
        positives: positive reactions among the dropped rows.
        tested: how many users (or texts) could be tested, and how many not.
        note: why it could not be run, or what it could not see; may be empty.
    """

    name: str
    rule: str
    findings: list[Finding]
    finding: Ints
    positives: int
    tested: str
    note: str = ""

    @property
    def rows(self) -> int:
        """How many rows it dropped."""
        return int((self.finding >= 0).sum())

    def reason(self, row: int) -> str:
        """Why it dropped a row."""
        return self.findings[int(self.finding[row])].reason


@dataclass(frozen=True, slots=True)
class _Found:
    """What a filter says of the rows it was shown."""

    rule: str
    tested: str
    findings: list[tuple[str, str, Ints]]  # who, reason, rows
    note: str = ""


_Filter = Callable[[Table, Spill, FilterSettings, int], _Found]


def run_filters(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> list[FilterResult]:
    """Runs the chosen filters.

    Args:
        table: the rows.
        spill: their texts.
        settings: which run, and their thresholds.
        seed: of what is drawn.
    """
    left = np.arange(len(table))
    results = []
    for name in settings.names:
        part = table.take(left)
        found = _FILTERS[name](part, spill, settings, seed)
        result = _result(name, table, left, found)
        results.append(result)
        left = left[result.finding[left] < 0]
    return results


def filter_heldout(
    heldout: Table, training: list[FilterResult], spill: Spill, settings: FilterSettings, seed: int
) -> list[FilterResult]:
    """Filters held-out rows: those of users who left the training side, then by the same filters as there."""
    suspects = {finding.who for result in training if result.name in _BY_USER for finding in result.findings}
    numbers = np.array([number for number, name in enumerate(heldout.users) if name in suspects], dtype=np.int64)
    rows = np.flatnonzero(np.isin(heldout.user, numbers))
    known = _Found(
        "the user's training rows were dropped",
        f"{len(suspects):,} users",
        [(heldout.users[n], "left the training side", rows[heldout.user[rows] == n]) for n in numbers],
    )
    first = _result("known users", heldout, np.arange(len(heldout)), known)
    left = np.flatnonzero(first.finding < 0)
    later = run_filters(heldout.take(left), spill, settings, seed)
    return [first, *(_spread(result, left, len(heldout)) for result in later)]


def _spread(result: FilterResult, left: Ints, count: int) -> FilterResult:
    finding = np.full(count, -1, dtype=np.int64)
    finding[left] = result.finding
    return FilterResult(
        result.name, result.rule, result.findings, finding, result.positives, result.tested, result.note
    )


def _result(name: str, table: Table, left: Ints, found: _Found) -> FilterResult:
    finding = np.full(len(table), -1, dtype=np.int64)
    findings: list[Finding] = []
    for who, reason, rows in found.findings:
        fresh = left[rows][finding[left[rows]] < 0]
        if not len(fresh):
            continue
        finding[fresh] = len(findings)
        findings.append(Finding(who, len(fresh), int(table.label[fresh].sum()), reason))
    positives = int(table.label[finding >= 0].sum())
    return FilterResult(name, found.rule, findings, finding, positives, found.tested, found.note)


def _counts(table: Table) -> tuple[Ints, Ints]:
    """Rows and positive reactions of each user, [U]."""
    known = table.user >= 0
    rows = np.bincount(table.user[known], minlength=len(table.users))
    positives = np.bincount(table.user[known], weights=table.label[known], minlength=len(table.users))
    return rows, positives.astype(np.int64)


def _of_user(table: Table, user: int) -> Ints:
    return np.flatnonzero(table.user == user)


def _tested(table: Table, tested: int, present: int) -> str:
    unknown = int((table.user < 0).sum())
    nameless = f"; {unknown:,} rows name no user" if unknown else ""
    return f"{tested:,} of {present:,} users{nameless}"


def coordinated(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> _Found:
    """Many users react to one target within a short time (`windows.py`; a user counts once for a text).

    A target is nearly one text, or whatever one of several policies writes.
    """
    texts = group(table.signature)
    named = (table.user >= 0) & (table.label == 1)
    first = _firsts(texts, table.user, named)
    known = (table.user >= 0) & (first | (table.label == 0))
    by_text = _excess(table, np.where(known, texts, -1), first, settings)
    several = len(np.unique(table.policy[table.policy >= 0])) > 1
    by_policy = _excess(table, np.where(known, table.policy, -1), first, settings) if several else []
    findings: list[tuple[str, str, Ints]] = []
    for window, targets in [*((w, texts) for w in by_text), *((w, table.policy) for w in by_policy)]:
        end = table.time[window.rows[0]] + settings.coordination_window
        inside = (table.time >= table.time[window.rows[0]]) & (table.time <= end)
        rows = np.flatnonzero((targets == window.unit) & named & inside)
        if len(np.unique(table.user[rows])) >= settings.min_coordinated_users:
            findings.append((_target(table, spill, window, targets), _window_text(window, "users reacted"), rows))
    findings += _conspirators(table, findings, settings.coordination_window)
    return _Found(
        f"at least {settings.min_coordinated_users} users react to nearly one text, or to one policy, within "
        f"{settings.coordination_window:g} s; Poisson tail × windows < {settings.significance:g}",
        f"{len(np.unique(texts)):,} texts, {len(table.policies):,} policies",
        findings,
    )


def _excess(table: Table, units: Ints, first: Mask, settings: FilterSettings) -> list[Window]:
    return excess_windows(
        units,
        table.time,
        first.astype(np.int64),
        width=settings.coordination_window,
        rate=table.rate,
        least=settings.min_coordinated_users,
        level=settings.significance,
    )


def _target(table: Table, spill: Spill, window: Window, targets: Ints) -> str:
    if targets is table.policy:
        return f"policy {table.policies[window.unit]}"
    (response,) = spill.responses(table.place[[window.unit]])
    return response if len(response) <= LONGEST_EXCERPT else f"{response[:LONGEST_EXCERPT]}…"


def _firsts(texts: Ints, users: Ints, named: Mask) -> Mask:
    """The first positive reaction of each user to each text."""
    rows = np.flatnonzero(named)
    _, first = np.unique(np.stack([texts[rows], users[rows]]), axis=1, return_index=True)
    found = np.zeros(len(texts), dtype=np.bool_)
    found[rows[first]] = True
    return found


def _conspirators(table: Table, findings: list[tuple[str, str, Ints]], width: float) -> list[tuple[str, str, Ints]]:
    """Users most of whose positive reactions are coordinated, and that more than once."""
    _, positives = _counts(table)
    inside = np.unique(np.concatenate([rows for _, _, rows in findings])) if findings else np.zeros(0, dtype=np.int64)
    found = []
    for user in np.unique(table.user[inside]):
        mine = inside[table.user[inside] == user]
        occasions = 1 + int((np.diff(table.time[mine]) > width).sum())
        if occasions >= FEW_OCCASIONS and 2 * len(mine) > positives[user]:
            reason = f"{len(mine)} of {positives[user]} positive reactions are coordinated, on {occasions} occasions"
            found.append((table.users[user], reason, _of_user(table, int(user))))
    return found


def share(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> _Found:
    """One user gives a large share of all positive reactions, and not as an honest user with many rows would."""
    from scipy.stats import betabinom

    rows, positives = _counts(table)
    shares = positives / max(1, table.positives)
    large = np.flatnonzero((positives >= settings.min_user_positives) & (shares > settings.max_user_share))
    tested = np.flatnonzero(rows >= settings.min_user_rows)
    rule = (
        f"a user's share of all positive reactions > {settings.max_user_share:g}, and beta-binomial tail of their rate "
        f"< {SHARE_LEVEL:g}"
    )
    counted = _tested(table, len(large), int((rows > 0).sum()))
    if len(tested) < MIN_TESTED:
        return _Found(rule, counted, [], f"not run: fewer than {MIN_TESTED} users have {settings.min_user_rows} rows")
    honest = check_rates(positives[tested], rows[tested], settings.false_discovery_rate)
    tails = betabinom.sf(positives[large] - 1, rows[large], honest.a, honest.b)
    findings = [
        (
            table.users[user],
            f"{shares[user]:.1%} of all positive reactions: {positives[user]} in {rows[user]} rows, where honest users "
            f"have {honest.mean:.4f} (tail {tail:.1e})",
            _of_user(table, int(user)),
        )
        for user, tail in zip(large, tails, strict=True)
        if tail < SHARE_LEVEL
    ]
    return _Found(rule, counted, findings)


def burst(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> _Found:
    """A user's positive reactions crowd in a short time (`windows.py`), whose rows leave; or all of a user's rows do.

    The second catches bots that react to little of what they see: c of a user's n rows follow the one before within
    the window. Honest users' c is beta-binomial (`user_rates.py`, so that a service used in sessions has a high mean).
    A user beyond that, who also reacts more than honest users (binomial tail < 0.05), leaves.
    """
    windows = excess_windows(
        table.user,
        table.time,
        table.label,
        width=settings.burst_window,
        rate=table.rate,
        least=settings.min_user_positives,
        level=settings.significance,
    )
    findings = [(table.users[w.unit], _window_text(w, "positive reactions"), w.rows) for w in windows]
    rows, _ = _counts(table)
    return _Found(
        f"at least {settings.min_user_positives} positive reactions of a user within {settings.burst_window:g} s, "
        f"Poisson tail × windows < {settings.significance:g}; or rows crowded so, false-discovery rate < "
        f"{settings.false_discovery_rate:g}, and more reactions than honest users, tail < {CROWDED_LEVEL:g}",
        _tested(table, int((rows >= settings.min_user_rows).sum()), int((rows > 0).sum())),
        findings + _crowded(table, settings),
    )


def _crowded(table: Table, settings: FilterSettings) -> list[tuple[str, str, Ints]]:
    from scipy.stats import binom

    rows, positives = _counts(table)
    users = np.flatnonzero(rows >= settings.min_user_rows)
    if len(users) < MIN_TESTED:
        return []
    close = _close_rows(table, settings.burst_window)[users]
    crowds = check_rates(close, rows[users] - 1, settings.false_discovery_rate)
    honest = check_rates(positives[users], rows[users], settings.false_discovery_rate)
    eager = binom.sf(positives[users] - 1, rows[users], honest.mean) < CROWDED_LEVEL
    usual = close / (rows[users] - 1) <= crowds.mean
    return [
        (
            table.users[users[place]],
            f"{close[place]} of {rows[users[place]]} rows follow another within {settings.burst_window:g} s (honest "
            f"share {crowds.mean:.3f}), and {positives[users[place]]} are positive (honest rate {honest.mean:.3f})",
            _of_user(table, int(users[place])),
        )
        for place in np.flatnonzero(crowds.suspected & eager & ~usual)
    ]


def _close_rows(table: Table, width: float) -> Ints:
    """How many rows of each user follow the user's row before within `width` seconds, [U]."""
    order = np.lexsort((table.time, table.user))
    user, time = table.user[order], table.time[order]
    close = (user[1:] == user[:-1]) & (user[1:] >= 0) & (time[1:] - time[:-1] <= width)
    return np.bincount(user[1:][close], minlength=len(table.users))


def rate(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> _Found:
    """A user's rate is far from what honest users have, in either direction (`user_rates.py`)."""
    rows, positives = _counts(table)
    users = np.flatnonzero(rows >= settings.min_user_rows)
    level = settings.false_discovery_rate
    rule = f"two-sided beta-binomial tail of a user's positive reactions; false-discovery rate < {level:g}"
    tested = _tested(table, len(users), int((rows > 0).sum()))
    if len(users) < MIN_TESTED:
        return _Found(rule, tested, [], f"not run: fewer than {MIN_TESTED} users have {settings.min_user_rows} rows")
    found = check_rates(positives[users], rows[users], level)
    findings = [
        (
            table.users[user],
            f"{positives[user]} of {rows[user]} rows positive; users' mean is {found.mean:.4f}, spread "
            f"{found.spread:.4f}; tail {tail:.1e}",
            _of_user(table, int(user)),
        )
        for user, tail in zip(users[found.suspected], found.tails[found.suspected], strict=True)
    ]
    return _Found(f"{rule}; honest mean {found.mean:.4f}, spread {found.spread:.4f}", tested, findings)


def content(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> _Found:
    """A user's reactions do not follow from the content at all (`content_model.py`)."""
    rows, positives = _counts(table)
    least = settings.min_content_positives
    users = np.flatnonzero((positives >= least) & (rows - positives >= least))
    level = settings.false_discovery_rate
    rule = f"AUROC of the content against a user's reactions ≤ 0.5; false-discovery rate < {level:g}"
    tested = _tested(table, len(users), int((rows > 0).sum()))
    if len(users) < MIN_TESTED:
        return _Found(rule, tested, [], f"not run: fewer than {MIN_TESTED} users have {least} reactions of each class")
    parts = (priority(table.user_keys, seed, "parts") % np.uint64(content_model.PARTS)).astype(np.int64)
    score = content_model.scores(
        lambda chosen: spill.responses(table.place[chosen]),
        table.label,
        np.where(table.user >= 0, parts[table.user], -1),
        priority(table.row_hash, seed, "content"),
        np.isin(table.user, users),
    )
    if np.isnan(score[np.isin(table.user, users)]).any():
        return _Found(rule, tested, [], "not run: too few users to fit the content's model on others")
    found = content_model.check_agreement(score, table.label, table.user, users, level)
    rule += f"; expected {found.expected:.3f}"
    if found.expected < MIN_EXPECTED_AUROC:
        return _Found(rule, tested, [], f"not applied: the content tells too little (below {MIN_EXPECTED_AUROC})")
    findings = [
        (
            table.users[users[place]],
            f"AUROC {found.auroc[place]:.3f} over {positives[users[place]]} positive of {rows[users[place]]} rows; "
            f"expected {found.expected:.3f} ± {found.spread[place]:.3f}",
            _of_user(table, int(users[place])),
        )
        for place in np.flatnonzero(found.suspected)
    ]
    return _Found(rule, tested, findings)


def _window_text(window: Window, what: str) -> str:
    return (
        f"{window.positives} {what} in {len(window.rows)} rows where {window.expected:.2g} are expected "
        f"(tail × windows {window.tail:.1e})"
    )


_FILTERS: dict[str, _Filter] = {
    "coordinated": coordinated,
    "share": share,
    "burst": burst,
    "rate": rate,
    "content": content,
}
_BY_USER = frozenset(["share", "rate", "content"])
