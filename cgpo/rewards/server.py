"""The base of rewards that another machine computes: settings, requests, and what becomes of a bad answer.

A score that did not come – no answer in time, an error, a reply of the wrong form, null, NaN – is missing, with its
reason, never 0. A request holds several responses; a reply with another number of scores is of no use for any of them,
because nobody knows whose they are.
"""

from __future__ import annotations

import asyncio
import math
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.rewards.encoding import clean
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import Prompt
from judges.errors import JudgesError
from judges.messages import message_text

Answer = float | str
"""A score, or why there is none."""


def _address(text: str) -> str:
    """An address that can be asked. What is wrong with one is said now, and not by every request."""
    form = "must be of the form http://HOST:PORT/PATH or https://…"
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port  # the port raises where it is none
        host = (host or "").encode("idna").decode()
    except ValueError as error:
        raise ValueError(f"{form} ({error})") from None
    if url.scheme not in ("http", "https") or not host or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(form)
    if url.username is not None or url.password is not None:
        raise ValueError(
            "must hold no user or password, which would stand in every log: put the key into an environment variable "
            "and name that as `api_key_env`"
        )
    return text


Address = Annotated[str, AfterValidator(_address)]
"""Where a server is asked."""

_MOST_BYTES = 2**20
_SHOWN_CHARS = 200


class ServerSettings(RewardSettings):
    """How a reward server may be asked."""

    api_key_env: str | None = None
    """Environment variable that holds the server's key, sent as `Authorization: Bearer …`."""
    batch_size: int = Field(default=16, ge=1)
    """Responses in one request."""
    max_concurrency: int = Field(default=8, ge=1)
    """Requests under way at once."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Requests started per second at most. Unset: no limit."""
    request_seconds: float = Field(default=30.0, gt=0)
    """Time limit of one attempt."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Time limit of a request with all its attempts; then its scores are missing."""
    retries: int = Field(default=3, ge=0)
    """Further attempts after a lost connection, a time-out, a reply that is no JSON, or the statuses 408, 409, 425, 429
    and 5xx."""
    backoff_seconds: float = Field(default=0.5, gt=0)
    """Longest wait before the first further attempt; doubles each time; the wait is random below that, and at least
    the server's Retry-After."""
    give_up_after: int = Field(default=8, ge=1)
    """Requests that fail in a row, after all their attempts, before further ones fail at once; after a pause of 10 s
    they are tried again."""


class ServerReward(ABC):
    """A reward that asks a server.

    Args:
        settings: how it may be asked.
        name: the reward's name in the configuration, for messages.
        address: the whole URL that is posted to.

    Raises:
        ConfigError: the environment variable of the key is not set, or aiohttp is missing.
    """

    reads_metadata: ClassVar[bool] = False
    beside_generation: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    def __init__(self, settings: ServerSettings, name: str, address: str) -> None:
        where = f"rewards.{name}"
        try:
            from judges.llm.transport import JsonServer, bearer
        except ImportError as error:
            raise ConfigError(f"{where}.type: a reward server needs `pip install 'cgpo[llm]'` ({error})") from error
        try:
            headers = bearer(settings.api_key_env, f"{where}.api_key_env")
        except JudgesError as error:
            raise ConfigError(str(error)) from error
        self._settings = settings
        self._server = JsonServer(settings, address, headers, _MOST_BYTES)
        self._reasons: Counter[str] = Counter()
        self._runner = asyncio.Runner()
        self._one_at_a_time = threading.Lock()

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """r(s, a) of each response, in order; None where the server gave no finite number in time."""
        pairs = list(zip(prompts, responses, strict=True))
        size = self.batch_size
        batches = [pairs[i : i + size] for i in range(0, len(pairs), size)]
        with self._one_at_a_time:
            answers = [answer for batch in self._runner.run(self._ask_all(batches)) for answer in batch]
            self._reasons.update(answer for answer in answers if isinstance(answer, str))
        return [None if isinstance(answer, str) else answer for answer in answers]

    def take_notes(self) -> ScoringNotes:
        """Why scores are missing, since this was last asked."""
        reasons, self._reasons = self._reasons, Counter()
        return ScoringNotes(reasons=reasons)

    @property
    def batch_size(self) -> int:
        """Responses in one request."""
        return self._settings.batch_size

    @abstractmethod
    def body(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> dict[str, Any]:
        """The request for some responses."""

    @abstractmethod
    def answers(self, reply: Any) -> list[Any]:
        """What the reply says of each response, in order.

        Raises:
            ValueError: it has another form than it must.
        """

    async def _ask_all(self, batches: Sequence[Sequence[tuple[Prompt, str]]]) -> list[list[Answer]]:
        try:
            return await asyncio.gather(*(self._ask(batch) for batch in batches))
        finally:
            await self._server.close()  # nobody else would: connections last as long as a chunk of responses

    async def _ask(self, batch: Sequence[tuple[Prompt, str]]) -> list[Answer]:
        from judges.llm.question import LLMError

        try:
            body = self.body([prompt for prompt, _ in batch], [clean(response) for _, response in batch])
            reply = await self._server.post(body, self._settings.timeout_seconds)
            scores = self.answers(reply.content)
        except (LLMError, ValueError) as error:
            return [self._server.without_key(str(error))[: 2 * _SHOWN_CHARS]] * len(batch)
        if len(scores) != len(batch):
            return [f"the server answered {len(batch)} responses with {len(scores)} scores"] * len(batch)
        answers = [_number(score) for score in scores]
        return [self._server.without_key(answer) if isinstance(answer, str) else answer for answer in answers]


def _number(value: Any) -> Answer:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"the server gave {_shown(value)} in place of a score"
    try:
        number = float(value)
    except OverflowError:
        return "the server gave a number in place of a score that is too large"
    return number if math.isfinite(number) else f"the server gave {number} in place of a score"


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def malformed(reply: Any, expected: str) -> ValueError:
    """The error for a reply of another form."""
    return ValueError(f"the server's reply is not of the form {expected}: {_shown(reply)}")


def plain_messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt's conversation as plain data: roles and contents, calls of tools in words."""
    return [{"role": message["role"], "content": clean(message_text(message))} for message in prompt.messages]
