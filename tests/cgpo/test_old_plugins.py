"""Plugins written against the interfaces of earlier versions: installed by pip, then used by name.

`tests/fixtures/old_plugins` holds the example package as it was at commit 3c3d12c, a package with rewards, optimisers
and a rollout engine, and a program with what the documentation shows from Python. They import what docs/*.md tell
authors to import, and touch every attribute they are told of; a name that is lost fails here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"
PLUGINS = FIXTURES / "old_plugins"
EXPERIMENT = """\
# @package _global_
run_dir: run
model: {name: model, context_length: 256}
rewards:
  brevity: {type: brevity, per_word: 0.2}
  vowels: {type: vowels, letters: aeiouy, max_missing_rate: 1.0}
strata:
  seen:
    prompts: train.jsonl
    heldout: heldout.jsonl
    prompts_per_step: 2
    generations_per_prompt: 2
    sampling: {max_tokens: 6}
    judges: [{name: plain_words, as: short, max_letters: 5}, mentions]
    rewards: {brevity: 1.0, vowels: 2.0}
    optimizer: {name: everything, judge: short}
    max_unknown_rate: 1.0
  imitated:
    prompts: train.jsonl
    prompts_per_step: 2
    generations_per_prompt: 2
    sampling: {max_tokens: 6}
    judges: [{name: mentions, ignore_case: false}]
    rewards: {brevity: 1.0}
    optimizer: {name: imitation, strength: 0.5}
rollout: {engine: plain_loop, options: {greeting: hello}}
judging: {processes: 1}
train: {steps: 1, learning_rate: 1.0e-3, save_every: 1}
eval: {before: true}
tracking: {tensorboard: false, display: "off"}
"""
TRAIN = ("train", "--config-dir", ".", "experiment=plugins")


def run(
    here: Path, installed: Path, *arguments: str, program: tuple[str, ...] = ("-m", "cgpo")
) -> subprocess.CompletedProcess[str]:
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}  # set by training in this process
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    environment |= {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *program, *arguments]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with both packages, installed from copies: pip would leave `build/` in the checkout."""
    target, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source")
    copies = [str(shutil.copytree(PLUGINS / name, source / name)) for name in ("judge_plugin", "training_plugin")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), *copies]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the old run's model, prompts and an experiment."""
    folder = tmp_path_factory.mktemp("here")
    shutil.copytree(FIXTURES / "old_run" / "start" / "model", folder / "model")
    for name in ("rows.jsonl", "heldout.jsonl"):
        shutil.copy(PLUGINS / "judge_plugin" / name, folder)
    terms = [["a"], ["e", "o"], ["zebra"], ["r"]]
    rows = [{"prompt": f"Name {i} things.", "metadata": {"must_mention": terms[i % 4]}} for i in range(8)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "experiment").mkdir()
    (folder / "experiment" / "plugins.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module")
def trained(here: Path, installed: Path) -> Path:
    """The run directory after one step, and one more after a resume."""
    for steps in ("1", "2"):
        done = run(here, installed, *TRAIN, f"train.steps={steps}")
        assert done.returncode == 0, done.stderr[-3000:]
    return here / "run"


def metrics(folder: Path) -> list[dict[str, float | None]]:
    return [json.loads(line)["metrics"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_with_old_plugins(trained: Path) -> None:
    first, second = metrics(trained)
    for step in (first, second):
        assert step["seen/used"] in (0, 1, 2, 3, 4)
        assert step["seen/baselines"] == 2
        assert step["seen/longest"] <= 6
        assert 0 <= step["imitated/imitated_rate"] <= 1
        assert step["seen/reward/brevity"] <= 0
        assert 0 <= step["seen/reward/vowels"] <= 1
        assert step["sync/logprob_gap"] < 1e-4
    assert first["train/grad_norm"] > 0
    assert (trained / "evaluation.jsonl").exists()


def test_an_old_optimiser_keeps_its_state_over_a_resume(trained: Path) -> None:
    assert [step["seen/steps_seen"] for step in metrics(trained)] == [0, 1]


def test_what_the_documentation_shows_from_python(here: Path, installed: Path, trained: Path) -> None:
    done = run(here, installed, str(trained), program=(str(PLUGINS / "documented.py"),))
    assert done.stdout.strip().endswith("all of it is there"), done.stderr[-3000:]


def test_an_old_judge_keeps_the_contract(here: Path, installed: Path) -> None:
    done = run(here, installed, "judge", "check", "mentions")
    assert done.returncode == 0, done.stdout
    assert "ok     examples: 2 examples as declared" in done.stdout


def test_old_judges_judge_a_file(here: Path, installed: Path) -> None:
    (here / "my_judges.py").write_text((PLUGINS / "documented.py").read_text())
    arguments = ["--judge", "mentions,plain_words,my_judges.py:Polite", "--option", 'Polite.words=["hello"]']
    done = run(here, installed, "judge", "run", *arguments, "--input", "rows.jsonl", "--output", "judged.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (here / "judged.jsonl").read_text().splitlines()]
    assert [row["satisfied"] for row in rows] == [True, False, None]
    assert {row["verdicts"]["Polite"]["verdict"] for row in rows} == {"not_applicable"}


def test_a_plugins_own_refusal_reaches_the_user(here: Path, installed: Path) -> None:
    done = run(here, installed, *TRAIN, "strata.seen.optimizer.judge=none", "--dry-run")
    assert done.returncode == 2
    assert "`judge` is 'none', but the judges are short, mentions" in done.stderr
