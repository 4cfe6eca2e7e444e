"""Optimiser steps on fixed rollouts, without an engine: what must not depend on ranks, ZeRO stage or micro-batches.

As a program it runs cases on as many ranks as it was started with: `fixed_learning.py '[CASE, …]' OUT.json`. Imported,
it does so in this process. The model is random and small: two layers, 67 tokens.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch

from cgpo import distributed, plugins
from cgpo.compose import validate
from cgpo.config import RunSettings
from cgpo.errors import ConfigError
from cgpo.optimizers.base import Need
from cgpo.policy.policy import Policy, no_progress
from cgpo.policy.reference import Reference
from cgpo.responses.stratum import Stratum
from cgpo.rollout.parity import GapLimits
from cgpo.storage.claim import claim
from cgpo.training.gap_check import GradientPassGaps
from cgpo.training.learning import LearnedStep, learn
from cgpo.training.preparation import RANKS, PreparedStratum, prepare
from cgpo.types import GenerationRequest, JudgedRollout, Progress, Prompt, Rollout
from judges import Judgement, Verdict
from judges.mixture import Mixture

PROMPTS, RESPONSES = 4, 3
VOCABULARY = 67


@dataclass(frozen=True)
class Case:
    """How to learn.

    Attributes:
        model: folder of the model (`make_model`).
        optimizers: stratum name → settings of its optimiser.
        steps: how many.
        stage: of ZeRO.
        micro_batch_tokens: the budget of a micro-batch.
        share_prompts: lay the responses of a prompt in one row. Without it and with a small budget every micro-batch
            holds one response.
        logit_chunk_tokens: tokens of a chunk of the head; few, so that ranks have unequally many chunks.
        learning_rate: of AdamW.
        reuse_engine_logprobs: take the engine's log-probs (here: the same in every step) for the policy's.
        load: a checkpoint to begin from, of any number of ranks and stage, and its stage.
        save: where to leave a checkpoint at the end.
        first: index of the first step: the samples depend on it.
    """

    model: str
    optimizers: dict[str, dict[str, Any]]
    steps: int = 2
    stage: int = 0
    micro_batch_tokens: int = 64
    share_prompts: bool = True
    logit_chunk_tokens: int = 3
    learning_rate: float = 1e-2
    reuse_engine_logprobs: bool = False
    load: tuple[str, int] | None = None
    save: str | None = None
    first: int = 0


def make_model(folder: Path) -> str:
    """Writes the model; the same in every process."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def learn_case(case: Case) -> dict[str, Any]:
    """Learns, and returns what must not depend on how: losses, norms, the weights' sums of each step and parameter."""
    settings = settings_of(case)
    strata = {name: make_stratum(name, settings) for name in settings.strata}
    with_values = [name for name, s in strata.items() if Need.VALUES in s.optimizer.needs]
    with torch.random.fork_rng():
        torch.manual_seed(1)  # for the value head
        policy, reference = Policy(settings, len(with_values)), Reference(settings)
    if case.load is not None:
        policy.load_from_elsewhere(*case.load)
    done: list[int] = []
    steps = []
    for step in range(case.first, case.first + case.steps):
        prepared = {}
        for name, stratum in strata.items():
            value_output = with_values.index(name) if name in with_values else None
            prepared[name] = prepare_step(stratum, step, policy, reference, value_output)
        result = learn_step(policy, strata, prepared, case.learning_rate, lambda at, _: done.append(at))
        for name, p in prepared.items():
            strata[name].optimizer.update(p.batch, RANKS)
        weights = {name: float(tensor.double().abs().sum()) for name, tensor in policy.weights()}
        gaps = {name: [gap.mean, gap.max, gap.tokens] for name, gap in result.gaps.items()}
        steps.append({"losses": result.losses, "grad_norm": result.grad_norm, "weights": weights, "gaps": gaps})
    if case.save is not None:
        policy.save(case.save)
    policy.engine.destroy()
    return {"ranks": distributed.world_size(), "micro_batches": len(done), "steps": steps}


def learn_step(
    policy: Policy,
    strata: Mapping[str, Stratum],
    prepared: Mapping[str, PreparedStratum],
    rate: float,
    progress: Progress = no_progress,
    limits: GapLimits | None = None,
) -> LearnedStep:
    """`learn`; without `limits` engine and policy may be as far apart as they like."""
    limits = GapLimits(math.inf, None, rounds=False) if limits is None else limits
    gaps = GradientPassGaps(prepared, dict.fromkeys(prepared, limits), 0)
    return learn(policy, strata, prepared, rate, progress, gaps, lambda: None)


def settings_of(case: Case) -> RunSettings:
    """The run's settings; whatever does not concern learning is left out."""
    stratum = {
        "prompts": {"generator": "math", "size": PROMPTS},
        "prompts_per_step": PROMPTS,
        "generations_per_prompt": RESPONSES,
        "rewards": {"any": 1.0},
    }
    return validate(
        {
            "run_dir": "unused",
            "model": {"name": case.model},
            "rewards": {"any": {"model": "unused"}},
            "strata": {
                name: {**stratum, "optimizer": optimizer, "weight": 1 / (i + 1)}
                for i, (name, optimizer) in enumerate(case.optimizers.items())
            },
            "deepspeed": {"zero_stage": case.stage},
            "train": {
                "micro_batch_tokens": case.micro_batch_tokens,
                "share_prompts": case.share_prompts,
                "logit_chunk_tokens": case.logit_chunk_tokens,
                "reuse_engine_logprobs": case.reuse_engine_logprobs,
                "max_grad_norm": 0.5,
            },
        }
    )


def make_stratum(name: str, settings: RunSettings) -> Stratum:
    """A stratum without prompts and judges; its samples are fixed."""
    own, missing = settings.strata[name], cast(Any, None)
    kind = plugins.load("cgpo.optimizers", "optimizer", own.optimizer.name, "")
    return Stratum(name, own, {}, {}, missing, Mixture([], missing), kind(own.optimizer), (0, 0))


def prepare_step(
    stratum: Stratum, step: int, policy: Policy, reference: Any, value_output: int | None
) -> PreparedStratum:
    """This rank's share of the step's samples; a prompt's responses stay together."""
    rng = random.Random(f"{stratum.name} {step}")
    groups = [_group(stratum, prompt, rng) for prompt in range(PROMPTS)]
    rank, size = distributed.rank(), distributed.world_size()
    mine = groups[rank * PROMPTS // size : (rank + 1) * PROMPTS // size]
    responses = [j for group in mine for j in group[1:]]
    baselines = [group[0] for group in mine] if stratum.learns_from_baselines else []
    return prepare(stratum, responses, policy, reference, baselines, value_output)


def _group(stratum: Stratum, number: int, rng: random.Random) -> list[JudgedRollout]:
    """The baseline response and the responses of a prompt; unequal lengths, some violated, one unknown."""
    prompt = Prompt(id=str(number), messages=({"role": "user", "content": "x"},))
    prompt_ids = tuple(rng.randrange(3, VOCABULARY) for _ in range(3 + number))
    baseline_reward = rng.gauss(0, 1)
    found = []
    for k in range(-1, RESPONSES):
        ids = tuple(rng.randrange(3, VOCABULARY) for _ in range(2 + rng.randrange(9)))
        logprobs = tuple(-math.log(VOCABULARY) + rng.gauss(0, 0.05) for _ in ids)  # the engine's, nearly the policy's
        request = GenerationRequest(stratum.name, prompt, prompt_ids, max(k, 0), 0, stratum.settings.sampling)
        rollout = Rollout(request, str(ids), ids, logprobs, "stop")
        holds, reward = rng.random() < 0.6, rng.gauss(0, 1)
        verdict = Verdict.unknown("fixed") if (number, k) == (1, 1) else Verdict.of(holds or k < 0)
        reward = baseline_reward if k < 0 else reward
        calibrated = 1 / (1 + math.exp(baseline_reward - reward))
        judgement = Judgement({"fixed": verdict})
        found.append(JudgedRollout(rollout, judgement, {"any": reward}, {"any": baseline_reward}, calibrated))
    return found


def refusal_of_different_settings(run_dir: str) -> str:
    """What the last rank is told when each rank comes with a seed of its own."""
    try:
        claim(run_dir, {"seed": distributed.rank(), "train": {"steps": 3}}, fresh=False)
    except ConfigError as error:
        return str(distributed.gather_objects(str(error))[-1])
    return ""


def main(cases: str, out: str) -> None:
    distributed.init_distributed()
    found = [learn_case(Case(**case)) for case in json.loads(cases)]
    refusal = refusal_of_different_settings(f"{out}.run")
    if distributed.rank() == 0:
        Path(out).write_text(json.dumps({"cases": found, "refusal": refusal}), encoding="utf-8")
    distributed.close_distributed()


def as_json(cases: list[Case]) -> str:
    """The program's first argument."""
    return json.dumps([asdict(case) for case in cases])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
