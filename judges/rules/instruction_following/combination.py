"""Instructions about the response as a whole: two responses, the prompt repeated first."""

from __future__ import annotations

from judges.rules.instruction_following.arguments import Text


def two_responses(text: str) -> bool:
    """Two different responses divided by `******`; nothing empty between dividers."""
    parts = [part.strip() for part in text.split("******")]
    if not all(parts[1:-1]):
        return False
    filled = [part for part in parts if part]
    return len(filled) == 2 and filled[0] != filled[1]


def repeat_prompt(text: str, *, prompt_to_repeat: Text) -> bool:
    """The response begins with the request, word for word; case does not count."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())
