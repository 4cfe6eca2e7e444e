"""Small data and settings for the tests of the stages that train the policy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cgpo.compose import compose
from cgpo.config import RunSettings

THINGS = ("apples", "rivers", "lamps", "clouds", "books", "trains", "shoes", "birds")
PLACES = ("Rome", "winter", "school")


def conversations() -> list[dict[str, Any]]:
    """24 rows of unequal length; every third is a conversation of two turns."""
    rows: list[dict[str, Any]] = []
    for i, (thing, place) in enumerate((t, p) for t in THINGS for p in PLACES):
        prompt, response = (
            f"Tell me about {thing} in {place}.",
            f"The {thing} in {place} are {'very ' * (i % 5)}lovely.",
        )
        if i % 3 == 0:
            turns = [prompt, response, "And then?", "Nothing more."]
            roles = ["user", "assistant"] * 2
            messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
            rows.append({"messages": messages})
        else:
            rows.append({"prompt": prompt, "response": response})
    return rows


def pairs() -> list[dict[str, Any]]:
    """24 pairs: the better response is the kind one."""
    return [
        {
            "prompt": f"Tell me about {thing} in {place}.",
            "chosen": f"Gladly: {thing} in {place} are {'very ' * (i % 4)}lovely.",
            "rejected": f"Whatever, {thing} {'are awful ' * (1 + i % 3)}in {place}.",
        }
        for i, (thing, place) in enumerate((t, p) for t in THINGS for p in PLACES)
    ]


def write_rows(file: Path, rows: list[dict[str, Any]]) -> str:
    """The rows as JSON lines; returns the path."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def overrides(command: str, run_dir: Path, model: str, data: str, *more: str) -> list[str]:
    """The command line of a short stage on the tiny model, without strata."""
    own = {
        "sft": {"epochs": 2, "batch_size": 6, "learning_rate": 3e-3, "micro_batch_tokens": 128},
        "dpo": {"steps": 7, "batch_size": 6, "learning_rate": 3e-3, "micro_batch_tokens": 160},
    }[command]
    stage = {**own, "warmup_steps": 2, "data.path": data, "data.heldout_share": 0.2}
    settings = [f"{command}_stage.{key}={value}" for key, value in stage.items()]
    return [f"run_dir={run_dir}", f"model.name={model}", "tracking.display=off", "seed=3", *settings, *more]


def settings(command: str, run_dir: Path, model: str, data: str, *more: str) -> RunSettings:
    """The same, composed."""
    return compose(overrides(command, run_dir, model, data, *more), needs_strata=False).settings


def run_script(*arguments: str, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    """Runs `train_stages.py`, on two ranks under torchrun; this process's own rank variables are left out."""
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)] if ranks > 1 else []
    command = [sys.executable, *launch, str(Path(__file__).parent / "stages" / "train_stages.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without times."""
    lines = [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["metrics"] = {k: v for k, v in line["metrics"].items() if not k.startswith("time/")}
    return lines


def weights(run_dir: str | Path) -> dict[str, Any]:
    """The weights in `model/`."""
    from safetensors.torch import load_file

    return load_file(Path(run_dir) / "model" / "model.safetensors")
