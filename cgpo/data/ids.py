"""Ids of prompts: the same in every run over the same data, unique within a set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from cgpo.types import Prompt
from judges import Message

_SAID_BESIDE = ("name", "reasoning_content", "tool_call_id", "tool_calls")
"""Keys of a message that chat templates show, besides role and content."""


def identity(message: Message) -> list[Any]:
    """What makes a message another one: role, content, and calls of tools or the like where it has them."""
    beside = {key: message[key] for key in _SAID_BESIDE if key in message}
    return [message["role"], message["content"], *([beside] if beside else [])]


def content_hash(messages: Sequence[Message]) -> str:
    """16 hexadecimal digits that depend on nothing but what is said and by whom: roles, contents, calls of tools."""
    text = json.dumps([identity(message) for message in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint(prompts: Iterable[Prompt]) -> str:
    """16 hexadecimal digits that change with the prompts' ids and their order."""
    return hashlib.sha256("\n".join(prompt.id for prompt in prompts).encode()).hexdigest()[:16]


def contents_fingerprint(prompts: Iterable[Prompt]) -> str:
    """16 hexadecimal digits that change with all that rows say besides their golden responses: messages, metadata."""
    digest = hashlib.sha256()
    for prompt in prompts:
        said = [[dict(message) for message in prompt.messages], dict(prompt.metadata)]
        digest.update(json.dumps(said, sort_keys=True, default=_stable).encode() + b"\n")
    return digest.hexdigest()[:16]


def metadata_hash(prompt: Prompt) -> str:
    """12 hexadecimal digits that change with the metadata of a prompt's row."""
    text = json.dumps(dict(prompt.metadata), sort_keys=True, default=_stable)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _stable(value: Any) -> Any:
    """What is no JSON, as text that is the same in another process."""
    if hasattr(value, "tolist"):  # numpy
        return value.tolist()
    if isinstance(value, bytes | date | time | timedelta | Decimal):
        return repr(value)
    return type(value).__name__


def prompt_ids(conversations: Iterable[Sequence[Message]]) -> list[str]:
    """One id per conversation: its content hash; a repetition gets `.1`, `.2`, … in order of appearance."""
    seen: Counter[str] = Counter()
    ids = []
    for messages in conversations:
        digest = content_hash(messages)
        ids.append(f"{digest}.{seen[digest]}" if seen[digest] else digest)
        seen[digest] += 1
    return ids
