"""vLLM engines of their own: one that fails, two side by side with a process group, and one in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cgpo.errors import RunError
from cgpo.rollout.engine import create_engine

SCRIPT = """
import os, sys
import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM

from cgpo.config import RolloutSettings, SamplingSettings, VllmSettings
from cgpo.policy.weights import ModuleWeights
from cgpo.rollout.engine import EngineContext, create_engine
from cgpo.rollout.parity import measure_gap
from cgpo.types import GenerationRequest, Prompt


def logprobs(model, rollout):
    ids = torch.tensor([rollout.request.prompt_ids + rollout.response_ids])
    start = len(rollout.request.prompt_ids)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, start - 1 : -1]
    return logits.log_softmax(-1).gather(1, ids[0, start:, None])[:, 0].tolist()


def largest_gap(engine, model, count):
    asked = [
        GenerationRequest("math", Prompt(str(k), ()), (1, 50 + k, 60, 70), k, k, SamplingSettings(max_tokens=6))
        for k in range(count)
    ]
    rollouts = list(engine.generate(asked))
    assert len(rollouts) == count
    return measure_gap([r.logprobs for r in rollouts], [logprobs(model, r) for r in rollouts]).max


def main(model_path):
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    settings = RolloutSettings(vllm=VllmSettings(max_num_seqs=4))
    engine = create_engine("vllm", EngineContext(model_path, None, False, "float32", 128, settings, 0, rank, world))
    count = 2 + rank  # generation is no collective: the ranks may ask for different numbers of responses
    before = largest_gap(engine, model, count)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
    stale = largest_gap(engine, model, count)
    engine.sync(ModuleWeights(model))
    after = largest_gap(engine, model, count)
    engine.close()
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    good = before < 1e-4 and stale > 1e-2 and after < 1e-4
    print(f"rank {rank}: gaps {before:.1e} {stale:.1e} {after:.1e}:", "good" if good else "BAD", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
"""


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "engine_script.py"
    path.write_text(SCRIPT)
    return str(path)


def test_two_processes_have_an_engine_each_beside_their_process_group(script: str, tiny_for_vllm: str) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    out = run([*launcher, script, tiny_for_vllm])
    assert out.count("good") == 2


@pytest.mark.slow
def test_an_engine_core_in_another_process_gets_its_weights_through_shared_memory(
    script: str, tiny_for_vllm: str
) -> None:
    out = run([sys.executable, script, tiny_for_vllm], VLLM_ENABLE_V1_MULTIPROCESSING="1")
    assert out.count("good") == 1


def test_a_sync_that_fails_half_way_leaves_the_engine_unusable(
    tiny_for_vllm: str, context_for: Any, ask: Any, weights_of: Any
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    weights = weights_of(AutoModelForCausalLM.from_pretrained(tiny_for_vllm, dtype=torch.float32))
    weights.metadata, declared = lambda: declared[:-1], weights.metadata()
    engine = create_engine("vllm", context_for(tiny_for_vllm))
    assert list(engine.generate([ask("Hi!", max_tokens=2)]))
    with pytest.raises(RunError, match=r"yields model\.norm\.weight after the last"):
        engine.sync(weights)
    for use in (lambda: engine.generate([ask("Hi!")]), lambda: engine.score([]), lambda: engine.sync(weights)):
        with pytest.raises(RunError, match="sync failed half-way"):
            use()
    engine.close()
    engine.close()
    with pytest.raises(RunError, match="closed"):
        engine.generate([])


def test_a_weight_that_never_arrives_is_named(tiny_for_vllm: str, context_for: Any, weights_of: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    class Without(type(weights_of(None))):  # type: ignore[misc]
        """The stream of a model whose last norm was forgotten, in the declaration as well."""

        def metadata(self) -> Any:
            return [m for m in super().metadata() if m[0] != "model.norm.weight"]

        def __iter__(self) -> Any:
            return ((name, tensor) for name, tensor in super().__iter__() if name != "model.norm.weight")

    engine = create_engine("vllm", context_for(tiny_for_vllm))
    with pytest.raises(RunError, match=r"no weights arrived for model\.norm\.weight"):
        engine.sync(Without(AutoModelForCausalLM.from_pretrained(tiny_for_vllm, dtype=torch.float32)))
    engine.close()


def test_a_folder_that_is_no_model_is_a_clear_error(tmp_path: Path, context_for: Any) -> None:
    with pytest.raises(RunError, match=f"vLLM does not start with the model {tmp_path}"):
        create_engine("vllm", context_for(str(tmp_path)))
