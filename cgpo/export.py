"""Writes the policy of a checkpoint as a Hugging Face folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cgpo.compose import validate
from cgpo.config import RunSettings
from cgpo.errors import ConfigError, RunError
from cgpo.policy.checkpoints import Checkpoint, Checkpoints
from cgpo.policy.model import load_causal_lm, load_tokenizer
from cgpo.policy.policy import without_prefix
from cgpo.run_directory import read_config


def export_run(run_dir: Path, output: Path) -> Path:
    """Exports the newest checkpoint of a run.

    Args:
        run_dir: the run directory.
        output: a folder that does not exist yet; it appears whole or not at all.

    Returns:
        `output`, which transformers and vLLM load.

    Raises:
        ConfigError: `output` exists, or the run's model cannot be loaded.
        RunError: the run has no checkpoint, the checkpoint does not fit the model, or the disk is full.
    """
    if output.exists():
        raise ConfigError(f"--output {output}: exists already")
    settings = validate(read_config(run_dir))
    latest = Checkpoints(run_dir / "checkpoints", keep=1).latest()
    if latest is None:
        raise RunError(f"{run_dir} has no checkpoint yet: train first, or lower train.save_every")
    model = checkpoint_model(latest, settings)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
            whole = Path(temporary) / "whole"
            model.save_pretrained(whole)
            load_tokenizer(settings.model.name, settings.model).save_pretrained(whole)
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
    model = load_causal_lm(settings.model.name, settings.model)
    found = model.load_state_dict(_weights(checkpoint, settings), strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if found.unexpected_keys or set(found.missing_keys) - tied:
        raise RunError(f"{checkpoint.folder} does not hold the weights of {settings.model.name}: {found}")
    model.tie_weights()
    return model


def _weights(checkpoint: Checkpoint, settings: RunSettings) -> dict[str, Any]:
    """The full weights in float32, or in the policy's type where there are no float32 ones."""
    import torch

    if settings.deepspeed.zero_stage > 0:
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

        return without_prefix(get_fp32_state_dict_from_zero_checkpoint(str(checkpoint.folder), tag="state"))
    file = checkpoint.folder / "state" / "mp_rank_00_model_states.pt"
    return without_prefix(torch.load(file, map_location="cpu", weights_only=False)["module"])
