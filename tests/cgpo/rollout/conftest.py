"""Shared by the tests of the rollout engines: requests, the policy's own log-probs, and one vLLM engine for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from cgpo.config import RolloutSettings, SamplingSettings
from cgpo.rollout.engine import EngineContext, RolloutEngine, create_engine, request_seed
from cgpo.types import GenerationRequest, Prompt, Rollout

CONTEXT_LENGTH = 320

Ask = Callable[..., GenerationRequest]


class Weights:
    """A model's parameters as a weight stream."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def metadata(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        return [(name, p.dtype, tuple(p.shape)) for name, p in self.model.named_parameters()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter in self.model.named_parameters():
            yield name, parameter.detach()


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Any], Weights]:
    return Weights


@pytest.fixture(scope="session")
def context_for() -> Callable[..., EngineContext]:
    """Makes the context of a one-process engine."""

    def make(model_path: str, context_length: int = CONTEXT_LENGTH, **settings: Any) -> EngineContext:
        return EngineContext(
            model_path=model_path,
            revision=None,
            trust_remote_code=False,
            dtype="float32",
            context_length=context_length,
            settings=RolloutSettings(**settings),
            seed=0,
            rank=0,
            world_size=1,
        )

    return make


@pytest.fixture(scope="session")
def tokenizer(smollm2: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


@pytest.fixture(scope="session")
def ask(tokenizer: Any) -> Ask:
    """Makes a request: the text as one user message, `index` choosing the sample."""

    def make(text: str, index: int = 0, **sampling: Any) -> GenerationRequest:
        messages = ({"role": "user", "content": text},)
        ids = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        settings = SamplingSettings(**({"max_tokens": 12} | sampling))
        return GenerationRequest(
            "math", Prompt(text, messages), tuple(ids), index, request_seed(0, 1, "math", text, index), settings
        )

    return make


@pytest.fixture(scope="session")
def logprobs_under() -> Callable[[Any, Sequence[Rollout]], list[list[float]]]:
    """log_softmax(logits / T) of each response token under a transformers model, one response at a time."""

    def compute(model: Any, rollouts: Sequence[Rollout], temperature: float | None = None) -> list[list[float]]:
        found = []
        for rollout in rollouts:
            at = rollout.request.sampling.temperature or 1.0 if temperature is None else temperature
            ids = torch.tensor([rollout.request.prompt_ids + rollout.response_ids])
            start = len(rollout.request.prompt_ids)
            with torch.no_grad():
                logits = model(input_ids=ids).logits[0, start - 1 : -1]
            found.append((logits / at).log_softmax(-1).gather(1, ids[0, start:, None])[:, 0].tolist())
        return found

    return compute


@pytest.fixture(scope="session")
def trained_copy() -> Callable[[Any], Any]:
    """A deep copy of a model after two real AdamW steps that visibly change what it says."""

    def train(model: Any, ids: Sequence[int]) -> Any:
        import copy

        moved = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(moved.parameters(), lr=2e-4)
        batch = torch.tensor([list(ids)])
        for _ in range(2):
            moved(input_ids=batch, labels=batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return moved.eval()

    return train


@pytest.fixture(scope="session")
def policy(smollm2: str) -> Any:
    """The real small model under transformers. Never changed: tests train copies of it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def shared_vllm(smollm2: str, context_for: Callable[..., EngineContext]) -> Iterator[RolloutEngine]:
    engine = create_engine("vllm", context_for(smollm2))
    yield engine
    engine.close()


@pytest.fixture
def vllm(shared_vllm: RolloutEngine, policy: Any) -> Iterator[RolloutEngine]:
    """The real vLLM engine with the small model's own weights, restored after a test that replaced them."""
    synced = []
    original = shared_vllm.sync

    def sync(weights: Any) -> None:
        synced.append(weights)
        original(weights)

    shared_vllm.sync = sync  # type: ignore[method-assign]
    yield shared_vllm
    del shared_vllm.sync
    shared_vllm.wake()
    if synced:
        shared_vllm.sync(Weights(policy))


@pytest.fixture(scope="session")
def tiny_for_vllm(tiny_model: str, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `tiny_model`, with heads of 32: vLLM's CPU attention knows none of 16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-llama-for-vllm"
    config = LlamaConfig.from_pretrained(tiny_model, num_attention_heads=2, num_key_value_heads=1, head_dim=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
