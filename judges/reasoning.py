"""Leaves out of a response what the model wrote for itself: its reasoning between think tags."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def without_reasoning(response: str, opened: bool = False) -> str:
    """The response without what stands between `<think>` and `</think>`.

    Chat templates of reasoning models may open the first block in the prompt: then everything up to the first
    `</think>` is reasoning. A block that is never closed goes to the end: such a response says nothing.

    Args:
        response: the text.
        opened: the prompt is known to open a block. Where nobody knows, a closing tag without an opening one says so.
    """
    if opened:
        response = f"<think>{response}"
    head, tag, rest = response.partition("</think>")
    visible = rest if tag and "<think>" not in head else response
    return _BLOCK.sub("", visible).strip()
