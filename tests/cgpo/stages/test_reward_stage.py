"""The reward model stage on a tiny encoder: it learns, is done once, goes on after a kill, and shards."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cgpo.compose import compose
from cgpo.config import RunSettings
from cgpo.errors import ConfigError, RunError
from cgpo.rewards.loading import load_base
from cgpo.rewards.model import create_reward
from cgpo.stages.reward_model import stage as stage_module
from cgpo.stages.reward_model.stage import run_reward_stage
from cgpo.stages.reward_model.trainer import freeze_lower_layers
from cgpo.types import Prompt


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Separable pairs: the better response is the polite one. Lengths tell nothing."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    things = "apples rivers lamps clouds books trains shoes birds stones songs doors maps"
    rows = [
        {
            "prompt": f"Tell me about {thing} in {place}.",
            "chosen": f"gladly {thing} {place} are lovely",
            "rejected": f"sourly {thing} {place} are dreary",
        }
        for thing in things.split()
        for place in ("Rome", "winter", "school", "spring")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def settings(run_dir: Path, base: str, pairs: str, *more: str) -> RunSettings:
    stage = {"base": base, "pairs.path": pairs, "learning_rate": 0.01, "epochs": 3, "batch_size": 8, "max_length": 48}
    overrides = [f"reward_stage.{key}={value}" for key, value in stage.items()]
    return compose(["experiment=quickstart", f"run_dir={run_dir}", "tracking.display=off", *overrides, *more]).settings


@pytest.fixture(scope="module")
def done(tiny_encoder: str, pairs_file: str, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """A stage that has run once."""
    found = settings(tmp_path_factory.mktemp("run") / "stage", tiny_encoder, pairs_file)
    assert run_reward_stage(found) == 0
    return found


def weights(run_dir: str | Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(Path(run_dir) / "model" / "model.safetensors")


def metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_what_separates_the_pairs(done: RunSettings) -> None:
    report = json.loads((Path(done.run_dir) / "report.json").read_text())
    heldout = report["heads"]["reward"]["heldout"]
    assert (heldout["accuracy"]["n"], report["steps"]) == (10, 15)
    assert heldout["accuracy"]["estimate"] >= 0.9
    assert heldout["length"]["alone"]["estimate"] < 0.7
    assert heldout["by_kind"]["given"]["n"] == 10
    lines = metrics(done.run_dir)
    assert [line["step"] for line in lines] == list(range(1, 16))
    assert lines[0]["metrics"]["train/loss"] == pytest.approx(math.log(2), abs=0.1)
    assert lines[-1]["metrics"]["train/loss"] < 0.3
    assert lines[0]["metrics"]["train/learning_rate"] == 0.01
    assert lines[-1]["metrics"]["train/learning_rate"] == pytest.approx(0.01 / 15)


def test_the_model_serves_as_a_reward(done: RunSettings) -> None:
    used = done.rewards["helpfulness"].model_copy(update={"model": f"{done.run_dir}/model", "max_length": 48})
    prompt = Prompt("p", ({"role": "user", "content": "Tell me about kites in Rome."},))
    responses = ["gladly kites are lovely", "sourly kites are dreary"]
    good, bad = create_reward("helpfulness", used).score([prompt] * 2, responses)
    assert good is not None
    assert bad is not None
    assert good > bad


def test_the_same_command_again_is_done_at_once(done: RunSettings, capsys: pytest.CaptureFixture[str]) -> None:
    before = (Path(done.run_dir) / "model" / "model.safetensors").stat().st_mtime_ns
    assert run_reward_stage(done) == 0
    assert (Path(done.run_dir) / "model" / "model.safetensors").stat().st_mtime_ns == before
    assert "head reward (pairwise, 10 held out)" in capsys.readouterr().out


def test_another_configuration_is_refused(done: RunSettings, tiny_encoder: str, pairs_file: str) -> None:
    other = settings(Path(done.run_dir), tiny_encoder, pairs_file, "reward_stage.epochs=4")
    with pytest.raises(ConfigError, match=r"reward_stage\.epochs: 3 → 4"):
        run_reward_stage(other)
    # what the stage does not depend on may differ
    unrelated = settings(Path(done.run_dir), tiny_encoder, pairs_file, "strata.math.optimizer.kl_max=3")
    assert run_reward_stage(unrelated) == 0


def test_a_killed_stage_goes_on_and_ends_the_same(
    done: RunSettings, tiny_encoder: str, pairs_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = settings(tmp_path / "run", tiny_encoder, pairs_file, "reward_stage.save_every=6")

    class KilledError(Exception):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        # after the last step, before the model is written: the checkpoint of step 12 is the newest
        patch.setattr(stage_module.RewardStage, "_save", killed)
        with pytest.raises(KilledError):
            run_reward_stage(again)
    assert not (tmp_path / "run" / "model").exists()
    run_reward_stage(again)
    for name, tensor in weights(done.run_dir).items():
        assert torch.equal(weights(again.run_dir)[name], tensor), name
    assert metrics(again.run_dir) == metrics(done.run_dir)


def test_two_ranks_with_zero_3_train_the_same_model(
    done: RunSettings, tiny_encoder: str, pairs_file: str, tmp_path: Path
) -> None:
    script = tmp_path / "go.py"
    script.write_text(
        "import sys\nfrom cgpo.compose import compose\nfrom cgpo.stages.reward_model.stage import run_reward_stage\n"
        "sys.exit(run_reward_stage(compose(sys.argv[1:]).settings))\n"
    )
    two = settings(tmp_path / "run", tiny_encoder, pairs_file)
    stage = two.reward_stage
    overrides = [
        "experiment=quickstart",
        f"run_dir={two.run_dir}",
        "tracking.display=off",
        "deepspeed.zero_stage=3",
        f"reward_stage.base={stage.base}",
        f"reward_stage.pairs.path={stage.pairs.path}",
        f"reward_stage.learning_rate={stage.learning_rate}",
        f"reward_stage.epochs={stage.epochs}",
        f"reward_stage.batch_size={stage.batch_size}",
        f"reward_stage.max_length={stage.max_length}",
        "reward_stage.micro_batch_tokens=60",  # one pair at a time, and ranks with unequal numbers of them
    ]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    environment |= {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run([*launch, *overrides], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.count("head reward (pairwise") == 1
    ours, theirs = ([line["metrics"]["train/loss"] for line in metrics(s.run_dir)] for s in (done, two))
    assert theirs[:3] == pytest.approx(ours[:3], rel=1e-5)  # the first losses after one and two updates
    assert theirs == pytest.approx(ours, abs=5e-4)  # AdamW amplifies rounding where a gradient is nearly 0
    assert (Path(two.run_dir) / "model" / "config.json").is_file()


def test_lower_layers_can_be_frozen(tiny_encoder: str) -> None:
    def trained(layers: int | None) -> set[str]:
        model, _ = load_base(tiny_encoder, "b", seed=0)
        freeze_lower_layers(model, layers)
        return {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}

    assert trained(0) == {"classifier"}
    one = trained(1)
    assert {"classifier", "bert.pooler.dense"} < one
    assert all("layer.1." in name for name in one - {"classifier", "bert.pooler.dense"})
    assert not any("embeddings" in name for name in trained(2))
    assert any("embeddings" in name for name in trained(None))


def test_a_base_that_cannot_be_loaded(pairs_file: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reward_stage\.base: 'no/such' cannot be loaded"):
        run_reward_stage(settings(tmp_path / "run", "no/such", pairs_file))


def test_more_tokens_than_positions(tiny_encoder: str, pairs_file: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reward_stage\.max_length = 65: the model knows at most 64"):
        run_reward_stage(settings(tmp_path / "run", tiny_encoder, pairs_file, "reward_stage.max_length=65"))


def test_a_loss_that_is_not_finite_stops_the_stage(tiny_encoder: str, pairs_file: str, tmp_path: Path) -> None:
    # Weights of 1e30 after the first step overflow in the second.
    with pytest.raises(RunError, match=r"diverged.*reward_stage\.learning_rate"):
        run_reward_stage(settings(tmp_path / "stage", tiny_encoder, pairs_file, "reward_stage.learning_rate=1e30"))
    assert not (tmp_path / "stage" / "model").exists()
