"""What `learn` hands to the gradient passes: every token's factor at its token, once, and a step only where one is due.

The policy is a formula (`formula_policy`), and what the optimisers made of the samples is given, so that the numbers
are those of this half alone. Where there are two ranks, what the other says is given too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixed_learning import Case, make_stratum, settings_of
from formula_policy import FormulaPolicy

from cgpo import distributed
from cgpo.config import RunSettings, TrainSettings
from cgpo.errors import RunError
from cgpo.optimizers.base import Surrogate
from cgpo.responses.stratum import Stratum
from cgpo.rollout.parity import GapLimits, measure_gap
from cgpo.training.gap_check import GradientPassGaps
from cgpo.training.learning import LearnedStep, learn, learning_rate_at
from cgpo.training.preparation import PreparedStratum, prepare
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict

TEMPERATURES = {"a": 0.5, "b": 2.0, "c": 2.0}
WEIGHTS = {"a": 0.25, "b": 0.5, "c": 1.0}
PROMPTS = {"a": (1, 2), "b": (3,), "c": (3,)}


def settings(**train: Any) -> RunSettings:
    crpg = {"name": "crpg", "kl_max": 10.0}
    found = settings_of(Case("unused", {"a": crpg, "b": {"name": "ppo"}, "c": crpg}))
    strata = {
        name: stratum.model_copy(
            update={
                "weight": WEIGHTS[name],
                "sampling": stratum.sampling.model_copy(update={"temperature": TEMPERATURES[name]}),
            }
        )
        for name, stratum in found.strata.items()
    }
    return found.model_copy(update={"strata": strata, "train": found.train.model_copy(update=train)})


def judged(stratum: Stratum, tokens: tuple[int, ...], engine: tuple[float, ...] | None, index: int) -> JudgedRollout:
    """A response whose engine log-probs are the policy's where they are not given."""
    own = tuple(-token / (100 * TEMPERATURES[stratum.name]) for token in tokens)
    request = GenerationRequest(
        stratum.name,
        Prompt("p", ({"role": "user", "content": "x"},)),
        PROMPTS[stratum.name],
        index,
        0,
        stratum.settings.sampling,
    )
    rollout = Rollout(request, str(tokens), tokens, own if engine is None else engine, "stop")
    calibrated = 0.25 + index / 2
    return JudgedRollout(
        rollout, Judgement({"fixed": Verdict.of(True)}), {"any": float(index)}, {"any": 0.0}, calibrated
    )


def stratum_of(
    run: RunSettings,
    policy: FormulaPolicy,
    name: str,
    tokens: list[tuple[int, ...]],
    coefficient: list[list[float]],
    *,
    value_coefficient: list[list[float]] | None = None,
    engine: list[tuple[float, ...]] | None = None,
    baselines: int = 0,
) -> tuple[Stratum, PreparedStratum]:
    """A stratum with responses of these tokens, of which an optimiser made these factors."""
    stratum = make_stratum(name, run)
    samples = [judged(stratum, ids, engine[i] if engine else None, i) for i, ids in enumerate(tokens)]
    own, rest = samples[: len(samples) - baselines], samples[len(samples) - baselines :]
    value_output = None if value_coefficient is None else 1
    prepared = prepare(stratum, own, policy, policy, rest, value_output)  # type: ignore[arg-type]
    values = None if value_coefficient is None else torch.tensor(value_coefficient).double()
    surrogate = Surrogate(torch.tensor(coefficient).double(), values, 7.0 if name == "a" else 8.0, {"loss": 1.0})
    return stratum, replace(prepared, surrogate=surrogate)


def learn_from(
    policy: FormulaPolicy,
    strata: dict[str, tuple[Stratum, PreparedStratum]],
    limits: GapLimits | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    rate: float = 0.125,
) -> LearnedStep:
    prepared = {name: p for name, (_, p) in strata.items()}
    limits = limits or GapLimits(math.inf, None, rounds=False)
    gaps = GradientPassGaps(prepared, dict.fromkeys(prepared, limits), 0)
    return learn(policy, {name: s for name, (s, _) in strata.items()}, prepared, rate, progress, gaps, lambda: None)  # type: ignore[arg-type]


def both(run: RunSettings, policy: FormulaPolicy) -> dict[str, tuple[Stratum, PreparedStratum]]:
    """Three responses each: the second of a and the third of b have no weight, b's second has by its values alone."""
    of_a = [[1.0, -2.0, 3.0], [0.0] * 3, [0.0, 5.0, 0.0]]
    of_b, values = [[1.0, 0.5], [0.0] * 2, [0.0] * 2], [[0.0, 8.0], [4.0, 0.0], [0.0] * 2]
    return {
        "a": stratum_of(run, policy, "a", [(11, 12, 13), (14,), (15, 16)], of_a),
        "b": stratum_of(run, policy, "b", [(21, 22), (23, 24), (25,)], of_b, value_coefficient=values),
    }


def test_every_token_s_factor_stands_at_its_token_weighted_by_its_stratum_at_its_temperature() -> None:
    run = settings(micro_batch_tokens=8)
    policy = FormulaPolicy(run, value_outputs=2)
    result = learn_from(policy, both(run, policy))
    none = [0.0, 0.0]
    assert policy.factors() == {
        11: (0.25, none, 0.5),
        12: (-0.5, none, 0.5),
        13: (0.75, none, 0.5),
        15: (0.0, none, 0.5),
        16: (1.25, none, 0.5),
        21: (0.5, none, 2.0),
        22: (0.25, [0.0, 4.0], 2.0),
        23: (0.0, [0.0, 2.0], 2.0),
        24: (0.0, none, 2.0),
    }, "and no pass is made over a response without any"
    assert {p.coefficient.dtype for p in policy.passes} == {torch.float32}
    assert {p.value_coefficient.dtype for p in policy.passes} == {torch.float32}
    assert result.tokens == sum(p.batch.tokens for p in policy.passes)
    assert result.losses == {"a": 7.0, "b": 8.0}


def test_one_step_is_taken_after_the_last_of_all_passes() -> None:
    run = settings(micro_batch_tokens=4)
    policy = FormulaPolicy(run, value_outputs=2, norms=[3.5])
    told: list[tuple[int, int]] = []
    result = learn_from(policy, both(run, policy), progress=lambda done, total: told.append((done, total)))
    count = len(policy.passes)
    assert count > 2
    assert [p.last for p in policy.passes] == [False] * (count - 1) + [True]
    assert told == [(i + 1, count) for i in range(count)]
    assert policy.rates == [0.125]
    assert (result.learning_rate, result.grad_norms, result.grad_norm) == (0.125, [3.5], 3.5)
    assert (result.overflows, result.skipped, result.gaps) == (0, False, {})


def test_where_there_is_nothing_to_learn_no_step_is_taken() -> None:
    run = settings()
    policy = FormulaPolicy(run)
    result = learn_from(policy, {"a": stratum_of(run, policy, "a", [(11,), (12,)], [[0.0], [0.0]])})
    assert (policy.passes, policy.rates) == ([], [])
    assert (result.grad_norms, result.tokens, result.skipped) == ([None], 0, True)


def test_one_pass_is_a_step() -> None:
    run = settings()
    policy = FormulaPolicy(run)
    result = learn_from(policy, {"a": stratum_of(run, policy, "a", [(11,), (12,)], [[1.0], [0.0]])})
    assert [p.last for p in policy.passes] == [True]
    assert result.grad_norms == [1.0]


def test_overflows_are_those_of_this_step() -> None:
    run = settings()
    policy = FormulaPolicy(run, norms=[None], overflows=5)
    result = learn_from(policy, {"a": stratum_of(run, policy, "a", [(11,)], [[1.0]])})
    assert (result.overflows, result.skipped) == (1, True)


def test_each_epoch_takes_a_step_on_log_probs_of_its_own() -> None:
    run = settings(epochs_per_step=2)
    policy = FormulaPolicy(run, norms=[2.0, 4.0])
    stratum = make_stratum("a", run)
    samples = [judged(stratum, (11, 12), None, 0), judged(stratum, (13,), None, 1)]
    prepared = prepare(stratum, samples, policy, policy)  # type: ignore[arg-type]
    assert prepared.surrogate.coefficient.any()
    asked = len(policy.asked)
    result = learn_from(policy, {"a": (stratum, prepared)})
    assert len(policy.asked) == asked + 1, "the first epoch's are there already"
    assert (len(policy.rates), result.grad_norms, result.grad_norm) == (2, [2.0, 4.0], 3.0)
    assert len(result.surrogates) == 2
    assert result.surrogates[0]["a"] is prepared.surrogate
    assert result.tokens == 2 * (2 + 1) == sum(p.batch.tokens for p in policy.passes)
    assert [p.last for p in policy.passes] == [True, True]


def reusing(
    run: RunSettings, policy: FormulaPolicy, engine: list[tuple[float, ...]]
) -> dict[str, tuple[Stratum, PreparedStratum]]:
    """Stratum a, and before it c, with engine log-probs taken for the policy's; a has a baseline response too."""
    tokens, coefficient = [(11, 12), (13,), (14,), (15,)], [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    return {
        "c": stratum_of(run, policy, "c", [(30,)], [[1.0]]),
        "a": stratum_of(run, policy, "a", tokens, coefficient, engine=engine, baselines=1),
    }


# Stratum a at T = ½: token 11 has −0.22, 12 −0.24, 13 −0.26, 14 −0.28. The engine was off by 0.1 on 12, by 0.3 on 14.
OFF = [(-0.22, -0.34), (-9.0,), (-0.58,), (-5.0,)]


def test_gaps_are_measured_on_the_tokens_that_are_learnt_from_and_were_sampled() -> None:
    run = settings(reuse_engine_logprobs=True)
    policy = FormulaPolicy(run)
    result = learn_from(policy, reusing(run, policy, OFF))
    assert list(result.gaps) == ["c", "a"]
    found = result.gaps["a"]
    assert (found.mean, found.max, found.tokens) == (
        pytest.approx(0.4 / 3, abs=1e-6),
        pytest.approx(0.3, abs=1e-6),
        3,
    )
    assert (result.gaps["c"].mean, result.gaps["c"].tokens) == (pytest.approx(0.0, abs=1e-6), 1)


def test_above_the_limit_no_step_is_taken() -> None:
    run = settings(reuse_engine_logprobs=True)
    policy = FormulaPolicy(run)
    with pytest.raises(RunError, match=r"step 1, stratum 'a'"):
        learn_from(policy, reusing(run, policy, OFF), GapLimits(0.1, 1.0, rounds=False))
    assert policy.rates == []


def test_in_a_later_epoch_the_policy_has_moved_and_the_engine_is_not_compared() -> None:
    run = settings(reuse_engine_logprobs=True, epochs_per_step=2)
    policy = FormulaPolicy(run, norms=[1.0, 1.0])
    stratum = make_stratum("a", run)
    samples = [judged(stratum, (11, 12), None, 0), judged(stratum, (13,), None, 1)]
    prepared = prepare(stratum, samples, policy, policy)  # type: ignore[arg-type]
    gaps = GradientPassGaps({"a": prepared}, {"a": GapLimits(math.inf, None, rounds=False)}, 0)
    result = learn(policy, {"a": stratum}, {"a": prepared}, 0.1, lambda done, total: None, gaps, lambda: None)  # type: ignore[arg-type]
    assert result.gaps["a"].tokens == 3
    assert gaps.check() == result.gaps, "nothing was added since"


def test_gaps_that_are_known_are_not_measured_again() -> None:
    run = settings()
    policy = FormulaPolicy(run)
    strata = reusing(run, policy, OFF)
    known = replace(strata["a"][1], gap=measure_gap([], []))
    result = learn_from(
        policy, {"c": (strata["c"][0], replace(strata["c"][1], gap=None)), "a": (strata["a"][0], known)}
    )
    assert {name: gap.tokens for name, gap in result.gaps.items()} == {"c": 1}


@pytest.fixture
def two_ranks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any]], None]:
    """Makes this rank 1 of two; rank 0 answers each `gather_objects` as it is told to."""

    def begin(other: Callable[[Any], Any]) -> None:
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda: 1)
        monkeypatch.setattr(distributed, "gather_objects", lambda value: [other(value), value])

    return begin


def more_passes(value: Any) -> Any:
    """Rank 0 has three passes; of all else it has as much as this rank."""
    return 3.0 if isinstance(value, float) else value


def test_a_rank_with_less_to_do_computes_passes_of_no_weight_until_all_are_done(
    two_ranks: Callable[[Callable[[Any], Any]], None],
) -> None:
    run = settings(reuse_engine_logprobs=True, balance_ranks=False)
    policy = FormulaPolicy(run, value_outputs=2)
    strata = {
        "a": stratum_of(run, policy, "a", [(11, 12)], [[1.0, 1.0]], engine=[(-0.22, -0.34)]),
        "c": stratum_of(run, policy, "c", [(30,)], [[0.0]]),
    }
    told: list[tuple[int, int]] = []
    two_ranks(more_passes)
    result = learn_from(policy, strata, progress=lambda done, total: told.append((done, total)))
    own, *idle = policy.passes
    assert [p.last for p in policy.passes] == [False, False, True]
    assert told == [(1, 3), (2, 3), (3, 3)]
    for p in idle:
        assert p.batch.tokens == 1
        assert p.coefficient.tolist() == [0.0]
        assert p.value_coefficient.tolist() == [[0.0, 0.0]]
        assert p.temperature > 0
    assert result.tokens == own.batch.tokens
    assert {name: gap.tokens for name, gap in result.gaps.items()} == {"a": 4}, "two on each rank, none of idle passes"
    assert result.grad_norms == [1.0]


def test_a_rank_without_anything_takes_part_in_the_step(two_ranks: Callable[[Callable[[Any], Any]], None]) -> None:
    run = settings(balance_ranks=False)
    policy = FormulaPolicy(run)
    strata = {"a": stratum_of(run, policy, "a", [(11,)], [[0.0]])}
    two_ranks(more_passes)
    result = learn_from(policy, strata)
    assert [p.last for p in policy.passes] == [False, False, True]
    assert (policy.rates, result.tokens) == ([0.125], 0)


@pytest.mark.parametrize(("balanced", "expected"), [(True, {41, 42, 43}), (False, {11})])
def test_samples_are_shared_out_only_where_that_is_asked_for(
    balanced: bool, expected: set[int], two_ranks: Callable[[Callable[[Any], Any]], None]
) -> None:
    # Rank 0 has a prompt of three tokens' cost, then one of two; this rank one of two: longest first, rank 0 takes
    # three; rank 1 two; then it has the least again.
    run = settings(balance_ranks=balanced)
    policy = FormulaPolicy(run)
    theirs = [group_of((5, 6, 7), (40, 50)), group_of((8, 9), (41, 42, 43))]

    sent: list[tuple[int, ...]] = []

    def other(value: Any) -> Any:
        if not (isinstance(value, list) and value and isinstance(value[0], list)):
            return value
        for sample in (sample for group in value for sample in group):
            sent.append((len(sample.sequence.response_ids), len(sample.coefficient), len(sample.value_coefficient)))
        return theirs

    strata = {"a": stratum_of(run, policy, "a", [(11,), (12, 13)], [[1.0, 0.0], [0.0, 0.0]])}
    two_ranks(other)
    learn_from(policy, strata)
    assert set(policy.factors()) == expected
    assert sent == ([(1, 1, 1)] if balanced else []), "without the padding behind it"


def group_of(prompt: tuple[int, ...], response: tuple[int, ...]) -> list[Any]:
    """The other rank's only sample of a prompt."""
    from cgpo.policy.layout import TokenSequence
    from cgpo.training.balance import LearningSample

    n = len(response)
    return [LearningSample(TokenSequence(prompt, response), torch.ones(n), torch.zeros(n, 0), 0.5)]


def test_how_evenly_the_ranks_were_loaded(two_ranks: Callable[[Callable[[Any], Any]], None]) -> None:
    step = LearnedStep([{}], [1.0], 30, 0.1)
    assert step.rank_metrics() == {}, "there is one rank"
    two_ranks(lambda value: [90.0] if isinstance(value, list) else 90.0)
    assert step.rank_metrics() == {"train/rank_imbalance": pytest.approx(90 * 2 / 120)}
    two_ranks(lambda value: value)
    assert LearnedStep([{}], [None], 0, 0.1).rank_metrics() == {}, "nobody had anything"


def test_a_stratum_s_metrics_are_means_over_the_epochs_that_have_them() -> None:
    def surrogate(**metrics: float) -> Surrogate:
        return Surrogate(torch.zeros(0, 0), None, 0.0, metrics)

    epochs = [{"a": surrogate(kl=1.0, first=5.0)}, {"a": surrogate(kl=4.0)}, {"a": surrogate(kl=4.0, late=0.5)}]
    assert LearnedStep(epochs, [1.0] * 3, 0, 0.1).metrics("a") == {"kl": 3.0, "first": 5.0, "late": 0.5}


def test_the_learning_rate_is_that_of_the_settings() -> None:
    train = TrainSettings(learning_rate=8.0, steps=6, warmup_steps=1, schedule="linear", final_learning_rate_ratio=0.5)
    assert [learning_rate_at(train, step) for step in range(6)] == [4.0, 8.0, 7.0, 6.0, 5.0, 4.0]
