"""The backends that answer questions: an endpoint, or a model in this process."""

from __future__ import annotations

from typing import Protocol

from judges.llm.question import Answer, Question
from judges.llm.settings import LLMSettings


class Backend(Protocol):
    """Answers questions side by side, in one event loop."""

    async def ask(self, question: Question, seconds: float) -> Answer:
        """The probabilities of both answers.

        Args:
            question: what to ask.
            seconds: time limit, from the moment the question has its turn.

        Raises:
            LLMError: no usable answer.
        """

    async def close(self) -> None:
        """Ends connections or frees the model."""


def create(settings: LLMSettings) -> Backend:
    """The back end for these settings. May take long: it may load a model.

    Raises:
        JudgesError: a library is missing, the key is not set, or the model cannot be loaded.
    """
    if settings.backend == "endpoint":
        from judges.llm.endpoint import Endpoint

        return Endpoint(settings)
    from judges.llm.local import LocalModel, load

    return LocalModel(load(settings), settings.max_batch)
