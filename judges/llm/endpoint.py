"""Questions to an OpenAI-compatible server over HTTP: concurrency and rate limits, time limits, further attempts."""

from __future__ import annotations

import asyncio
import http
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import tenacity
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judges.boundary import readable
from judges.errors import JudgesError
from judges.llm.question import Answer, LLMError, Question, answer_of, spellings
from judges.llm.settings import LLMSettings

_TEMPORARY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_SECONDS = 30.0
_SHOWN_CHARS = 300
_MOST_BYTES = {"logprobs": 2**20, "prompt_logprobs": 2**24}
"""Longest reply by `llm.scoring`: a few kilobytes are usual, and some hundred bytes a token of a prompt."""
_MOST_TOKENS = 10**9
_PAUSE_SECONDS = 10.0
"""How long an endpoint that is down is left alone before a request tries again."""


class Endpoint:
    """A model behind `POST {base_url}/chat/completions`. Made anywhere, used in one event loop.

    Raises:
        JudgesError: the environment variable of the key is not set.
    """

    def __init__(self, settings: LLMSettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self._rate = _Rate(settings.requests_per_second)
        self._trouble = _Trouble(settings.give_up_after)
        self._headers = _headers(settings)
        self._address = f"{settings.base_url.rstrip('/')}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

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
        reply = await self._post(body, seconds)
        with reply.failures_cost_what_it_took():
            return replace(_likeliest(reply.content, question), calls=reply.calls, seconds=reply.seconds)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

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
        replies = await asyncio.gather(*(self._post(body, seconds) for body in bodies))
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

    async def _post(self, body: dict[str, Any], seconds: float) -> _Sent:
        """The reply to one request, after as many attempts as are allowed.

        Raises:
            LLMError: the last attempt failed, or the time is up.
        """
        async with self._places:
            self._trouble.check()
            await self._rate.turn()
            sent = _Sent()
            with sent.failures_cost_what_it_took():
                try:
                    sent.content = await self._tried(body, seconds, sent)
                except _TemporaryError as error:
                    self._trouble.failed(str(error))
                    raise
            self._trouble.over()
            return sent

    async def _tried(self, body: dict[str, Any], seconds: float, sent: _Sent) -> Any:
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_TemporaryError),
            stop=tenacity.stop_after_attempt(1 + self._settings.retries),
            wait=self._wait,
            reraise=True,
        )
        try:
            async with asyncio.timeout(seconds):
                return await attempts(self._attempt, body, sent)
        except TimeoutError:
            after = f"; the last attempt: {sent.failures[-1]}" if sent.failures else ""
            raise _TemporaryError(f"timed out after {seconds:g} s{after}") from None

    async def _attempt(self, body: dict[str, Any], sent: _Sent) -> Any:
        failures = sent.failures
        if failures:  # the first attempt's turn came before its time began
            await self._rate.turn()
        sent.calls += 1
        try:
            # A redirect would hand prompt and response to another server, whose answer would count.
            async with self._connected().post(self._address, json=body, allow_redirects=False) as response:
                status, retry_after = response.status, _retry_after(response)
                text = await _bounded(response, _MOST_BYTES[self._settings.scoring])
        except (aiohttp.ClientError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}".rstrip(": "))
            raise _TemporaryError(f"{failures[-1]} ({self._settings.base_url})") from error
        if status in _TEMPORARY:
            failures.append(_said(status, text))
            raise _TemporaryError(failures[-1], retry_after)
        if status != http.HTTPStatus.OK:
            raise LLMError(_said(status, text))
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            failures.append(f"the reply is no JSON: {error}")
            raise _TemporaryError(failures[-1]) from error

    def _connected(self) -> aiohttp.ClientSession:
        """The connections; made in the event loop that uses them."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=self._settings.request_seconds),
                connector=aiohttp.TCPConnector(limit=self._settings.max_concurrency),
                trust_env=True,
            )
        return self._session

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, _TemporaryError) else None
        own = tenacity.wait_random_exponential(self._settings.backoff_seconds, _LONGEST_WAIT_SECONDS)(state)
        return own if asked is None else min(max(own, asked), _LONGEST_WAIT_SECONDS)


class _Sent:
    """A request under way: its attempts, and in the end the reply.

    Attributes:
        content: the reply.
        calls: attempts so far.
        failures: why earlier attempts failed.
    """

    def __init__(self) -> None:
        self.content: Any = None
        self.calls = 0
        self.failures: list[str] = []
        self._started = time.monotonic()
        self._ended: float | None = None

    @property
    def seconds(self) -> float:
        """From the request's turn to its reply."""
        return (self._ended or time.monotonic()) - self._started

    @contextmanager
    def failures_cost_what_it_took(self) -> Iterator[None]:
        """Writes calls and seconds on an LLMError that passes; ends the clock otherwise."""
        try:
            yield
        except LLMError as error:
            error.calls, error.seconds = self.calls, self.seconds
            raise
        self._ended = self._ended or time.monotonic()


class _TemporaryError(LLMError):
    """A failure after which another attempt makes sense."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class _Trouble:
    """Lets requests fail at once while the endpoint is down, so that hundreds do not wait for it one after another."""

    def __init__(self, give_up_after: int) -> None:
        self._limit = give_up_after
        self._in_a_row = 0
        self._last = ""
        self._until = 0.0

    def check(self) -> None:
        """Raises LLMError while the endpoint is believed to be down; now and then lets a request try."""
        now = asyncio.get_running_loop().time()
        if self._in_a_row < self._limit or now >= self._until:
            return
        raise LLMError(f"not asked, because {self._in_a_row} requests in a row failed. The last one: {self._last}")

    def failed(self, why: str) -> None:
        """A request failed after all its attempts."""
        self._in_a_row += 1
        self._last = why
        self._until = asyncio.get_running_loop().time() + _PAUSE_SECONDS

    def over(self) -> None:
        """A request succeeded."""
        self._in_a_row = 0


class _Rate:
    """Lets through so many a second, evenly."""

    def __init__(self, per_second: float | None) -> None:
        self._interval = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Waits for a turn."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._interval
        await asyncio.sleep(at - now)


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


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, unpacked. Raises LLMError when it is longer than any reply to a question."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(65536):
        parts.append(part)
        size += len(part)
        if size > most:
            response.close()
            raise LLMError(f"the endpoint's reply is longer than {most // 2**20} MiB")
    return b"".join(parts)


def _said(status: int, text: bytes) -> str:
    return f"HTTP {status}: {text[:_SHOWN_CHARS].decode(errors='replace')}"


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _headers(settings: LLMSettings) -> dict[str, str]:
    if settings.api_key_env is None:
        return {}
    key = os.environ.get(settings.api_key_env)
    if not key:
        raise JudgesError(f"llm.api_key_env: the environment variable {settings.api_key_env} is not set")
    return {"Authorization": f"Bearer {key}"}
