"""Prompts as tokens, with a real tokenizer made on the spot: one token a word."""

from __future__ import annotations

from typing import Any

import pytest

from cgpo.data.tokenize import encode_prompt, fit_prompts
from cgpo.errors import DataError
from cgpo.types import Prompt

WORDS = ["user", "system", "assistant", "one", "two", "three", "<end>", "<unk>"]
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}"
    "{{ m['role'] }} {{ m['content'] }} <end> {% endfor %}{% if add_generation_prompt %}assistant{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", chat_template=TEMPLATE)


def prompt(content: str, role: str = "user", source: str = "p.jsonl row 1") -> Prompt:
    return Prompt(content, ({"role": role, "content": content},), source=source)


def words(ids: tuple[int, ...]) -> str:
    return " ".join(WORDS[i] for i in ids)


def test_the_template_is_applied_up_to_the_response(tokenizer: Any) -> None:
    ids = encode_prompt(tokenizer, prompt("one two"))
    assert words(ids) == "user one two <end> assistant"
    assert all(type(i) is int for i in ids)


def test_a_tokenizer_without_template_says_what_to_do() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(
        DataError, match=r"has no chat template\. Use an instruction-tuned model, or save the model with"
    ):
        encode_prompt(plain, prompt("one"))


def test_a_template_that_refuses_the_messages_names_the_row(tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"^p.jsonl row 1: the model's chat template refuses the prompt: no system"):
        encode_prompt(tokenizer, prompt("one", role="system"))


def test_prompts_that_just_fit_stay_and_longer_ones_are_dropped(tokenizer: Any) -> None:
    # "user one <end> assistant" has 4 tokens; with 6 of response, 10 is exactly enough.
    fitting, dropped = fit_prompts([prompt("one two"), prompt("one")], tokenizer, 10, 6, "drop", "math")
    assert [(p.text, words(ids)) for p, ids in fitting] == [("one", "user one <end> assistant")]
    assert dropped == 1


def test_stop_names_the_row_and_the_counts(tokenizer: Any) -> None:
    rows = [prompt("one"), prompt("one two three", source="p.jsonl row 2")]
    with pytest.raises(DataError) as caught:
        fit_prompts(rows, tokenizer, 10, 6, "stop", "math")
    assert str(caught.value) == (
        "p.jsonl row 2: the prompt has 6 tokens; with max_tokens=6 of response, at most 4 fit into the context of 10 "
        "(1 of the 2 prompts of stratum 'math' are too long). Shorten them, lower sampling.max_tokens, or raise "
        "model.context_length, or set too_long=drop to leave them out"
    )


def test_dropping_all_of_them_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="2 of the 2 prompts of stratum 'math' are too long"):
        fit_prompts([prompt("one"), prompt("two")], tokenizer, 8, 6, "drop", "math")


def test_a_response_longer_than_the_context(tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"strata.math.sampling.max_tokens: 10 tokens of response leave no room"):
        fit_prompts([prompt("one")], tokenizer, 10, 10, "drop", "math")
