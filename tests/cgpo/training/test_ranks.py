"""One process, two processes, ZeRO 0 to 3, large and small micro-batches learn the same; so do checkpoints moved.

Tolerances: float32 sums of the same numbers in another order differ by about 1e-7 of the largest; AdamW divides by the
root of the second moment, so that where a gradient is nearly 0 its rounding error moves a weight by a visible part of
the learning rate (1e-2). Measured over these cases, relative: losses within 4e-7, norms within 2e-7, sums of a
parameter's weights within 2e-6. Ten times that is allowed; a lost or doubled sample changes losses by 1e-2 and more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixed_learning
import pytest
from fixed_learning import Case, learn_case

from cgpo import distributed
from cgpo.errors import RunError

STAGES = (0, 1, 2, 3)
MOVES = [(0, 2), (1, 3), (2, 0), (3, 1)]
"""(stage it was saved with, stage it is loaded with); every stage on either side."""


@pytest.fixture(scope="module")
def case(small_model: str) -> Case:
    return Case(small_model, {"exact": {"name": "crpg", "kl_max": 10.0}, "pairs": {"name": "codpo"}}, steps=3)


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()


@pytest.fixture(scope="module")
def straight(case: Case) -> Any:
    """Three steps in one process without ZeRO."""
    return learn_case(case)


@pytest.fixture(scope="module")
def checkpoints(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of checkpoints after two steps in one process: `1-<stage>/state`; those of two ranks come beside."""
    folder = tmp_path_factory.mktemp("moved")
    for stage, _ in MOVES:
        learn_case(replace(case, steps=2, stage=stage, save=str(folder / f"1-{stage}")))
    return folder


@pytest.fixture(scope="module")
def both(case: Case, checkpoints: Path) -> dict[str, Any]:
    """What two ranks learn, in one start: by stage, and going on from one rank's checkpoints."""
    saved = {f"stage {s}": replace(case, steps=2, stage=s, save=str(checkpoints / f"2-{s}")) for s in STAGES}
    moved = {
        f"from {old} to {new}": replace(case, steps=1, first=2, stage=new, load=(str(checkpoints / f"1-{old}"), old))
        for old, new in MOVES
    }
    reusing = {f"reusing {s}": replace(case, stage=s, reuse_engine_logprobs=True) for s in STAGES}
    cases, out = saved | moved | reusing, checkpoints / "out.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, fixed_learning.__file__, fixed_learning.as_json(list(cases.values())), str(out)]
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told = json.loads(out.read_text())
    return dict(zip(cases, told["cases"], strict=True)) | {"refusal": told["refusal"]}


def assert_same(found: Any, expected: Any) -> None:
    """Compares steps: losses, gradient norms, sums of each weight."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=4e-6, abs=1e-9)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=2e-6)
        assert ours["gaps"] == {name: pytest.approx(gap, rel=1e-4) for name, gap in theirs["gaps"].items()}
        assert ours["weights"] == pytest.approx(theirs["weights"], rel=2e-5)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_zero_stage_changes_nothing(straight: Any, case: Case, stage: int) -> None:
    assert_same(learn_case(replace(case, stage=stage))["steps"], straight["steps"])


def test_micro_batches_change_nothing(straight: Any, case: Case) -> None:
    one_by_one = learn_case(replace(case, micro_batch_tokens=16, share_prompts=False))
    at_once = learn_case(replace(case, micro_batch_tokens=4096))
    assert at_once["micro_batches"] == 3  # everything at once, in each of three steps
    assert one_by_one["micro_batches"] > 3 * 2 * 6
    assert_same(one_by_one["steps"], straight["steps"])
    assert_same(at_once["steps"], straight["steps"])


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_equal_one(straight: Any, both: dict[str, Any], stage: int) -> None:
    found = both[f"stage {stage}"]
    assert found["ranks"] == 2
    assert_same(found["steps"], straight["steps"][:2])


def test_with_the_engines_log_probs_two_ranks_equal_one(straight: Any, case: Case, both: dict[str, Any]) -> None:
    one = learn_case(replace(case, reuse_engine_logprobs=True))["steps"]
    for stage in STAGES:
        assert_same(both[f"reusing {stage}"]["steps"], one)
    assert {name: tokens for name, (_, _, tokens) in one[0]["gaps"].items()}.keys() == {"exact", "pairs"}
    assert one[0]["losses"] != straight["steps"][0]["losses"], "the engine's log-probs are not the policy's here"


@pytest.mark.parametrize(("old", "new"), MOVES)
def test_a_checkpoint_of_one_rank_goes_on_on_two(straight: Any, both: dict[str, Any], old: int, new: int) -> None:
    assert_same(both[f"from {old} to {new}"]["steps"], straight["steps"][2:])


@pytest.mark.parametrize(("old", "new"), [*MOVES, (3, 3)])
def test_a_checkpoint_of_two_ranks_goes_on_on_one(
    straight: Any, both: dict[str, Any], case: Case, checkpoints: Path, old: int, new: int
) -> None:
    assert both  # has saved it
    found = learn_case(replace(case, steps=1, first=2, stage=new, load=(str(checkpoints / f"2-{old}"), old)))
    assert_same(found["steps"], straight["steps"][2:])
    assert not list(checkpoints.glob(".*"))


def test_a_checkpoint_from_before_the_first_step(straight: Any, case: Case, tmp_path: Path) -> None:
    plain, sharded = (replace(case, steps=0, stage=stage, save=str(tmp_path / str(stage))) for stage in (0, 2))
    learn_case(plain)
    found = learn_case(replace(case, steps=1, stage=2, load=(str(plain.save), 0)))
    assert_same(found["steps"], straight["steps"][:1])
    learn_case(sharded)
    with pytest.raises(RunError, match="before the first optimiser step"):
        learn_case(replace(case, steps=1, load=(str(sharded.save), 2)))


def test_ranks_with_different_settings_are_refused(both: dict[str, Any], checkpoints: Path) -> None:
    assert "seed is 0 on rank 0 and 1 on rank 1" in both["refusal"]
    assert not (checkpoints / "out.json.run").exists()


def test_the_steps_did_move_the_weights(straight: Any) -> None:
    steps = straight["steps"]
    assert all(step["grad_norm"] > 0 for step in steps)
    assert all(step["losses"][name] != 0 for step in steps for name in ("exact", "pairs"))
    first, last = (step["weights"]["model.embed_tokens.weight"] for step in (steps[0], steps[-1]))
    assert abs(first - last) > 1e-3 * first
