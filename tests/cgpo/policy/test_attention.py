"""Which attention a model gets, told in words; and masks of rows that hold several sequences."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Gemma2Config, GptOssConfig, LlamaConfig, Mamba2Config
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function

from cgpo.errors import ConfigError
from cgpo.policy import attention
from cgpo.policy.attention import attention_implementation, segments, within_segments

PLAIN, CAPPED = LlamaConfig(), Gemma2Config(attn_logit_softcapping=2.0)


def machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool = False, flash: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(attention, "is_flash_attn_2_available", lambda: flash)


@pytest.mark.parametrize(
    ("gpu", "flash", "config", "wanted", "told"),
    [
        (
            False,
            True,
            PLAIN,
            "flash",
            "train.attention = flash: m: there is no GPU here. Possible here: auto, sdpa, eager",
        ),
        (
            True,
            False,
            PLAIN,
            "flash",
            "train.attention = flash: m: the package flash-attn is not installed. "
            "Possible here: auto, sdpa, flex, eager",
        ),
        (
            True,
            True,
            Mamba2Config(),
            "flash",
            "train.attention = flash: m: transformers has none for Mamba2ForCausalLM. Possible here: auto, eager",
        ),
        (
            False,
            False,
            PLAIN,
            "flex",
            "train.attention = flex: m: there is no GPU here, and on a CPU FlexAttention has no backward pass. "
            "Possible here: auto, sdpa, eager",
        ),
        (
            True,
            False,
            Mamba2Config(),
            "flex",
            "train.attention = flex: m: transformers has none for Mamba2ForCausalLM. Possible here: auto, eager",
        ),
        (
            False,
            False,
            CAPPED,
            "sdpa",
            "train.attention = sdpa: m: it caps the logits of its attention, which torch's attention does not. "
            "Possible here: auto, eager",
        ),
        (
            True,
            True,
            GptOssConfig(),
            "sdpa",
            "train.attention = sdpa: m: transformers has no such code for GptOssForCausalLM. "
            "Possible here: auto, flex, flash, eager",
        ),
    ],
)
def test_attention_that_cannot_be_had_is_refused_with_its_reason_and_what_can(
    gpu: bool, flash: bool, config: Any, wanted: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=gpu, flash=flash)
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        attention_implementation(config, wanted, "m")


@pytest.mark.parametrize(
    ("gpu", "config", "expected"),
    [
        (False, PLAIN, "sdpa"),
        (True, PLAIN, "sdpa"),
        (False, CAPPED, "eager"),
        (True, CAPPED, "flex_attention"),
        (False, GptOssConfig(), "eager"),
        (True, GptOssConfig(), "flex_attention"),
        (True, Mamba2Config(), "eager"),
    ],
)
def test_auto_is_the_first_that_is_right(
    gpu: bool, config: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=gpu)
    assert attention_implementation(config, "auto", "m") == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("sdpa", "sdpa"), ("flex", "flex_attention"), ("flash", "flash_attention_2"), ("eager", "eager")],
)
def test_what_is_asked_for_and_possible_has_transformers_name(
    wanted: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=True, flash=True)
    assert attention_implementation(PLAIN, wanted, "m") == expected


class FromAHub:
    """A configuration whose model is code that transformers does not have."""

    def __init__(self, **config: Any) -> None:
        self.text = SimpleNamespace(**config)

    def get_text_config(self) -> SimpleNamespace:
        return self.text


def test_a_model_that_transformers_does_not_know_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=True, flash=True)
    for wanted in ("auto", "sdpa", "flex", "flash", "eager"):
        attention_implementation(FromAHub(), wanted, "m")
    assert attention_implementation(FromAHub(attn_logit_softcapping=None), "auto", "m") == "sdpa"
    assert attention_implementation(FromAHub(attn_logit_softcapping=30.0), "auto", "m") == "flex_attention"


# Two rows of 8: a prompt of 3 with responses of 2 and 2 and a place of padding; a prompt of 1 with one of 7.
SEGMENT = torch.tensor([[0, 0, 0, 1, 1, 2, 2, -1], [0, 1, 1, 1, 1, 1, 1, 1]])
POSITION = torch.tensor([[0, 1, 2, 3, 4, 3, 4, 0], [0, 1, 2, 3, 4, 5, 6, 7]])
SEEN = [
    "x.......",
    "xx......",
    "xxx.....",
    "xxxx....",
    "xxxxx...",
    "xxx..x..",  # the second response begins behind the prompt, and sees nothing of the first
    "xxx..xx.",
    ".......x",  # padding sees itself: a row of nothing would be 0 / 0
]


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention's maker compiles for seconds; here its function of places is asked place by place."""

    def dense(batch_size: int, q_length: int, kv_length: int, mask_function: Any, **_: Any) -> Tensor:
        rows, queries, keys = torch.arange(batch_size), torch.arange(q_length), torch.arange(kv_length)
        seen: Tensor = mask_function(rows[:, None, None], torch.tensor(0), queries[:, None], keys)
        return seen.expand(batch_size, q_length, kv_length)[:, None]

    monkeypatch.setattr(attention, "flex_attention_mask", dense)


def made_by(name: str, window: int | None = None) -> Any:
    """What transformers' maker of masks of that name makes of two rows of 8 places."""

    def within(row: Any, head: Any, query: Any, key: Any) -> Tensor:
        seen: Tensor = causal_mask_function(row, head, query, key)
        return seen if window is None else seen & (key > query - window)

    return AttentionMaskInterface._global_mapping[name](
        2,
        q_length=8,
        kv_length=8,
        mask_function=within,
        attention_mask=torch.ones(2, 8, dtype=torch.bool),
        allow_is_causal_skip=True,
    )


def mask(name: str, window: int | None = None) -> Tensor:
    """bool [2, 8, 8]: what each place sees within `segments`."""
    with segments(SEGMENT, POSITION):
        made = made_by(name, window)
    found: Tensor = made[:, 0] if made.dtype == torch.bool else made[:, 0] == 0
    return found


NAMES = ["sdpa", "eager", "flex_attention"]


@pytest.mark.parametrize("name", NAMES)
def test_a_response_sees_the_prompt_and_itself(name: str) -> None:
    assert ["".join("x" if seen else "." for seen in row) for row in mask(name)[0].tolist()] == SEEN
    assert torch.equal(mask(name)[1], torch.ones(8, 8).tril().bool())


@pytest.mark.parametrize("name", NAMES)
def test_a_window_reaches_back_over_positions_and_not_places(name: str) -> None:
    found = mask(name, window=3)[0]
    assert found[6].tolist() == [False, False, True, False, False, True, True, False]
    assert found[5].tolist() == [False, True, True, False, False, True, False, False]
    assert found[4].tolist() == [False, False, True, True, True, False, False, False]


def test_a_mask_may_differ_between_rows_and_heads() -> None:
    def second_row_and_third_head(row: Any, head: Any, query: Any, key: Any) -> Tensor:
        seen: Tensor = (row == 1) | (head == 2)
        return seen

    allowed = within_segments(second_row_and_third_head, SEGMENT, POSITION)
    found = [[bool(allowed(torch.tensor(row), torch.tensor(head), 2, 0)) for head in range(3)] for row in range(2)]
    assert found == [[False, False, True], [True, True, True]]


def test_outside_of_segments_masks_are_transformers_own() -> None:
    mask("sdpa")
    assert made_by("sdpa") is None, "plain causal attention needs none"
    for name in ("eager", "flex_attention"):
        made = made_by(name)[:, 0]
        seen = made if made.dtype == torch.bool else made == 0
        assert torch.equal(seen, torch.ones(2, 8, 8).tril().bool())


def test_what_breaks_off_inside_leaves_no_segments_behind() -> None:
    with pytest.raises(RuntimeError, match="broken"), segments(SEGMENT, POSITION):
        raise RuntimeError("broken")
    assert attention._rows.get() is None
