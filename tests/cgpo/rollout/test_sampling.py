"""Drawing tokens: the right distribution, the right log-probs, truncations as documented."""

from __future__ import annotations

import math

import pytest
import torch

from cgpo.config import SamplingSettings
from cgpo.rollout.sampling import draw, token_logprobs

# Probabilities 0.5, 0.25, 0.125, 0.125 at temperature 1.
LOGITS = torch.log(torch.tensor([0.5, 0.25, 0.125, 0.125]))


def test_temperature_one_half_squares_the_odds() -> None:
    # p² normalised: 1/4, 1/16, 1/64, 1/64 over 22/64.
    found = token_logprobs(LOGITS, SamplingSettings(temperature=0.5)).exp()
    assert found.tolist() == pytest.approx([16 / 22, 4 / 22, 1 / 22, 1 / 22])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 4}, [0.5, 0.25, 0.125, 0.125]),
        # 0.5 alone is below 0.6, 0.75 reaches it.
        ({"top_p": 0.6}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        # Floor 0.4 · 0.5 = 0.2.
        ({"min_p": 0.4}, [2 / 3, 1 / 3, 0, 0]),
        ({"min_p": 0.2, "top_p": 0.7}, [2 / 3, 1 / 3, 0, 0]),
    ],
)
def test_truncations(settings: dict[str, float], expected: list[float]) -> None:
    assert token_logprobs(LOGITS, SamplingSettings(**settings)).exp().tolist() == pytest.approx(expected)


def test_greedy_takes_the_likeliest_and_reports_temperature_one() -> None:
    sampling = SamplingSettings(temperature=0, top_k=1)
    logprobs = token_logprobs(LOGITS, sampling)
    assert draw(logprobs, sampling, torch.Generator()) == 0
    assert float(logprobs[0]) == pytest.approx(math.log(0.5))


def test_samples_follow_the_distribution() -> None:
    sampling = SamplingSettings(temperature=1.0)
    generator = torch.Generator().manual_seed(3)
    logprobs = token_logprobs(LOGITS, sampling)
    draws = torch.tensor([draw(logprobs, sampling, generator) for _ in range(4000)])
    shares = torch.bincount(draws, minlength=4) / 4000
    # Four standard errors of a share of 0.5 over 4,000 draws are 0.032.
    assert shares.tolist() == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.032)


def test_cut_off_tokens_are_never_drawn() -> None:
    sampling = SamplingSettings(top_k=1, allow=["top_k"])
    logprobs = token_logprobs(LOGITS, sampling)
    generator = torch.Generator().manual_seed(0)
    assert {draw(logprobs, sampling, generator) for _ in range(200)} == {0}


def test_a_seed_fixes_the_draws() -> None:
    sampling = SamplingSettings()
    logprobs = token_logprobs(torch.zeros(1000), sampling)
    first, second = (torch.Generator().manual_seed(9) for _ in range(2))
    assert [draw(logprobs, sampling, first) for _ in range(5)] == [draw(logprobs, sampling, second) for _ in range(5)]
