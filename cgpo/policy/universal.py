"""A checkpoint made on another number of ranks, or with another ZeRO stage, is loaded parameter by parameter.

DeepSpeed's universal layout holds each parameter whole, whoever wrote it:

    zero/<parameter>/fp32.pt, exp_avg.pt, exp_avg_sq.pt

Its own converter (`deepspeed.checkpoint.ds_to_universal`) writes it from the files of ZeRO 1, 2 and 3. Three things
it leaves out are done here: ZeRO 0, whose files hold a plain AdamW; reading the layout into another stage than the one
it came from, for which DeepSpeed's loader has no path (the common state is written in two forms); and parameters whose
size does not divide by the ranks, for which its setter for whole tensors fails in ZeRO 3. Float32 weights and AdamW's
moments arrive as they were; a float16 loss scale starts anew.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.storage.disk import writing

FP32, MOMENTS, STEP = "fp32", ("exp_avg", "exp_avg_sq"), "step"
_PLAIN = "mp_rank_00_model_states.pt"


class Movable(Protocol):
    """What is trained: it can be written to a folder and read back, on every rank together."""

    def save(self, folder: str) -> None:
        """Writes weights and optimiser state."""

    def load(self, folder: str) -> None:
        """Reads what `save` wrote on as many ranks with the same ZeRO stage."""

    def load_from_elsewhere(self, folder: str, zero_stage: int) -> None:
        """Reads what `save` wrote on another number of ranks, or with the ZeRO stage given."""


def load_anywhere(
    target: Movable, folder: Path, ranks: int, zero_stage: int, our_stage: int, say: Callable[[str], None]
) -> None:
    """Loads a checkpoint in whichever way it needs; every rank must call it.

    Args:
        target: what is loaded.
        folder: the checkpoint's.
        ranks: on how many it was made.
        zero_stage: with which ZeRO stage.
        our_stage: the stage of this run.
        say: told, in words, where the two differ.

    Raises:
        RunError: it is one of another model, or the disk is full.
    """
    ours = (distributed.world_size(), our_stage)
    if (ranks, zero_stage) != ours:
        say(
            f"{folder.name} was made on {ranks} rank(s) with ZeRO stage {zero_stage}, this run has {ours[0]} with "
            f"stage {our_stage}: from here on its numbers are the same only to rounding"
        )
    if (ranks, zero_stage) == ours or zero_stage == our_stage == 0:
        target.load(str(folder))
    else:
        target.load_from_elsewhere(str(folder), zero_stage)


def load_from_elsewhere(engine: Any, checkpoint: Path, zero_stage: int) -> None:
    """Loads a checkpoint made on another number of ranks or with another ZeRO stage; every rank must call it.

    The universal layout (12 bytes a trained parameter) stands beside the checkpoint while it is read.

    Args:
        engine: DeepSpeed's engine of this run.
        checkpoint: the checkpoint's folder.
        zero_stage: the stage it was made with.

    Raises:
        RunError: it is one of another model, or the disk is full.
    """
    scratch = checkpoint.with_name(f".{checkpoint.name}.universal")
    layout = scratch / "layout"  # DeepSpeed's converter writes a file beside its output
    trained = [name for name, p in engine.module.named_parameters() if p.requires_grad]

    def write() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        with writing("the checkpoint in another form", scratch):
            scratch.mkdir()
            write_layout(checkpoint / "state", layout, zero_stage, trained)

    try:
        distributed.on_first_rank(write)
        read_layout(engine, layout)
        distributed.barrier()
    finally:
        if distributed.rank() == 0:
            shutil.rmtree(scratch, ignore_errors=True)


def write_layout(state: Path, output: Path, zero_stage: int, trained: list[str]) -> None:
    """Writes the universal layout of a checkpoint; one rank calls it.

    Args:
        state: the folder with DeepSpeed's files.
        output: a folder that does not exist yet, in a folder of its own.
        zero_stage: the stage the checkpoint was made with.
        trained: the names of the trained parameters, in the order the optimiser has them.

    Raises:
        RunError: the files are not those of such a checkpoint.
    """
    if zero_stage == 0:
        _convert_plain(state / _PLAIN, output, trained)
    else:
        _convert_sharded(state, output)


def read_layout(engine: Any, folder: Path) -> None:
    """Reads the universal layout into a DeepSpeed engine of any stage; every rank must call it.

    Raises:
        RunError: a trained parameter is not there, or has another size.
    """
    parameters = {name: p for name, p in engine.module.named_parameters() if p.requires_grad}
    step = torch.load(folder / "zero" / f"{STEP}.pt", weights_only=True)
    _make_states(engine.optimizer)
    for name, parameter in parameters.items():
        values = {key: _read(folder, name, key, parameter) for key in (FP32, *MOMENTS)}
        _set_weight(parameter, values[FP32])
        if not hasattr(parameter, "_hp_mapping") and not hasattr(parameter, "ds_id"):
            engine.optimizer.state[parameter] = {key: values[key].to(parameter.device) for key in MOMENTS}
        else:
            _set_sharded(parameter, values)
    base = getattr(engine.optimizer, "optimizer", engine.optimizer)
    for state in base.state.values():
        state[STEP] = torch.tensor(step)


def _make_states(optimizer: Any) -> None:
    """AdamW makes its state in its first step; here it is wanted before. ZeRO knows the flat tensors by three names."""
    for name in ("single_partition_of_fp32_groups", "fp32_groups_flat_partition", "fp32_partitioned_groups_flat"):
        for flat in getattr(optimizer, name, ()):
            optimizer.optimizer.state[flat] = {key: torch.zeros_like(flat) for key in MOMENTS}
    if hasattr(optimizer, "_lazy_init_hp_params_optimizer_state"):
        optimizer._lazy_init_hp_params_optimizer_state()  # what its own step calls first


def _set_weight(parameter: Any, value: Tensor) -> None:
    """The weight that the forward pass uses, in its own type."""
    import deepspeed

    gathered = deepspeed.zero.GatheredParameters([parameter], modifier_rank=0) if hasattr(parameter, "ds_id") else None
    with gathered or contextlib.nullcontext(), torch.no_grad():
        if gathered is None or distributed.rank() == 0:
            parameter.data.copy_(value.view(parameter.shape))


def _set_sharded(parameter: Any, values: Mapping[str, Tensor]) -> None:
    """This rank's part of the float32 weight and of the moments."""
    from deepspeed import utils

    if not hasattr(parameter, "ds_id"):
        utils.safe_set_full_fp32_param(parameter, values[FP32])
        for key in MOMENTS:
            utils.safe_set_full_optimizer_state(parameter, values[key], key)
        return
    count, size = parameter.ds_tensor.numel(), distributed.world_size()
    padded = {k: torch.nn.functional.pad(v.flatten(), (0, count * size - v.numel())) for k, v in values.items()}
    shard = {key: value.narrow(0, count * distributed.rank(), count) for key, value in padded.items()}
    utils.safe_set_local_fp32_param(parameter, shard[FP32])
    for key in MOMENTS:
        utils.safe_set_local_optimizer_state(parameter, shard[key], key)


def _read(folder: Path, name: str, key: str, parameter: Any) -> Tensor:
    file = folder / "zero" / name / f"{key}.pt"
    expected = getattr(parameter, "ds_shape", parameter.shape)
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        if key in MOMENTS:
            return torch.zeros(expected)
        raise RunError(f"the checkpoint holds no {key} of the parameter {name}: it is one of another model") from error
    value: Tensor = stored["param"] if isinstance(stored, dict) else stored
    if value.numel() != expected.numel():
        raise RunError(f"{name} has {value.numel()} elements in the checkpoint and {expected.numel()} in this run")
    return value.float().view(expected)


def _convert_plain(file: Path, output: Path, trained: list[str]) -> None:
    saved = torch.load(file, map_location="cpu", weights_only=False)
    states, weights = saved["optimizer"]["state"], saved["module"]
    count = sum(len(group["params"]) for group in saved["optimizer"]["param_groups"])
    if count != len(trained):
        raise RunError(f"{file} has the optimiser of {count} parameters; this run trains {len(trained)}")
    for index, name in enumerate(trained):
        folder = output / "zero" / name
        folder.mkdir(parents=True)
        torch.save({"param": weights[name].float()}, folder / f"{FP32}.pt")
        for key in MOMENTS:
            if index in states:  # a parameter without a gradient so far has none
                torch.save({"param": states[index][key]}, folder / f"{key}.pt")
    torch.save(max((float(state[STEP]) for state in states.values()), default=0.0), output / "zero" / f"{STEP}.pt")


def _convert_sharded(state: Path, output: Path) -> None:
    from deepspeed.checkpoint import ds_to_universal

    arguments = argparse.Namespace(
        input_folder=str(state),
        output_folder=str(output),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,
    )
    step = _step_of(min(state.glob("*_optim_states.pt")))
    with (
        Path(os.devnull).open("w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        ds_to_universal.main(arguments)
    torch.save(step, output / "zero" / f"{STEP}.pt")


def _step_of(file: Path) -> float:
    """AdamW's step count; all parameters have the same, since one optimiser step moves them all.

    Raises:
        RunError: no optimiser step was taken yet: there is no state that DeepSpeed's converter could read.
    """
    saved = torch.load(file, map_location="cpu", weights_only=False)["optimizer_state_dict"]
    base = saved.get("base_optimizer_state") or saved["optimizer_state_dict"]
    if not base["state"]:
        raise RunError(
            f"{file.parent.parent} was written before the first optimiser step and cannot be moved; start it on as "
            "many ranks with the same ZeRO stage, or anew with --fresh"
        )
    return float(base["state"][0][STEP])
