"""The base of judges that ask a language model."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from judges.errors import JudgesError
from judges.judge import Row
from judges.llm.question import Answer, LLMError, Question
from judges.llm.settings import CONNECTION, LLMSettings
from judges.llm.template import neutralise
from judges.running.asynchronous import AsyncJudge, Shared
from judges.verdict import Cost, Outcome, Verdict, combine

if TYPE_CHECKING:
    from judges.llm.backend import Backend


class LLMJudge(AsyncJudge):
    """Asks a model one or several questions about a response; all must be answered positively.

    A subclass says which questions. Its time limit, `timeout_seconds`, is that of one question with all attempts,
    counted from its turn at the endpoint.

    Args:
        llm: the model. Required.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = CONNECTION
    max_concurrency = 4096  # the endpoint's own limit decides, and it counts requests, not rows

    def __init__(self, llm: LLMSettings | None = None) -> None:
        if llm is None:
            raise JudgesError("name the model that judges, e.g. llm: {model: NAME, base_url: http://host:8000/v1}")
        self.llm = llm
        self._backend: Backend | None = None

    def judge_problem(self, row: Row) -> Verdict | None:
        """The verdict on a row whose metadata cannot be used; None when it can."""
        return None

    @abstractmethod
    def questions(self, row: Row) -> Sequence[Question]:
        """What is asked about the row."""

    def decide(self, questions: Sequence[Question], answers: Sequence[Answer]) -> Verdict:
        """The verdict from the answers: all must be positive, and the least margin is the score."""
        verdicts = [answer.verdict(question) for question, answer in zip(questions, answers, strict=True)]
        if len(verdicts) == 1:
            return verdicts[0]
        outcome = combine(verdict.outcome for verdict in verdicts)
        reasons = [
            f"{number}. {verdict.outcome.value} ({verdict.reason})"
            for number, verdict in enumerate(verdicts, start=1)
            if outcome is Outcome.SATISFIED or verdict.outcome is outcome
        ]
        scores = [verdict.score for verdict in verdicts if verdict.score is not None]
        return Verdict(outcome, "; ".join(reasons), None if outcome is Outcome.UNKNOWN else min(scores))

    async def open(self, shared: Shared) -> None:
        """Connects to the endpoint or loads the model; one for all judges of the same settings."""
        from judges.llm.backend import create

        self._backend = await shared.get(f"llm {self.llm.model_dump_json()}", partial(create, self.llm))

    async def judge_async(self, row: Row) -> Verdict:
        return await self.judge_within(row, self.timeout_seconds)

    async def judge_within(self, row: Row, seconds: float) -> Verdict:
        """Asks all questions side by side, each with its own time limit."""
        backend = self._backend
        assert backend is not None, "not opened"
        if (problem := self.judge_problem(row)) is not None:
            return problem
        try:
            questions = tuple(self._neutralised(question) for question in self.questions(row))
        except JudgesError as error:  # the row holds what cannot be asked about
            return Verdict.unknown(str(error))
        asking = (backend.ask(question, seconds) for question in questions)
        results = await asyncio.gather(*asking, return_exceptions=True)
        answers, costs, failure = [], [], None
        for result in results:
            if isinstance(result, Answer):
                answers.append(result)
                costs.append(Cost(result.seconds, result.calls, result.tokens))
            elif isinstance(result, LLMError):
                failure = failure or str(result)
                costs.append(Cost(result.seconds, result.calls))
            else:
                raise result
        cost = replace(sum(costs, Cost()), verdicts=1)
        if failure is not None:
            return replace(Verdict.unknown(failure), cost=cost)
        return replace(self.decide(questions, answers), cost=cost)

    def _neutralised(self, question: Question) -> Question:
        messages = tuple(
            {**message, "content": neutralise(message["content"], self.llm.special_tokens)}
            for message in question.messages
        )
        return replace(question, messages=messages)
