"""What a run that goes on checks: the model, the baselines, the versions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from cgpo.config import ModelSettings
from cgpo.errors import RunError
from cgpo.policy.identity import check_model, describe_model
from cgpo.training.resume import changed_versions, check_pin, pin, restore_strata, stratum_state


class FakeTokenizer:
    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}


def described(width: int = 3, *, bias: bool = True, tokens: str = "ab", offset: float = 0.0, name: str = "m") -> Any:
    """The identity of a small linear "policy" and of a reference with weights 0, 1, 2, … + offset."""
    module = torch.nn.Module()
    module.causal_lm = torch.nn.Linear(2, width, bias=bias)
    reference = [("weight", torch.arange(6.0) + offset)]
    return describe_model(module, reference, FakeTokenizer(*tokens), ModelSettings(name=name))


def test_the_same_model_is_recognised_whatever_its_weights() -> None:
    check_model(described(), described(), "c")
    assert described()["parameters"] == 9


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"width": 4}, "another model: Linear with 9 parameters.*this run trains Linear with 12 parameters"),
        ({"bias": False}, "another model: Linear with 9.*trains Linear with 6 parameters"),
        ({"tokens": "abc"}, "another vocabulary.* and 2 tokens.* and 3 tokens"),
        ({"tokens": "ba"}, "another vocabulary"),
        ({"offset": 1.0}, "other reference weights under the same name 'm'"),
    ],
)
def test_another_one_is_refused_naming_both(other: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=said):
        check_model(described(), described(**other), "checkpoints/step-000005")


def test_a_frozen_part_makes_another_model() -> None:
    module = cast(Any, torch.nn.Module())
    module.causal_lm = torch.nn.Linear(2, 3)
    whole = describe_model(module, [], FakeTokenizer("a"), ModelSettings(name="m"))
    module.causal_lm.bias.requires_grad_(False)
    part = describe_model(module, [], FakeTokenizer("a"), ModelSettings(name="m"))
    with pytest.raises(RunError, match=r"9 parameters \(names.*9 parameters, 6 trained"):
        check_model(whole, part, "c")


def test_another_reference_that_was_allowed_by_name_is_not_compared() -> None:
    check_model(described(), described(offset=1.0, name="other"), "c")


def test_a_pinned_file_may_grow_but_not_change(tmp_path: Path) -> None:
    file = tmp_path / "baselines.jsonl"
    empty = pin(file)
    file.write_text("one\ntwo\n")
    pinned = pin(file)
    assert pinned["bytes"] == 8
    file.write_text("one\ntwo\nthree\n")
    check_pin(file, pinned, tmp_path)
    check_pin(file, empty, tmp_path)
    file.write_text("one\n")
    with pytest.raises(RunError, match=r"baselines\.jsonl.*lacks 4 of 8 bytes"):
        check_pin(file, pinned, tmp_path)
    file.write_text("one\nTWO\nthree\n")
    with pytest.raises(RunError, match="its first part has changed"):
        check_pin(file, pinned, tmp_path)


class Part:
    """A sampler or an optimiser with a number as its state."""

    def __init__(self, number: int) -> None:
        self.number = number

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.number = state["number"]


class OtherPart(Part):
    """Another kind of sampler."""


def strata(number: int, sampler: type[Part] = Part, optimizer: str = "crpg", **more: Any) -> Any:
    def stratum(name: str) -> Any:
        settings = SimpleNamespace(optimizer=SimpleNamespace(name=optimizer))
        return SimpleNamespace(sampler=sampler(number), optimizer=Part(10 * number), settings=settings)

    return {name: stratum(name) for name in ("math", *more)}


def test_what_strata_have_comes_back() -> None:
    saved = json.loads(json.dumps({name: stratum_state(s) for name, s in strata(3).items()}))
    said: list[str] = []
    same = strata(0)
    restore_strata(same, saved, said.append)
    assert (same["math"].sampler.number, same["math"].optimizer.number, said) == (3, 30, [])
    changed = strata(0, OtherPart, "grpo", chat=True)
    restore_strata(changed, saved, said.append)
    assert (changed["math"].sampler.number, changed["math"].optimizer.number) == (0, 0)
    assert said == [
        "stratum math: sampler Part → OtherPart; the new one begins anew",
        "stratum math: optimizer crpg → grpo; the new one begins anew",
        "stratum chat is not in the checkpoint: it begins at its first prompts",
    ]


def test_other_versions_are_listed() -> None:
    saved, now = {"torch": "2.13.0", "vllm": "0.32.0", "cgpo": "0"}, {"torch": "2.14.0", "cgpo": "0", "x": "1"}
    assert changed_versions(saved, now) == [
        "torch 2.13.0 → 2.14.0",
        "vllm 0.32.0 → (not installed)",
        "x (not installed) → 1",
    ]
    assert changed_versions(now, now) == []
