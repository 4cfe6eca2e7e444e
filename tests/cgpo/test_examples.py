"""The example of own data: a valid plan, readable prompts, and training that starts from its files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "own_data"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy, so that its runs leave nothing in the checkout."""
    return Path(shutil.copytree(FOLDER, tmp_path / "own_data"))


def cgpo(example: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgpo", *arguments]
    return subprocess.run(command, cwd=example, capture_output=True, text=True, check=False)


def test_the_plan(example: Path) -> None:
    done = cgpo(example, "train", "--config-dir", ".", "experiment=own_data", "--dry-run")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "train.jsonl" in text
    assert "judges math, refusal" in text


def test_reward_and_training_run_on_its_files(example: Path, tiny_model: str) -> None:
    short = [f"model.name={tiny_model}", "rollout=hf", "strata.stories.sampling.max_tokens=6"]
    short += ["reward_stage.epochs=1", "reward_stage.max_length=32", "reward_stage.trainable_layers=0"]
    reward = cgpo(example, "reward", "--config-dir", ".", "experiment=own_data", *short)
    assert reward.returncode == 0, reward.stderr[-3000:]
    assert "head reward (pairwise" in reward.stdout + reward.stderr
    train = cgpo(example, "train", "--config-dir", ".", "experiment=own_data", *short, "train.steps=1")
    assert train.returncode == 0, train.stderr[-3000:]
    assert "stories" in train.stdout
