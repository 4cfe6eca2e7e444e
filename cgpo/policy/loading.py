"""Loads a causal language model and its tokenizer, with errors a user can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cgpo.config import ModelSettings
from cgpo.errors import ConfigError
from cgpo.models.assets import resolve_model
from cgpo.models.quiet import hidden_progress_bars
from cgpo.policy.attention import attention_implementation

DEFAULT_CONTEXT_LENGTH = 4096
"""Upper bound of the context when the user sets none: caches and masks grow with it."""


def load_causal_lm(name: str, settings: ModelSettings, attention: str = "auto") -> Any:
    """The model of hub name or folder `name` in `settings.dtype`, dropout off.

    Args:
        name: of the model.
        settings: how to load it.
        attention: as `train.attention`.

    Raises:
        ConfigError: there is no such model, it is no causal language model, or its attention cannot be computed so.
    """
    return _load(name, settings, settings.revision, "model.name", attention)


def check_precision(dtype: str) -> None:
    """Refuses a number type that DeepSpeed does not train in on this machine.

    Raises:
        ConfigError: naming the types that it does.
    """
    from deepspeed.accelerator import get_accelerator

    device = get_accelerator()
    trains = {"float32": True, "bfloat16": device.is_bf16_supported(), "float16": device.is_fp16_supported()}
    if not trains[dtype]:
        allowed = ", ".join(name for name, possible in trains.items() if possible)
        raise ConfigError(
            f"model.dtype = {dtype}: DeepSpeed does not train in it on this device ({device.device_name()}). "
            f"Allowed here: {allowed}"
        )


def load_reference(settings: ModelSettings, attention: str = "auto") -> Any:
    """π_ref: the model of `model.reference`, or the one the policy starts from.

    Raises:
        ConfigError: as `load_causal_lm`.
    """
    if settings.reference is None:
        return load_causal_lm(settings.name, settings, attention)
    return _load(settings.reference, settings, settings.reference_revision, "model.reference", attention)


def _load(name: str, settings: ModelSettings, revision: str | None, where: str, attention: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    path = resolve_model(name)
    common = {"revision": revision, "trust_remote_code": settings.trust_remote_code}
    try:
        config = switch_off_dropout(AutoConfig.from_pretrained(path, **common))
        implementation = attention_implementation(config, attention, name)
        with hidden_progress_bars():
            return AutoModelForCausalLM.from_pretrained(
                path, config=config, dtype=getattr(torch, settings.dtype), attn_implementation=implementation, **common
            )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_no_model(where, name, path, error)) from error


def load_tokenizer(name: str, settings: ModelSettings) -> Any:
    """The tokenizer of hub name or folder `name`.

    Raises:
        ConfigError: there is none.
    """
    from transformers import AutoTokenizer

    path = resolve_model(name)
    try:
        return AutoTokenizer.from_pretrained(
            path, revision=settings.revision, trust_remote_code=settings.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_no_model("model.name", name, path, error)) from error


def context_length(settings: ModelSettings, length: int | None = None, where: str = "model.context_length") -> int:
    """Most tokens of prompt + response: `length`, or what the model's own configuration allows, at most 4096.

    Args:
        settings: of the model.
        length: another setting's number, before `model.context_length`.
        where: that setting, for messages.

    Raises:
        ConfigError: it is more than the model has positions for.
    """
    from transformers import AutoConfig

    path = resolve_model(settings.name)
    try:
        config = AutoConfig.from_pretrained(
            path, revision=settings.revision, trust_remote_code=settings.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_no_model("model.name", settings.name, path, error)) from error
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    if length is None:
        length, where = settings.context_length, "model.context_length"
    if length is None:
        return min(limit or DEFAULT_CONTEXT_LENGTH, DEFAULT_CONTEXT_LENGTH)
    if limit is not None and length > limit:
        raise ConfigError(f"{where} = {length}: the model {settings.name!r} has positions for {limit} tokens")
    return length


def switch_off_dropout(config: Any) -> Any:
    """The configuration with every dropout rate 0: log π must be a function of the weights, in training mode too."""
    for name, value in vars(config).items():
        if ("dropout" in name or name.endswith("pdrop")) and isinstance(value, float):
            setattr(config, name, 0.0)
    return config


def _no_model(setting: str, name: str, path: str, error: Exception) -> str:
    where = f"folder {path}" if Path(path).is_dir() else f"hub name {name!r}"
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{setting}: {where} cannot be loaded as a causal language model with its tokenizer: {first}"
