"""The states of the global random generators, one file a rank.

Nothing in cgpo draws from them while it trains: prompts, responses and judges draw from generators seeded by what
they are for, and dropout is off. They are kept for plugins (a reward, a judge, an optimiser) that do.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from cgpo import distributed

FOLDER = "random"


def save_random_states(folder: Path) -> None:
    """Writes this rank's states: Python's, numpy's, torch's on the CPU and on every GPU this rank sees."""
    folder.mkdir(exist_ok=True)
    name, keys, *rest = np.random.get_state()
    states = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    torch.save(states, _file(folder))


def restore_random_states(folder: Path) -> None:
    """Puts this rank's states back. A rank the checkpoint did not have, or a GPU, keeps its own."""
    if not _file(folder).exists():
        return
    states = torch.load(_file(folder), weights_only=True)
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy(), *rest))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def _file(folder: Path) -> Path:
    return folder / f"rank-{distributed.rank():05d}.pt"
