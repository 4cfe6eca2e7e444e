"""The transformers engine on the small real model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from cgpo.errors import ConfigError, RunError
from cgpo.rollout.engine import create_engine
from cgpo.rollout.parity import measure_gap

# Prompts of different lengths, so that a batch is padded; SmolLM2's end and padding tokens are the same id.
TEXTS = ("Hi!", "What is 2 + 3?", "Name three colours of the rainbow, one after another, and nothing else at all.")


@pytest.fixture(scope="module")
def engine(smollm2: str, context_for: Any) -> Any:
    return create_engine("hf", context_for(smollm2, hf_batch_size=4))


@pytest.fixture(scope="module")
def tiny(tiny_model: str, context_for: Any) -> Any:
    return create_engine("hf", context_for(tiny_model))


def by_request(rollouts: Any) -> dict[tuple[str, int], Any]:
    return {(r.request.prompt.id, r.request.index): r for r in rollouts}


def test_logprobs_are_the_policys_at_the_sampling_temperature(
    engine: Any, policy: Any, ask: Any, logprobs_under: Any
) -> None:
    requests = [ask(text, k, temperature=t) for text in TEXTS for k, t in enumerate((1.0, 0.5))]
    rollouts = list(engine.generate(requests))
    assert len(rollouts) == len(requests)
    gap = measure_gap([r.logprobs for r in rollouts], logprobs_under(policy, rollouts))
    assert gap.max < 1e-3
    at_one = measure_gap([r.logprobs for r in rollouts], logprobs_under(policy, rollouts, temperature=1.0))
    assert at_one.mean > 0.05
    scores = engine.score([(r.request.prompt_ids, r.response_ids) for r in rollouts])
    assert measure_gap(scores, logprobs_under(policy, rollouts, temperature=1.0)).max < 1e-3


def test_a_sample_does_not_depend_on_the_rest_of_the_batch(engine: Any, ask: Any) -> None:
    requests = [ask(text, k, max_tokens=4 + 4 * k) for text in TEXTS for k in range(2)]
    together = by_request(engine.generate(requests))
    alone = next(iter(engine.generate([requests[3]])))
    twin = together[TEXTS[1], 1]
    assert twin.response_ids == alone.response_ids
    assert twin.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert together[TEXTS[1], 0].response_ids[:3] != alone.response_ids[:3]


def test_the_end_token_belongs_to_the_response_and_not_to_its_text(engine: Any, ask: Any, tokenizer: Any) -> None:
    (rollout,) = engine.generate([ask("What is 2 + 3?", temperature=0, max_tokens=60)])
    assert rollout.finish_reason == "stop"
    assert rollout.response_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in rollout.response_ids[:-1]
    assert rollout.response
    assert "<|" not in rollout.response
    assert len(rollout.logprobs) == len(rollout.response_ids)


def test_greedy_equals_transformers_own(engine: Any, policy: Any, ask: Any) -> None:
    request = ask(TEXTS[2], temperature=0, max_tokens=10)
    (rollout, _) = sorted(
        engine.generate([request, ask(TEXTS[0], temperature=0)]), key=lambda r: r.request is not request
    )
    ids = torch.tensor([request.prompt_ids])
    expected = policy.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=10)
    assert list(rollout.response_ids) == expected[0, len(request.prompt_ids) :].tolist()


def test_short_responses_come_before_long_ones_and_cut_ones_say_so(engine: Any, ask: Any) -> None:
    limits = {0: 9, 1: 3}
    rollouts = list(engine.generate([ask(TEXTS[2], k, max_tokens=n) for k, n in limits.items()]))
    assert [r.request.index for r in rollouts] == [1, 0]
    assert [len(r.response_ids) for r in rollouts] == [3, 9]
    assert {r.finish_reason for r in rollouts} == {"length"}


def test_a_response_ends_with_the_context(tiny: Any, ask: Any, tiny_model: str, context_for: Any) -> None:
    request = ask("Hi!", max_tokens=50)
    room = 5
    small = create_engine("hf", context_for(tiny_model, context_length=len(request.prompt_ids) + room))
    (rollout,) = small.generate([request])
    assert (len(rollout.response_ids), rollout.finish_reason) == (room, "length")
    with pytest.raises(ConfigError, match="no room for a response"):
        small.generate([ask("Hi! " * 20)])


def test_sync_loads_new_weights_and_greedy_text_changes(
    tiny: Any, tiny_model: str, ask: Any, weights_of: Any, trained_copy: Any, logprobs_under: Any
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    request = ask("Hi!", temperature=0)
    (before,) = tiny.generate([request])
    moved = trained_copy(model, request.prompt_ids)
    tiny.sync(weights_of(moved))
    (after,) = tiny.generate([request])
    assert after.logprobs != before.logprobs
    assert measure_gap([after.logprobs], logprobs_under(moved, [after])).max < 1e-4
    tiny.sync(weights_of(model))
    assert next(iter(tiny.generate([request]))) == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda m: [("model.embed_token.weight", *m[0][1:]), *m[1:]],
            "no parameter 'model.embed_token.weight'.*nearest",
        ),
        (lambda m: m[:-1], r"no weights for 1 parameters.*model.norm.weight"),
        (lambda m: [(m[0][0], m[0][1], (1, 2)), *m[1:]], r"shape \(1, 2\)"),
    ],
    ids=["unknown", "missing", "shape"],
)
def test_weights_of_another_model_are_refused_untouched(
    tiny: Any, ask: Any, tiny_model: str, weights_of: Any, change: Any, complaint: str
) -> None:
    from transformers import AutoModelForCausalLM

    weights = weights_of(AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32))
    declared = change(weights.metadata())
    weights.metadata = lambda: declared
    request = ask("Hi!")
    (before,) = tiny.generate([request])
    with pytest.raises(RunError, match=complaint):
        tiny.sync(weights)
    assert next(iter(tiny.generate([request]))) == before


def test_a_sync_that_fails_half_way_leaves_the_engine_unusable(
    tiny_model: str, context_for: Any, ask: Any, weights_of: Any, tiny: Any
) -> None:
    engine = create_engine("hf", context_for(tiny_model))

    class Torn(type(weights_of(None))):  # type: ignore[misc]
        def __iter__(self) -> Any:
            yield next(super().__iter__())
            raise OSError("the network is gone")

    with pytest.raises(OSError, match="network"):
        engine.sync(Torn(copy.deepcopy(tiny._model)))
    with pytest.raises(RunError, match=r"sync failed half-way.*network is gone"):
        engine.generate([ask("Hi!")])


def test_an_engine_asleep_or_closed_refuses(tiny_model: str, context_for: Any, ask: Any) -> None:
    engine = create_engine("hf", context_for(tiny_model))
    engine.sleep()
    with pytest.raises(RunError, match="asleep"):
        engine.generate([ask("Hi!")])
    engine.wake()
    assert list(engine.generate([ask("Hi!", max_tokens=2)]))
    engine.close()
    engine.close()
    with pytest.raises(RunError, match="closed"):
        engine.score([])


def test_no_such_model_is_a_clear_error(tmp_path: Any, context_for: Any) -> None:
    with pytest.raises(ConfigError, match="cannot load a causal language model"):
        create_engine("hf", context_for(str(tmp_path)))
