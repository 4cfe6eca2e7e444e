"""A step at a temperature of its own and its later epochs, against transformers' own logits and formulas by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fixed_learning import Case, learn_step, make_stratum, prepare_step, settings_of
from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.policy.policy import Policy
from cgpo.policy.reference import Reference
from cgpo.responses.stratum import Stratum
from cgpo.training.preparation import PreparedStratum, prepared_again

TEMPERATURE = 0.5


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()


def settings_at(small_model: str, optimizer: dict[str, Any]) -> RunSettings:
    """One stratum, sampled at `TEMPERATURE`."""
    settings = settings_of(Case(small_model, {"s": optimizer}))
    stratum = settings.strata["s"]
    sampling = stratum.sampling.model_copy(update={"temperature": TEMPERATURE})
    return settings.model_copy(update={"strata": {"s": stratum.model_copy(update={"sampling": sampling})}})


def prepared_step(settings: RunSettings, value_outputs: int = 0) -> tuple[Policy, Stratum, PreparedStratum]:
    policy, stratum = Policy(settings, value_outputs), make_stratum("s", settings)
    return policy, stratum, prepare_step(stratum, 0, policy, Reference(settings), 0 if value_outputs else None)


def own_logprobs(causal_lm: Any, prepared: PreparedStratum) -> list[Tensor]:
    """log_softmax(logits / T) of each response's tokens, one response at a time."""
    found = []
    for sequence in prepared.sequences:
        ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
        start = len(sequence.prompt_ids)
        logprobs = (causal_lm(input_ids=ids).logits[0, start - 1 : -1] / TEMPERATURE).log_softmax(-1)
        found.append(logprobs.gather(1, ids[0, start:, None]).squeeze(1))
    return found


@pytest.fixture(scope="module")
def at_temperature(small_model: str) -> tuple[Policy, Stratum, PreparedStratum]:
    return prepared_step(settings_at(small_model, {"name": "crpg", "kl_max": 10.0}))


def plain(small_model: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(small_model, dtype=torch.float32)


def test_logprobs_of_policy_and_reference_are_taken_at_the_strata_temperature(
    at_temperature: tuple[Policy, Stratum, PreparedStratum], small_model: str
) -> None:
    _, _, prepared = at_temperature
    batch = prepared.batch
    with torch.no_grad():
        expected = own_logprobs(plain(small_model), prepared)
    for i, own in enumerate(expected):
        assert batch.logprobs[i, : len(own)].tolist() == pytest.approx(own.tolist(), abs=1e-5)
        assert batch.reference_logprobs[i, : len(own)].tolist() == pytest.approx(own.tolist(), abs=1e-5)


def test_a_later_epoch_takes_them_at_the_same_temperature(
    at_temperature: tuple[Policy, Stratum, PreparedStratum],
) -> None:
    # Nothing has been learnt in between: ratios are 1, and the factor before each token is the first epoch's.
    policy, stratum, prepared = at_temperature
    again = prepared_again(policy, stratum, prepared)
    assert prepared.surrogate.coefficient.any()
    torch.testing.assert_close(again.coefficient, prepared.surrogate.coefficient, rtol=1e-4, atol=1e-9)


def test_the_gradient_is_taken_at_the_same_temperature(
    at_temperature: tuple[Policy, Stratum, PreparedStratum], small_model: str
) -> None:
    policy, stratum, prepared = at_temperature
    causal_lm = plain(small_model)
    pairs = zip(own_logprobs(causal_lm, prepared), prepared.surrogate.coefficient, strict=True)
    loss = -sum(((own * factor[: len(own)].float()).sum() for own, factor in pairs), torch.zeros(()))
    (loss * stratum.weight).backward()
    norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in causal_lm.parameters()]))
    found = learn_step(policy, {"s": stratum}, {"s": prepared}, 1e-9)
    assert found.grad_norm == pytest.approx(float(norm), rel=1e-4)


def test_values_are_computed_anew_in_a_later_epoch(small_model: str) -> None:
    # With V = 0 before and the average over n tokens the derivative of c_v · avg ½ (V − R)² is c_v · (V − R) / n:
    # a head that now says V adds c_v · V / n, while R, of the policy that generated, stays.
    optimizer = {"name": "ppo", "value_clip_range": None, "value_coefficient": 0.3}
    policy, stratum, prepared = prepared_step(settings_at(small_model, optimizer), value_outputs=1)
    first = prepared.surrogate.value_coefficient
    assert first is not None
    with torch.no_grad():
        head = policy.engine.module.value_head
        head.weight.fill_(0.25)
        head.bias.fill_(0.5)
    again = prepared_again(policy, stratum, prepared).value_coefficient
    assert again is not None
    counted = prepared.batch.mask & prepared.batch.known[:, None]
    outputs = policy.token_outputs(prepared.sequences, TEMPERATURE)
    values = torch.nn.utils.rnn.pad_sequence([v[:, 0].double() for _, v in outputs], batch_first=True)
    assert values[counted].abs().min() > 1e-3
    torch.testing.assert_close(again - first, 0.3 * values * counted / counted.sum(), rtol=1e-6, atol=1e-9)
