"""Filter `content`: a user's reactions do not follow from what they were shown.

A model that has not seen the user says so. Users are dealt into three parts. For each part a logistic regression over
hashed words and word pairs of the response is fitted to the rows of the other two (at most 40,000, positive ones
first), and scores this part's rows. A user's agreement is the AUROC of those scores against the user's own reactions,
A_u; the honest value is A, the mean of A_u over tested users, each weighted by 1/s_u². s_u is the standard error of an
AUROC of A with the user's counts (Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating
characteristic (ROC) curve"), and τ² = max(0, median (A_u − A)² / 0.455 − median s_u²) what honest tastes differ beyond
it (0.455: median of χ²₁).

A user disagrees when A_u ≤ 0.5 and P(Z ≤ (A_u − A)/√(s_u² + τ²)) is small after Benjamini and Hochberg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cgpo.feedback.filters.rates import discoveries
from cgpo.feedback.filters.screening import MIN_USERS, Screening, Suspect, tested_text
from cgpo.feedback.logs.table import Hashes, Ints, Mask, Spill, Table, priority
from cgpo.feedback.settings import FilterSettings

Floats = npt.NDArray[np.float64]

PARTS = 3
LEARNT_ROWS = 40_000
SCORED_AT_ONCE = 20_000
FEATURES = 1 << 16
MEDIAN_CHI_SQUARE = 0.454936

MIN_EXPECTED_AUROC = 0.55
"""Below this the content tells too little of honest reactions to suspect anybody by it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well users' reactions follow from the content.

    Attributes:
        auroc: A_u, [U].
        expected: A.
        spread: √(s_u² + τ²), [U].
        suspected: [U].
    """

    auroc: Floats
    expected: float
    spread: Floats
    suspected: Mask


def scores(responses: Callable[[Ints], Sequence[str]], label: Ints, part: Ints, order: Hashes, wanted: Mask) -> Floats:
    """Scores of the wanted rows from a model of the other parts' rows; NaN elsewhere, [N].

    Args:
        responses: the texts of rows.
        label: 0 or 1, [N].
        part: 0 … 2, or −1 for rows of no user, which every model may learn from, [N].
        order: random numbers: which rows are learnt from, [N].
        wanted: rows to score, [N].
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), alternate_sign=False)
    scores_of_rows = np.full(len(label), np.nan)
    for number in range(PARTS):
        rows = np.flatnonzero(wanted & (part == number))
        learnt = _learnt(np.flatnonzero(part != number), label, order)
        if not len(rows) or len(np.unique(label[learnt])) < 2:
            continue
        model: Any = LogisticRegression(C=10.0, max_iter=200, class_weight="balanced")
        model.fit(vectorizer.transform(responses(learnt)), label[learnt])
        for start in range(0, len(rows), SCORED_AT_ONCE):
            chunk = rows[start : start + SCORED_AT_ONCE]
            scores_of_rows[chunk] = model.decision_function(vectorizer.transform(responses(chunk)))
    return scores_of_rows


def _learnt(rows: Ints, label: Ints, order: Hashes) -> Ints:
    """At most 40,000 rows, positives first, but at most half of them."""
    drawn = rows[np.argsort(order[rows], kind="stable")]
    positive = drawn[label[drawn] == 1][: LEARNT_ROWS // 2]
    negative = drawn[label[drawn] == 0][: LEARNT_ROWS - len(positive)]
    return np.sort(np.concatenate([positive, negative]))


def check_agreement(score: Floats, label: Ints, user: Ints, users: Ints, level: float) -> Agreement:
    """Tests users.

    Args:
        score: of each row, [N].
        label: 0 or 1, [N].
        user: user of each row, [N].
        users: those to test: each has rows of both classes, all scored, [U].
        level: false-discovery rate.
    """
    from scipy.stats import norm
    from sklearn.metrics import roc_auc_score

    order = np.argsort(user, kind="stable")
    starts = np.searchsorted(user[order], users)
    ends = np.searchsorted(user[order], users, side="right")
    groups = [order[start:end] for start, end in zip(starts, ends, strict=True)]
    auroc = np.array([roc_auc_score(label[rows], score[rows]) for rows in groups])
    positives = np.array([label[rows].sum() for rows in groups])
    negatives = np.array([len(rows) for rows in groups]) - positives
    expected = 0.5
    for _ in range(3):  # the weights hang on A, weakly
        variance = hanley_mcneil(expected, positives, negatives)
        expected = float(np.clip(np.average(auroc, weights=1 / variance), 0.5, 0.99))
    variance = hanley_mcneil(expected, positives, negatives)
    tau = max(0.0, float(np.median((auroc - expected) ** 2)) / MEDIAN_CHI_SQUARE - float(np.median(variance)))
    spread = np.sqrt(variance + tau)
    tails = norm.cdf((auroc - expected) / spread)
    return Agreement(auroc, expected, spread, discoveries(tails, level) & (auroc <= 0.5))


def hanley_mcneil(auroc: float, positives: Ints, negatives: Ints) -> Floats:
    """The variance of an AUROC, [U]."""
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc) + (positives - 1) * (q1 - auroc**2) + (negatives - 1) * (q2 - auroc**2)
    return np.asarray(spread / (positives * negatives), dtype=np.float64)


def content(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Screening:
    """A user's reactions do not follow from the content at all (`py`)."""
    rows, positives = table.user_counts()
    least = settings.min_content_positives
    users = np.flatnonzero((positives >= least) & (rows - positives >= least))
    level = settings.false_discovery_rate
    rule = f"AUROC of the content against a user's reactions ≤ 0.5; false-discovery rate < {level:g}"
    tested = tested_text(table, len(users))
    if len(users) < MIN_USERS:
        return Screening(
            rule, tested, [], f"not run: fewer than {MIN_USERS} users have {least} reactions of each class"
        )
    parts = (priority(table.user_keys, seed, "parts") % np.uint64(PARTS)).astype(np.int64)
    score = scores(
        lambda chosen: spill.responses(table.place[chosen]),
        table.label,
        np.where(table.user >= 0, parts[table.user], -1),
        priority(table.row_hash, seed, "content"),
        np.isin(table.user, users),
    )
    if np.isnan(score[np.isin(table.user, users)]).any():
        return Screening(rule, tested, [], "not run: too few users to fit the content's model on others")
    agreement = check_agreement(score, table.label, table.user, users, level)
    rule += f"; expected {agreement.expected:.3f}"
    if agreement.expected < MIN_EXPECTED_AUROC:
        return Screening(rule, tested, [], f"not applied: the content tells too little (below {MIN_EXPECTED_AUROC})")
    suspects = [
        Suspect(
            table.users[users[place]],
            f"AUROC {agreement.auroc[place]:.3f} over {positives[users[place]]} positive of {rows[users[place]]} rows; "
            f"expected {agreement.expected:.3f} ± {agreement.spread[place]:.3f}",
            table.rows_of(int(users[place])),
        )
        for place in np.flatnonzero(agreement.suspected)
    ]
    return Screening(rule, tested, suspects)
