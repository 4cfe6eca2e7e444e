"""Messages as they stand in rows of data sets, checked: what is wrong is named with its row.

A message keeps all its row says, for the chat template: calls of tools, names, reasoning. Its content becomes text,
where it has several parts a line each; null stays null beside calls of tools. What no text can hold is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cgpo.data.rows import kind_of
from cgpo.errors import DataError, unknown_name
from judges import Message
from judges.errors import JudgesError
from judges.messages import other_parts, plain_content

ROLES = ("assistant", "system", "tool", "user")


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """The messages of a prompt: text, or a list of messages that ends with the user's or with what a tool answered.

    Raises:
        DataError: it is neither; names the row (`where`).
    """
    if isinstance(value, str):
        return ({"role": "user", "content": content(value, where, "the prompt")},)
    messages = message_list(value, where, "the prompt")
    if messages[-1]["role"] not in ("user", "tool"):
        last = messages[-1]["role"]
        raise DataError(f"{where}: the last message of a prompt must be the user's or a tool's, not the {last}'s")
    return messages


def message_list(value: Any, where: str, what: str) -> tuple[Message, ...]:
    """The messages in a list of objects with `role` and `content`.

    Raises:
        DataError: it is no such list, or empty; names the row (`where`) and what was looked at (`what`).
    """
    if not isinstance(value, (list, tuple)):
        text = "text or " if what == "the prompt" else ""
        raise DataError(f"{where}: {what} must be {text}a list of messages, not {kind_of(value)}")
    if not value:
        raise DataError(f"{where}: {what} is an empty list of messages")
    return tuple(_message(item, where, f"message {number} of {what}") for number, item in enumerate(value, start=1))


def last_text(messages: tuple[Message, ...], where: str, what: str) -> str:
    """The text of the last message, which is to be a response.

    Raises:
        DataError: it calls tools: a response is text.
    """
    if messages[-1].get("tool_calls"):
        raise DataError(f"{where}: the last message of {what} calls tools; a response must be text")
    return str(messages[-1]["content"])


def _message(value: Any, where: str, what: str) -> Message:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: {what} must be an object with `role` and `content`, not {kind_of(value)}")
    role = value.get("role")
    if role is None:
        raise DataError(f"{where}: {what} has no `role`")
    if role not in ROLES:
        raise DataError(unknown_name("role", str(role), ROLES, f"{where}, {what}"))
    beside = {k: v for k, v in value.items() if k not in ("role", "content") and v is not None and v != []}
    for key, item in beside.items():
        _check_plain(item, where, f"`{key}` of {what}")
    calls = beside.get("tool_calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise DataError(f"{where}: `tool_calls` of {what} must be a list of objects, not {kind_of(calls)}")
    return {"role": role, "content": _said(value.get("content"), where, what, role, bool(calls)), **beside}


def _said(given: Any, where: str, what: str, role: str, calls: bool) -> str | None:
    """A content as text; null where a message without words calls tools."""
    try:
        text = plain_content(given)
    except JudgesError as error:
        if not isinstance(given, (list, tuple)):
            raise DataError(f"{where}: {what} must be text, not {kind_of(given)}") from None
        raise DataError(f"{where}: {what} {error}") from None
    if not isinstance(text, str):
        raise DataError(
            f"{where}: {what} has a part of the type {other_parts(given)[0]!r}: only text can be learnt from"
        )
    if given is None and not calls:
        raise DataError(f"{where}: {what} has no `content`")
    if calls or role == "tool":  # a tool may have nothing to say
        _check_plain(text, where, what)
        return None if given is None else text
    return content(text, where, what)


def _check_plain(value: Any, where: str, what: str) -> None:
    """Raises DataError unless JSON can hold a value, and its texts are text."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {what} has characters that are no Unicode text ({error.reason})") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where}: {what} is nothing that JSON can hold: {error}") from error


def content(value: Any, where: str, what: str) -> str:
    """Text that is not empty.

    Raises:
        DataError: it is no text, has nothing in it, or holds characters that no tokenizer takes (lone surrogates).
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: {what} must be text, not {kind_of(value)}")
    if not value.strip():
        raise DataError(f"{where}: {what} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {what} has characters that are no Unicode text ({error.reason})") from error
    return value
