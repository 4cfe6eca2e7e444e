"""Ids of prompts: the same in every run over the same data, unique within a set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence

from cgpo.types import Prompt
from judges import Message


def content_hash(messages: Sequence[Message]) -> str:
    """16 hexadecimal digits that depend on nothing but roles and contents."""
    text = json.dumps([[m["role"], m["content"]] for m in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint(prompts: Iterable[Prompt]) -> str:
    """16 hexadecimal digits that change with the prompts' ids and their order."""
    return hashlib.sha256("\n".join(prompt.id for prompt in prompts).encode()).hexdigest()[:16]


def prompt_ids(conversations: Iterable[Sequence[Message]]) -> list[str]:
    """One id per conversation: its content hash; a repetition gets `.1`, `.2`, … in order of appearance."""
    seen: Counter[str] = Counter()
    ids = []
    for messages in conversations:
        digest = content_hash(messages)
        ids.append(f"{digest}.{seen[digest]}" if seen[digest] else digest)
        seen[digest] += 1
    return ids
