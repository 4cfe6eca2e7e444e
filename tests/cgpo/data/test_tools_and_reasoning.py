"""Calls of tools, and templates that open a block of reasoning: what is learnt, what is refused, how turns end."""

from __future__ import annotations

from typing import Any

import pytest

from cgpo.data.conversations import Conversation
from cgpo.data.ids import content_hash
from cgpo.data.messages import messages_of
from cgpo.data.tokenize import encode_prompt, opens_reasoning
from cgpo.data.turns import TurnEncoder
from cgpo.errors import DataError
from cgpo.types import Prompt
from judges import Message

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich"}}}
TOOLS: tuple[Message, ...] = (
    {"role": "user", "content": "How warm is Zürich?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "21"},
)
ASKED: tuple[Message, ...] = ({"role": "user", "content": "Hi"},)
CALLS = "{% for c in m.tool_calls %}CALL {{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}"
KNOWS_TOOLS = (
    "{% for m in messages %}<{{ m.role }}>{% if m.tool_calls %}"
    + CALLS
    + "{% endif %}{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
ONLY_WITHOUT_CONTENT = KNOWS_TOOLS.replace("{% if m.tool_calls %}", "{% if m.content is none %}").replace(
    "{{ m.content }}", "{{ m.content or '' }}"
)
NO_TOOLS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}<assistant>"
HIDES_ANSWERS = KNOWS_TOOLS.replace(
    "<{{ m.role }}>{% if", "{% if m.role == 'tool' %}{% continue %}{% endif %}<{{ m.role }}>{% if"
)
CONCATENATES = "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '<|im_end|>' }}{% endfor %}"

STRIPS_REASONING = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
)
"""As DeepSeek-R1's: the block is opened in the prompt, and left out of what was said."""
WRITES_A_BLOCK = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}<think>\n"
    "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
)
"""As Qwen3's thinking models: the last turn has a block, if an empty one."""
NEVER_CLOSES = STRIPS_REASONING.replace("<{{ m.role }}>", "<{{ m.role }}>{{ '<think>\n' if m.role == 'assistant' }}")


@pytest.fixture(scope="module")
def one_tokenizer(smollm2: str) -> Any:
    """With another end token than the one with which its turns end."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2, eos_token="<|endoftext|>")


@pytest.fixture
def tokenizer(one_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """SmolLM2's, to get other templates."""
    monkeypatch.setattr(one_tokenizer, "chat_template", one_tokenizer.chat_template)
    return one_tokenizer


def learnt(tokenizer: Any, messages: tuple[Message, ...]) -> tuple[str, str]:
    """What stands before the last turn, and what is learnt of it."""
    (found,) = TurnEncoder(tokenizer).encode(Conversation(messages, "rows row 2"), "last")
    first = int(found.learned.nonzero()[0][0])
    last = int(found.learned.nonzero()[0][-1]) + 1
    return tokenizer.decode(found.ids[:first]), tokenizer.decode(found.ids[first:last])


def test_a_template_gets_calls_and_answers(tokenizer: Any) -> None:
    prompt = Prompt("p", messages_of(list(TOOLS), "rows row 2"), source="rows row 2")
    wanted = (
        '<user>How warm is Zürich?<|im_end|><assistant>CALL weather({"city": "Zürich"})<|im_end|><tool>21<|im_end|>'
    )
    for template in (KNOWS_TOOLS, ONLY_WITHOUT_CONTENT):
        tokenizer.chat_template = template
        assert tokenizer.decode(encode_prompt(tokenizer, prompt)) == f"{wanted}<assistant>"
        before, said = learnt(tokenizer, TOOLS[:2])
        assert before == "<user>How warm is Zürich?<|im_end|><assistant>"
        assert said == 'CALL weather({"city": "Zürich"})<|im_end|>'


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (NO_TOOLS, "does not show the `tool_calls` of message 2"),
        (CONCATENATES, "does not show the `tool_calls` of message 2"),
        (HIDES_ANSWERS, "does not show message 3, a tool's"),
        (KNOWS_TOOLS.replace("{% for", "{{ raise_exception('no tools') }}{% for", 1), "refuses the prompt: no tools"),
    ],
)
def test_a_template_that_leaves_them_out_is_no_place_for_them(tokenizer: Any, template: str, words: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(DataError, match="rows row 2: the model's chat template ") as caught:
        encode_prompt(tokenizer, Prompt("p", TOOLS, source="rows row 2"))
    assert words in str(caught.value)
    if "raise" not in template:
        encode_prompt(tokenizer, Prompt("p", ASKED))


def test_other_calls_are_another_prompt() -> None:
    other = [dict(TOOLS[0]), {**TOOLS[1], "tool_calls": [{**CALL, "id": "2"}]}, dict(TOOLS[2])]
    assert content_hash(messages_of(other, "")) != content_hash(TOOLS)
    assert content_hash([{**ASKED[0], "weight": 1}]) == content_hash(ASKED) == "d7760b4ba3077c46"


def test_what_a_row_says_is_kept() -> None:
    rows = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "hm", "tool_call_id": None},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]
    assert messages_of(rows, "") == (
        {"role": "user", "content": "a\nb", "name": "Ann"},
        {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    )
    assert messages_of([{"role": "user", "content": "a", "tool_calls": []}], "") == ({"role": "user", "content": "a"},)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"content": [{"type": "image_url"}]}, "has a part of the type 'image_url': only text can be learnt from"),
        ({"content": [{"type": "text"}]}, "has a part of the type 'text' without `text`"),
        ({"content": []}, "is empty"),
        ({"content": None}, "has no `content`"),
        ({"role": "tool"}, "has no `content`"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "`tool_calls` of message 1 of the prompt must be a list"),
        ({"content": "a", "tool_calls": [{"a": "\ud800"}]}, "has characters that are no Unicode text"),
        ({"content": "a", "time": object()}, "`time` of message 1 of the prompt is nothing that JSON can hold"),
    ],
)
def test_what_cannot_be_learnt_is_named(message: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=r"^rows row 2: ") as caught:
        messages_of([{"role": "user"} | message], "rows row 2")
    assert problem in str(caught.value)


def test_a_golden_response_ends_as_the_template_ends_a_turn(tokenizer: Any) -> None:
    assert tokenizer.decode(TurnEncoder(tokenizer).response(ASKED, "Hello.")) == "Hello.<|im_end|>"


@pytest.mark.parametrize("template", [STRIPS_REASONING, WRITES_A_BLOCK, NEVER_CLOSES])
def test_a_plain_answer_is_not_learnt_as_reasoning(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    before, said = learnt(tokenizer, (*ASKED, {"role": "assistant", "content": "Hello."}))
    assert before == "<user>Hi<|im_end|>\n<assistant><think>\n"
    assert said == "\n</think>\n\nHello.<|im_end|>"
    prompt = Prompt("p", ASKED)
    assert tokenizer.decode(encode_prompt(tokenizer, prompt)) == before
    assert opens_reasoning(tokenizer, prompt)
    assert tokenizer.decode(TurnEncoder(tokenizer).response(ASKED, "Hello.")) == said


@pytest.mark.parametrize("template", [STRIPS_REASONING, WRITES_A_BLOCK, NEVER_CLOSES])
def test_reasoning_is_learnt_as_such(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    answer = {"role": "assistant", "content": "Hello.", "reasoning_content": "A greeting."}
    before, said = learnt(tokenizer, (*ASKED, answer))
    assert before.endswith("<assistant><think>\n")
    assert said == "A greeting.\n</think>\n\nHello.<|im_end|>"
    inside = {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHello."}
    if template != WRITES_A_BLOCK:  # which knows of reasoning in its own place only
        assert learnt(tokenizer, (*ASKED, inside)) == (before, said)


def test_other_templates_open_no_block(tokenizer: Any) -> None:
    assert not opens_reasoning(tokenizer, Prompt("p", ({"role": "user", "content": "say <think>"},)))
    _, said = learnt(tokenizer, (*ASKED, {"role": "assistant", "content": "<think>a</think>b"}))
    assert said == "<think>a</think>b<|im_end|>"


def test_calls_that_cannot_be_learnt_are_refused(tokenizer: Any) -> None:
    """Turns that are written in another way than the template asks for them."""
    tokenizer.chat_template = KNOWS_TOOLS.replace("<assistant>", "<model>")
    with pytest.raises(DataError, match=r"rows row 2: .* message 2 .* its `tool_calls` cannot be learnt"):
        learnt(tokenizer, TOOLS[:2])
