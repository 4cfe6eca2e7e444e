"""Losses of a reward model's heads, by hand, and of a step that is split into micro-batches."""

from __future__ import annotations

import math

import pytest
import torch

from cgpo.config import PairwiseHeadSettings, PointwiseHeadSettings, RegressionHeadSettings
from cgpo.stages.reward_model.losses import (
    Sums,
    TrainingRow,
    bradley_terry,
    count_rows,
    cross_entropy,
    head_loss,
    part_of_loss,
    squared,
)

HEADS = [
    head_loss("helpful", PairwiseHeadSettings(objective="pairwise", margin_scale=0.5, centring=0.01)),
    head_loss("love", PointwiseHeadSettings(objective="pointwise", path="rows.jsonl", weight=0.5)),
    head_loss("quality", RegressionHeadSettings(objective="regression", path="rows.jsonl", loss="huber", weight=2.0)),
]


def test_bradley_terry_by_hand() -> None:
    chosen = torch.tensor([0.0, 1.0, -1.0, 1000.0, -1000.0], requires_grad=True)
    rejected = torch.zeros(5, requires_grad=True)
    loss = bradley_terry(chosen, rejected)
    expected = [math.log(2), 0.31326169, 1.31326169, 0.0, 1000.0]
    assert loss.tolist() == pytest.approx(expected, abs=1e-6)
    loss.sum().backward()
    # − sigmoid(rejected − chosen): the better response's score is pushed up, the worse one's down by as much
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.tolist() == pytest.approx([-0.5, -0.26894142, -0.73105858, 0.0, -1.0], abs=1e-6)
    assert rejected.grad.tolist() == pytest.approx([0.5, 0.26894142, 0.73105858, 0.0, 1.0], abs=1e-6)


def test_margin_and_centring_by_hand() -> None:
    chosen, rejected = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 0.5])
    # differences 1 and 0, margins 1 and 2: −log sigmoid(0) and −log sigmoid(−2); sums 3 and 1
    loss = bradley_terry(chosen, rejected, torch.tensor([1.0, 2.0]), centring=0.1)
    assert loss.tolist() == pytest.approx([math.log(2) + 0.1 * 9, math.log1p(math.exp(2)) + 0.1 * 1], abs=1e-6)


def test_cross_entropy_and_squares_by_hand() -> None:
    scores = torch.tensor([0.0, 2.0, 2.0, -1000.0])
    found = cross_entropy(scores, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert found.tolist() == pytest.approx([math.log(2), math.log1p(math.exp(-2)), math.log1p(math.exp(2)), 1000.0])
    ratings = torch.tensor([1.0, -1.0, 5.0])
    assert squared(torch.zeros(3), ratings).tolist() == [0.5, 0.5, 12.5]
    assert squared(torch.zeros(3), ratings, huber_delta=2.0).tolist() == [0.5, 0.5, 2.0 * (5.0 - 1.0)]


def rows() -> list[TrainingRow]:
    return [
        TrainingRow((0, 1), ((0, 1.0),)),
        TrainingRow((2,), ((1, 1.0), (2, -0.5))),  # two heads, one text
        TrainingRow((3,), ((1, 0.0),), copies=3),
        TrainingRow((4, 5), ((0, 0.0),)),
        TrainingRow((6,), ((2, 3.0),)),
    ]


def test_the_loss_of_a_step_is_the_formula_whatever_the_micro_batches() -> None:
    weights = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    r = (weights @ torch.ones(4, 3) * torch.tensor([1.0, -0.5, 2.0])).tolist()

    def bt(a: float, b: float, m: float) -> float:
        return math.log1p(math.exp(-(a - b - m))) + 0.01 * (a + b) ** 2

    def huber(a: float, z: float) -> float:
        return 0.5 * (a - z) ** 2 if abs(a - z) <= 1 else abs(a - z) - 0.5

    expected = (
        (bt(r[0][0], r[1][0], 0.5 * 1.0) + bt(r[4][0], r[5][0], 0.0)) / 2
        + 0.5 * (math.log1p(math.exp(-r[2][1])) + math.log1p(math.exp(r[3][1]))) / 2
        + 2.0 * (huber(r[2][2], -0.5) + huber(r[6][2], 3.0)) / 2
    )
    gradients = []
    for parts in ([[0, 1, 2, 3, 4]], [[0], [1], [2], [3], [4]], [[4, 0], [3, 2], [1]]):
        net = torch.nn.Linear(4, 3, bias=False)
        net.weight.data = torch.tensor([1.0, -0.5, 2.0])[:, None].expand(3, 4).clone()
        sums, total = Sums.zero(3), 0.0
        for part in parts:
            mine = [rows()[i] for i in part]
            outputs = net(weights[[text for row in mine for text in row.texts]])
            loss = part_of_loss(outputs, mine, HEADS, count_rows(rows(), 3), sums)
            loss.backward()
            total += float(loss.detach())
        assert total == pytest.approx(expected, rel=1e-5)
        assert sums.rows == [2.0, 2.0, 2.0]
        gradients.append(net.weight.grad)
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0])


def test_a_head_without_a_row_in_the_step_adds_nothing() -> None:
    outputs = torch.ones(1, 3, requires_grad=True)
    part_of_loss(outputs, [TrainingRow((0,), ((1, 1.0),))], HEADS, [0, 1, 0], Sums.zero(3)).backward()
    assert outputs.grad is not None
    assert outputs.grad[0, [0, 2]].tolist() == [0.0, 0.0]
    # 0.5 · (sigmoid(1) − 1)
    assert float(outputs.grad[0, 1]) == pytest.approx(0.5 * (1 / (1 + math.exp(-1)) - 1))


def test_copies_weigh_a_measured_row() -> None:
    sums = Sums.zero(3)
    outputs = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    mine = [TrainingRow((0,), ((1, 0.0),)), TrainingRow((1,), ((1, 1.0),))]
    part_of_loss(outputs, mine, HEADS, [1.0] * 3, sums, copies=[3, 1])
    assert sums.rows[1] == 4.0
    assert sums.loss[1] == pytest.approx(3 * math.log1p(math.exp(2)) + math.log(2))
