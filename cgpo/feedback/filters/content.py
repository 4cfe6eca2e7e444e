"""Filter `content`: a user's reactions do not follow from what they were shown (`content_model.py`)."""

from __future__ import annotations

import numpy as np

from cgpo.feedback.filters import content_model
from cgpo.feedback.filters.types import MIN_USERS, Found, rows_of, tested_text, user_counts
from cgpo.feedback.preparation.settings import FilterSettings
from cgpo.feedback.preparation.spill import Spill
from cgpo.feedback.preparation.table import Table, priority

MIN_EXPECTED_AUROC = 0.55
"""Below this the content tells too little of honest reactions to suspect anybody by it."""


def content(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Found:
    """A user's reactions do not follow from the content at all (`content_model.py`)."""
    rows, positives = user_counts(table)
    least = settings.min_content_positives
    users = np.flatnonzero((positives >= least) & (rows - positives >= least))
    level = settings.false_discovery_rate
    rule = f"AUROC of the content against a user's reactions ≤ 0.5; false-discovery rate < {level:g}"
    tested = tested_text(table, len(users))
    if len(users) < MIN_USERS:
        return Found(rule, tested, [], f"not run: fewer than {MIN_USERS} users have {least} reactions of each class")
    parts = (priority(table.user_keys, seed, "parts") % np.uint64(content_model.PARTS)).astype(np.int64)
    score = content_model.scores(
        lambda chosen: spill.responses(table.place[chosen]),
        table.label,
        np.where(table.user >= 0, parts[table.user], -1),
        priority(table.row_hash, seed, "content"),
        np.isin(table.user, users),
    )
    if np.isnan(score[np.isin(table.user, users)]).any():
        return Found(rule, tested, [], "not run: too few users to fit the content's model on others")
    found = content_model.check_agreement(score, table.label, table.user, users, level)
    rule += f"; expected {found.expected:.3f}"
    if found.expected < MIN_EXPECTED_AUROC:
        return Found(rule, tested, [], f"not applied: the content tells too little (below {MIN_EXPECTED_AUROC})")
    findings = [
        (
            table.users[users[place]],
            f"AUROC {found.auroc[place]:.3f} over {positives[users[place]]} positive of {rows[users[place]]} rows; "
            f"expected {found.expected:.3f} ± {found.spread[place]:.3f}",
            rows_of(table, int(users[place])),
        )
        for place in np.flatnonzero(found.suspected)
    ]
    return Found(rule, tested, findings)
