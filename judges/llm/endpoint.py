"""Questions to an OpenAI-compatible server over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judges.llm.question import Answer, LLMError, Question, answer_of, spellings
from judges.llm.settings import LLMSettings
from judges.llm.transport import JsonServer, bearer
from judges.running.boundary import readable

_SHOWN_CHARS = 300
_MOST_BYTES = {"logprobs": 2**20, "prompt_logprobs": 2**24}
"""Longest reply by `llm.scoring`: a few kilobytes are usual, and some hundred bytes a token of a prompt."""
_MOST_TOKENS = 10**9


class Endpoint:
    """A model behind `POST {base_url}/chat/completions`. Made anywhere, used in one event loop.

    Raises:
        JudgesError: the environment variable of the key is not set.
    """

    def __init__(self, settings: LLMSettings) -> None:
        self._settings = settings
        self._server = JsonServer(
            settings,
            f"{settings.base_url.rstrip('/')}/chat/completions",
            bearer(settings.api_key_env, "llm.api_key_env"),
            _MOST_BYTES[settings.scoring],
        )

    async def ask(self, question: Question, seconds: float) -> Answer:
        """See `judges.llm.backend.Backend.ask`."""
        if self._settings.scoring == "prompt_logprobs":
            return await self._ask_each_spelling(question, seconds)
        body = {
            **self._body(question),
            "messages": list(question.messages),
            "max_tokens": 1 + question.leading_whitespace,
            "logprobs": True,
            "top_logprobs": self._settings.top_logprobs,
        }
        reply = await self._server.post(body, seconds)
        with reply.failures_cost_what_it_took():
            return replace(_likeliest(reply.content, question), calls=reply.calls, seconds=reply.seconds)

    async def close(self) -> None:
        """Closes the connections."""
        await self._server.close()

    async def _ask_each_spelling(self, question: Question, seconds: float) -> Answer:
        answers = (question.positive, question.negative)
        sides = [(answer, spelling) for answer in answers for spelling in spellings(answer)]
        bodies = [
            {
                **self._body(question),
                "messages": [*question.messages, {"role": "assistant", "content": spelling}],
                "add_generation_prompt": False,
                "continue_final_message": True,
                "max_tokens": 1,
                "prompt_logprobs": 0,
            }
            for _, spelling in sides
        ]
        replies = await asyncio.gather(*(self._server.post(body, seconds) for body in bodies))
        sums = {question.positive: 0.0, question.negative: 0.0}
        tokens = 0
        for (answer, spelling), reply in zip(sides, replies, strict=True):
            with reply.failures_cost_what_it_took():
                sums[answer] += _probability_of_ending(reply.content, spelling)
                tokens += _spent(reply.content)
        calls, took = sum(reply.calls for reply in replies), sum(reply.seconds for reply in replies)
        return Answer(sums[question.positive], sums[question.negative], 0.0, calls, tokens, took)

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._settings.model, "temperature": 0}
        arguments = {**self._settings.chat_template_kwargs, **question.template_arguments}
        return {**body, "chat_template_kwargs": arguments} if arguments else body


class _Token(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    token: str
    logprob: float = Field(le=1e-3)


class _Position(_Token):
    top_logprobs: list[_Token]


class _Logprobs(BaseModel):
    content: list[_Position]


class _Choice(BaseModel):
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    total_tokens: int = Field(default=0, ge=0, le=_MOST_TOKENS)


class _Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _PromptToken(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    logprob: float = Field(le=1e-3)
    decoded_token: str


class _ScoredReply(BaseModel):
    prompt_logprobs: list[dict[str, _PromptToken] | None]
    usage: _Usage | None = None


def _likeliest(reply: Any, question: Question) -> Answer:
    """The answer from the likeliest tokens at the first place that is not white space."""
    try:
        parsed = _Reply.model_validate(reply)
    except ValidationError as error:
        raise LLMError(_malformed(error, reply)) from None
    logprobs = parsed.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        raise LLMError("the endpoint sent no log-probabilities; it must support `logprobs` and `top_logprobs`")
    places = logprobs.content[: 1 + question.leading_whitespace]
    place = next((place for place in places if place.token.strip()), places[-1])
    tokens = [(token.token, token.logprob) for token in place.top_logprobs]
    if not tokens:
        raise LLMError("the endpoint sent no likeliest tokens; it must support `top_logprobs`")
    answer = answer_of(tokens, question, complete=False)
    return Answer(answer.positive, answer.negative, answer.least, 1, parsed.usage.total_tokens if parsed.usage else 0)


def _probability_of_ending(reply: Any, spelling: str) -> float:
    """p(spelling | prompt) of a reply whose prompt ends with it, and perhaps with the tokens that end a turn."""
    try:
        parsed = _ScoredReply.model_validate(reply)
    except ValidationError as error:
        raise LLMError(f"no prompt_logprobs, which only vLLM's endpoint has: {_malformed(error, reply)}") from None
    logprob, text = 0.0, ""
    for place in reversed(parsed.prompt_logprobs):
        if not place:
            break
        token = next(iter(place.values()))
        logprob, text = logprob + token.logprob, token.decoded_token + text
        if text.strip() == spelling:
            return math.exp(min(logprob, 0.0))
        if len(text.strip()) >= len(spelling):
            break
    raise LLMError(f"the endpoint's prompt_logprobs do not end with {spelling!r} but with {text!r}")


def _spent(reply: Any) -> int:
    usage = _ScoredReply.model_validate(reply).usage
    return usage.total_tokens if usage else 0


def _malformed(error: ValidationError, reply: Any) -> str:
    first = error.errors(include_url=False)[0]
    at = ".".join(map(str, first["loc"]))
    return readable(f"malformed reply ({at}: {first['msg']}): {json.dumps(reply)[:_SHOWN_CHARS]}")
