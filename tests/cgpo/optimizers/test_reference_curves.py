"""Twenty steps of each optimiser equal the committed curves: no change of an optimiser's numbers goes unnoticed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from cgpo import distributed

FOLDER = Path(__file__).parents[1] / "reference_curves"
TOLERANCE = 1e-4
"""Relative. The same 20 steps with every response in a micro-batch of its own, another order of the same float32
sums, part from the committed ones by at most 4e-6; another processor is such another order too. A loss with one sample
too few, or one wrong sign, is off by more than 1e-2 from the first step on."""


def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_curves", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()


def committed(name: str) -> list[dict[str, float]]:
    return list(json.loads((FOLDER / f"{name}.json").read_text()))


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_the_curve_is_the_committed_one(name: str, small_model: str) -> None:
    found, expected = maker().curve(name, small_model), committed(name)
    assert len(found) == len(expected) == 20
    for step, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=1e-7), f"step {step}"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_the_curve_is_one_of_learning(name: str) -> None:
    steps = committed(name)
    assert sum(step["grad_norm"] is not None and step["grad_norm"] > 0 for step in steps) >= 18
    assert len({step["loss"] for step in steps}) >= 18
    assert steps[0]["weights"] != steps[-1]["weights"]


def test_every_optimiser_has_a_curve() -> None:
    """`python tests/cgpo/reference_curves/make.py NAME` makes a missing one."""
    ours = {point.name for point in entry_points(group="cgpo.optimizers") if point.value.startswith("cgpo.")}
    assert ours == {path.stem for path in FOLDER.glob("*.json")}
