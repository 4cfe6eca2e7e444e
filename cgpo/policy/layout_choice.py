"""Which layout a model's sequences get: the one that is exact for this model, proved at the start of each run.

A row that holds several sequences is right only where every layer can be told what a token may see. Layers with a state
that runs through the row (recurrent, convolution) cannot; an architecture that makes its masks by itself may ignore
ours. So the chosen layout is compared with the model itself, called the plain way on one sequence after the other, on
sequences with siblings that are longer than each window the run's sequences can exceed, at the run's temperatures:

    in float32   every log-prob within `EXACT` nats, on the model where it is in float32 and that takes seconds, else on
                 a copy of it with one layer of each kind and random weights
    itself       where it was not the one compared, on short sequences: within `ROUNDED` nats a token on average in
                 16-bit types, `EXACT` in float32. Is the head of this type right?

Each rank does the same on its own whole model, and all decide together.
"""

from __future__ import annotations

import copy
import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import ConfigError
from cgpo.policy.layout import PACKED, SEPARATE, SHARED, Layout, TokenSequence, micro_batches
from cgpo.policy.logprobs import LogProbModel

EXACT = 1e-3
"""Nats by which a log-prob in float32 may differ."""

ROUNDED = 0.1
"""Nats a token by which log-probs in a 16-bit type may differ on average."""

AFFORDABLE = 5e12
"""Floating-point operations that a comparison may take: under a minute at the 100 GFLOP/s of a few CPU cores."""

STATEFUL = ("linear_attention", "conv", "mamba", "recurrent", "hybrid", "gated_deltanet", "moe_mamba")
"""Kinds of layers, as configurations name them, whose state runs through a row."""

_FLASH = "flash_attention_2"

_SHORT = 24
"""Tokens of the sequences compared where no window can be exceeded."""

_log = logging.getLogger(__name__)


def choose_layout(model: LogProbModel, settings: RunSettings, name: str) -> Layout:
    """The layout of a model's sequences, which is exact; every rank must call it, with the whole model.

    Raises:
        ConfigError: `train.share_prompts` is true and several sequences in a row change the numbers, or its log-probs
            cannot be computed from its hidden states at all.
    """
    wanted, config = settings.train.share_prompts, model.causal_lm.config.get_text_config()
    check_positions(config, settings, name)
    if wanted is False:
        return _separate(model, settings, name, "train.share_prompts=false")
    flash = model.causal_lm.config._attn_implementation == _FLASH
    if flash and wanted is True:
        raise ConfigError(
            "train.share_prompts = true needs a mask, and train.attention = flash takes none. Use auto or false"
        )
    if (kind := stateful_layer(model.causal_lm)) is not None:
        if wanted is True:
            raise ConfigError(
                f"train.share_prompts = true: {name} ({type(model.causal_lm).__name__}) has layers of the kind {kind}, "
                "whose state runs from one sequence of a row into the next. Use auto or false"
            )
        return _separate(model, settings, name, f"layers of the kind {kind} have a state that runs through a row")
    failure = _failure(model, PACKED if flash else SHARED, settings)
    if failure is None and flash:
        return PACKED
    if failure is None:
        return SHARED if wanted is True else Layout(cell_cost=cell_cost(model.causal_lm))
    if wanted is True:
        raise ConfigError(
            f"train.share_prompts = true: with several sequences in a row {name} ({type(model.causal_lm).__name__}) "
            f"gives other numbers than on its own: {failure}. Use auto or false"
        )
    _log.warning("%s: %s with several sequences in a row; each gets a row of its own", name, failure)
    return _separate(model, settings, name, f"with several in a row {failure}")


def layout_text(layout: Layout, attention: str) -> str:
    """What was chosen, in a line for the person.

    Args:
        layout: of the policy.
        attention: transformers' name of its attention.
    """
    if not layout.shares:
        rows = f"a row for each sequence ({layout.reason})" if layout.reason else "a row for each sequence"
    elif not layout.masked:
        rows = "whole sequences one behind the other, without padding"
    elif layout.cell_cost:
        rows = "the responses of a prompt share a row where that costs less"
    else:
        rows = "the responses of a prompt share a row"
    return f"{rows}; attention: {attention}; log-probs compared with the model's own"


def stateful_layer(causal_lm: Any) -> str | None:
    """The kind of a layer whose state runs through a row; None where there is none."""
    config = causal_lm.config.get_text_config()
    kinds = [*(getattr(config, "layer_types", None) or ()), *(getattr(config, "layers_block_type", None) or ())]
    found = next((kind for kind in kinds if kind in STATEFUL), None)
    if found is None and getattr(causal_lm, "_is_stateful", False):
        return "recurrent"
    return found


def windows(config: Any) -> list[int]:
    """The windows and chunks of attention that a model's configuration names, in tokens."""
    named = (getattr(config, key, None) for key in ("sliding_window", "attention_chunk_size"))
    return sorted({int(size) for size in named if size})


def check_positions(config: Any, settings: RunSettings, name: str) -> None:
    """Refuses a model whose rotary embedding depends on the longest row of a pass.

    Raises:
        ConfigError: the run's sequences can be longer than the length at which it changes.
    """
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind not in ("dynamic", "longrope"):
        return
    original = scaling.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", config.max_position_embeddings
    )
    longest = longest_sequence(config, settings)
    if longest > original:
        raise ConfigError(
            f"{name}: its rotary embedding ({kind}) changes for a whole pass once its longest row has more than "
            f"{original} tokens, so that a log-prob would depend on what is computed beside it. Set "
            f"model.context_length to at most {original} (it is {longest})"
        )


def longest_sequence(config: Any, settings: RunSettings) -> int:
    """Most tokens a sequence of the run can have, as far as the settings say."""
    positions = getattr(config, "max_position_embeddings", None) or math.inf
    return int(min(settings.model.context_length or 4096, positions))


def cell_cost(causal_lm: Any) -> float:
    """What one query against one key costs in all layers, in passes of a token (`Layout.cell_cost`).

    4 · heads · head size operations a layer (the product with the key, and the one with the value), against 2 for each
    parameter of the body.
    """
    config = causal_lm.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 1)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    embeddings = {id(causal_lm.get_input_embeddings().weight), id(causal_lm.get_output_embeddings().weight)}
    body = sum(p.numel() for p in causal_lm.parameters() if id(p) not in embeddings)
    return float(4 * heads * size * config.num_hidden_layers / (2 * max(body, 1)))


def _separate(model: LogProbModel, settings: RunSettings, name: str, reason: str) -> Layout:
    """A row for each sequence, once it is exact."""
    if (failure := _failure(model, SEPARATE, settings)) is not None:
        raise ConfigError(
            f"{name} ({type(model.causal_lm).__name__}): log-probs from its hidden states are not those of its own "
            f"logits: {failure}. It changes its logits, or what its tokens see, in a way cgpo does not know"
        )
    return replace(SEPARATE, reason=reason)


def _failure(model: LogProbModel, layout: Layout, settings: RunSettings) -> str | None:
    """What is wrong with a layout, in words; None where it is exact on every rank. Every rank must call it."""
    with distributed.together():
        broken, told = _comparison(model, layout, settings)
    return told if distributed.any_rank(broken) else None


def _comparison(model: LogProbModel, layout: Layout, settings: RunSettings) -> tuple[bool, str]:
    """Whether a layout is wrong on this rank, and by how much, in words."""
    temperatures = sorted({stratum.sampling.temperature or 1.0 for stratum in settings.strata.values()}) or [1.0]
    exact = _dtype(model) in (torch.float32, torch.float64)
    config = model.causal_lm.config.get_text_config()
    lengths = [_SHORT, *(size + size // 2 + 8 for size in windows(config) if size < longest_sequence(config, settings))]
    guarded = model if exact and _whole_is_affordable(model, lengths, temperatures) else _small_copy(model)
    gaps = [layout_gap(guarded, layout, length, t) for length in lengths for t in temperatures]
    worst = max(gaps, key=lambda gap: math.inf if math.isnan(gap.largest) else gap.largest)
    broken = not worst.largest <= EXACT
    told = f"log-probs differ by up to {worst.largest:.3g} nats a token (allowed {EXACT:g})"
    if not broken and guarded is not model:
        own, allowed = layout_gap(model, layout, _SHORT, temperatures[0]).mean, EXACT if exact else ROUNDED
        broken = not own <= allowed
        told = f"log-probs in {_dtype(model)} differ by {own:.3g} nats a token (allowed {allowed:g})"
    return broken, told


@dataclass(frozen=True)
class LayoutGap:
    """How far log-probs in a layout are from the model's own, in nats a token."""

    mean: float
    largest: float


@torch.no_grad()
def layout_gap(model: LogProbModel, layout: Layout, length: int, temperature: float) -> LayoutGap:
    """Compares log-probs in a layout with those of the model itself, one sequence at a time.

    Args:
        model: a whole model.
        layout: the layout.
        length: tokens of the longest of the three sequences, which share a prompt of a third of them.
        temperature: of the distribution.
    """
    sequences = _siblings(model.causal_lm.config.get_text_config().vocab_size, length)
    device = next(model.parameters()).device
    ours: list[Tensor] = [torch.zeros(0)] * len(sequences)
    for batch in micro_batches(sequences, range(len(sequences)), 8 * length, layout):
        batch = batch.to(device)
        logprobs = model(batch, temperature)[0].float()
        for i in set(batch.sample.tolist()):
            ours[i] = logprobs[batch.sample == i]
    theirs = [_own_logprobs(model.causal_lm, s, temperature, device) for s in sequences]
    gap = (torch.cat(ours) - torch.cat(theirs)).abs()
    return LayoutGap(float(gap.mean()), float(gap.max()))


def _siblings(vocabulary: int, length: int) -> list[TokenSequence]:
    draw = random.Random(length)
    tokens = [3 + draw.randrange(max(vocabulary - 3, 1)) for _ in range(3 * length)]
    prompt, rest = length // 3, length - length // 3
    return [
        TokenSequence(tuple(tokens[:prompt]), tuple(tokens[start : start + rest - shorter]))
        for start, shorter in ((prompt, 0), (length, 1), (2 * length, rest // 2))
    ]


def _own_logprobs(causal_lm: Any, sequence: TokenSequence, temperature: float, device: torch.device) -> Tensor:
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]], device=device)
    start = len(sequence.prompt_ids)
    logits = causal_lm(input_ids=ids, use_cache=False).logits[0, start - 1 : -1].float() / temperature
    logprobs: Tensor = logits.log_softmax(-1).gather(1, ids[0, start:, None]).squeeze(1)
    return logprobs


def _dtype(model: LogProbModel) -> torch.dtype:
    return next(model.parameters()).dtype


def _small_copy(model: LogProbModel) -> LogProbModel:
    """The same architecture in float32 with random weights: as few layers as show each kind, few words.

    Weights are drawn three times wider than transformers does: attention then differs between keys, and a mask that is
    wrong is seen.
    """
    config = copy.deepcopy(model.causal_lm.config)
    text = config.get_text_config()
    kinds: Sequence[Any] = getattr(text, "layer_types", None) or ()
    text.num_hidden_layers = layers = max((kinds.index(kind) + 1 for kind in set(kinds)), default=2)
    if "layer_types" in vars(text):  # else it follows from the number of layers
        text.layer_types = list(kinds[:layers])
    text.vocab_size = min(text.vocab_size, 1024)
    for part in (config, text):
        if (getattr(part, "pad_token_id", None) or 0) >= text.vocab_size:
            part.pad_token_id = None  # an embedding refuses a padding index beyond its end
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        causal_lm = type(model.causal_lm)._from_config(
            config, dtype=torch.float32, **_attention_of_copy(model.causal_lm)
        )
    with torch.no_grad():
        for parameter in causal_lm.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    device = next(model.parameters()).device
    return LogProbModel(causal_lm.to(device).eval(), model.head.chunk)


def _attention_of_copy(causal_lm: Any) -> dict[str, str]:
    """The attention of a copy in float32, which flash attention does not know."""
    if causal_lm.config._attn_implementation != _FLASH:
        return {}
    return {"attn_implementation": "sdpa" if causal_lm._supports_sdpa else "eager"}


def _whole_is_affordable(model: LogProbModel, lengths: Sequence[int], temperatures: Sequence[float]) -> bool:
    """Whether comparing the model itself on sequences of these lengths takes seconds."""
    parameters = sum(p.numel() for p in model.parameters())
    passes = 2 * 3 * len(temperatures)  # in rows and one by one, three sequences
    return 2 * parameters * passes * sum(lengths) <= AFFORDABLE
