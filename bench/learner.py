"""How fast the learner is against the machine's matrix products, and its peak memory against the plan's estimate.

    python bench/learner.py                     writes bench/results/learner.json
    python bench/learner.py --sharing           … and compares shared rows with a row for each response

A step is what the trainer does with a stratum's samples: log-probs under the policy and the reference (forward), then
forward and backward on every response, and AdamW. The tokens are random, of fixed lengths; weights and sizes are those
of the small real model. The matrix products' peak is measured in the same process before, between and after the steps,
on shapes that the model has and on square ones, and the best of all is taken: on a machine with other work a single
moment may be a bad one. Compare `load_average_before` before believing a number.

Counted as work: 2 · weights · tokens for a forward pass and 6 · for forward and backward (4 · with an adapter, because
the base weights have no gradient), and 4 · layers · hidden · row length a token for the attention of a forward pass,
three times that with backward. The token embedding multiplies nothing and is not counted; the output head is counted
for response tokens only, because nothing else reaches it. What is computed twice (the head's logits in the backward
pass) is counted once. Tokens are those laid out: a shared prompt once, padding left out.

With `--sharing` the same step of two prompts with eight responses each is taken in the rows that the layout chooses,
and in turn in a row for each response: prompts as long as the responses, and three times as long. Both compute the same
log-probs and gradients. Where every token cost the same, sharing would save K (p + r) / (p + K r).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from scaling import masks_timed, timed_into
from surroundings import surroundings

from cgpo import distributed
from cgpo.compose import validate
from cgpo.config import RunSettings
from cgpo.models.memory import memory_parts, model_shape
from cgpo.policy.layout import SEPARATE, MicroBatch, TokenSequence
from cgpo.policy.policy import Policy, ScoringModel
from cgpo.policy.reference import make_reference

SEED = 0
SHARING = {"prompts as long as responses": (64, 64), "prompts three times as long": (96, 32)}
"""Tokens of a prompt and of a response."""
SHARED_PROMPTS, SHARED_RESPONSES = 2, 8
PROMPTS, RESPONSES, PROMPT_TOKENS, RESPONSE_TOKENS = 4, 4, 48, 40


def settings_for(lora: bool) -> RunSettings:
    """One rank, float32, no ZeRO: what the quickstart trains with."""
    adapter = {"lora": {"rank": 16}, "reference_mode": "adapter_off"} if lora else {}
    stratum = {
        "prompts": {"generator": "math", "size": PROMPTS},
        "prompts_per_step": PROMPTS,
        "generations_per_prompt": RESPONSES,
        "sampling": {"max_tokens": RESPONSE_TOKENS},
        "rewards": {"any": 1.0},
        "optimizer": {"name": "crpg", "kl_max": 10.0},
    }
    return validate(
        {
            "run_dir": "unused",
            "seed": SEED,
            "model": {"name": "smollm2", **adapter},
            "rewards": {"any": {"model": "unused"}},
            "strata": {"math": stratum},
            "train": {"micro_batch_tokens": 512, "learning_rate": 1e-5},
        }
    )


def matmul_peak() -> dict[str, float]:
    """FLOP/s of float32 matrix products by shape [m, k] · [k, n], the best of five each."""
    rates = {}
    for m, k, n in ((1024, 576, 1536), (1024, 1536, 576), (256, 576, 49152), (1024, 1024, 1024), (2048, 2048, 2048)):
        a, b = torch.randn(m, k), torch.randn(k, n)
        seconds = min(timed(lambda a=a, b=b: a @ b) for _ in range(5))
        rates[f"{m}x{k}x{n}"] = 2 * m * k * n / seconds
    return rates


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def samples(prompts: int, responses: int, prompt_tokens: int, response_tokens: int) -> list[TokenSequence]:
    """Random tokens, the responses of a prompt beside each other."""
    rng = random.Random(SEED)
    drawn = [tuple(rng.randrange(1000, 40000) for _ in range(prompt_tokens)) for _ in range(prompts)]
    return [
        TokenSequence(prompt, tuple(rng.randrange(1000, 40000) for _ in range(response_tokens)))
        for prompt in drawn
        for _ in range(responses)
    ]


def forward_flops(batch: MicroBatch, body: int, head: int, layers: int, hidden: int) -> float:
    """Of one forward pass over a micro-batch (see above)."""
    tokens = int((batch.segment >= 0).sum())
    attention = 4.0 * layers * hidden * batch.input_ids.shape[1]
    return (2.0 * body + attention) * tokens + 2.0 * head * len(batch.target)


def learn(policy: Policy, reference: ScoringModel, sequences: list[TokenSequence]) -> dict[str, float]:
    """Seconds of the parts of one step."""
    rows: dict[str, float] = {}
    with timed_into(rows, "seconds"):
        batches = policy.lay_out(sequences, range(len(sequences)))

    def backward() -> None:
        for i, batch in enumerate(batches):
            weight = torch.where(batch.sample % 2 == 0, 1.0, -1.0) / len(sequences)
            policy.accumulate(batch, weight, torch.zeros(len(weight), 0), 1.0, last=i == len(batches) - 1)

    return {
        "policy_forward": timed(lambda: policy.token_logprobs(sequences, 1.0)),
        "reference_forward": timed(lambda: reference.token_logprobs(sequences, 1.0)),
        "forward_backward": timed(backward),
        "optimizer": timed(lambda: policy.step(1e-5)),
        "rows": rows["seconds"],
    }


def compare_sharing(policy: Policy, reference: ScoringModel, repeats: int) -> dict[str, Any]:
    """Seconds of a step in the chosen rows and in separate ones, in turn."""
    layouts = {"chosen": policy.layout, "separate": SEPARATE}
    results = {}
    for name, (prompt_tokens, response_tokens) in SHARING.items():
        sequences = samples(SHARED_PROMPTS, SHARED_RESPONSES, prompt_tokens, response_tokens)
        seconds: dict[str, list[float]] = {which: [] for which in layouts}
        masks: dict[str, float] = {"masks": 0.0}
        with masks_timed(masks):
            for _ in range(repeats):
                for which, layout in layouts.items():
                    policy.layout = reference.layout = layout
                    seconds[which].append(sum(learn(policy, reference, sequences).values()))
        ratios = [separate / chosen for chosen, separate in zip(seconds["chosen"], seconds["separate"], strict=True)]
        k = SHARED_RESPONSES
        results[name] = {
            "tokens": f"{SHARED_PROMPTS} prompts of {prompt_tokens}, {k} responses of {response_tokens} each",
            "median_seconds": {which: statistics.median(values) for which, values in seconds.items()},
            "faster": statistics.median(ratios),
            "smallest_largest": [min(ratios), max(ratios)],
            "mask_seconds": masks["masks"] / repeats,
            "bound_by_tokens": k * (prompt_tokens + response_tokens) / (prompt_tokens + k * response_tokens),
        }
    policy.layout = reference.layout = layouts["chosen"]
    return results


def measure(steps: int, lora: bool, sharing: bool) -> dict[str, Any]:
    """The whole measurement, in this process."""
    peaks = [matmul_peak()]
    settings = settings_for(lora)
    distributed.init_distributed()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    policy = Policy(settings)
    reference = make_reference(settings, policy)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sequences = samples(PROMPTS, RESPONSES, PROMPT_TOKENS, RESPONSE_TOKENS)
    learn(policy, reference, sequences)
    seconds = []
    for _ in range(steps):
        peaks.append(matmul_peak())
        seconds.append(learn(policy, reference, sequences))
    peaks.append(matmul_peak())
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    compared = compare_sharing(policy, reference, steps) if sharing else {}
    shape = model_shape(settings.model)
    if shape is None:
        sys.exit("the small model is not in the cache, though it was just loaded")
    parts = {name: statistics.median(s[name] for s in seconds) for name in seconds[0]}
    batches = policy.lay_out(sequences, range(len(sequences)))
    head = shape.vocabulary * shape.hidden
    body = shape.parameters - head  # the head is the embedding
    forward = sum(forward_flops(b, body, head, shape.layers, shape.hidden) for b in batches)
    best = {name: max(peak[name] for peak in peaks) for name in peaks[0]}
    peak, passes = max(best.values()), 2 if lora else 3
    whole, tokens = sum(parts.values()), sum(len(s.response_ids) for s in sequences)
    estimate = {p.name: p.size for p in memory_parts(settings, shape, 1) if p.name != "rollout engine"}
    distributed.close_distributed()
    return {
        "matmul_gflops": {name: value / 1e9 for name, value in best.items()},
        "median_seconds": parts,
        "micro_batches": len(batches),
        "padded_tokens": sum(b.tokens for b in batches),
        "response_tokens_per_second": tokens / whole,
        "share_of_matmul_peak": {
            "forward": forward / parts["policy_forward"] / peak,
            "forward_backward": passes * forward / parts["forward_backward"] / peak,
            "step": (passes + 2) * forward / whole / peak,
        },
        "memory_gib": {
            "before_loading": before / 2**30,
            "peak_while_loading": loaded / 2**30,
            "peak": after / 2**30,
            "peak_beyond_libraries": (after - before) / 2**30,
            "estimate": sum(estimate.values()) / 2**30,
            "estimate_parts": {name: size / 2**30 for name, size in estimate.items()},
        },
        "sharing": compared,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="measured steps, after one that is not")
    parser.add_argument("--lora", action="store_true", help="train an adapter, the reference being the policy without")
    parser.add_argument("--sharing", action="store_true", help="compare shared rows with separate ones")
    parser.add_argument("--output", default="bench/results/learner.json")
    args = parser.parse_args()
    around = surroundings(("torch", "deepspeed", "transformers", "peft", "cgpo"))
    record = {
        "what": f"one step on {PROMPTS} prompts x {RESPONSES} responses x {RESPONSE_TOKENS} tokens, prompts of "
        f"{PROMPT_TOKENS}, SmolLM2-135M in float32, one process, {'LoRA of rank 16' if args.lora else 'all weights'}",
        "seed": SEED,
        **around,
        "torch_threads": torch.get_num_threads(),
        **measure(args.steps, args.lora, args.sharing),
    }
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    Path(args.output).write_text(json.dumps(record, indent=1) + "\n")
    print(
        json.dumps({key: record[key] for key in ("share_of_matmul_peak", "memory_gib", "response_tokens_per_second")})
    )


if __name__ == "__main__":
    main()
