"""JSON over HTTP to a server that may be slow, busy, broken or hostile.

Concurrency and rate limits, time limits, further attempts with growing waits, bounded replies, no redirects. Made for
judges' models; reward servers are asked in the same way.
"""

from __future__ import annotations

import asyncio
import http
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import aiohttp
import tenacity

from judges.errors import JudgesError
from judges.llm.question import LLMError

_TEMPORARY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_SECONDS = 30.0
_SHOWN_CHARS = 300
_BEARER = "Bearer "
_PAUSE_SECONDS = 10.0
"""How long a server that is down is left alone before a request tries again."""


class ConnectionSettings(Protocol):
    """How a server may be asked; `judges.llm.settings.LLMSettings` says what each means."""

    @property
    def max_concurrency(self) -> int: ...
    @property
    def requests_per_second(self) -> float | None: ...
    @property
    def retries(self) -> int: ...
    @property
    def backoff_seconds(self) -> float: ...
    @property
    def give_up_after(self) -> int: ...
    @property
    def request_seconds(self) -> float: ...


class JsonServer:
    """A server that answers `POST address`. Made anywhere, used in one event loop.

    Args:
        settings: how it may be asked.
        address: the whole URL.
        headers: sent with every request.
        most_bytes: longest reply.
    """

    def __init__(self, settings: ConnectionSettings, address: str, headers: dict[str, str], most_bytes: int) -> None:
        self._settings = settings
        self._address = address
        self._headers = headers
        self._most_bytes = most_bytes
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self._rate = _Rate(settings.requests_per_second)
        self._trouble = _Trouble(settings.give_up_after)
        self._session: aiohttp.ClientSession | None = None

    def without_key(self, text: str) -> str:
        """`text` without the key that is sent along: some servers repeat a key that they refuse."""
        for value in self._headers.values():
            text = text.replace(value.removeprefix(_BEARER), "(the key)")
        return text

    async def close(self) -> None:
        """Closes the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, body: dict[str, Any], seconds: float) -> Sent:
        """The reply to one request, after as many attempts as are allowed.

        Raises:
            LLMError: the last attempt failed, or the time is up.
        """
        async with self._places:
            self._trouble.check()
            await self._rate.turn()
            sent = Sent()
            with sent.failures_cost_what_it_took():
                try:
                    sent.content = await self._tried(body, seconds, sent)
                except _TemporaryError as error:
                    self._trouble.failed(str(error))
                    raise
            self._trouble.over()
            return sent

    async def _tried(self, body: dict[str, Any], seconds: float, sent: Sent) -> Any:
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

    async def _attempt(self, body: dict[str, Any], sent: Sent) -> Any:
        failures = sent.failures
        if failures:  # the first attempt's turn came before its time began
            await self._rate.turn()
        sent.calls += 1
        try:
            # A redirect would hand prompt and response to another server, whose answer would count.
            async with self._connected().post(self._address, json=body, allow_redirects=False) as response:
                status, retry_after = response.status, _retry_after(response)
                text = await _bounded(response, self._most_bytes)
        except (aiohttp.ClientError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}".rstrip(": "))
            raise _TemporaryError(f"{failures[-1]} ({self._address.partition('?')[0]})") from error
        if status in _TEMPORARY:
            failures.append(self._http_problem(status, text))
            raise _TemporaryError(failures[-1], retry_after)
        if status != http.HTTPStatus.OK:
            raise LLMError(self._http_problem(status, text))
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

    def _http_problem(self, status: int, text: bytes) -> str:
        # First the key, then the cut: a key that was cut in two would be left half.
        return f"HTTP {status}: {self.without_key(text.decode(errors='replace'))[:_SHOWN_CHARS]}"

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, _TemporaryError) else None
        backoff = tenacity.wait_random_exponential(self._settings.backoff_seconds, _LONGEST_WAIT_SECONDS)(state)
        return backoff if retry_after is None else min(max(backoff, retry_after), _LONGEST_WAIT_SECONDS)


class Sent:
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


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, unpacked. Raises LLMError when it is longer than any reply to a question."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(65536):
        parts.append(part)
        size += len(part)
        if size > most:
            response.close()
            raise LLMError(f"the reply is longer than {most // 2**20} MiB")
    return b"".join(parts)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def bearer(api_key_env: str | None, where: str) -> dict[str, str]:
    """The header with the key that an environment variable holds; none where no variable is named.

    Args:
        api_key_env: name of the variable.
        where: the setting that names it.

    Raises:
        JudgesError: the variable is not set.
    """
    if api_key_env is None:
        return {}
    key = os.environ.get(api_key_env)
    if not key:
        raise JudgesError(f"{where}: the environment variable {api_key_env} is not set")
    return {"Authorization": f"{_BEARER}{key}"}
