"""Messages as data sets have them: contents in several parts, none beside calls of tools, what tools answered.

{"role": "user", "content": "Hi"}
{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", …}]}
{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "weather", "arguments": {…}}, …}]}
{"role": "tool", "tool_call_id": "1", "name": "weather", "content": "21 °C"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from judges.errors import JudgesError
from judges.judge import Message

_TEXT_PARTS = ("text", "input_text", "output_text")


def plain_content(content: Any) -> str | list[Any]:
    """A content as text: that of its parts a line each, nothing for null. The parts, where one is no text.

    Raises:
        JudgesError: it is no content; the message says what it is instead.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list | tuple):
        raise JudgesError("must be text, a list of parts or null")
    texts = [_part_text(part) for part in content]
    return list(content) if None in texts else "\n".join(text for text in texts if text is not None)


def other_parts(content: Any) -> list[str]:
    """The kinds of a content's parts that are no text: `image_url`, `input_audio`."""
    parts = content if isinstance(content, list | tuple) else []
    return [str(part["type"]) for part in parts if _part_text(part) is None]


def message_text(message: Message) -> str:
    """What a message says, for a person, an encoder or a judge: its text, then the calls of tools in words."""
    content = message.get("content")
    if isinstance(content, list | tuple):
        content = "\n".join(f"[{part['type']}]" if (text := _part_text(part)) is None else text for part in content)
    calls = message.get("tool_calls")
    words = [_call_in_words(call) for call in calls] if isinstance(calls, list | tuple) else []
    return "\n".join(filter(None, [content, *words]))


def judged_messages(messages: Iterable[Any], what: str = "the prompt") -> tuple[Message, ...]:
    """Messages as judges get them: `content` is text, and keys without a value are left out.

    A message without content says something else: it calls tools. Only a content with an image or the like stays a
    list: text cannot say what it holds.

    Args:
        messages: as a row has them.
        what: they are, for messages to people.

    Raises:
        JudgesError: something is no message; says which.
    """
    return tuple(_judged(item, f"message {number} of {what}") for number, item in enumerate(messages, start=1))


def _judged(message: Any, what: str) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise JudgesError(f'{what} must be {{"role": text, "content": text}}')
    try:
        content = plain_content(message.get("content"))
    except JudgesError as error:
        raise JudgesError(f'{what} must be {{"role": text, "content": text}}: `content` {error}') from None
    given = {key: value for key, value in message.items() if value is not None}
    if "content" not in given and given.keys() <= {"role", "name", "tool_call_id"}:  # nor does it call tools
        raise JudgesError(f'{what} must be {{"role": text, "content": text}}')
    return {**given, "content": content}


def _part_text(part: Any) -> str | None:
    """The text of a part; None where it is something else. Raises JudgesError where it is no part."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise JudgesError('has a part that is no {"type": …}')
    if part["type"] not in _TEXT_PARTS:
        return None
    if not isinstance(part.get("text"), str):
        raise JudgesError(f"has a part of the type {part['type']!r} without `text`")
    return str(part["text"])


def _call_in_words(call: Any) -> str:
    """`[calls weather({"city": "Paris"})]`; a call of another form as JSON."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return f"[calls {json.dumps(call, ensure_ascii=False, default=str)}]"
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False, default=str)
    return f"[calls {function['name']}({text})]"
