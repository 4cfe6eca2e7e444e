"""Writes a policy as a Hugging Face folder: that of a run's checkpoint, or one whose weights are in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from cgpo import distributed
from cgpo.compose import validate
from cgpo.config import ModelSettings, RunSettings
from cgpo.errors import ConfigError, RunError
from cgpo.policy.checkpoints import Checkpoint, Checkpoints
from cgpo.policy.loading import load_causal_lm, load_tokenizer
from cgpo.policy.lora import add_adapter, is_adapter, merge_for_good
from cgpo.policy.policy import Policy, language_model_part
from cgpo.storage.file_names import CHECKPOINTS_NAME
from cgpo.storage.run_config import read_config


def export_run(run_dir: Path, output: Path, checkpoint: str | None = None) -> Path:
    """Exports the policy of a run's checkpoint, a LoRA adapter merged into it.

    Args:
        run_dir: the run directory.
        output: a folder that does not exist yet; it appears whole or not at all.
        checkpoint: `best` or the number of a step; None for the newest.

    Returns:
        `output`, which transformers and vLLM load.

    Raises:
        ConfigError: `output` exists, there is no such checkpoint, or the run's model cannot be loaded.
        RunError: the run has no checkpoint, it is damaged or does not fit the model, or the disk is full.
    """
    settings, whole = _verified_checkpoint(run_dir, output, checkpoint)
    model = checkpoint_model(whole, settings)
    tokenizer = load_tokenizer(settings.model.name, settings.model)
    return _write(output, [model.save_pretrained, tokenizer.save_pretrained])


def export_adapter(run_dir: Path, output: Path, checkpoint: str | None = None) -> Path:
    """Exports the LoRA adapter of a run's checkpoint alone, in peft's form.

    Raises:
        ConfigError: as `export_run`, or the run has no adapter.
        RunError: as `export_run`.
    """
    settings, whole = _verified_checkpoint(run_dir, output, checkpoint)
    if settings.model.lora is None:
        raise ConfigError(f"--adapter: {run_dir} trained all weights, not an adapter (model.lora is not set)")
    return _write(output, [_adapted_model(whole, settings).save_pretrained])


def _verified_checkpoint(run_dir: Path, output: Path, name: str | None) -> tuple[RunSettings, Checkpoint]:
    if output.exists():
        raise ConfigError(f"--output {output}: exists already")
    settings = validate(read_config(run_dir))
    checkpoint = Checkpoints(run_dir / CHECKPOINTS_NAME, keep=1).find(name)
    checkpoint.verify()
    return settings, checkpoint


def _write(output: Path, savers: Sequence[Callable[[Path], Any]]) -> Path:
    """Lets each write into a folder that becomes `output` when all are done."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
            whole = Path(temporary) / "whole"
            for save in savers:
                save(whole)
            whole.rename(output)
    except OSError as error:
        raise RunError(f"--output {output} could not be written: {error}") from error
    return output


def checkpoint_model(checkpoint: Checkpoint, settings: RunSettings) -> Any:
    """The policy of a checkpoint as a transformers model, without DeepSpeed and its optimiser.

    Args:
        checkpoint: a whole checkpoint.
        settings: those of the run that wrote it.

    Raises:
        ConfigError: the run's model cannot be loaded.
        RunError: the checkpoint does not fit the model.
    """
    if settings.model.lora is not None:
        return merge_for_good(_adapted_model(checkpoint, settings))
    model = load_causal_lm(settings.model.name, settings.model)
    _load_checkpoint(model, checkpoint, settings, _tied(model))
    model.tie_weights()
    return model


def full_weights(policy: Policy) -> dict[str, Tensor] | None:
    """The whole weights under transformers' names on rank 0's CPU (None on the others); every rank must call it."""
    first = distributed.rank() == 0
    whole = {}
    for name, tensor in policy.weights():
        if first:
            whole[name] = tensor.detach().cpu().clone()
    return whole if first else None


def write_model(weights: dict[str, Tensor], settings: ModelSettings, tokenizer: Any, folder: Path) -> None:
    """Writes model and tokenizer into `folder`, which transformers and vLLM load.

    Args:
        weights: all of them, by transformers' names.
        settings: of the model the policy was loaded from; its files give everything but the weights.
        tokenizer: of the policy.
        folder: where to.

    Raises:
        RunError: the weights are not those of such a model.
    """
    model = load_causal_lm(settings.name, settings)
    _load_weights(model, weights, _tied(model), f"these are not the weights of {settings.name}")
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _adapted_model(checkpoint: Checkpoint, settings: RunSettings) -> Any:
    """peft's wrapper around the model the run started from, with the checkpoint's adapter."""
    if settings.model.lora is None:
        raise ValueError("the run has no adapter")
    model = load_causal_lm(settings.model.name, settings.model)
    adapted = add_adapter(model, settings.model.lora, settings.seed)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    _load_checkpoint(model, checkpoint, settings, {name for name in names if not is_adapter(name)})
    return adapted


def _load_checkpoint(model: Any, checkpoint: Checkpoint, settings: RunSettings, may_miss: set[str]) -> None:
    problem = f"{checkpoint.folder} does not hold the weights of {settings.model.name}"
    _load_weights(model, _trained_weights(checkpoint, settings), may_miss, problem)


def _load_weights(model: Any, weights: dict[str, Any], may_miss: set[str], problem: str) -> None:
    """Puts weights into a model.

    Raises:
        RunError: one has another shape or no place there, or one is missing that may not be; it begins with `problem`.
    """
    try:
        keys = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # torch's for shapes, a line for each weight
        shapes = str(error).strip().splitlines()[-1].strip()
        raise RunError(f"{problem}: {shapes}") from error
    if keys.unexpected_keys or set(keys.missing_keys) - may_miss:
        raise RunError(f"{problem}: {keys}")


def _tied(model: Any) -> set[str]:
    """Second names of tied weights: files need not hold them."""
    return set(getattr(model, "all_tied_weights_keys", None) or ())


def _trained_weights(checkpoint: Checkpoint, settings: RunSettings) -> dict[str, Any]:
    """What was trained, in float32, or in the policy's type where there is no float32; a value head left out."""
    import torch

    if checkpoint.read_state()["zero_stage"] > 0:  # the run may have another stage by now
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

        frozen = settings.model.lora is not None
        state = get_fp32_state_dict_from_zero_checkpoint(
            str(checkpoint.folder), tag="state", exclude_frozen_parameters=frozen
        )
    else:
        file = checkpoint.folder / "state" / "mp_rank_00_model_states.pt"
        state = torch.load(file, map_location="cpu", weights_only=False)["module"]
    return language_model_part(state)
