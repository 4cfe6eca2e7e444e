"""The tokens of a conversation that are learnt: the assistant's turns with their end token, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from cgpo.data.conversations import Conversation
from cgpo.data.tokenize import encode_prompt
from cgpo.data.turns import TurnEncoder
from cgpo.errors import DataError
from cgpo.types import LearnedTokens, Prompt
from judges import Message

TALK: tuple[Message, ...] = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi there"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "It is 2."},
)

FORGETFUL = (
    "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}<past>{{ m.content }}{{ eos_token }}"
    "{% else %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""A template that writes earlier turns of the assistant in another way than its last one."""


@pytest.fixture(scope="module")
def tokenizer(smollm2: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


def learned_texts(tokenizer: Any, found: LearnedTokens) -> list[str]:
    """The learnt stretches, decoded."""
    texts: list[list[int]] = []
    for i, (token, learned) in enumerate(zip(found.ids.tolist(), found.learned.tolist(), strict=True)):
        if learned:
            if i == 0 or not found.learned[i - 1]:
                texts.append([])
            texts[-1].append(token)
    return [tokenizer.decode(text) for text in texts]


def test_every_turn_of_the_assistant_is_learnt_with_its_end(tokenizer: Any) -> None:
    (found,) = TurnEncoder(tokenizer).encode(Conversation(TALK), "all")
    assert learned_texts(tokenizer, found) == ["Hello.<|im_end|>", "It is 2.<|im_end|>"]
    assert tokenizer.decode(found.ids) == tokenizer.apply_chat_template([dict(m) for m in TALK], tokenize=False)


def test_only_the_last_turn(tokenizer: Any) -> None:
    (found,) = TurnEncoder(tokenizer).encode(Conversation(TALK), "last")
    assert learned_texts(tokenizer, found) == ["It is 2.<|im_end|>"]


def test_what_stands_before_a_turn_is_what_rl_prompts_are(tokenizer: Any) -> None:
    (found,) = TurnEncoder(tokenizer).encode(Conversation(TALK[:3]), "all")
    prompt = encode_prompt(tokenizer, Prompt("p", TALK[:2]))
    first = int(found.learned.nonzero()[0][0])
    assert tuple(found.ids[:first].tolist()) == prompt


def test_a_template_that_rewrites_earlier_turns_gives_each_turn_its_own_sequence(tokenizer: Any) -> None:
    from copy import deepcopy

    other = deepcopy(tokenizer)
    other.chat_template = FORGETFUL
    first, second = TurnEncoder(other).encode(Conversation(TALK), "all")
    assert other.decode(first.ids) == "<system>Be brief.<user>Hi there<assistant>Hello.<|im_end|>"
    assert learned_texts(other, first) == ["Hello.<|im_end|>"]
    assert "<past>Hello.<|im_end|><user>What is 1 + 1?<assistant>It is 2.<|im_end|>" in other.decode(second.ids)
    assert learned_texts(other, second) == ["It is 2.<|im_end|>"]


def test_a_template_without_an_end_token_gets_one(tokenizer: Any) -> None:
    from copy import deepcopy

    other = deepcopy(tokenizer)
    other.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    (found,) = TurnEncoder(other).encode(Conversation(TALK[:3]), "all")
    assert found.ids[-1] == other.eos_token_id
    assert found.learned[-1]


def test_a_template_that_refuses_names_the_row(tokenizer: Any) -> None:
    from copy import deepcopy

    other = deepcopy(tokenizer)
    other.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match=r"file\.jsonl row 3: .*roles must alternate"):
        TurnEncoder(other).encode(Conversation(TALK, "file.jsonl row 3"), "all")
    other.chat_template = None
    with pytest.raises(DataError, match="no chat template"):
        TurnEncoder(other)
