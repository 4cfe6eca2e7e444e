"""Messages as they stand in rows of data sets, checked: what is wrong is named with its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgpo.data.rows import kind_of
from cgpo.errors import DataError, unknown_name
from judges import Message

ROLES = ("assistant", "system", "tool", "user")


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """The messages of a prompt, which is text or a list of messages that ends with the user's.

    Raises:
        DataError: it is neither; names the row (`where`).
    """
    if isinstance(value, str):
        return ({"role": "user", "content": content(value, where, "the prompt")},)
    messages = message_list(value, where, "the prompt")
    if messages[-1]["role"] != "user":
        raise DataError(f"{where}: the last message of a prompt must be the user's, not the {messages[-1]['role']}'s")
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


def _message(value: Any, where: str, what: str) -> Message:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: {what} must be an object with `role` and `content`, not {kind_of(value)}")
    for key in ("role", "content"):
        if value.get(key) is None:
            raise DataError(f"{where}: {what} has no `{key}`")
    role, text = value["role"], value["content"]
    if role not in ROLES:
        raise DataError(unknown_name("role", str(role), ROLES, f"{where}, {what}"))
    return {"role": role, "content": content(text, where, what)}


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
