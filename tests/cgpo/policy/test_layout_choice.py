"""What is compared before a layout is trusted, on which model, and what a person is told; the models are tiny."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from policies import settings_for
from torch import Tensor, nn
from transformers import (
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import ConfigError
from cgpo.policy import layout_choice
from cgpo.policy.layout import PACKED, SEPARATE, SHARED, Layout
from cgpo.policy.layout_choice import (
    LayoutGap,
    cell_cost,
    check_positions,
    choose_layout,
    layout_gap,
    layout_text,
    longest_sequence,
    stateful_layer,
    windows,
)
from cgpo.policy.logprobs import LogProbModel

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}


def llama(dtype: torch.dtype = torch.float32, **config: Any) -> LogProbModel:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{"vocab_size": 97, "num_hidden_layers": 2, **SMALL, **config}))
    return LogProbModel(model.to(dtype).eval(), 7)


def gemma3(**config: Any) -> LogProbModel:
    """Five layers with windows of 16 tokens, then one without."""
    torch.manual_seed(0)
    config = {"vocab_size": 97, "num_hidden_layers": 12, "sliding_window": 16, "head_dim": 8, **SMALL, **config}
    model = Gemma3ForCausalLM(Gemma3TextConfig(**config)).to(torch.bfloat16).eval()
    model.config.dtype = torch.bfloat16  # as it stands there in a model that was loaded
    return LogProbModel(model, 7)


def settings(temperature: float = 0.7, context_length: int | None = 256, **train: Any) -> RunSettings:
    model = {} if context_length is None else {"context_length": context_length}
    return settings_for("m", model=model, train=train, sampling={"temperature": temperature})


Compared = list[tuple[LogProbModel, Layout, int, float]]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Compared]:
    """Has every comparison say what it is told to, one after the other (the last for all further), and notes them."""

    def begin(*gaps: LayoutGap) -> Compared:
        seen: Compared = []

        def gap(model: LogProbModel, layout: Layout, length: int, temperature: float) -> LayoutGap:
            seen.append((model, layout, length, temperature))
            return gaps[min(len(seen), len(gaps)) - 1] if gaps else LayoutGap(0.0, 0.0)

        monkeypatch.setattr(layout_choice, "layout_gap", gap)
        return seen

    return begin


def test_windows_are_those_the_configuration_names() -> None:
    assert windows(SimpleNamespace(sliding_window=512, attention_chunk_size=64)) == [64, 512]
    assert windows(SimpleNamespace(sliding_window=512, attention_chunk_size=512.0)) == [512]
    assert windows(SimpleNamespace(sliding_window=None, attention_chunk_size=0)) == []
    assert windows(SimpleNamespace()) == []


@pytest.mark.parametrize(
    ("positions", "context_length", "expected"),
    [(512, 256, 256), (512, 1024, 512), (512, None, 512), (8192, None, 4096), (None, None, 4096), (None, 300, 300)],
)
def test_the_longest_sequence_is_that_of_the_settings_and_no_longer_than_the_model_s(
    positions: int | None, context_length: int | None, expected: int
) -> None:
    for config in (SimpleNamespace(max_position_embeddings=positions), SimpleNamespace())[: 1 + (positions is None)]:
        assert longest_sequence(config, settings(context_length=context_length)) == expected


DYNAMIC = {"rope_type": "dynamic", "original_max_position_embeddings": 128}


@pytest.mark.parametrize(
    ("config", "kind", "original"),
    [
        ({"rope_parameters": DYNAMIC, "max_position_embeddings": 512}, "dynamic", 128),
        ({"rope_scaling": {"type": "longrope"}, "max_position_embeddings": 200}, "longrope", 200),
        (
            {
                "rope_parameters": {"rope_type": "longrope"},
                "original_max_position_embeddings": 64,
                "max_position_embeddings": 512,
            },
            "longrope",
            64,
        ),
    ],
)
def test_a_rotary_embedding_that_depends_on_the_longest_row_is_refused_where_rows_can_be_that_long(
    config: dict[str, Any], kind: str, original: int
) -> None:
    model = SimpleNamespace(**config)
    check_positions(model, settings(context_length=original), "m")
    told = (
        f"m: its rotary embedding ({kind}) changes for a whole pass once its longest row has more than {original} "
        "tokens, so that a log-prob would depend on what is computed beside it. Set model.context_length to at most "
        f"{original} (it is {original + 1})"
    )
    longer = SimpleNamespace(**{**config, "max_position_embeddings": 512})
    if kind == "longrope" and original == 200:
        longer.original_max_position_embeddings = 200
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        check_positions(longer, settings(context_length=original + 1), "m")


@pytest.mark.parametrize(
    "scaling", [{}, {"rope_parameters": None}, {"rope_parameters": {**DYNAMIC, "rope_type": "linear"}}]
)
def test_other_rotary_embeddings_pass(scaling: dict[str, Any]) -> None:
    check_positions(SimpleNamespace(**scaling, max_position_embeddings=512), settings(), "m")


def test_a_model_whose_positions_depend_on_the_longest_row_is_not_laid_out() -> None:
    model = llama()
    model.causal_lm.config.rope_parameters = DYNAMIC
    with pytest.raises(ConfigError, match=r"^the model: its rotary embedding \(dynamic\)"):
        choose_layout(model, settings(share_prompts=False), "the model")


@pytest.mark.parametrize("tied", [True, False])
def test_the_cost_of_a_cell_in_passes_of_a_token(tied: bool) -> None:
    # A layer: queries and output 2 · 32², keys and values 2 · 32 · 16, 3 · 32 · 48 behind them, two norms of 32;
    # after the layers one more norm. A cell: 4 operations in each of 4 heads' 8 dimensions, in 2 layers.
    body = 2 * (2 * 32**2 + 2 * 32 * 16 + 3 * 32 * 48 + 2 * 32) + 32
    assert cell_cost(llama(tie_word_embeddings=tied).causal_lm) == pytest.approx(4 * 4 * 8 * 2 / (2 * body))
    wide = 2 * (2 * 32 * 128 + 2 * 32 * 64 + 3 * 32 * 48 + 2 * 32) + 32
    assert cell_cost(llama(head_dim=32).causal_lm) == pytest.approx(4 * 4 * 32 * 2 / (2 * wide))


class Bare(nn.Module):
    """A model of embeddings, a head and `body` further parameters; its configuration names no heads."""

    def __init__(self, body: int) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(5, 8), nn.Linear(8, 5, bias=False)
        self.body = nn.Parameter(torch.zeros(body))
        text = SimpleNamespace(hidden_size=8, num_hidden_layers=3)
        self.config = SimpleNamespace(get_text_config=lambda: text)

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def test_without_heads_a_cell_costs_as_with_one_and_without_a_body_as_with_a_parameter() -> None:
    assert cell_cost(Bare(10)) == pytest.approx(4 * 1 * 8 * 3 / (2 * 10))
    assert cell_cost(Bare(0)) == pytest.approx(4 * 1 * 8 * 3 / 2)


@pytest.mark.parametrize(
    ("config", "stateful", "expected"),
    [
        ({"layer_types": ["full_attention", "conv"]}, False, "conv"),
        ({"layers_block_type": ["attention", "mamba"]}, False, "mamba"),
        ({"layer_types": ["linear_attention"], "layers_block_type": ["mamba"]}, True, "linear_attention"),
        ({"layer_types": ["full_attention"]}, False, None),
        ({"layer_types": None}, True, "recurrent"),
        ({}, False, None),
    ],
)
def test_a_state_is_known_by_the_kinds_of_layers_or_by_the_class(
    config: dict[str, Any], stateful: bool, expected: str | None
) -> None:
    text = SimpleNamespace(**config)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text), _is_stateful=stateful)
    assert stateful_layer(model) == expected
    if not stateful:
        del model._is_stateful
        assert stateful_layer(model) == expected


def test_what_was_chosen_is_a_sentence() -> None:
    behind = "; attention: sdpa; log-probs compared with the model's own"
    for layout, said in (
        (Layout(shares=False, reason="it asks for it"), "a row for each sequence (it asks for it)"),
        (SEPARATE, "a row for each sequence"),
        (Layout(cell_cost=0.1), "the responses of a prompt share a row where that costs less"),
        (SHARED, "the responses of a prompt share a row"),
        (PACKED, "whole sequences one behind the other, without padding"),
    ):
        assert layout_text(layout, "sdpa") == said + behind


def test_sharing_is_chosen_with_what_a_cell_costs_and_without_limit_where_it_is_asked_for(
    compare: Callable[..., Compared],
) -> None:
    model, seen = llama(), compare()
    assert choose_layout(model, settings(), "m") == Layout(shares=True, cell_cost=cell_cost(model.causal_lm))
    assert choose_layout(model, settings(share_prompts=True), "m") == SHARED
    assert choose_layout(model, settings(share_prompts=False), "m") == SEPARATE
    assert [layout.shares for _, layout, *_ in seen] == [True, True, False]


FAR = LayoutGap(0.25, 0.5)
FAR_TEXT = "log-probs differ by up to 0.5 nats a token (allowed 0.001)"


def test_a_layout_that_is_wrong_is_told_with_its_numbers(
    compare: Callable[..., Compared], caplog: pytest.LogCaptureFixture
) -> None:
    compare(FAR, LayoutGap(0.0, 0.0))
    with caplog.at_level(logging.WARNING):
        chosen = choose_layout(llama(), settings(), "the model")
    assert (chosen.shares, chosen.reason) == (False, f"with several in a row {FAR_TEXT}")
    assert caplog.messages == [f"the model: {FAR_TEXT} with several sequences in a row; each gets a row of its own"]
    compare(FAR)
    told = (
        "train.share_prompts = true: with several sequences in a row the model (LlamaForCausalLM) gives other numbers "
        f"than on its own: {FAR_TEXT}. Use auto or false"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        choose_layout(llama(), settings(share_prompts=True), "the model")


@pytest.mark.parametrize("wanted", ["auto", False])
def test_a_model_that_is_wrong_in_every_layout_is_refused(compare: Callable[..., Compared], wanted: Any) -> None:
    compare(FAR)
    told = (
        "the model (LlamaForCausalLM): log-probs from its hidden states are not those of its own logits: "
        f"{FAR_TEXT}. It changes its logits, or what its tokens see, in a way cgpo does not know"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        choose_layout(llama(), settings(share_prompts=wanted), "the model")


def test_a_state_that_runs_through_a_row_is_the_reason(compare: Callable[..., Compared]) -> None:
    model, seen = llama(), compare()
    model.causal_lm._is_stateful = True
    reason = "layers of the kind recurrent have a state that runs through a row"
    chosen = choose_layout(model, settings(), "the model")
    assert (chosen.shares, chosen.reason) == (False, reason)
    assert [layout.shares for _, layout, *_ in seen] == [False]
    told = (
        "train.share_prompts = true: the model (LlamaForCausalLM) has layers of the kind recurrent, "
        "whose state runs from one sequence of a row into the next. Use auto or false"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        choose_layout(model, settings(share_prompts=True), "the model")
    compare(FAR)
    with pytest.raises(ConfigError, match=r"^the model \(LlamaForCausalLM\): log-probs from its hidden states are not"):
        choose_layout(model, settings(), "the model")


def test_flash_attention_takes_no_mask_to_share_with_and_packs(compare: Callable[..., Compared]) -> None:
    seen = compare()
    model = llama()
    model.causal_lm.config._attn_implementation = "flash_attention_2"
    told = "train.share_prompts = true needs a mask, and train.attention = flash takes none. Use auto or false"
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        choose_layout(model, settings(share_prompts=True), "the model")
    asked = choose_layout(model, settings(share_prompts=False), "the model")
    assert (asked.shares, asked.reason) == (False, "train.share_prompts=false")
    assert choose_layout(model, settings(), "the model") == PACKED
    assert [layout for _, layout, *_ in seen] == [SEPARATE, PACKED]
    compare(FAR, LayoutGap(0.0, 0.0))
    wrong = choose_layout(model, settings(), "the model")
    assert (wrong.shares, wrong.reason) == (False, f"with several in a row {FAR_TEXT}")


@pytest.mark.parametrize(("largest", "right"), [(1e-3, True), (1.1e-3, False), (math.nan, False)])
def test_in_float32_every_token_is_held_to_a_thousandth_of_a_nat(
    compare: Callable[..., Compared], largest: float, right: bool
) -> None:
    compare(LayoutGap(0.0, largest), LayoutGap(0.0, 0.0))
    assert choose_layout(llama(), settings(), "m").shares == right


@pytest.mark.parametrize(("mean", "right"), [(0.1, True), (0.11, False), (math.nan, False)])
def test_a_model_in_16_bits_is_held_to_a_mean_once_its_copy_is_exact(
    compare: Callable[..., Compared], mean: float, right: bool
) -> None:
    model = llama(torch.bfloat16)
    seen = compare(LayoutGap(0.0, 0.0), LayoutGap(mean, 9.0), LayoutGap(0.0, 0.0))
    chosen = choose_layout(model, settings(), "m")
    assert chosen.shares == right
    (copied, _, length, temperature), (itself, _, own_length, own_temperature) = seen[:2]
    assert copied is not model
    assert itself is model
    assert (length, temperature, own_length, own_temperature) == (24, 0.7, 24, 0.7)
    if not right:
        said = f"log-probs in torch.bfloat16 differ by {mean:.3g} nats a token (allowed 0.1)"
        assert chosen.reason == f"with several in a row {said}"


def test_every_window_that_a_sequence_can_exceed_is_compared_at_every_temperature(
    compare: Callable[..., Compared],
) -> None:
    run = settings(0.7)
    hot = run.strata["math"].model_copy(
        update={"sampling": run.strata["math"].sampling.model_copy(update={"temperature": 1.5})}
    )
    run = run.model_copy(update={"strata": {**run.strata, "hot": hot}})
    seen = compare()
    choose_layout(gemma3(), run, "m")
    assert [(length, t) for _, _, length, t in seen] == [(24, 0.7), (24, 1.5), (32, 0.7), (32, 1.5), (24, 0.7)]
    seen.clear()
    choose_layout(gemma3(), run.model_copy(update={"model": run.model.model_copy(update={"context_length": 16})}), "m")
    assert {length for _, _, length, _ in seen} == {24}, "no sequence of the run is longer than the window"


def test_the_worst_of_all_comparisons_decides(compare: Callable[..., Compared]) -> None:
    compare(LayoutGap(0.0, 0.0), LayoutGap(0.1, 0.5), LayoutGap(0.0, 0.0))
    assert choose_layout(gemma3(), settings(), "m").reason == f"with several in a row {FAR_TEXT}"
    compare(LayoutGap(0.1, 0.5), LayoutGap(math.nan, math.nan), LayoutGap(0.0, 0.0))
    assert "up to nan nats" in choose_layout(gemma3(), settings(), "m").reason


def test_without_strata_the_temperature_is_1_and_so_it_is_in_place_of_greedy(compare: Callable[..., Compared]) -> None:
    run = settings()
    greedy = run.strata["math"].model_copy(
        update={"sampling": run.strata["math"].sampling.model_copy(update={"temperature": 0.0})}
    )
    for strata in ({}, {"math": greedy}):
        seen = compare()
        choose_layout(llama(), run.model_copy(update={"strata": strata}), "m")
        assert [t for *_, t in seen] == [1.0]


def test_the_model_itself_is_compared_where_that_takes_seconds(
    compare: Callable[..., Compared], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twice its parameters for a token, in rows and one by one, three sequences of 24 tokens.
    model, seen = llama(), compare()
    operations = 2 * sum(p.numel() for p in model.parameters()) * 2 * 3 * 24
    monkeypatch.setattr(layout_choice, "AFFORDABLE", operations)
    choose_layout(model, settings(), "m")
    assert [compared is model for compared, *_ in seen] == [True]
    seen.clear()
    monkeypatch.setattr(layout_choice, "AFFORDABLE", operations - 1)
    choose_layout(model, settings(), "m")
    assert [compared is model for compared, *_ in seen] == [False, True]


@pytest.mark.parametrize(("mean", "right"), [(1e-3, True), (2e-3, False)])
def test_one_in_float32_that_is_too_large_is_held_to_a_thousandth_too(
    compare: Callable[..., Compared], monkeypatch: pytest.MonkeyPatch, mean: float, right: bool
) -> None:
    monkeypatch.setattr(layout_choice, "AFFORDABLE", 0)
    compare(LayoutGap(0.0, 0.0), LayoutGap(mean, 1.0), LayoutGap(0.0, 0.0))
    assert choose_layout(llama(), settings(), "m").shares == right


def test_with_twice_the_temperatures_half_as_many_operations_are_affordable(
    compare: Callable[..., Compared], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(0.7)
    stratum = run.strata["math"]
    hot = stratum.model_copy(update={"sampling": stratum.sampling.model_copy(update={"temperature": 1.5})})
    run = run.model_copy(update={"strata": {"math": stratum, "hot": hot}})
    model, seen = llama(), compare()
    operations = 2 * sum(p.numel() for p in model.parameters()) * 2 * 3 * 2 * 24
    for affordable, whole in ((operations, True), (operations - 1, False)):
        seen.clear()
        monkeypatch.setattr(layout_choice, "AFFORDABLE", affordable)
        choose_layout(model, run, "m")
        assert (seen[0][0] is model) == whole


def test_the_copy_has_a_layer_of_each_kind_few_words_wide_weights_and_no_chance(
    compare: Callable[..., Compared],
) -> None:
    model = gemma3(vocab_size=1600, pad_token_id=1500)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = compare()
    choose_layout(model, settings(), "m")
    second = compare()
    choose_layout(model, settings(), "m")
    assert torch.equal(torch.get_rng_state(), before)
    copied, again = first[0][0], second[0][0]
    config = copied.causal_lm.config
    assert (config.num_hidden_layers, config.vocab_size, config.pad_token_id) == (6, 1024, None)
    assert config.layer_types == ["sliding_attention"] * 5 + ["full_attention"]
    assert (model.causal_lm.config.num_hidden_layers, model.causal_lm.config.vocab_size) == (12, 1600)
    assert (copied.head.chunk, copied.causal_lm.training) == (7, False)
    assert type(copied.causal_lm) is Gemma3ForCausalLM
    assert {p.dtype for p in copied.parameters()} == {torch.float32}
    for one, other in zip(copied.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    query = copied.causal_lm.model.layers[0].self_attn.q_proj.weight
    assert float(query.detach().std()) == pytest.approx(3 * config.initializer_range, rel=0.1)


def test_a_copy_of_one_kind_of_layers_has_two_and_its_own_words_and_padding(compare: Callable[..., Compared]) -> None:
    seen = compare()
    choose_layout(llama(torch.bfloat16, num_hidden_layers=3, pad_token_id=96), settings(), "m")
    copied = seen[0][0].causal_lm
    config = copied.config
    assert (config.num_hidden_layers, config.vocab_size, config.pad_token_id) == (2, 97, 96)
    assert set(copied.model.norm.weight.tolist()) == {1.0}, "norms stay as transformers makes them"


@pytest.mark.parametrize(("padding", "expected"), [(1023, 1023), (1024, None)])
def test_the_first_padding_token_beyond_a_copy_s_words_is_left_out(
    compare: Callable[..., Compared], padding: int, expected: int | None
) -> None:
    seen = compare()
    choose_layout(llama(torch.bfloat16, vocab_size=1600, pad_token_id=padding), settings(), "m")
    assert seen[0][0].causal_lm.config.pad_token_id == expected


def test_the_configuration_within_one_of_pictures_and_text_stays_as_it_is(compare: Callable[..., Compared]) -> None:
    text = {**SMALL, "vocab_size": 1600, "num_hidden_layers": 12, "sliding_window": 16, "head_dim": 8}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=1599)
    model = LogProbModel(Gemma3ForConditionalGeneration(config).to(torch.bfloat16).eval(), 7)
    seen = compare()
    choose_layout(model, settings(), "m")
    assert (config.text_config.num_hidden_layers, config.text_config.vocab_size) == (12, 1600)
    copied = seen[0][0].causal_lm.config.text_config
    assert (copied.num_hidden_layers, copied.vocab_size) == (6, 1024)


def test_a_copy_in_float32_has_an_attention_that_knows_float32(compare: Callable[..., Compared]) -> None:
    model, seen = llama(torch.bfloat16), compare()
    model.causal_lm.config._attn_implementation = "eager"
    choose_layout(model, settings(share_prompts=False), "m")
    assert seen[0][0].causal_lm.config._attn_implementation == "eager"
    for knows, expected in ((True, "sdpa"), (False, "eager")):
        seen.clear()
        model.causal_lm.config._attn_implementation = "flash_attention_2"
        model.causal_lm._supports_sdpa = knows
        choose_layout(model, settings(share_prompts=False), "m")
        assert seen[0][0].causal_lm.config._attn_implementation == expected


def test_what_one_rank_finds_wrong_is_wrong_on_all(
    compare: Callable[..., Compared], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare()
    found = iter([True, False])
    monkeypatch.setattr(distributed, "any_rank", lambda broken: broken or next(found))
    assert not choose_layout(llama(), settings(), "m").shares
    assert list(found) == []


class Watched:
    """A model with the sequences it was given one by one."""

    def __init__(self, model: LogProbModel) -> None:
        self.model, self.alone = model, list[list[int]]()
        plain = model.causal_lm.forward

        def forward(*args: Any, input_ids: Tensor, **kwargs: Any) -> Any:
            self.alone += input_ids.tolist()
            return plain(*args, input_ids=input_ids, **kwargs)

        model.causal_lm.forward = forward


@pytest.mark.parametrize("length", [24, 33])
def test_three_sequences_are_compared_that_share_a_third_and_end_differently(length: int) -> None:
    model = Watched(llama(vocab_size=7))
    layout_gap(model.model, SHARED, length, 1.0)
    layout_gap(model.model, SHARED, length, 1.0)
    first = model.alone[:3]
    assert model.alone[3:] == first, "the same in every run and on every rank"
    third = length // 3
    assert [len(ids) for ids in first] == [length, length - 1, length - (length - third) // 2]
    assert all(ids[:third] == first[0][:third] for ids in first)
    assert len({tuple(ids[third : third + 8]) for ids in first}) == 3
    assert {token for ids in first for token in ids} == {3, 4, 5, 6}, "no special tokens"
    words = Watched(llama(vocab_size=4))
    layout_gap(words.model, SHARED, length, 1.0)
    assert {token for ids in words.alone for token in ids} == {3}


def test_siblings_stand_in_one_row_beside_each_on_its_own_and_no_keys_and_values_are_kept() -> None:
    model, calls = llama(), []
    model.causal_lm.model.register_forward_hook(
        lambda module, args, inputs, outputs: calls.append((inputs["input_ids"].shape, outputs.past_key_values)),
        with_kwargs=True,
    )
    layout_gap(model, SHARED, 24, 1.0)
    assert calls == [((1, 8 + 15 + 14 + 7), None), ((1, 24), None), ((1, 23), None), ((1, 16), None)]


def test_the_gap_is_the_mean_and_the_largest_over_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sequences of 3, 2 and 2 tokens, the first of which is the prompt: four response tokens. One is off by 0.5.
    model = llama()
    plain = model.head.forward

    def off(hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
        return plain(hidden, target, temperature) - torch.tensor([0.5, *[0.0] * (len(target) - 1)])

    monkeypatch.setattr(model.head, "forward", off)
    gap = layout_gap(model, SHARED, 3, 0.7)
    assert (gap.mean, gap.largest) == (pytest.approx(0.5 / 4, abs=1e-5), pytest.approx(0.5, abs=1e-5))
