"""Prompts in which every text stays in its place, whatever it contains.

A response is hostile: it may hold braces, the markers of the prompt itself, or the special tokens with which chat
formats separate turns. So
- a template's `{{field}}` markers are replaced in one pass, and what was put in is not looked at again;
- each text stands between two lines with a mark that depends on all the texts, which no text can therefore contain
  but by finding a collision of the hash;
- special tokens of chat formats are neutralised: a space after their first character makes them ordinary text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from judges.errors import JudgesError
from judges.judge import Message
from judges.messages import message_text, other_parts

_MARKER = re.compile(r"\{\{(\w+)\}\}")
_SPECIAL = re.compile(
    r"<[|｜](?=[^<>\s]{1,80}[|｜]?>)"  # <|im_end|>, <|eot_id|>, <｜end▁of▁sentence｜>, <|turn>
    r"|<(?=[^<>\s|]{1,40}\|>)|\[\|(?=[^\[\]\s]{1,40}\|\])"  # <turn|>, [|endofturn|]
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|cls|sep|sop|eop|BOS|EOS|PAD|UNK|MASK|think|tool_call|tool_response)>)"
    r"|<(?=(?:start_of|end_of)_[a-z_]{1,20}>|unused\d{1,4}>|extra_id_\d{1,4}>|reserved_\d{1,6}>|[A-Z]{2,12}_TOKEN>)"
    r"|<(?=SPECIAL_\d{1,5}>|[a-z]{2,10}:[a-z_]{1,20}>)"  # <SPECIAL_11>, <seed:eos>
    r"|<(?=</?SYS>>)|\[(?=/?[A-Z][A-Z_]{1,30}(?:_\d{1,5})?\])|\[(?=g?MASK\])|\[(?=e~\[)",  # <<SYS>>, [INST], [gMASK]
)


def neutralise(text: str, special_tokens: Iterable[str] = ()) -> str:
    """`text` without special tokens of chat formats: each gets a space after its first character.

    Args:
        text: any text.
        special_tokens: those of a known tokenizer, besides the usual forms.
    """
    text = _SPECIAL.sub(lambda match: match[0][0] + " " + match[0][1:], text)
    for token in special_tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def render(template: str, fields: Mapping[str, str]) -> str:
    """The template with each `{{field}}` replaced by its text, fenced and neutralised.

    Raises:
        JudgesError: the template names a field that is not given, or lacks one that is.
    """
    check_template(template, fields)
    fence = _fence(fields.values())

    def fenced(marker: re.Match[str]) -> str:
        name = marker[1]
        label = name.upper()
        return f"<<{label} {fence}\n{neutralise(fields[name])}\n{label} {fence}>>"

    return _MARKER.sub(fenced, template)


def check_template(template: str, fields: Iterable[str]) -> None:
    """Raises JudgesError unless the template shows every one of the fields, and no other."""
    markers, wanted = set(_MARKER.findall(template)), set(fields)
    if markers - wanted:
        raise JudgesError(f"template: unknown field {min(markers - wanted)!r}. Allowed: {', '.join(sorted(wanted))}")
    if wanted - markers:
        raise JudgesError(f"template: {{{{{min(wanted - markers)}}}}} is missing, so the judge would not see it")


def transcript(prompt: str | Iterable[Message]) -> str:
    """A prompt as one text: the user's words alone, or the whole conversation with its speakers and calls of tools.

    Raises:
        JudgesError: it holds an image or the like, without which nobody can judge what answers it.
    """
    if isinstance(prompt, str):
        return prompt
    messages = list(prompt)
    for number, message in enumerate(messages, start=1):
        if kinds := other_parts(message["content"]):
            raise JudgesError(f"message {number} of the prompt has a part that this judge cannot read: {kinds[0]!r}")
    if len(messages) == 1:
        return message_text(messages[0])
    return "\n\n".join(f"{message['role'].capitalize()}: {message_text(message)}" for message in messages)


def safe_messages(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A conversation with neutralised contents, for models that get it in their own chat template.

    Raises:
        JudgesError: it holds an image or the like.
    """
    texts = [(message["role"], neutralise(transcript([message]))) for message in messages]
    return tuple({"role": role, "content": text} for role, text in texts)


def _fence(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:12]
