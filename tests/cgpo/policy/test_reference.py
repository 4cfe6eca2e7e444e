"""The ways to keep π_ref give the same numbers."""

from __future__ import annotations

import pytest
import torch
from policies import logprobs, settings_for, step

from cgpo.policy.policy import Policy
from cgpo.policy.reference import OffloadedReference, make_reference


@pytest.mark.usefixtures("process_group")
def test_every_mode_is_the_model_before_training(tiny_model: str) -> None:
    adapted = settings_for(tiny_model, model={"lora": {"rank": 2}, "reference_mode": "adapter_off"})
    policy = Policy(adapted)
    start = logprobs(policy)
    step(policy)
    assert not torch.equal(logprobs(policy), start)
    for mode in ("copy", "adapter_off", "offload"):
        settings = settings_for(tiny_model, model={"lora": {"rank": 2}, "reference_mode": mode})
        reference = make_reference(settings, policy)
        torch.testing.assert_close(logprobs(reference), start, atol=0, rtol=0)
        names = [name for name, _ in reference.weights()]
        assert names == [name for name, _, _ in policy.weights().metadata()]


@pytest.mark.usefixtures("process_group")
def test_an_offloaded_reference_is_on_the_device_only_while_it_computes(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = OffloadedReference(settings_for(tiny_model))
    moves: list[str] = []
    move = reference.module.to
    monkeypatch.setattr(reference.module, "to", lambda device: moves.append(str(device)) or move(device))
    monkeypatch.setattr("cgpo.policy.reference.distributed.device", lambda: "cpu:0")
    logprobs(reference)
    assert moves == ["cpu:0", "cpu"]
