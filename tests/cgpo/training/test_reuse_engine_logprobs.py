"""Taking the rollout engine's log-probs for the policy's: the same step where they agree, none where they do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixed_learning import Case, learn_step, make_stratum, prepare_step, settings_of

from cgpo import distributed
from cgpo.compose import validate
from cgpo.config import RunSettings
from cgpo.errors import ConfigError, RunError
from cgpo.policy.policy import Policy
from cgpo.policy.reference import Reference
from cgpo.rollout.parity import GapLimits
from cgpo.training import preparation
from cgpo.training.preparation import PreparedStratum, prepare
from cgpo.types import JudgedRollout


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()


def settings_for(model: str, optimizer: str, *, reuse: bool, epochs: int = 1) -> RunSettings:
    settings = settings_of(Case(model, {"s": {"name": optimizer}}, reuse_engine_logprobs=reuse))
    stratum = settings.strata["s"]
    sampling = stratum.sampling.model_copy(update={"temperature": 0.7})
    train = settings.train.model_copy(update={"epochs_per_step": epochs})
    strata = {"s": stratum.model_copy(update={"sampling": sampling})}
    return settings.model_copy(update={"strata": strata, "train": train})


def with_engine_logprobs(judged: list[JudgedRollout], logprobs: list[list[float]]) -> list[JudgedRollout]:
    return [
        replace(j, rollout=replace(j.rollout, logprobs=tuple(tokens)))
        for j, tokens in zip(judged, logprobs, strict=True)
    ]


def step(settings: RunSettings, *, off_by: float, limits: GapLimits) -> dict[str, Any]:
    """One step on responses whose engine log-probs are the policy's but for `off_by`, which stands on one token."""
    policy, stratum = Policy(settings, 0), make_stratum("s", settings)
    reference = Reference(settings)
    drawn = prepare_step(stratum, 0, policy, reference, None)
    judged, baselines = list(drawn.judged), []
    if stratum.learns_from_baselines:
        baselines = baselines_of(drawn)
    own = policy.token_logprobs([preparation.token_sequence(j) for j in judged], 0.7)
    engine = [tokens.tolist() for tokens in own]
    learnt_from = next(i for i in range(len(judged)) if drawn.surrogate.coefficient[i].any())
    engine[learnt_from][0] -= off_by
    prepared = prepare(stratum, with_engine_logprobs(judged, engine), policy, reference, baselines)
    before = {name: tensor.clone() for name, tensor in policy.weights()}
    found: dict[str, Any] = {"prepared": prepared, "error": None, "result": None}
    try:
        found["result"] = learn_step(policy, {"s": stratum}, {"s": prepared}, 1e-2, limits=limits)
    except RunError as error:
        found["error"] = str(error)
    found["weights"] = {name: tensor.clone() for name, tensor in policy.weights()}
    found["moved"] = any(not torch.equal(before[name], tensor) for name, tensor in found["weights"].items())
    policy.engine.destroy()
    return found


def baselines_of(drawn: PreparedStratum) -> list[JudgedRollout]:
    """One response of each prompt, as if it were the baseline."""
    return list({j.rollout.request.prompt.id: j for j in drawn.judged}.values())


TIGHT = GapLimits(1e-5, None, rounds=False)


@pytest.mark.parametrize("optimizer", ["crpg", "codpo", "crraft", "grpo"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_where_they_agree_the_same_is_learnt(small_model: str, optimizer: str, epochs: int) -> None:
    computed = step(settings_for(small_model, optimizer, reuse=False, epochs=epochs), off_by=0.0, limits=TIGHT)
    reused = step(settings_for(small_model, optimizer, reuse=True, epochs=epochs), off_by=0.0, limits=TIGHT)
    assert computed["prepared"].gap is not None
    assert reused["prepared"].gap is None
    assert set(reused["prepared"].gaps) == {None}
    assert computed["result"].gaps == {}
    assert 0 < reused["result"].gaps["s"].tokens <= int(reused["prepared"].batch.mask.sum())
    assert reused["result"].gaps["s"].mean < 1e-6
    assert reused["moved"]
    assert reused["result"].grad_norms == pytest.approx(computed["result"].grad_norms, rel=1e-4)
    for name, tensor in computed["weights"].items():
        # AdamW moves a weight whose gradient is nearly 0 by its rounding error: compared with the learning rate.
        torch.testing.assert_close(reused["weights"][name], tensor, rtol=0, atol=2e-4 * epochs)


def test_where_they_do_not_no_step_is_taken(small_model: str) -> None:
    found = step(settings_for(small_model, "crpg", reuse=True), off_by=0.5, limits=TIGHT)
    assert "step 1, stratum 's', the log-probs of the rollout engine and of the policy differ" in found["error"]
    assert not found["moved"]


def test_no_pass_is_made_but_over_what_the_engine_never_saw(small_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    token_outputs = Policy.token_outputs

    def counted(self: Policy, sequences: Any, *args: Any) -> Any:
        asked.append(len(sequences))
        return token_outputs(self, sequences, *args)

    monkeypatch.setattr(Policy, "token_outputs", counted)
    for optimizer, values, expected in (("crpg", None, 0), ("ppo", 0, 12)):
        settings = settings_for(small_model, optimizer, reuse=True)
        policy = Policy(settings, 0 if values is None else 1)
        prepared = prepare_step(make_stratum("s", settings), 0, policy, Reference(settings), values)
        policy.engine.destroy()
        assert asked.pop(0) == expected
        assert (prepared.gap is None) == (values is None), "values are computed, and the gap with them"


def test_an_importance_weight_beside_it_is_refused(small_model: str) -> None:
    case = Case(small_model, {"s": {"name": "grpo", "importance_weight_max": 2.0}}, reuse_engine_logprobs=True)
    with pytest.raises(ConfigError, match=r"strata\.s\.optimizer\.importance_weight_max .*reuse_engine_logprobs"):
        settings_of(case)


def test_truncated_sampling_beside_it_is_refused(small_model: str) -> None:
    config = settings_of(Case(small_model, {"s": {"name": "crpg"}}, reuse_engine_logprobs=True)).model_dump(mode="json")
    config["strata"]["s"]["sampling"] |= {"top_k": 20, "allow": ["top_k"]}
    with pytest.raises(ConfigError, match=r"strata\.s\.sampling\.top_k makes .*reuse_engine_logprobs"):
        validate(config)
