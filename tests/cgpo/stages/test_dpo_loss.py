"""The loss on preference pairs: numbers by hand, and gradients from the formula written out anew."""

from __future__ import annotations

import math

import pytest
import torch

from cgpo.stages.dpo_loss import dpo_losses, margins


def test_margins_by_hand() -> None:
    policy = torch.tensor([[-10.0, -12.0], [-5.0, -3.0]])
    reference = torch.tensor([[-11.0, -11.0], [-5.0, -3.0]])
    # log-ratios +1 and −1: 0.5 · (1 + 1) = 1; a policy that is the reference has none
    assert margins(policy, reference, 0.5).tolist() == [1.0, 0.0]


def test_losses_by_hand() -> None:
    margin, nothing = torch.tensor([0.0, 1.0, -2.0]), torch.zeros(3)
    plain = dpo_losses(margin, nothing, 0.0, 0.0)
    assert plain.tolist() == pytest.approx([math.log(2), 0.3132617, 2.1269280], abs=1e-6)
    smooth = dpo_losses(margin, nothing, 0.1, 0.0)
    # − 0.9·log sigmoid(m) − 0.1·log sigmoid(−m) = −log sigmoid(m) + 0.1·m
    assert smooth.tolist() == pytest.approx([math.log(2), 0.4132617, 1.9269280], abs=1e-6)
    with_likelihood = dpo_losses(margin, torch.tensor([-3.0, -3.0, -3.0]), 0.0, 0.5)
    assert (with_likelihood - plain).tolist() == pytest.approx([1.5, 1.5, 1.5], abs=1e-6)


def test_gradient_is_beta_times_how_wrong_the_margin_is() -> None:
    beta, epsilon, weight = 0.3, 0.2, 0.7
    generator = torch.Generator().manual_seed(0)
    policy = (torch.randn(6, 2, generator=generator, dtype=torch.float64) * 4).requires_grad_()
    reference = torch.randn(6, 2, generator=generator, dtype=torch.float64) * 4
    length = torch.tensor([1, 2, 3, 4, 5, 6])
    margin = margins(policy, reference, beta)
    dpo_losses(margin, policy[:, 0] / length, epsilon, weight).sum().backward()
    m = margin.detach()
    # d/dm of −(1 − ε)·log σ(m) − ε·log σ(−m)
    slope = -(1 - epsilon) * torch.sigmoid(-m) + epsilon * torch.sigmoid(m)
    assert policy.grad is not None
    assert torch.allclose(policy.grad[:, 0], beta * slope - weight / length)
    assert torch.allclose(policy.grad[:, 1], -beta * slope)


def test_far_margins_stay_finite() -> None:
    losses = dpo_losses(torch.tensor([1e4, -1e4]), torch.zeros(2), 0.0, 0.0)
    assert losses.tolist() == [0.0, 1e4]
