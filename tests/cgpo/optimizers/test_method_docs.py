"""docs/method.md is true: the code computes its worked numbers, and the sections that docstrings name exist."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from batches import NAN, alone, make_batch, per_sample

from cgpo.config import SamplingSettings
from cgpo.optimizers.base import StratumBatch
from cgpo.optimizers.codpo import Codpo, CodpoSettings
from cgpo.optimizers.crpg import Crpg, CrpgSettings, earned, kl_factor
from cgpo.optimizers.crraft import Crraft, CrraftSettings
from cgpo.rewards.calibration import calibrate
from cgpo.rewards.prior import prior_shift
from cgpo.rollout.sampling import token_logprobs
from cgpo.statistics.odds import logit, sigmoid
from judges import Outcome
from judges.verdict import combine

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "method.md").read_text()
SECTIONS = [
    *("CGPO", "Log-probabilities", "Calibrated reward", "CRPG", "CODPO", "CRRAFT", "Strata"),
    *("Verdicts have three values", "P[Love]"),
]
"""Titles that docstrings name."""
KL_MAX = 10.0
TOLERANCE = 5e-7


def tables() -> list[list[dict[str, str]]]:
    """Every table of the page, a mapping for each row."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        head, _, *rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def table(*columns: str) -> list[dict[str, str]]:
    (found,) = [rows for rows in tables() if list(rows[0]) == list(columns)]
    return found


GIVEN = table("response", "prompt", "r(s, a)", "r(s, ā)", "judges", "log_ratio", "tokens")
WORKED = table("response", "feasible", "R_calib", "R̃", "CRPG", "CODPO", "CRRAFT")
SAMPLED = [i for i, row in enumerate(GIVEN) if not row["response"].startswith("ā")]
EVERY = list(range(len(GIVEN)))


def number(cell: str) -> float:
    """A cell's number; – is none."""
    return NAN if cell == "–" else float(cell.replace("−", "-"))


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [number(row[name]) for row in rows]


def outcome(verdicts: str) -> Outcome:
    return combine(Outcome(word) for word in verdicts.split(", "))


def calibrated() -> list[float]:
    pairs = zip(column(GIVEN, "r(s, a)"), column(GIVEN, "r(s, ā)"), strict=True)
    found = [calibrate({"r": score}, {"r": baseline}, {"r": 1.0}) for score, baseline in pairs]
    return [NAN if value is None else value for value in found]


def batch(rows: list[int]) -> StratumBatch:
    """Some of the page's responses as an optimiser sees them."""
    outcomes = [outcome(GIVEN[i]["judges"]) for i in rows]
    every = calibrated()
    return make_batch(
        [each is Outcome.SATISFIED for each in outcomes],
        [every[i] for i in rows],
        [column(GIVEN, "log_ratio")[i] for i in rows],
        [each is not Outcome.UNKNOWN for each in outcomes],
        reward=[column(GIVEN, "r(s, a)")[i] for i in rows],
        prompt=["AB".index(GIVEN[i]["prompt"]) for i in rows],
        length=[int(GIVEN[i]["tokens"]) for i in rows],
        baseline=[GIVEN[i]["response"].startswith("ā") for i in rows],
    )


def test_the_sections_that_docstrings_name() -> None:
    titles = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert [title for title in titles if title in SECTIONS] == SECTIONS


def test_the_worked_step_is_about_the_same_responses() -> None:
    assert [row["response"] for row in GIVEN] == [row["response"] for row in WORKED]


def test_feasibility_of_the_worked_step() -> None:
    words = {Outcome.SATISFIED: "yes", Outcome.VIOLATED: "no", Outcome.UNKNOWN: "unknown"}
    assert [words[outcome(row["judges"])] for row in GIVEN] == [row["feasible"] for row in WORKED]


def test_calibrated_rewards_of_the_worked_step() -> None:
    assert calibrated() == pytest.approx(column(WORKED, "R_calib"), abs=5e-5)


def test_crpg_of_the_worked_step() -> None:
    samples = batch(SAMPLED)
    regularised = kl_factor(samples.log_ratio, KL_MAX) * earned(samples)
    known = samples.known.nonzero().flatten().tolist()
    expected = column(WORKED, "R̃")
    assert [float(regularised[i]) for i in known] == pytest.approx([expected[i] for i in known], abs=1e-5)
    found = per_sample(alone(Crpg(CrpgSettings(kl_max=KL_MAX)), samples), samples)
    assert found.tolist() == pytest.approx(column(WORKED, "CRPG")[: len(SAMPLED)], abs=1e-5)


def test_codpo_of_the_worked_step() -> None:
    samples = batch(SAMPLED)
    found = per_sample(alone(Codpo(CodpoSettings(beta=0.1, likelihood_weight=1.0)), samples), samples)
    assert found.tolist() == pytest.approx(column(WORKED, "CODPO")[: len(SAMPLED)], abs=TOLERANCE)


def test_crraft_of_the_worked_step() -> None:
    samples = batch(EVERY)
    found = per_sample(alone(Crraft(CrraftSettings(kl_max=KL_MAX)), samples), samples)
    assert found.tolist() == pytest.approx(column(WORKED, "CRRAFT"), abs=1e-5)


def test_verdicts() -> None:
    rows = table("verdicts", "outcome")
    assert len(rows) >= 7
    assert [outcome(row["verdicts"]).value for row in rows] == [row["outcome"] for row in rows]


def test_temperature() -> None:
    logits = torch.tensor([4.0, 2.0, 2.0]).log()
    at = {t: float(token_logprobs(logits, SamplingSettings(temperature=t))[0]) for t in (1.0, 0.5)}
    assert f"probability {math.exp(at[1.0]):.1f} at T = 1 and {math.exp(at[0.5]):.4f}" in TEXT
    assert f"at T = 0.5: {at[0.5] - at[1.0]:.4f} nats apart" in TEXT


def test_love() -> None:
    shift = prior_shift(0.1, 0.02)
    assert f"the shift is −{-shift:.4f}: p̂ = 0.5 means p = {sigmoid(logit(0.5) + shift):.4f}" in TEXT
    between = calibrate({"love": logit(0.03)}, {"love": logit(0.02)}, {"love": 1.0})
    assert f"0.03 against 0.02 gives {sigmoid(0.03 - 0.02):.4f}, their logits give {between:.4f}" in TEXT


def test_links_to_code_show_their_file() -> None:
    links = re.findall(r"\[([^\]]+)\]\(\.\./([^)]+\.py)\)", TEXT)
    assert len(links) > 20
    assert [(label, target) for label, target in links if label != target] == []
