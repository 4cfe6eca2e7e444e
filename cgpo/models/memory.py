"""How much memory a rank of a run will need: an estimate from shapes, before anything is loaded. No torch.

With P weights of which T are trained, N ranks, ZeRO stage z, and w bytes a weight (4 or 2):

    policy            P · w        / N where z = 3
    gradients         T · 4        / N where z ≥ 2; and T · w more where a 16-bit gradient waits to be added to the sum
    reduction         DeepSpeed's bucket of 5·10⁸ gradients, allocated whole under ZeRO; without it, no more than T, and
                      nothing on one rank in float32
    master weights    T · 4 / N    where z ≥ 1 (without ZeRO the weights themselves are float32)
    AdamW             T · 8        / N where z ≥ 1
    reference         P · w        nothing with adapter_off; in the host's memory with offload
    rollout engine    P · w        and its key-value cache
    activations       of a micro-batch of M tokens: a layer keeps about 10 hidden + 4 key-value + 4 inner widths a
                      token until the backward pass; with gradient checkpointing one width, and one layer whole
    attention mask    M² · (1 + w) at most, one row of all M tokens: a byte a cell, and a copy in the scores' type
    float32 head      V · h · 4    with train.float32_logits in a 16-bit type
    logits            chunk · vocabulary · 4 bytes, three times: the logits, their float32 copy, their gradient

What a library reserves and fragmentation come on top. `bench/learner.py` compares it with what
a process really took.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.config import LoraSettings, ModelSettings, RunSettings
from cgpo.models.assets import cached_model_folder

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

_BUCKET = 5 * 10**8
"""Gradients that DeepSpeed reduces at once, by default: a copy of them, even on one rank."""

_NOT_ADAPTED = ("embed", "lm_head", "wte", "wpe", "embed_out")
"""Parts of names of two-dimensional weights that `all-linear` leaves out."""


@dataclass(frozen=True)
class ModelShape:
    """What the estimate needs to know of a model.

    Attributes:
        weights: name → shape.
        layers, hidden, inner, key_value, vocabulary: sizes from its `config.json`.
    """

    weights: Mapping[str, tuple[int, ...]]
    layers: int
    hidden: int
    inner: int
    key_value: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """Weights in all."""
        return sum(_product(shape) for shape in self.weights.values())

    def adapter_parameters(self, lora: LoraSettings) -> int:
        """Weights of a LoRA adapter on this model."""
        return sum(
            lora.rank * sum(shape)
            for name, shape in self.weights.items()
            if len(shape) == 2 and _adapted(name.removesuffix(".weight"), lora)
        )


@dataclass(frozen=True)
class MemoryPart:
    """One part of a rank's memory, in bytes; `host` says that it is in the host's memory where there is another."""

    name: str
    size: float
    host: bool = False


def model_shape(settings: ModelSettings) -> ModelShape | None:
    """Sizes of the policy, read from the files of a local or cached model; None where there are none (yet)."""
    folder = cached_model_folder(settings.name, settings.revision)
    if folder is None:
        return None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        weights = {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in _header(file)}
        hidden = _first(config, "hidden_size", "n_embd", "d_model")
        heads = _first(config, "num_attention_heads", "n_head")
        size = config.get("head_dim") or hidden // heads
        return ModelShape(
            weights=weights,
            layers=_first(config, "num_hidden_layers", "n_layer"),
            hidden=hidden,
            inner=config.get("intermediate_size") or config.get("n_inner") or 4 * hidden,
            key_value=(config.get("num_key_value_heads") or heads) * size,
            vocabulary=config["vocab_size"],
        )
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None  # an estimate is a courtesy: what is wrong with the model is said when it is loaded


def memory_parts(settings: RunSettings, shape: ModelShape, ranks: int) -> list[MemoryPart]:
    """The parts of one rank's memory, in order of the table above."""
    model, deepspeed, train = settings.model, settings.deepspeed, settings.train
    stage, wide = deepspeed.zero_stage, _BYTES[model.dtype]
    whole = shape.parameters
    trained = whole if model.lora is None else shape.adapter_parameters(model.lora)
    frozen = 0 if model.lora is None else trained  # the adapter comes beside the base model
    offload = deepspeed.offload_optimizer == "cpu"
    bucket = deepspeed.config.get("zero_optimization", {}).get("reduce_bucket_size", _BUCKET)
    if stage == 0:
        bucket = 0 if ranks == 1 and wide == 4 else min(trained, _BUCKET)
    reference = 0 if model.reference_mode == "adapter_off" else whole * wide
    share = ranks if stage >= 1 else 1
    gradients = trained * 4 / (ranks if stage >= 2 else 1) + (trained * wide if wide == 2 else 0)
    policy = (whole + frozen) * wide / (ranks if stage == 3 else 1)
    masked = train.share_prompts is not False and train.attention != "flash"
    parts = [
        MemoryPart("policy", policy, deepspeed.offload_parameters == "cpu"),
        MemoryPart("gradients", gradients),
        MemoryPart("reduction", bucket * wide),
        MemoryPart("master weights", trained * 4 / share if stage >= 1 else 0, offload),
        MemoryPart("AdamW", trained * 8 / share, offload),
        MemoryPart("reference", reference, model.reference_mode == "offload"),
        MemoryPart("rollout engine", whole * wide),
        MemoryPart("activations", activations(shape, train.micro_batch_tokens, wide, model.gradient_checkpointing)),
        MemoryPart("attention mask", train.micro_batch_tokens**2 * (1 + wide) if masked else 0),
        MemoryPart("float32 head", shape.vocabulary * shape.hidden * 4 if train.float32_logits and wide == 2 else 0),
        MemoryPart("logits", train.logit_chunk_tokens * shape.vocabulary * 12),
    ]
    return [part for part in parts if part.size]


def activations(shape: ModelShape, tokens: int, wide: int, checkpointing: bool) -> float:
    """Bytes that a forward pass keeps for the backward pass."""
    layer = (10 * shape.hidden + 4 * shape.key_value + 4 * shape.inner) * wide
    return tokens * (shape.layers * shape.hidden * wide + layer if checkpointing else shape.layers * layer)


def memory_text(settings: RunSettings, ranks: int) -> str:
    """The estimate in a few lines, for the plan."""
    shape = model_shape(settings.model)
    if shape is None or not shape.weights:
        return f"memory: no estimate, because the weights of {settings.model.name} are not on this machine yet"
    parts = memory_parts(settings, shape, ranks)
    listed = ", ".join(f"{part.name} {_gib(part.size)}{' (host)' if part.host else ''}" for part in parts)
    device, host = (sum(part.size for part in parts if part.host is where) for where in (False, True))
    total = f"{_gib(device)} GiB" + (f" and {_gib(host)} GiB of the host's" if host else "")
    cache = "" if settings.rollout.engine == "hf" else ", the engine's key-value cache not counted"
    return f"memory of a rank, an estimate: {total}{cache}\n  GiB: {listed}"


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f}"


def _header(file: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes in a safetensors file: eight bytes of length, then JSON."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        header: dict[str, Any] = json.loads(opened.read(length))
    return [(name, tuple(entry["shape"])) for name, entry in header.items() if name != "__metadata__"]


def _first(config: Mapping[str, Any], *names: str) -> int:
    return int(next(config[name] for name in names if config.get(name)))


def _adapted(module: str, lora: LoraSettings) -> bool:
    if lora.target_modules == "all-linear":
        return not any(part in module for part in _NOT_ADAPTED)
    return any(module == target or module.endswith(f".{target}") for target in lora.target_modules)


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
