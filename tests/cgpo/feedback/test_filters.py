"""The filters: their numbers by hand, what they find in constructed logs, and what they leave alone."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feedback_tables import row, spill_in, spilled
from scipy.stats import betabinom

from cgpo.feedback.filters.chain import FilterResult, filter_heldout, run_filters
from cgpo.feedback.filters.content import check_agreement, hanley_mcneil
from cgpo.feedback.filters.rates import check_rates, discoveries
from cgpo.feedback.filters.windows import excess_windows
from cgpo.feedback.logs.rows import LogRow
from cgpo.feedback.settings import FilterSettings

DAY = 86_400.0
WORDS = "tea rain book walk train lamp song bread river cloud stone paper garden window summer winter".split()  # noqa: SIM905


def text(rng: random.Random, *more: str) -> str:
    return " ".join([*rng.choices(WORDS, k=12), str(rng.randrange(10**6)), *more])


def honest(rng: random.Random, users: int = 60, rows: int = 40, rate: float = 0.05) -> list[LogRow]:
    """Users whose rate varies; who like what has `sunshine` in it three times as often; spread over 30 days."""
    found = []
    for user in range(users):
        own = rng.betavariate(4, 4 / rate - 4)
        for _ in range(rows):
            sunny = rng.random() < 0.5
            chance = own * (1.5 if sunny else 0.5)
            words = text(rng, "sunshine") if sunny else text(rng)
            found.append(row(words, int(rng.random() < chance), rng.uniform(1, 30 * DAY), f"honest{user}"))
    return found


def filtered(rows: list[LogRow], folder: Path, *names: str) -> tuple[dict[str, FilterResult], set[str | None]]:
    """Results by filter, and who had rows dropped."""
    with spill_in(folder) as spill:
        table = spilled(rows, spill)
        results = run_filters(table, spill, FilterSettings(names=names), seed=0)
    users = set()
    for result in results:
        dropped = table.user[result.finding >= 0]
        users |= {table.users[user] if user >= 0 else None for user in dropped}
    return {result.name: result for result in results}, users


def test_a_window_by_hand() -> None:
    """10 rows of one user within 100 s, 6 positive, and 90 rows elsewhere, none positive; p₀ = 0.05.

    λ = 10 · max(0.05, (0 + 100 · 0.05) / (90 + 100)) = 0.5; P(X ≥ 6 | 0.5) = 1 − Σ_{j<6} e^{−½} ½^j / j!; six windows
    were looked at.
    """
    time = np.r_[np.arange(10) * 10.0, 1e5 + np.arange(90) * 1e4]
    label = np.r_[[1, 1, 1, 1, 1, 1, 0, 0, 0, 0], np.zeros(90, dtype=np.int64)]
    windows = excess_windows(np.zeros(100, dtype=np.int64), time, label, width=100, rate=0.05, least=5, level=1e-3)
    tail = 6 * (1 - sum(math.exp(-0.5) * 0.5**j / math.factorial(j) for j in range(6)))
    first = windows[0]
    assert (first.positives, first.rows.tolist()) == (6, list(range(10)))
    assert first.expected == pytest.approx(0.5)
    assert first.tail == pytest.approx(tail, rel=1e-9)
    assert [w.positives for w in windows] == [6, 5]


def test_many_rows_in_little_time_are_no_burst_and_neither_is_a_user_who_always_reacts() -> None:
    time, units = np.arange(100) * 10.0, np.zeros(100, dtype=np.int64)
    few = np.r_[np.ones(5, dtype=np.int64), np.zeros(95, dtype=np.int64)][np.random.default_rng(0).permutation(100)]
    for label, rate in ((few, 0.05), (np.ones(100, dtype=np.int64), 0.9)):
        assert not excess_windows(units, time, label, width=300, rate=rate, least=5, level=1e-3)


def test_discoveries_by_hand() -> None:
    """Limits at level 0.05 of five: 0.01, 0.02, 0.03, 0.04, 0.05. The largest tail below its limit takes the rest."""
    assert discoveries(np.array([0.5, 0.005, 0.029, 0.025, 0.9]), 0.05).tolist() == [False, True, True, True, False]
    assert not discoveries(np.array([0.02, 0.5, 0.6]), 0.05).any()


def test_rates_of_honest_users_are_fitted_beside_users_who_always_react() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(10, 60, 600)
    positives = rng.binomial(rows, rng.beta(3, 97, 600))
    positives[:30] = rows[:30]
    found = check_rates(positives, rows, 0.01)
    assert found.mean == pytest.approx(0.03, abs=0.004)
    assert found.suspected[:30].all()
    assert found.suspected[30:].sum() <= 1
    k, n = int(positives[40]), int(rows[40])
    probability = [betabinom.pmf(j, n, found.a, found.b) for j in range(n + 1)]
    assert found.tails[40] == pytest.approx(min(1, 2 * min(sum(probability[: k + 1]), sum(probability[k:]))))


def test_the_variance_of_an_auroc_by_hand() -> None:
    """A = 0.75, 2 positive and 3 negative: Q₁ = 0.6, Q₂ = 1.125/1.75; (0.1875 + Q₁ − A² + 2 (Q₂ − A²)) / 6."""
    expected = (0.1875 + (0.6 - 0.5625) + 2 * (1.125 / 1.75 - 0.5625)) / 6
    assert hanley_mcneil(0.75, np.array([2]), np.array([3]))[0] == pytest.approx(expected, rel=1e-12)


def test_who_disagrees_with_the_content_is_found() -> None:
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(40), 100)
    score = rng.normal(size=4000)
    wish = np.where(user == 0, -score, score)
    label = (rng.random(4000) < 1 / (1 + np.exp(-1.5 * wish + 1))).astype(np.int64)
    found = check_agreement(score, label, user, np.arange(40), 0.01)
    assert np.flatnonzero(found.suspected).tolist() == [0]
    pairs = [(a > b) + 0.5 * (a == b) for a in score[:100][label[:100] == 1] for b in score[:100][label[:100] == 0]]
    assert found.auroc[0] == pytest.approx(np.mean(pairs))


@pytest.fixture(scope="module")
def crowd() -> list[LogRow]:
    return honest(random.Random(0))


def test_honest_users_are_left_alone(crowd: list[LogRow], tmp_path: Path) -> None:
    results, users = filtered(crowd, tmp_path, *FilterSettings().names)
    assert users == set()
    assert all(not result.findings for result in results.values())


def test_a_user_who_loves_everything(crowd: list[LogRow], tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [row(text(rng), 1, rng.uniform(1, 30 * DAY), "fan") for _ in range(12)]
    for name in ("rate", "share"):
        results, users = filtered(crowd + rows, tmp_path, name)
        assert users == {"fan"}
        (finding,) = results[name].findings
        assert (finding.who, finding.rows, finding.positives) == ("fan", 12, 12)
        assert "12" in finding.reason


def test_a_burst_costs_its_rows_alone(crowd: list[LogRow], tmp_path: Path) -> None:
    rng = random.Random(2)
    calm = [row(text(rng), 0, rng.uniform(1, 30 * DAY), "bot") for _ in range(40)]
    start = 31 * DAY
    burst = [row(text(rng), int(n < 9), start + 40 * n, "bot") for n in range(12)]
    results, users = filtered(crowd + calm + burst, tmp_path, "burst")
    assert users == {"bot"}
    assert (results["burst"].rows, results["burst"].positives) == (12, 9)


def test_a_user_whose_rows_crowd_and_who_reacts_more(crowd: list[LogRow], tmp_path: Path) -> None:
    rng = random.Random(3)
    # Four bursts of six rows, one positive in each: too few for a window. A calm twin has the same rows over a month.
    bot = [row(text(rng), int(n == 0), b * 5 * DAY + 60 * n, "bot") for b in range(1, 5) for n in range(6)]
    quiet = [row(text(rng), 0, b * 5 * DAY + 60 * n, "sessions") for b in range(1, 5) for n in range(6)]
    results, users = filtered(crowd + bot + quiet, tmp_path, "burst")
    assert users == {"bot"}
    assert "20 of 24 rows follow another" in results["burst"].findings[0].reason


def test_many_users_for_one_text(crowd: list[LogRow], tmp_path: Path) -> None:
    rng = random.Random(4)
    phrase = "Sending love to you and everybody around you, bye and take good care of yourself my friend"
    ring = [
        row(f"{phrase} {occasion * 10 + user}", 1, occasion * 9 * DAY + user * 60, f"ring{user}")
        for occasion in (1, 2)
        for user in range(6)
    ]
    others = [row(text(rng), 0, rng.uniform(1, 30 * DAY), f"ring{user}") for user in range(6) for _ in range(5)]
    results, users = filtered(crowd + ring + others, tmp_path, "coordinated")
    assert users == {f"ring{user}" for user in range(6)}
    assert results["coordinated"].positives == 12
    assert results["coordinated"].rows == 12 + 30  # coordinated more than once: they leave with all rows


def test_one_user_many_times_is_not_many_users(crowd: list[LogRow], tmp_path: Path) -> None:
    rows = [row("Sending love to you and to all of your friends", 1, DAY + n, "fan") for n in range(10)]
    results, _ = filtered(crowd + rows, tmp_path, "coordinated")
    assert results["coordinated"].rows == 0


def test_many_users_for_one_policy(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows = [replace(found, policy=rng.choice("ABC")) for found in honest(rng)]
    ring = [row(text(rng), 1, 3 * DAY + 30 * user, f"ring{user}", policy="B") for user in range(8)]
    results, users = filtered(rows + ring, tmp_path, "coordinated")
    assert users == {f"ring{user}" for user in range(8)}
    assert results["coordinated"].findings[0].who == "policy B"


def test_a_user_against_the_content(tmp_path: Path) -> None:
    rng = random.Random(6)
    rows = []
    for user in range(30):
        for _ in range(50):
            sunny = rng.random() < 0.5
            chance = (0.1 if sunny else 0.5) if user == 0 else (0.5 if sunny else 0.1)
            words = text(rng, "sunshine") if sunny else text(rng)
            rows.append(row(words, int(rng.random() < chance), rng.uniform(1, 30 * DAY), f"u{user}"))
    results, users = filtered(rows, tmp_path, "content")
    assert users == {"u0"}
    assert "AUROC" in results["content"].findings[0].reason


def test_what_cannot_be_tested_is_said(tmp_path: Path) -> None:
    rng = random.Random(7)
    rows = [row(text(rng), int(n % 10 == 0), n * 100.0, f"u{n % 4}" if n % 2 else None) for n in range(1, 101)]
    results, users = filtered(rows, tmp_path, *FilterSettings().names)
    assert users == set()
    for name in ("rate", "content", "share"):
        assert results[name].note.startswith("not run: fewer than 20 users")
    assert "50 rows name no user" in results["rate"].tested


def test_heldout_rows_lose_those_who_left_the_training_side(crowd: list[LogRow], tmp_path: Path) -> None:
    rng = random.Random(8)
    fan = [row(text(rng), 1, rng.uniform(1, 30 * DAY), "fan") for _ in range(12)]
    later = [row(text(rng), int(n % 9 == 0), 40 * DAY + n, "fan" if n < 3 else f"new{n}") for n in range(50)]
    settings = FilterSettings(names=("rate",))
    with spill_in(tmp_path) as spill:
        training = spilled(crowd + fan, spill)
        (result,) = run_filters(training, spill, settings, 0)
        gone = training.present_users() - training.take(result.finding < 0).present_users()
        heldout = spilled(later, spill)
        found = filter_heldout(heldout, gone, spill, settings, 0)
    assert [result.name for result in found] == ["known users", "rate"]
    assert found[0].rows == 3
    assert {heldout.users[u] for u in heldout.user[found[0].finding >= 0]} == {"fan"}
