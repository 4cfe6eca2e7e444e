"""Where a decode step of the rollout engine goes: `python bench/decode_profile.py` writes bench/results/decode.json.

32 requests with several responses to a prompt, the small model in float32, eager as always on a CPU. Each variant's
steps are timed without the profiler – as the loop asks, without log-probs, without a seed of each request's own – and
then eight steps are profiled. Beside them stands what bounds a step: reading all weights once, and the model's matrix
products with 32 rows, by themselves, on weights that are not in the cache.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rollout_throughput import CONTEXT_LENGTH, PACKAGES, make_requests
from surroundings import surroundings

from cgpo.config import RolloutSettings
from cgpo.models.assets import resolve_model
from cgpo.rollout import vllm_engine
from cgpo.rollout.engine import EngineContext, create_engine

PROMPTS, RESPONSES, STEPS, PROFILED = 8, 4, 24, 8
VARIANTS: dict[str, dict[str, Any]] = {
    "as in the loop": {},
    "without log-probs": {"logprobs": None},
    "without seeds": {"seed": None},
}
LAYERS = 30
PRODUCTS = {  # of SmolLM2-135M: [inputs, outputs] → how often in a step
    (576, 960): LAYERS,
    (576, 576): LAYERS,
    (576, 3072): LAYERS,
    (1536, 576): LAYERS,
    (576, 49152): 1,
}


def started(engine: Any, requests: list[Any], changes: dict[str, Any]) -> list[str]:
    """Adds the requests; returns vLLM's names of them."""
    names = []
    for request in requests:
        sampling = vllm_engine._sampling(request)
        sampling.ignore_eos = True
        for name, value in changes.items():
            setattr(sampling, name, value)
        names.append(engine._add(str(next(engine._names)), request.prompt_ids, sampling))
    return names


def steps(engine: Any, requests: list[Any], changes: dict[str, Any]) -> list[float]:
    """Seconds of decode steps, after the prompts and two steps more."""
    names, seconds = started(engine, requests, changes), []
    for _ in range(STEPS):
        begun = time.perf_counter()
        engine._llm.llm_engine.step()
        seconds.append(time.perf_counter() - begun)
    engine._llm.llm_engine.abort_request(names, internal=True)
    engine._llm.reset_prefix_cache()
    return seconds[3:]


def profiled(engine: Any, requests: list[Any]) -> dict[str, float]:
    """Share of a decode step's time by operator, its own time alone."""
    from torch.profiler import ProfilerActivity, profile

    names = started(engine, requests, {})
    for _ in range(4):
        engine._llm.llm_engine.step()
    begun = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(PROFILED):
            engine._llm.llm_engine.step()
    total = (time.perf_counter() - begun) * 1e6
    engine._llm.llm_engine.abort_request(names, internal=True)
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)[:12]
    shares = {event.key: event.self_cpu_time_total / total for event in events}
    return shares | {"everything else": 1 - sum(shares.values())}


def best(work: Callable[[], Any], times: int = 9) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def bounds() -> dict[str, float]:
    """Seconds of a step's reading and multiplying alone."""
    multiplying, flops, rows = 0.0, 0.0, PROMPTS * RESPONSES
    for (inputs, outputs), count in PRODUCTS.items():
        weights = itertools.cycle(
            [torch.randn(outputs, inputs) for _ in range(max(2, 3 * 10**7 // (inputs * outputs)))]
        )
        x = torch.randn(rows, inputs)
        multiplying += count * best(lambda x=x, w=weights: torch.nn.functional.linear(x, next(w)))
        flops += 2.0 * count * rows * inputs * outputs
    square, parameters = torch.randn(2048, 2048), torch.randn(134_515_008)
    peak = 2 * 2048**3 / best(lambda: square @ square)
    return {
        "reading_weights_seconds": best(parameters.sum),
        "products_at_32_rows_seconds": multiplying,
        "products_at_32_rows_gflops": flops / multiplying / 1e9,
        "square_product_gflops": peak / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("bench/results/decode.json"))
    args = parser.parse_args()
    around = surroundings(PACKAGES)
    model = resolve_model("smollm2")
    context = EngineContext(model, None, False, "float32", CONTEXT_LENGTH, RolloutSettings(), 0, 0, 1)
    engine: Any = create_engine("vllm", context)
    options: Any = SimpleNamespace(prompts=PROMPTS, responses=RESPONSES, tokens=64, seed=0)
    requests = make_requests(engine._llm.get_tokenizer(), options)
    steps(engine, requests, {})
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(2):
        for name, changes in VARIANTS.items():
            seconds[name] += steps(engine, requests, changes)
    record = {
        **around,
        "requests": PROMPTS * RESPONSES,
        "median_seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "quartiles": {name: statistics.quantiles(values)[::2] for name, values in seconds.items()},
        "shares_of_a_profiled_step": profiled(engine, requests),
        "bounds": bounds(),
    }
    engine.close()
    args.output.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({name: record[name] for name in ("median_seconds", "bounds")}))


if __name__ == "__main__":
    main()
