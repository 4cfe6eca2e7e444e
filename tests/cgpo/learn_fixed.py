"""One optimiser step on fixed rollouts, run by `test_ranks.py` under torchrun: `learn_fixed.py MODEL STAGE OUT`.

Writes what must not depend on the number of ranks: losses, gradient norm and the sums of the new weights.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any, cast

from cgpo import distributed
from cgpo.compose import validate
from cgpo.learning import learn, prepare
from cgpo.optimizers.crpg import Crpg
from cgpo.policy.policy import Policy
from cgpo.policy.reference import Reference
from cgpo.stratum import Stratum
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict
from judges.mixture import Mixture

PROMPTS, RESPONSES, STEPS = 4, 3, 2


def settings_for(model: str, stage: int) -> Any:
    def stratum(kl_max: float, weight: float) -> dict[str, Any]:
        return {
            "prompts": {"generator": "math", "size": PROMPTS},
            "prompts_per_step": PROMPTS,
            "generations_per_prompt": RESPONSES,
            "rewards": {"any": 1.0},
            "optimizer": {"name": "crpg", "kl_max": kl_max},
            "weight": weight,
        }

    return validate(
        {
            "run_dir": "unused",
            "model": {"name": model},
            "rewards": {"any": {"model": "unused"}},
            "strata": {"exact": stratum(10.0, 1.0), "strict": stratum(2.0, 0.5)},
            "deepspeed": {"zero_stage": stage},
            "train": {"micro_batch_tokens": 64, "max_grad_norm": 0.5},
        }
    )


def fixed_samples(settings: Any, name: str) -> list[JudgedRollout]:
    """The same samples in every process; unequal lengths, some violated, one unknown."""
    rng = random.Random(name)
    stratum = settings.strata[name]
    found = []
    for p in range(PROMPTS):
        prompt = Prompt(id=str(p), messages=({"role": "user", "content": "x"},))
        prompt_ids = tuple(rng.randrange(10, 40) for _ in range(3 + p))
        for k in range(RESPONSES):
            ids = tuple(rng.randrange(10, 40) for _ in range(2 + rng.randrange(9)))
            request = GenerationRequest(name, prompt, prompt_ids, k, 0, stratum.sampling)
            rollout = Rollout(request, "", ids, (0.0,) * len(ids), "stop")
            unknown = (p, k) == (1, 1)
            verdict = Verdict.unknown("fixed") if unknown else Verdict.of(rng.random() < 0.6)
            found.append(
                JudgedRollout(rollout, Judgement({"fixed": verdict}), {"any": 1.0}, {"any": 1.0}, rng.random())
            )
    return found


def main(model: str, stage: int, out: str) -> None:
    distributed.init_distributed()
    settings = settings_for(model, stage)
    policy, reference = Policy(settings), Reference(settings)
    missing = cast(Any, None)
    strata = {
        name: Stratum(name, s, {}, {}, missing, Mixture([], missing), Crpg(s.optimizer), (0, 0))
        for name, s in settings.strata.items()
    }
    rank, size = distributed.rank(), distributed.world_size()
    steps = []
    for _ in range(STEPS):
        prepared = {}
        for name, stratum in strata.items():
            samples = fixed_samples(settings, name)
            mine = samples[rank * len(samples) // size : (rank + 1) * len(samples) // size]
            prepared[name] = prepare(stratum, mine, policy, reference)
        result = learn(policy, strata, prepared, 1e-2, lambda done, total: None)
        steps.append({"losses": result.losses, "grad_norm": result.grad_norm})
    sums = {name: float(tensor.double().abs().sum()) for name, tensor in policy.weights()}
    if rank == 0:
        with open(out, "w", encoding="utf-8") as file:
            json.dump({"ranks": size, "steps": steps, "weights": sums}, file)
    distributed.close_distributed()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
