"""Makes run directories as a training run leaves them, small and with hand-made numbers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo.config import SamplingSettings
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.response_metrics import step_metrics
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict

HOSTILE = "<script>alert('x')</script> \ud800 \x00 \u202e reversed & <img src=x onerror=alert(1)>"

CONFIG = """\
schema: 1
seed: 7
run_dir: runs/demo
model: {name: smollm2}
strata:
  math: {judges: [{name: math}], rewards: {helpfulness: 1.0}, optimizer: {name: crpg, kl_max: 10.0},
    prompts_per_step: 6, generations_per_prompt: 8, weight: 1.0}
  chat: {judges: [{name: refusal}, {name: length}], rewards: {helpfulness: 1.0}, optimizer: {name: crpg, kl_max: 4.0},
    prompts_per_step: 4, generations_per_prompt: 4, weight: 0.5}
train: {steps: 8, learning_rate: 1.0e-5}
eval: {confidence: 0.95}
rollout: {engine: vllm}
deepspeed: {zero_stage: 0}
tracking: {report_samples: 6}
"""


def judged(
    stratum: str = "math",
    prompt_id: str = "p1",
    response: str = "The final answer is 5.",
    verdicts: dict[str, Verdict] | None = None,
    index: int = 0,
    calibrated_reward: float | None = 0.6,
    prompt: str = "What is 2 + 3? End your response with the answer.",
) -> JudgedRollout:
    asked = Prompt(prompt_id, ({"role": "user", "content": prompt},))
    request = GenerationRequest(stratum, asked, (1, 2, 3), index, 2**62 + index, SamplingSettings())
    tokens = tuple(range(max(len(response.split()), 1)))
    return JudgedRollout(
        rollout=Rollout(request, response, tokens, tuple(-0.5 for _ in tokens), "stop"),
        judgement=Judgement(verdicts if verdicts is not None else {"math": Verdict.satisfied("5 equals 5")}),
        rewards={"helpfulness": 1.25},
        baseline_rewards={"helpfulness": 0.75},
        calibrated_reward=calibrated_reward,
    )


def step_rows(step: int, seed: int = 0) -> list[RolloutRow]:
    """Responses whose satisfied rate rises with the step."""
    rng = random.Random(f"{seed}/{step}")
    return [_row(rng, step, stratum, n) for stratum, size in (("math", 24), ("chat", 12)) for n in range(size)]


def write_run(run_dir: Path, steps: int = 8, *, hostile: bool = True) -> Path:
    """A run with metrics, responses and two evaluations."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(CONFIG)
    metrics, writer = MetricsFile(run_dir / "metrics.jsonl"), RolloutsWriter(run_dir / "rollouts")
    for step in range(1, steps + 1):
        rows = step_rows(step)
        if hostile and step == steps:
            bad = {"math": Verdict.violated("no </td> answer <b>")}
            rows.insert(0, RolloutRow.of(judged(response=HOSTILE, prompt="<i>2+2</i>?", verdicts=bad), weight=-0.02))
        writer.write(step, rows)
        metrics.append(step, {**step_metrics(rows), **_run_numbers(step)})
    evaluations = RolloutsWriter(run_dir / "evaluations")
    evaluations.write(0, step_rows(0, seed=1))
    evaluations.write(steps, step_rows(steps, seed=1))
    write_evaluations(run_dir, [evaluation(0, 84), evaluation(steps, 127, change=0.217)])
    return run_dir


def evaluation(step: int, count: int, change: float | None = None) -> dict[str, Any]:
    """A line of `evaluation.jsonl`: `count` of 198 known math verdicts satisfied."""
    rate = {"count": count, "n": 198, "rate": count / 198, "low": count / 198 - 0.07, "high": count / 198 + 0.07}
    line: dict[str, Any] = {
        "schema": 1,
        "step": step,
        "strata": {
            "math": {
                "n": 200,
                "satisfied": rate,
                "unknown": 2,
                "judges": {"math": rate},
                "calibrated_reward": {"mean": 0.5 + step / 80, "low": 0.46, "high": 0.55, "n": 198},
                "kl": {"mean": step * 0.4, "low": 0.0, "high": 4.0, "n": 200},
            },
            "chat": {"n": 60, "judges": {}},
        },
    }
    if change is not None:
        paired = {"change": change, "low": 0.15, "high": 0.29, "n": 196}
        line["changes"] = {"math": {"satisfied": paired, "judges": {"math": paired}}}
    return line


def write_evaluations(run_dir: Path, lines: Sequence[dict[str, Any]]) -> None:
    (run_dir / "evaluation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _row(rng: random.Random, step: int, stratum: str, n: int) -> RolloutRow:
    draw = rng.random()
    verdict = Verdict.violated("the last sentence has no answer")
    if draw < 0.15 + 0.07 * step:
        verdict = Verdict.satisfied("right answer", 1.5)
    elif draw > 0.97:
        verdict = Verdict.unknown("timed out after 10 s")
    verdicts = {"math": verdict} if stratum == "math" else {"refusal": verdict, "length": Verdict.satisfied("12 words")}
    a, b = n + 1, n % 5 + 2
    text = f"First I add {a} and {b}, one after the other.\nThe final answer is {a + b}."
    reward = round(rng.uniform(0.3, 0.8), 3)
    asked = f"What is {a} + {b}? End your response with “The final answer is …”."
    done = judged(stratum, f"{stratum}-{n}", text, verdicts, n % 4, reward, asked)
    return RolloutRow.of(done, log_ratio=rng.gauss(step * 0.35, 0.6), weight=rng.gauss(0, 0.02))


def _run_numbers(step: int) -> dict[str, float]:
    return {
        "math/kl_factor_largest": 1.1 + 0.02 * step,
        "chat/kl_factor_largest": math.inf,
        "time/rollout": 7.0 + step % 2,
        "time/learning": 38.0 - step,
        "time/sync": 2.0,
        "time/step": 50.0,
        "train/grad_norm": 1.2 / step,
        "sync/logprob_gap": 1.3e-5,
    }
