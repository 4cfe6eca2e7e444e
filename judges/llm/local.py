"""Questions to a model loaded into this process: vLLM, or transformers where there is no vLLM."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, Protocol

from judges.errors import JudgesError
from judges.llm.question import Answer, LLMError, Question, answer_of, side_of
from judges.llm.settings import LLMSettings
from judges.llm.template import neutralise
from judges.running.boundary import readable


class BatchModel(Protocol):
    """A model that answers several questions at once."""

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer for each question, in order."""

    def close(self) -> None:
        """Frees the model."""


def load(settings: LLMSettings) -> BatchModel:
    """The model of these settings, in this process.

    Raises:
        JudgesError: the library is not installed, or the model cannot be loaded.
    """
    kinds: dict[str, type[VllmModel] | type[TransformersModel]] = {"vllm": VllmModel, "transformers": TransformersModel}
    try:
        return kinds[settings.backend](settings)
    except ImportError as error:
        raise JudgesError(f"llm.backend {settings.backend!r} needs a library: {error}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise JudgesError(readable(f"llm.model {settings.model!r} cannot be loaded: {error}")) from error


class LocalModel:
    """Gathers questions that wait while the model is busy, and asks them together.

    Args:
        model: answers them, in a thread of its own.
        max_batch: how many at once.
    """

    def __init__(self, model: BatchModel, max_batch: int) -> None:
        self._model = model
        self._max_batch = max_batch
        self._queue: SimpleQueue[tuple[Question, Future[Answer]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="judge-model", daemon=True)
        self._thread.start()

    async def ask(self, question: Question, seconds: float) -> Answer:
        """See `judges.llm.backend.Backend.ask`; the limit counts while the batch is computed, too."""
        future: Future[Answer] = Future()
        self._queue.put((question, future))
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Ends the thread after the batch under way, and frees the model."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < self._max_batch and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    self._queue.put(None)
                    break
                batch.append(item)
            self._ask(batch)
        self._model.close()

    def _ask(self, batch: Sequence[tuple[Question, Future[Answer]]]) -> None:
        wanted = [(question, future) for question, future in batch if future.set_running_or_notify_cancel()]
        started = time.monotonic()
        try:
            answers = self._model.ask([question for question, _ in wanted])
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the rows of the batch are `unknown`
            for _, future in wanted:
                future.set_exception(LLMError(readable(f"{type(error).__name__}: {error}")))
            return
        seconds = (time.monotonic() - started) / max(1, len(wanted))  # a question's share of its batch
        for (_, future), answer in zip(wanted, answers, strict=True):
            future.set_result(replace(answer, seconds=seconds))


class TransformersModel:
    """A causal language model of transformers; looks at the whole vocabulary."""

    def __init__(self, settings: LLMSettings) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._arguments = settings.chat_template_kwargs
        self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.model)
        dtype = settings.dtype if settings.dtype == "auto" else getattr(torch, settings.dtype)
        self._model: Any = AutoModelForCausalLM.from_pretrained(settings.model, dtype=dtype)
        self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._texts = lru_cache(maxsize=1)(self._vocabulary)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """One at a time: questions differ in length, and padding would change their numbers."""
        return [self._one(question) for question in questions]

    def close(self) -> None:
        """Frees the weights."""
        del self._model

    def _one(self, question: Question) -> Answer:
        import torch

        ids = chat_ids(self._tokenizer, question, self._arguments)
        spent = len(ids)
        with torch.inference_mode():
            for place in range(1 + question.leading_whitespace):
                tokens = torch.tensor([ids], device=self._model.device)
                logits = self._model(input_ids=tokens, logits_to_keep=1).logits[0, -1].float()
                likeliest = int(logits.argmax())
                if self._tokenizer.decode([likeliest]).strip() or place == question.leading_whitespace:
                    break
                ids = [*ids, likeliest]
            probabilities = logits.softmax(-1)
        sums = {
            side: float(probabilities[torch.tensor(indices, dtype=torch.long)].sum())
            for side, indices in self._sides(question.positive, question.negative).items()
        }
        return Answer(sums[True], sums[False], 0.0, 1, spent)

    def _sides(self, positive: str, negative: str) -> dict[bool, list[int]]:
        sides: dict[bool, list[int]] = {True: [], False: []}
        for index, text in enumerate(self._texts()):
            side = side_of(text, positive, negative)
            if side is not None:
                sides[side].append(index)
        return sides

    def _vocabulary(self) -> list[str]:
        texts: list[str] = self._tokenizer.batch_decode([[index] for index in range(len(self._tokenizer))])
        return texts


class VllmModel:
    """A model in an in-process vLLM; looks at the likeliest tokens."""

    def __init__(self, settings: LLMSettings) -> None:
        from vllm import LLM, SamplingParams

        self._arguments = settings.chat_template_kwargs
        self._top = settings.top_logprobs
        self._sampling: Any = SamplingParams
        self._llm: Any = LLM(
            settings.model,
            dtype=settings.dtype,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_batch,
            max_logprobs=settings.top_logprobs,
            gpu_memory_utilization=settings.max_memory_share,
            enforce_eager=True,
        )
        self._tokenizer: Any = self._llm.get_tokenizer()

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """All in one batch."""
        prompts = [{"prompt_token_ids": chat_ids(self._tokenizer, q, self._arguments)} for q in questions]
        sampling = [
            self._sampling(temperature=0, max_tokens=1 + q.leading_whitespace, logprobs=self._top) for q in questions
        ]
        outputs = self._llm.generate(prompts, sampling, use_tqdm=False)
        return [self._answer(question, output) for question, output in zip(questions, outputs, strict=True)]

    def close(self) -> None:
        """Ends the engine."""
        self._llm.llm_engine.engine_core.shutdown()

    def _answer(self, question: Question, output: Any) -> Answer:
        (generated,) = output.outputs
        texts = [self._tokenizer.decode([token]) for token in generated.token_ids]
        place = next((i for i, text in enumerate(texts) if text.strip()), len(texts) - 1)
        tokens = [(token.decoded_token or "", token.logprob) for token in generated.logprobs[place].values()]
        answer = answer_of([(t, p) for t, p in tokens if p > -math.inf], question, complete=False)
        spent = len(output.prompt_token_ids) + len(generated.token_ids)
        return Answer(answer.positive, answer.negative, answer.least, 1, spent)


def chat_ids(tokenizer: Any, question: Question, arguments: dict[str, Any]) -> list[int]:
    """The question in the model's own chat template, as token ids.

    Raises:
        LLMError: the template cannot take it.
    """
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    try:
        encoded = tokenizer.apply_chat_template(
            [{**message, "content": neutralise(message["content"], special)} for message in question.messages],
            add_generation_prompt=True,
            return_dict=True,
            **{**arguments, **question.template_arguments},
        )
    except Exception as error:  # templates raise whatever their author chose
        raise LLMError(readable(f"the chat template refuses the question: {error}")) from error
    return list(encoded["input_ids"])
