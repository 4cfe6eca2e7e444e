"""Loads sequence classifiers: a trained one to score with, or a base with a new head to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cgpo.errors import ConfigError, listed
from cgpo.models.assets import resolve_model
from cgpo.models.quiet import quiet_transformers
from cgpo.rewards.heads import FILE_NAME as HEADS_NAME
from cgpo.rewards.heads import Head, read_heads


def load_trained(
    name: str, where: str, *, dtype: str = "float32", revision: str | None = None, trust_remote_code: bool = False
) -> tuple[Any, Any]:
    """A trained reward model and its tokenizer, in evaluation mode.

    Args:
        name: folder or hub name.
        where: the setting it comes from, for messages.
        dtype: of the weights.
        revision: branch, tag or commit on the hub.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        ConfigError: no such model, a head that was never trained, or a tokenizer that is not the model's.
    """
    check_folder(name, where)
    source = {"revision": revision, "trust_remote_code": trust_remote_code}
    model, tokenizer, info = _load(name, where, dtype, source)
    if missing := sorted(info["missing_keys"]):
        raise ConfigError(
            f"{where}: {name!r} is no trained reward model: its files lack {listed(missing, 4)}, "
            "so its scores would be random. Train one with `cgpo reward`"
        )
    _refuse_mismatched(info, f"{where}: {name!r}")
    return model.eval(), tokenizer


def load_base(name: str, where: str, seed: int, outputs: Sequence[str] = ("reward",)) -> tuple[Any, Any]:
    """A pretrained model with a new head, and its tokenizer, float32. A head that it has with as many outputs is kept.

    Args:
        name: an alias of `cgpo.models.assets`, folder or hub name.
        where: the setting it comes from, for messages.
        seed: of the new head's weights.
        outputs: names of its outputs.

    Raises:
        ConfigError: no such model, weights that are not the model's, or a tokenizer that is not.
    """
    import torch

    torch.manual_seed(seed)
    model, tokenizer, info = _load(name, where, num_labels=len(outputs))
    _check_body(model, info, f"{where}: {name!r}")
    model.config.id2label = dict(enumerate(outputs))
    model.config.label2id = {output: number for number, output in enumerate(outputs)}
    return model, tokenizer


def check_max_length(model: Any, max_length: int, where: str) -> None:
    """Refuses a `max_length` beyond the positions the model knows.

    Raises:
        ConfigError: it is longer.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    if limit is not None and padding is not None:
        limit -= padding + 1  # RoBERTa counts positions from there
    if limit is not None and max_length > limit:
        raise ConfigError(f"{where} = {max_length}: the model knows at most {limit} tokens")


def heads_of(name: str, revision: str | None = None) -> list[Head] | None:
    """The meaning of a model's outputs, where `reward.json` lies with it, in its folder or on the hub.

    Raises:
        ConfigError: the file is damaged, or of another version.
    """
    from transformers.utils import cached_file

    file = cached_file(
        resolve_model(name),
        HEADS_NAME,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    return read_heads(Path(file).parent) if file else None


def _load(
    name: str, where: str, dtype: str = "float32", source: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> tuple[Any, Any, Mapping[str, Any]]:
    """Model, tokenizer and what transformers says of the weights: `missing_keys`, `mismatched_keys`."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    path = resolve_model(name)
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            model, info = AutoModelForSequenceClassification.from_pretrained(
                path,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are looked at here, where they can be named
                **source,
                **options,
            )
    except (OSError, ValueError, KeyError, ImportError, TypeError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        known = "" if Path(path).is_dir() else " (no folder of that name here, so it was taken for one on the hub)"
        raise ConfigError(f"{where}: {name!r} cannot be loaded as a sequence classifier{known}: {first}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    _check_tokenizer(model, tokenizer, f"{where}: {name!r}")
    # A causal base finds the last token of each text by this id, so it must be the one the texts are padded with.
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, info


def _refuse_mismatched(info: Mapping[str, Any], what: str, inside: str = "") -> None:
    """Refuses weights of other shapes than the model's configuration says; `inside`: of weights so named alone."""
    wrong = sorted(each for each in info["mismatched_keys"] if each[0].startswith(inside))
    if wrong:
        key, stored, expected = wrong[0]
        raise ConfigError(
            f"{what}: {len(wrong)} weights have other shapes in its files than its config.json says, {key} "
            f"{list(stored)} instead of {list(expected)}: they are not of one model"
        )


def _check_body(model: Any, info: Mapping[str, Any], what: str) -> None:
    """Refuses a base whose files hold another model's weights: all but its new head would be random.

    A few may be missing (a pooler that a language model never had).
    """
    inside = f"{model.base_model_prefix}."
    _refuse_mismatched(info, what, inside)
    body = [key for key in model.state_dict() if key.startswith(inside)]
    missing = sorted(key for key in info["missing_keys"] if key.startswith(inside))
    if len(missing) > len(body) / 2:
        raise ConfigError(
            f"{what} is no trained model: its files lack {len(missing)} of {len(body)} weights ({listed(missing, 4)}), "
            "which would be random"
        )


def _check_tokenizer(model: Any, tokenizer: Any, what: str) -> None:
    """Every token has an embedding; without this check the first text that has none ends in an index error."""
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) < rows / 2:
        # Of a folder without tokenizer files transformers makes a tokenizer that knows no words, and says nothing.
        raise ConfigError(
            f"{what}: its tokenizer knows {len(tokenizer)} tokens and the model {rows}: it is not the model's, or its "
            "files are missing. Put the tokenizer that the model was trained with into its folder"
        )
    text, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= rows:
        raise ConfigError(
            f"{what}: its tokenizer is not the model's: token {text!r} has id {largest}, and the model knows the ids 0 "
            f"to {rows - 1}. Put the tokenizer that the model was trained with into its folder"
        )


def check_folder(name: str, where: str) -> None:
    """What looks like a folder must be a model; the commonest reason that it is not is a stage that has not run.

    Raises:
        ConfigError: it is a folder, and no model.
    """
    path = Path(name).expanduser()
    try:
        path.exists()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {name[:100]!r} is no name of a folder: {error.__class__.__name__}") from error
    # A hub name has one slash and no dot in front; deeper or rooted names can only be folders.
    looks_local = path.exists() or path.is_absolute() or name.startswith((".", "~", "runs/")) or name.count("/") > 1
    if not looks_local or (path / "config.json").is_file():
        return
    if (path / "model" / "config.json").is_file():
        raise ConfigError(f"{where}: {name!r} is a run directory; its model is {str(path / 'model')!r}")
    problem = "there is no such folder" if not path.exists() else "it has no config.json"
    raise ConfigError(
        f"{where}: {name!r} is no model: {problem}. If `cgpo reward` is to make it, run that first with the same "
        f"experiment, e.g. `cgpo reward experiment=quickstart`"
    )
