"""The two sides of `bench/step_time.py`, each a process: takes a step for every line on stdin, answers in JSON.

python bench/step_time_sides.py ours|trl '{"shapes": […], "repeats": 3, "folder": "…", …}'
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

SEED = 1
LEARNING_RATE = 1e-12  # moves nothing
WARM = {"prompts": 2, "responses": 4, "tokens": 16}

_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever libraries print is no answer


def answer(**values: Any) -> None:
    _answers.write(json.dumps(values) + "\n")
    _answers.flush()


def wait_for_turn() -> None:
    """Says that this side is idle, and waits until it is told to go on."""
    answer(waiting=True)
    if not sys.stdin.readline():
        sys.exit(1)


def peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def prompts(count: int) -> list[dict[str, Any]]:
    """The same for both sides."""
    from cgpo.data.generators import generate

    drawn = generate("math", count, seed=SEED, heldout=False, options={}, where="bench")
    return [{"prompt": p.messages[0]["content"], "metadata": dict(p.metadata)} for p in drawn]


def stratum(shape: dict[str, int], first: int, steps: int, folder: str) -> dict[str, Any]:
    file = Path(folder) / f"{shape['prompts']}_prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in prompts(shape["prompts"])))
    return {
        "prompts": str(file),
        "prompts_per_step": shape["prompts"],
        "generations_per_prompt": shape["responses"],
        "sampling": {"max_tokens": shape["tokens"], "temperature": 1.0},
        "judges": ["math"],
        "rewards": {"helpfulness": 1.0},
        "optimizer": {"name": "grpo", "kl_coefficient": 0.04},
        "schedule": {"start": first, "end": first + steps},
    }


def ours(plan: dict[str, Any]) -> None:
    """Steps of the real trainer, a stratum for each shape."""
    from cgpo.cpu import tune_process

    tune_process()
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    import cgpo.training.trainer as trainer_module
    from cgpo.commands.train import run_training
    from cgpo.compose import compose
    from cgpo.models.assets import resolve_model
    from cgpo.rollout import vllm_engine

    folder, repeats = plan["folder"], plan["repeats"]
    base = resolve_model("minilm")
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(f"{folder}/reward")
    AutoTokenizer.from_pretrained(base).save_pretrained(f"{folder}/reward")
    strata = {"warm": stratum(WARM, 0, 1, folder)}
    strata |= {f"shape{i}": stratum(shape, 1 + i * repeats, repeats, folder) for i, shape in enumerate(plan["shapes"])}
    settings = {
        "run_dir": f"{folder}/run",
        "seed": SEED,
        "model": {"name": "smollm2"},
        "rewards": {"helpfulness": {"type": "sequence_classifier", "model": f"{folder}/reward", "max_length": 128}},
        "strata": strata,
        "train": {
            "steps": 1 + len(plan["shapes"]) * repeats,
            "learning_rate": LEARNING_RATE,
            "micro_batch_tokens": plan.get("micro_batch_tokens", 1024),
            "reuse_engine_logprobs": plan.get("reuse", True),
            "save_every": 0,
        },
        "tracking": {"tensorboard": False, "display": "off"},
    }
    experiment = Path(folder) / "experiment"
    experiment.mkdir()
    (experiment / "bench.yaml").write_text("# @package _global_\n" + json.dumps(settings))  # JSON is YAML

    sampling = vllm_engine._sampling

    def without_end(request: Any) -> Any:
        chosen = sampling(request)
        chosen.ignore_eos = True
        return chosen

    class Paced(trainer_module.Trainer):
        """Takes a step when it is told to."""

        def _step(self, step: int) -> dict[str, float | None]:
            wait_for_turn()
            started = time.perf_counter()
            metrics = super()._step(step)
            seconds = time.perf_counter() - started
            phases = {key: value for key, value in metrics.items() if key.startswith("time/")}
            answer(seconds=seconds, phases=phases, **self.counts)
            return metrics

        def _prepare(self, *args: Any) -> Any:
            prepared = super()._prepare(*args)
            rollouts = [j.rollout for p in prepared.values() for j in p.judged]
            self.counts = {
                "prompt_tokens": sum(len(r.request.prompt_ids) for r in rollouts),
                "response_tokens": sum(len(r.response_ids) for r in rollouts),
                "learnt": sum(int(p.surrogate.coefficient.any(1).sum()) for p in prepared.values()),
            }
            return prepared

    vllm_engine._sampling = without_end
    trainer_module.Trainer = Paced  # type: ignore[misc]
    run_training(compose(["experiment=bench"], config_dir=folder))
    answer(peak_rss_gib=peak_rss_gib())


def trl(plan: dict[str, Any]) -> None:
    """Steps of GRPOTrainer, a trainer for each shape; model and optimiser stay."""
    sys.path.insert(0, plan["trl"])
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from cgpo.models.assets import resolve_model

    path = resolve_model("smollm2")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)

    def train(shape: dict[str, int], steps: int, batch: int) -> float:
        """Takes steps, each when it is told to; returns the seconds of the last."""
        samples = shape["prompts"] * shape["responses"]
        batch = min(batch, samples)
        counts: dict[str, Any] = {"learnt": samples, "batch": batch}
        clock: dict[str, float] = {}

        class Turns(TrainerCallback):
            def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
                wait_for_turn()
                clock["started"] = time.perf_counter()

            def on_step_end(self, *args: Any, **kwargs: Any) -> None:
                clock["seconds"] = time.perf_counter() - clock["started"]
                answer(seconds=clock["seconds"], generation=clock["generation"], **counts)

        def reward(prompts: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
            counts["response_tokens"] = sum(len(ids) for ids in completion_ids)
            counts["prompt_tokens"] = sum(
                len(trainer.processing_class.apply_chat_template(p, add_generation_prompt=True, return_dict=False))
                for p in prompts
            )
            return [float(i % shape["responses"]) for i in range(len(prompts))]

        config = GRPOConfig(
            output_dir=plan["folder"],
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=samples // batch,
            num_generations=shape["responses"],
            max_completion_length=shape["tokens"],
            generation_kwargs={"min_new_tokens": shape["tokens"]},
            max_steps=steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            beta=0.04,
            temperature=1.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            seed=SEED,
        )
        asked = [{"prompt": [{"role": "user", "content": row["prompt"]}]} for row in prompts(shape["prompts"])]
        rows = Dataset.from_list(asked)  # each step takes all of them
        trainer = GRPOTrainer(
            model, reward, args=config, train_dataset=rows, callbacks=[Turns()], optimizers=(optimizer, None)
        )
        generated = trainer._generate

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = generated(*args, **kwargs)
            clock["generation"] = time.perf_counter() - started
            return result

        trainer._generate = timed
        trainer.train()
        return clock["seconds"]

    batches = plan["batches"]
    train(WARM, 1, batches[0])
    seconds = {batch: train(plan["shapes"][0], 1, batch) for batch in batches[1:] and batches}  # one alone is not tried
    fastest = min(batches, key=lambda batch: seconds.get(batch, 0.0))
    for shape in plan["shapes"]:
        train(shape, plan["repeats"], fastest)
    answer(peak_rss_gib=peak_rss_gib())


if __name__ == "__main__":
    {"ours": ours, "trl": trl}[sys.argv[1]](json.loads(sys.argv[2]))
