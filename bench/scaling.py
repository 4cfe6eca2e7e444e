"""How the learner's time and memory grow with response length, responses to a prompt, and prompts.

    python bench/scaling.py                     writes bench/results/scaling.json and scaling.svg

A tiny random Llama, so that 8,192 tokens fit; what is measured is the layout, not the arithmetic of a real model. A
step is one forward and backward pass over all responses, and AdamW. One quantity grows while the others stay; time is
the median of the repeats, memory the largest resident size during them beyond that before (the kernel's high-water
mark, set back first). Exponents are fitted on the logarithms of the points from `FIT_FROM` on: 1 is linear. What the
host does for a pass – laying rows out, and the masks – is timed by itself.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from surroundings import surroundings

from cgpo import distributed
from cgpo.compose import validate
from cgpo.policy import attention
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import Policy

SEED = 0
VOCABULARY = 1024
CONTEXT = 16384


@dataclass(frozen=True)
class Work:
    """What a step learns from."""

    prompts: int = 2
    responses: int = 4
    prompt_tokens: int = 64
    response_tokens: int = 128


GROWING = {
    "response_tokens": (Work(prompts=1, responses=2), (128, 256, 512, 1024, 2048, 4096, 8192)),
    "responses": (Work(prompts=2), (2, 4, 8, 16, 32, 64)),
    "prompts": (Work(), (2, 4, 8, 16, 32, 64)),
}
FIT_FROM = {"response_tokens": 1024, "responses": 8, "prompts": 8}


def tiny_model(folder: str) -> str:
    """A random Llama of 2 layers; returns its folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def policy_on(model: str, micro_batch_tokens: int) -> Policy:
    stratum = {
        "prompts": {"generator": "math", "size": 1},
        "prompts_per_step": 1,
        "generations_per_prompt": 2,
        "rewards": {"any": 1.0},
        "optimizer": {"name": "grpo"},
    }
    settings = {
        "run_dir": "unused",
        "seed": SEED,
        "model": {"name": model, "context_length": CONTEXT},
        "rewards": {"any": {"model": "unused"}},
        "strata": {"math": stratum},
        "train": {"micro_batch_tokens": micro_batch_tokens},
    }
    return Policy(validate(settings))


def sequences_of(work: Work) -> list[TokenSequence]:
    rng = random.Random(SEED)
    prompts = [tuple(rng.choices(range(VOCABULARY), k=work.prompt_tokens)) for _ in range(work.prompts)]
    return [
        TokenSequence(prompt, tuple(rng.choices(range(VOCABULARY), k=work.response_tokens)))
        for prompt in prompts
        for _ in range(work.responses)
    ]


def step(policy: Policy, sequences: list[TokenSequence], host: dict[str, float]) -> None:
    """One optimiser step; what the host does for its rows is added to `host`."""
    with timed_into(host, "rows"):
        batches = policy.lay_out(sequences, range(len(sequences)))
    for i, batch in enumerate(batches):
        weight = torch.where(batch.sample % 2 == 0, 1.0, -1.0) / len(sequences)
        policy.accumulate(batch, weight, torch.zeros(len(weight), 0), 1.0, last=i == len(batches) - 1)
    policy.step(1e-6)


@contextmanager
def timed_into(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started


@contextmanager
def masks_timed(seconds: dict[str, float]) -> Iterator[None]:
    """Adds what making masks takes."""
    from transformers.masking_utils import AttentionMaskInterface

    def timed(*args: Any, **kwargs: Any) -> Any:
        with timed_into(seconds, "masks"):
            return attention._sdpa(*args, **kwargs)

    AttentionMaskInterface.register("sdpa", timed)
    try:
        yield
    finally:
        AttentionMaskInterface.register("sdpa", attention._sdpa)


def status(name: str) -> int:
    """Bytes, from /proc/self/status."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) * 1024


def peak_beyond(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and the bytes by which the resident size grows at most meanwhile."""
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    work()
    return time.perf_counter() - started, status("VmHWM") - before


def measure(policy: Policy, work: Work, repeats: int) -> dict[str, float]:
    sequences, host = sequences_of(work), {"rows": 0.0, "masks": 0.0}
    step(policy, sequences, {})
    with masks_timed(host):
        taken = [peak_beyond(lambda: step(policy, sequences, host)) for _ in range(repeats)]
    seconds = statistics.median(s for s, _ in taken)
    rows = policy.lay_out(sequences, range(len(sequences)))
    return {
        "seconds": seconds,
        "peak_mib": max(size for _, size in taken) / 2**20,
        "row_seconds": host["rows"] / repeats,
        "mask_seconds": host["masks"] / repeats,
        "host_share": (host["rows"] + host["masks"]) / sum(s for s, _ in taken),
        "tokens": sum(batch.tokens for batch in rows),
        "micro_batches": len(rows),
    }


def exponent(points: dict[int, float], first: int) -> float | None:
    """The slope of log y on log x by least squares; None where a value is not above 0."""
    chosen = [(math.log(x), math.log(y)) for x, y in points.items() if x >= first and y > 0]
    if len(chosen) < 2:
        return None
    return statistics.linear_regression(*zip(*chosen, strict=True)).slope


def grown(policy: Policy, name: str, longest: int, repeats: int) -> dict[str, Any]:
    """Points and exponents of one quantity."""
    base, values = GROWING[name]
    points = {}
    for value in (v for v in values if v <= longest):
        points[value] = measure(policy, replace(base, **{name: value}), repeats)
        print(name, value, json.dumps({k: round(v, 4) for k, v in points[value].items()}), flush=True)
    fits = {
        key: exponent({x: point[key] for x, point in points.items()}, FIT_FROM[name]) for key in ("seconds", "peak_mib")
    }
    others = {key: value for key, value in asdict(base).items() if key != name}
    return {"others": others, "fitted_from": FIT_FROM[name], "exponents": fits, "points": points}


COLOURS = {"response_tokens": "#1f5fa8", "responses": "#b3541e", "prompts": "#2f7d4f"}


def plot(curves: dict[str, Any]) -> str:
    """Seconds of a step over each quantity, both axes logarithmic."""
    points = {n: [(math.log2(x), math.log2(p["seconds"])) for x, p in c["points"].items()] for n, c in curves.items()}
    xs, ys = (
        [math.floor(min(values)), math.ceil(max(values))]
        for values in zip(*(point for line in points.values() for point in line), strict=True)
    )
    at_x = [50 + 540 * (v - xs[0]) / (xs[1] - xs[0]) for v in range(xs[0], xs[1] + 1)]
    at_y = [300 - 270 * (v - ys[0]) / (ys[1] - ys[0]) for v in range(ys[0], ys[1] + 1)]
    parts = [f'<path d="M{x:.0f} 30V300" stroke="#ddd"/>' for x in at_x]
    parts += [f'<path d="M50 {y:.0f}H590" stroke="#ddd"/>' for y in at_y]
    parts += [f'<text x="{x:.0f}" y="316" text-anchor="middle">{2 ** (xs[0] + i)}</text>' for i, x in enumerate(at_x)]
    parts += [
        f'<text x="44" y="{y + 4:.0f}" text-anchor="end">{2.0 ** (ys[0] + i):g}</text>' for i, y in enumerate(at_y)
    ]
    for i, (name, line) in enumerate(points.items()):
        places = [
            (50 + 540 * (x - xs[0]) / (xs[1] - xs[0]), 300 - 270 * (y - ys[0]) / (ys[1] - ys[0])) for x, y in line
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        slope = curves[name]["exponents"]["seconds"]
        label = f"{name.replace('_', ' ')}: exponent {slope:.2f}" if slope is not None else name
        parts.append(f'<path d="M{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"/>' for x, y in places]
        parts.append(f'<text x="60" y="{48 + 16 * i}" fill="{COLOURS[name]}">{label}</text>')
    parts.append('<text x="50" y="18">seconds of a learner step, tiny model, over the quantity that grows</text>')
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 324" font-family="sans-serif" font-size="11">'
    return head + '<rect width="600" height="324" fill="#fff"/>' + "".join(parts) + "</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=int, default=8192, help="response tokens, at most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    parser.add_argument("--output", type=Path, default=Path("bench/results/scaling.json"))
    args = parser.parse_args()
    around = surroundings(("torch", "transformers", "deepspeed", "cgpo"))
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_distributed()
        policy = policy_on(tiny_model(folder), args.micro_batch_tokens)
        curves = {name: grown(policy, name, args.longest, args.repeats) for name in GROWING}
        distributed.close_distributed()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({**around, "seed": SEED, "rows": policy.layout_text, **curves}, indent=1) + "\n")
    args.output.with_suffix(".svg").write_text(plot(curves))


if __name__ == "__main__":
    main()
