"""The `vllm` engine: vLLM in the process of the policy.

vLLM is imported when the engine is made, not before: it reads its environment, and the command line must answer
without it. See docs/rollout.md for what is set and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from cgpo.errors import RunError
from cgpo.rollout import vllm_setup
from cgpo.rollout.engine import EngineContext, TokenIds, WeightStream, check_ready
from cgpo.rollout.requests import check_requests, response_text
from cgpo.types import GenerationRequest, Rollout


class VllmEngine:
    """A `RolloutEngine` on vLLM."""

    def __init__(self, context: EngineContext) -> None:
        """Start vLLM on the policy's model. With several processes this is a collective.

        Raises:
            ConfigError: vLLM is not installed.
            RunError: vLLM refuses the model or the machine's memory.
        """
        self._context = context
        self._llm: Any = vllm_setup.start(context)
        self._tokenizer: Any = self._llm.get_tokenizer()
        self._sender: Any = vllm_setup.weight_sender(self._llm)
        self._can_sleep = vllm_setup.can_sleep()
        self._names = count()
        self._asleep = False
        self._broken: str | None = None

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Rollout]:
        """See `RolloutEngine.generate`. At temperature 0 the log-probs are those of temperature 1."""
        self._check_usable()
        check_requests(requests, self._context.context_length)
        return self._stream(list(requests))

    def _stream(self, requests: list[GenerationRequest]) -> Iterator[Rollout]:
        waiting: dict[str, GenerationRequest] = {}
        running: dict[str, str] = {}  # our name of a request → vLLM's
        try:
            for request in requests:
                name = str(next(self._names))
                running[name] = self._add(name, request.prompt_ids, _sampling(request))
                waiting[name] = request
            while waiting:
                for output in self._llm.llm_engine.step():
                    if output.finished:
                        del running[output.request_id]
                        yield self._rollout(waiting.pop(output.request_id), output.outputs[0])
        finally:
            # Left over when the consumer stops early or a step is interrupted. Without this the next call would
            # go on with them and mix their outputs into its own.
            if running:
                self._llm.llm_engine.abort_request(list(running.values()), internal=True)

    def score(self, sequences: Sequence[tuple[TokenIds, TokenIds]]) -> list[list[float]]:
        """See `RolloutEngine.score`."""
        self._check_usable()
        running: dict[str, str] = {}
        scores: dict[str, list[float]] = {}
        names = [str(next(self._names)) for _ in sequences]
        scored = {name: pair for name, pair in zip(names, sequences, strict=True) if pair[1]}
        try:
            for name, (prompt_ids, response_ids) in scored.items():
                # The last token is scored as a continuation, so that a full context needs no room for one more.
                sampling = _scoring(response_ids[-1])
                running[name] = self._add(name, prompt_ids + response_ids[:-1], sampling)
            while running:
                for output in self._llm.llm_engine.step():
                    if output.finished:
                        del running[output.request_id]
                        scores[output.request_id] = _scored(output, scored[output.request_id][1])
        finally:
            if running:
                self._llm.llm_engine.abort_request(list(running.values()), internal=True)
        return [scores.get(name, []) for name in names]

    def sync(self, weights: WeightStream) -> None:
        """See `RolloutEngine.sync`."""
        from cgpo.rollout.weight_sync import StreamSource

        self._check_usable()
        if self._llm.llm_engine.has_unfinished_requests():
            raise RunError("weights cannot be replaced while the rollout engine is generating")
        try:
            self._sender.send_weights(StreamSource(weights))
            # Keys and values computed by the old weights would silently be the old policy.
            if not self._llm.reset_prefix_cache():
                raise RunError("vLLM did not drop its prefix cache, which belongs to the old weights")
        except BaseException as error:
            self._broken = f"{type(error).__name__}: {error}"
            if isinstance(error, Exception):
                raise RunError(f"the rollout engine could not take over the new weights: {error}") from error
            raise

    def sleep(self) -> None:
        """Give the cache's memory back and move the weights to the host (GPU only; a CPU has nothing to give back).

        Level 1, which keeps the weights, rather than level 2, which drops them: a step without a signal and an
        evaluation wake the engine without a sync, and must find a model.
        """
        self._check_open()
        if self._can_sleep and not self._asleep:
            self._llm.sleep(level=1)
        self._asleep = True

    def wake(self) -> None:
        """See `RolloutEngine.wake`."""
        self._check_open()
        if self._can_sleep and self._asleep:
            self._llm.wake_up()
        self._asleep = False

    def close(self) -> None:
        """See `RolloutEngine.close`."""
        if self._llm is not None:
            vllm_setup.stop(self._llm)
            self._llm = self._sender = None

    def _add(self, name: str, token_ids: TokenIds, sampling: Any) -> str:
        from vllm.inputs import tokens_input

        internal: str = self._llm.llm_engine.add_request(name, tokens_input(list(token_ids)), sampling)
        return internal

    def _rollout(self, request: GenerationRequest, completion: Any) -> Rollout:
        if completion.finish_reason not in ("stop", "length"):
            raise RunError(
                f"vLLM ended a response to the prompt {request.prompt.id} of stratum {request.stratum} "
                f"with {completion.finish_reason!r}"
            )
        ids = tuple(completion.token_ids)
        logprobs = tuple(at[token].logprob for at, token in zip(completion.logprobs, ids, strict=True))
        return Rollout(request, response_text(self._tokenizer, ids), ids, logprobs, completion.finish_reason)

    def _check_open(self) -> None:
        if self._llm is None:
            raise RunError("the rollout engine is closed")

    def _check_usable(self) -> None:
        self._check_open()
        check_ready(self._broken, self._asleep)


def _sampling(request: GenerationRequest) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    settings = request.sampling
    return SamplingParams(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        max_tokens=settings.max_tokens,
        seed=request.seed,
        logprobs=0,  # of the sampled token alone
        detokenize=False,  # done once, at the end
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _scoring(last_token: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=1.0,
        max_tokens=1,
        seed=0,
        prompt_logprobs=0,
        logprobs=1,
        logprob_token_ids=[last_token],
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _scored(output: Any, response_ids: TokenIds) -> list[float]:
    """Log-probs of the response's tokens: all but the last lie at the end of vLLM's prompt."""
    inner = response_ids[:-1]
    positions = output.prompt_logprobs[len(output.prompt_logprobs) - len(inner) :]
    scores = [at[token].logprob for at, token in zip(positions, inner, strict=True)]
    return [*scores, output.outputs[0].logprobs[0][response_ids[-1]].logprob]
