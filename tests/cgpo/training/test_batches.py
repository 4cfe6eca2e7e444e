"""What `prepare` makes of judged responses, number by number, with a policy whose log-probs are a formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from fixed_learning import Case, make_stratum, settings_of
from formula_policy import FormulaPolicy

from cgpo.config import RunSettings
from cgpo.errors import RunError
from cgpo.policy.layout import TokenSequence
from cgpo.responses.stratum import Stratum
from cgpo.training.preparation import PreparedStratum, prepare, prepared_again, stratum_batch
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict

T = 0.5
YES, NO, UNKNOWN = Verdict.satisfied(), Verdict.violated(), Verdict.unknown("no answer")


def settings(optimizer: dict[str, Any], **train: Any) -> RunSettings:
    """A stratum of two rewards at temperature `T`, three responses to a prompt."""
    found = settings_of(Case("unused", {"s": optimizer}, **train))
    own = found.strata["s"]
    sampling = own.sampling.model_copy(update={"temperature": T})
    stratum = own.model_copy(update={"rewards": {"good": 2.0, "short": 0.5}, "sampling": sampling})
    return found.model_copy(update={"strata": {"s": stratum}})


def judged(
    stratum: Stratum,
    tokens: dict[int, float],
    text: str = "",
    *,
    prompt: str = "p",
    index: int = 0,
    calibrated: float | None = 0.5,
    rewards: dict[str, float | None] | None = None,
    **verdicts: Verdict,
) -> JudgedRollout:
    """A response; `tokens`: id → the engine's log-prob. Without verdicts one judge is satisfied."""
    request = GenerationRequest(
        "s", Prompt(prompt, ({"role": "user", "content": "x"},)), (1, 2), index, 0, stratum.settings.sampling
    )
    rollout = Rollout(request, text or str(tokens), tuple(tokens), tuple(tokens.values()), "stop")
    scores = {"good": 1.0, "short": 1.0} if rewards is None else rewards
    return JudgedRollout(rollout, Judgement(verdicts or {"fixed": YES}), scores, {}, calibrated)


def prepared_with(
    optimizer: dict[str, Any], responses: list[dict[str, Any]], baselines: int = 0, **options: Any
) -> tuple[PreparedStratum, FormulaPolicy, Stratum]:
    """`responses`: arguments of `judged`, the last `baselines` of which are baseline responses."""
    value_output = options.pop("value_output", None)
    run = settings(optimizer, **options)
    stratum = make_stratum("s", run)
    policy, reference = FormulaPolicy(run, value_outputs=2), FormulaPolicy(run, factor=3.0)
    all_judged = [judged(stratum, **response) for response in responses]
    own, rest = all_judged[: len(all_judged) - baselines], all_judged[len(all_judged) - baselines :]
    return prepare(stratum, own, policy, reference, rest, value_output), policy, stratum  # type: ignore[arg-type]


CRPG = {"name": "crpg", "kl_max": 10.0}
TWO = [
    {"tokens": {10: -0.2, 20: -0.5}, "calibrated": 0.75},
    {"tokens": {30: -0.6}, "index": 1, "calibrated": 0.25, "fixed": NO},
]


def test_log_probs_of_policy_engine_and_reference_stand_token_by_token_and_0_behind_the_end() -> None:
    prepared, policy, _ = prepared_with(CRPG, [*TWO, {"tokens": {40: -9.0}}], baselines=1)
    batch = prepared.batch
    assert batch.mask.tolist() == [[True, True], [True, False], [True, False]]
    policy_own = torch.tensor([[-0.2, -0.4], [-0.6, 0.0], [-0.8, 0.0]]).double()
    for found, expected in (
        (batch.logprobs, policy_own),
        (batch.old_logprobs, policy_own),
        (batch.reference_logprobs, 3 * policy_own),
        # The engine never saw the baseline response, whatever its log-probs say.
        (batch.engine_logprobs, torch.tensor([[-0.2, -0.5], [-0.6, 0.0], [-0.8, 0.0]]).double()),
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert batch.values is None
    assert batch.old_values is None
    assert prepared.sequences == [TokenSequence((1, 2), ids) for ids in ((10, 20), (30,), (40,))]
    assert [j.rollout.response_ids for j in prepared.judged] == [(10, 20), (30,)]
    assert policy.asked == [3]


def test_values_are_those_of_the_stratum_s_own_output() -> None:
    prepared, _, _ = prepared_with({"name": "ppo"}, TWO, value_output=1)
    assert prepared.value_output == 1
    for values in (prepared.batch.values, prepared.batch.old_values):
        assert values is not None
        assert values.tolist() == [[20.0, 40.0], [60.0, 0.0]]
    assert prepared.surrogate.value_coefficient is not None
    assert prepared.surrogate.value_coefficient.any()


def test_the_gap_between_engine_and_policy_is_measured_over_all_and_for_each() -> None:
    prepared, _, _ = prepared_with(CRPG, [*TWO, {"tokens": {40: -9.0}}], baselines=1)
    assert prepared.gap is not None
    assert (prepared.gap.mean, prepared.gap.max, prepared.gap.tokens) == (
        pytest.approx(0.1 / 3, abs=1e-6),
        pytest.approx(0.1, abs=1e-6),
        3,
    )
    assert prepared.gaps == pytest.approx([0.05, 0.0], abs=1e-6)


def test_where_the_engine_s_are_taken_the_policy_is_asked_about_baselines_only() -> None:
    prepared, policy, _ = prepared_with(CRPG, [*TWO, {"tokens": {40: -9.0}}], baselines=1, reuse_engine_logprobs=True)
    expected = torch.tensor([[-0.2, -0.5], [-0.6, 0.0], [-0.8, 0.0]]).double()
    for found in (prepared.batch.logprobs, prepared.batch.old_logprobs, prepared.batch.engine_logprobs):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert policy.asked == [1]
    assert prepared.gap is None
    assert prepared.gaps == [None, None]


def test_where_values_are_wanted_the_policy_is_asked_all_the_same() -> None:
    prepared, policy, _ = prepared_with({"name": "ppo"}, TWO, value_output=0, reuse_engine_logprobs=True)
    assert policy.asked == [2]
    assert prepared.gap is not None
    assert prepared.gap.mean == pytest.approx(0.1 / 3, abs=1e-6)


def test_verdicts_and_credit_by_judge() -> None:
    stratum = make_stratum("s", settings(CRPG))
    samples = [
        judged(stratum, {10: 0.0}, a=YES, b=YES),
        judged(stratum, {11: 0.0}, a=NO, b=YES),
        judged(stratum, {12: 0.0}, a=UNKNOWN, b=YES),
        judged(stratum, {13: 0.0}, a=YES, b=YES, calibrated=None),
        judged(stratum, {14: 0.0}, a=NO, late=NO),
    ]
    tokens = [torch.tensor([-1.0])] * 5
    batch = stratum_batch(stratum, samples[:4], tokens, tokens, baselines=samples[4:])
    assert batch.satisfied.tolist() == [True, False, False, False, False]
    assert batch.known.tolist() == [True, True, False, False, True]
    assert batch.credit.tolist() == [1.0, 0.5, 1.0, 1.0, 0.0]
    assert {name: found.tolist() for name, found in batch.violated.items()} == {
        "a": [False, True, False, False, True],
        "b": [False] * 5,
        "late": [False] * 4 + [True],
    }
    assert {name: found.tolist() for name, found in batch.judged.items()} == {
        "a": [True, True, False, True, True],
        "b": [True, True, True, True, False],
        "late": [False] * 4 + [True],
    }
    assert batch.baseline.tolist() == [False] * 4 + [True]


def test_rewards_are_nan_where_they_are_missing_and_weighted_for_ranking() -> None:
    stratum = make_stratum("s", settings(CRPG))
    samples = [
        judged(stratum, {10: 0.0}, calibrated=0.9, rewards={"good": 1.5, "short": -1.0}),
        judged(stratum, {11: 0.0}, calibrated=None, rewards={"good": None, "short": 4.0}),
        judged(stratum, {12: 0.0}, calibrated=0.2, rewards={"good": 0.25, "short": 3.0, "only_watched": 9.0}),
    ]
    tokens = [torch.tensor([-1.0])] * 3
    batch = stratum_batch(stratum, samples, tokens, tokens)
    assert batch.calibrated_reward.tolist() == pytest.approx([0.9, math.nan, 0.2], nan_ok=True)
    assert batch.reward.tolist() == pytest.approx([2.5, math.nan, 2.0], nan_ok=True)
    found = {name: rewards.tolist() for name, rewards in batch.rewards.items()}
    assert list(found) == ["good", "short"]
    assert found["good"] == pytest.approx([1.5, math.nan, 0.25], nan_ok=True)
    assert found["short"] == [-1.0, 4.0, 3.0]
    assert batch.weights == {"good": 2.0, "short": 0.5}


def test_prompts_and_equal_texts_are_numbered_as_they_come() -> None:
    stratum = make_stratum("s", settings(CRPG))
    said = [("p", 0, "same"), ("p", 1, "other"), ("q", 0, "same"), ("p", 3, "new"), ("q", 2, "other")]
    samples = [judged(stratum, {10 + i: 0.0}, text, prompt=p, index=k) for i, (p, k, text) in enumerate(said)]
    tokens = [torch.tensor([-1.0])] * 5
    batch = stratum_batch(stratum, samples, tokens, tokens)
    assert batch.prompt.tolist() == [0, 0, 1, 2, 1], "response 3 of p is of the prompt's second draw"
    assert batch.text.tolist() == [0, 1, 0, 2, 1]
    assert (batch.prompt.dtype, batch.text.dtype) == (torch.int64, torch.int64)


@pytest.mark.parametrize("responses", [TWO, []])
def test_floats_are_float64_and_flags_are_flags_also_of_no_sample(responses: list[dict[str, Any]]) -> None:
    prepared, _, _ = prepared_with({"name": "ppo"}, responses, value_output=0)
    batch, n = prepared.batch, len(responses)
    floats = ["logprobs", "old_logprobs", "engine_logprobs", "reference_logprobs", "values", "old_values"]
    for name in floats:
        assert (getattr(batch, name).dtype, getattr(batch, name).shape) == (torch.float64, (n, 2 if n else 0)), name
    assert (batch.mask.dtype, batch.mask.shape) == (torch.bool, (n, 2 if n else 0))
    for name in ("credit", "calibrated_reward", "reward"):
        assert (getattr(batch, name).dtype, getattr(batch, name).shape) == (torch.float64, (n,)), name
    for name in ("satisfied", "known", "baseline"):
        assert (getattr(batch, name).dtype, getattr(batch, name).shape) == (torch.bool, (n,)), name
    for name in ("prompt", "text"):
        assert (getattr(batch, name).dtype, getattr(batch, name).shape) == (torch.int64, (n,)), name
    assert {v.dtype for v in [*batch.violated.values(), *batch.judged.values()]} <= {torch.bool}


def test_a_rank_without_samples_knows_the_stratum_s_judges() -> None:
    run = settings(CRPG)
    own = run.strata["s"].model_copy(update={"truncated": "violated"})
    stratum = make_stratum("s", run.model_copy(update={"strata": {"s": own}}))
    batch = stratum_batch(stratum, [], [], [])
    assert list(batch.violated) == list(batch.judged) == ["truncated"]
    assert batch.violated["truncated"].dtype == batch.judged["truncated"].dtype == torch.bool
    batch = stratum_batch(stratum, [judged(stratum, {10: 0.0})], [torch.zeros(1)], [torch.zeros(1)])
    assert list(batch.violated) == ["truncated", "fixed"], "those of the settings come first on every rank"


def test_the_factor_before_a_response_is_the_mean_over_its_tokens_and_none_where_nothing_is_known() -> None:
    responses = [*TWO, {"tokens": {40: -0.8}, "index": 2, "fixed": UNKNOWN}]
    prepared, _, _ = prepared_with(CRPG, responses)
    coefficient = prepared.surrogate.coefficient
    assert prepared.weight(0) == pytest.approx(float(coefficient[0].mean()))
    assert prepared.weight(1) == pytest.approx(float(coefficient[1, 0]))
    assert prepared.weight(1) != 0
    assert prepared.weight(2) is None


def test_again_log_probs_and_values_are_the_moved_policy_s_and_all_else_stays() -> None:
    # PPO's derivative by a log-prob is −A_t · ratio / n with ratio = e^(new − old), and by a value c_v · (V − R_t) / n;
    # A_t and R_t stay. Log-probs and values are 1.1 times what they were, n is 3 tokens.
    ppo = {"name": "ppo", "value_clip_range": None, "value_coefficient": 0.3}
    prepared, policy, stratum = prepared_with(ppo, TWO, value_output=1)
    policy.factor = 1.1
    again = prepared_again(policy, stratum, prepared)  # type: ignore[arg-type]
    batch, first = prepared.batch, prepared.surrogate
    torch.testing.assert_close(
        again.coefficient, first.coefficient * torch.exp(0.1 * batch.logprobs), rtol=1e-5, atol=1e-9
    )
    assert (again.coefficient != first.coefficient)[batch.mask].all()
    assert batch.values is not None
    assert first.value_coefficient is not None
    assert again.value_coefficient is not None
    moved = again.value_coefficient - first.value_coefficient
    torch.testing.assert_close(moved, 0.3 * 0.1 * batch.values / 3, rtol=1e-5, atol=1e-9)
    assert policy.asked == [2, 2]


def test_without_a_value_head_a_later_epoch_has_no_values_either() -> None:
    prepared, policy, stratum = prepared_with(CRPG, TWO)
    again = prepared_again(policy, stratum, prepared)  # type: ignore[arg-type]
    assert again.value_coefficient is None
    torch.testing.assert_close(again.coefficient, prepared.surrogate.coefficient)


def test_a_loss_that_is_no_number_stops_here() -> None:
    with pytest.raises(RunError, match="crpg"):
        prepared_with(CRPG, [{"tokens": {10: math.nan}, "calibrated": 0.75}, TWO[1]], reuse_engine_logprobs=True)
