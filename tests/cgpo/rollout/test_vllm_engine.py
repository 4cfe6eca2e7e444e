"""The vLLM engine on the small real model: log-probs, seeds, streaming, and new weights.

Every test uses the same engine; the fixture puts the model's own weights back after a test that replaced them.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from cgpo.config import LoraSettings
from cgpo.errors import ConfigError, RunError
from cgpo.policy.lora import add_adapter
from cgpo.policy.weights import ModuleWeights
from cgpo.rollout import weight_sync
from cgpo.rollout.engine import create_engine
from cgpo.rollout.parity import check_gap, measure_gap

TEXTS = ("Hi!", "What is 2 + 3?", "Name three colours of the rainbow, one after another, and nothing else at all.")

# Longer than any cache block, so that its keys and values are kept.
LONG = "Here is a list of numbers: " + ", ".join(str(i) for i in range(60)) + ". Which one is the largest?"


def sequences(rollouts: Any) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(r.request.prompt_ids, r.response_ids) for r in rollouts]


def one(engine: Any, request: Any) -> Any:
    (rollout,) = engine.generate([request])
    return rollout


def test_logprobs_are_the_policys_at_the_sampling_temperature(
    vllm: Any, policy: Any, ask: Any, logprobs_under: Any
) -> None:
    requests = [ask(text, k, temperature=t) for text in TEXTS for k, t in enumerate((1.0, 0.5))]
    rollouts = list(vllm.generate(requests))
    assert {id(r.request) for r in rollouts} == {id(r) for r in requests}
    assert measure_gap([r.logprobs for r in rollouts], logprobs_under(policy, rollouts)).max < 1e-3
    # The check can fail: before temperature, the numbers would be others.
    assert measure_gap([r.logprobs for r in rollouts], logprobs_under(policy, rollouts, temperature=1.0)).mean > 0.05
    scores = vllm.score(sequences(rollouts))
    assert measure_gap(scores, logprobs_under(policy, rollouts, temperature=1.0)).max < 1e-3


def test_scores_come_in_order_and_fill_the_context(vllm: Any, policy: Any, ask: Any, logprobs_under: Any) -> None:
    from cgpo.types import Rollout

    request = ask("Hi!")
    fill = tuple(range(100, 100 + 320 - len(request.prompt_ids)))
    responses = [fill, (5,), (), (7, 8, 9)]
    scores = vllm.score([(request.prompt_ids, response) for response in responses])
    assert [len(s) for s in scores] == [len(r) for r in responses]
    rollouts = [Rollout(request, "", response, (), "stop") for response in responses]
    assert measure_gap(scores, logprobs_under(policy, rollouts)).max < 1e-3


def test_a_sample_does_not_depend_on_the_rest_of_the_batch(vllm: Any, ask: Any) -> None:
    requests = [ask(text, k, max_tokens=4 + 4 * k) for text in TEXTS for k in range(2)]
    together = {(r.request.prompt.id, r.request.index): r for r in vllm.generate(requests)}
    alone = one(vllm, requests[3])
    twin = together[TEXTS[1], 1]
    assert twin.response_ids == alone.response_ids
    assert twin.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert together[TEXTS[1], 0].response_ids[:3] != alone.response_ids[:3]


def test_the_end_token_belongs_to_the_response_and_not_to_its_text(vllm: Any, ask: Any, tokenizer: Any) -> None:
    rollout = one(vllm, ask("What is 2 + 3?", temperature=0, max_tokens=60))
    assert rollout.finish_reason == "stop"
    assert rollout.response_ids[-1] == tokenizer.eos_token_id
    assert rollout.response
    assert "<|" not in rollout.response
    assert len(rollout.logprobs) == len(rollout.response_ids)


def test_both_engines_say_the_same_when_greedy(vllm: Any, ask: Any, smollm2: str, context_for: Any) -> None:
    request = ask("What is 2 + 3?", temperature=0, max_tokens=20)
    other = one(create_engine("hf", context_for(smollm2)), request)
    ours = one(vllm, request)
    assert (ours.response, ours.response_ids, ours.finish_reason) == (
        other.response,
        other.response_ids,
        other.finish_reason,
    )
    assert ours.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_short_responses_come_before_long_ones_and_cut_ones_say_so(vllm: Any, ask: Any) -> None:
    rollouts = list(vllm.generate([ask(TEXTS[2], k, max_tokens=n) for k, n in enumerate((9, 3))]))
    assert [r.request.index for r in rollouts] == [1, 0]
    assert [len(r.response_ids) for r in rollouts] == [3, 9]
    assert {r.finish_reason for r in rollouts} == {"length"}


def test_an_interrupted_generation_leaves_nothing_behind(vllm: Any, ask: Any) -> None:
    stream = vllm.generate([ask(TEXTS[2], k, max_tokens=n) for k, n in enumerate((2, 40, 40))])
    next(stream)
    stream.close()
    assert not vllm._llm.llm_engine.has_unfinished_requests()
    assert [r.request.prompt.id for r in vllm.generate([ask("Hi!")])] == ["Hi!"]


def test_prompts_without_room_are_refused_before_anything_runs(vllm: Any, ask: Any) -> None:
    with pytest.raises(ConfigError, match=r"strata\.math: the prompt .* leaves no room .* 320"):
        vllm.generate([ask("Hi!"), ask(LONG + LONG)])
    assert not vllm._llm.llm_engine.has_unfinished_requests()


def test_an_engine_asleep_refuses_and_wakes_with_its_weights(vllm: Any, ask: Any) -> None:
    request = ask("Hi!")
    before = one(vllm, request)
    vllm.sleep()
    vllm.sleep()
    with pytest.raises(RunError, match="asleep"):
        vllm.generate([request])
    vllm.wake()
    assert one(vllm, request) == before


@pytest.fixture(scope="module")
def moved(policy: Any, ask: Any, trained_copy: Any) -> Any:
    """The policy after real AdamW steps."""
    return trained_copy(policy, ask(TEXTS[2]).prompt_ids)


def test_after_a_sync_the_engine_is_the_new_policy(
    vllm: Any, moved: Any, ask: Any, logprobs_under: Any, weights_of: Any
) -> None:
    requests = [ask(text, temperature=t) for text in TEXTS for t in (0, 1.0)]
    before = {id(r.request): r for r in vllm.generate(requests)}
    old_scores = vllm.score(sequences(before.values()))
    vllm.sync(weights_of(moved))
    after = list(vllm.generate(requests))
    assert measure_gap([r.logprobs for r in after], logprobs_under(moved, after)).max < 1e-3
    new_scores = vllm.score(sequences(before.values()))
    expected = logprobs_under(moved, list(before.values()), temperature=1.0)
    assert measure_gap(new_scores, expected).max < 1e-3
    assert measure_gap(new_scores, old_scores).mean > 0.05
    greedy = [r for r in after if r.request.sampling.temperature == 0]
    assert any(r.response != before[id(r.request)].response for r in greedy)


def test_an_adapter_arrives_merged(vllm: Any, policy: Any, ask: Any, logprobs_under: Any) -> None:
    adapted = copy.deepcopy(policy)
    add_adapter(adapted, LoraSettings(rank=2), seed=0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.02)
    rollouts = list(vllm.generate([ask(text) for text in TEXTS]))
    vllm.sync(ModuleWeights(adapted))
    scores = vllm.score(sequences(rollouts))
    assert measure_gap(scores, logprobs_under(adapted, rollouts)).max < 1e-3
    assert measure_gap(scores, [r.logprobs for r in rollouts]).mean > 0.05, "the engine changed"


def test_without_mending_the_output_head_the_parity_check_fails(
    vllm: Any, moved: Any, ask: Any, logprobs_under: Any, weights_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollouts = list(vllm.generate([ask(text) for text in TEXTS]))
    expected = logprobs_under(moved, rollouts)
    with monkeypatch.context() as patch:
        patch.setattr(weight_sync, "repack_stale_copies", lambda model, before: None)
        vllm.sync(weights_of(moved))
    with pytest.raises(RunError, match=r"rollout\.max_logprob_gap"):
        check_gap(measure_gap(vllm.score(sequences(rollouts)), expected), 1e-3, "after the sync")
    vllm.sync(weights_of(moved))
    check_gap(measure_gap(vllm.score(sequences(rollouts)), expected), 1e-3, "after the sync")


@pytest.mark.parametrize("reset", [True, False], ids=["as it is", "with the cache kept: the check can fail"])
def test_keys_and_values_of_the_old_weights_are_dropped(
    vllm: Any,
    moved: Any,
    ask: Any,
    logprobs_under: Any,
    weights_of: Any,
    monkeypatch: pytest.MonkeyPatch,
    reset: bool,
) -> None:
    request = ask(LONG)
    one(vllm, request)
    with monkeypatch.context() as patch:
        if not reset:
            patch.setattr(vllm._llm, "reset_prefix_cache", lambda: True)
        vllm.sync(weights_of(moved))
    rollout = one(vllm, request)
    gap = measure_gap([rollout.logprobs], logprobs_under(moved, [rollout]))
    assert (gap.max < 1e-3) == reset


def test_weights_are_not_replaced_under_a_running_generation(vllm: Any, policy: Any, ask: Any, weights_of: Any) -> None:
    stream = vllm.generate([ask(TEXTS[2], k, max_tokens=n) for k, n in enumerate((2, 20))])
    next(stream)
    with pytest.raises(RunError, match="while the rollout engine is generating"):
        vllm.sync(weights_of(policy))
    assert len(list(stream)) == 1
