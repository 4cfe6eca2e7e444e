"""The example of a plugin: installed by pip as users do it, then used by name – in files, checks and training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "judge_plugin"
PROGRAM = (sys.executable, "-m", "cgpo")


def install(source: Path, target: Path) -> None:
    """Installs a copy into a folder of its own; pip would leave `build/` in the checkout."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with the installed package."""
    source = shutil.copytree(FOLDER, tmp_path_factory.mktemp("source") / "judge_plugin")
    target = tmp_path_factory.mktemp("installed")
    install(source, target)
    return target


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A copy of the folder to run in; without the module, so that only the installed one can be found."""
    folder = Path(shutil.copytree(FOLDER, tmp_path / "judge_plugin"))
    (folder / "example_judges.py").unlink()
    return folder


def cgpo(
    here: Path, path: Path | str, *arguments: str, program: Sequence[str] = PROGRAM
) -> subprocess.CompletedProcess[str]:
    command = [*program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)


def test_its_judges_are_listed_with_where_they_come_from(here: Path, installed: Path) -> None:
    done = cgpo(here, installed, "judge", "list")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "example-judges 1.0" in lines["mentions"]
    assert "must_mention" in lines["mentions"]
    assert "At most a small share" in lines["plain_words"]


@pytest.mark.parametrize("name", ["mentions", "plain_words"])
def test_its_judges_keep_the_contract(here: Path, installed: Path, name: str, cgpo_with_few_seeds: list[str]) -> None:
    done = cgpo(here, installed, "judge", "check", name, program=cgpo_with_few_seeds)
    assert done.returncode == 0, done.stdout
    assert "ok     examples: 2 examples as declared" in done.stdout


def test_its_judges_judge_a_file(here: Path, installed: Path) -> None:
    arguments = ["--judge", "mentions,plain_words", "--input", "rows.jsonl", "--output", "judged.jsonl"]
    done = cgpo(here, installed, "judge", "run", *arguments)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (here / "judged.jsonl").read_text().splitlines()]
    assert [row["satisfied"] for row in rows] == [True, False, None]
    assert rows[1]["verdicts"]["plain_words"]["reason"] == "1 of 5 words are long, e.g. Electromagnetic"
    assert rows[2]["verdicts"]["mentions"]["reason"] == "missing metadata: must_mention"


def test_its_own_tests_pass(here: Path, installed: Path) -> None:
    few_seeds = "import sys, pytest\nfrom judges.contract import checks\nchecks._SEEDS_SECONDS = 0.0\n"
    few_seeds += "sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", few_seeds, "-q", "-p", "no:cacheprovider", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "4 passed" in done.stdout


def test_training_with_its_judges(here: Path, installed: Path, tiny_model: str) -> None:
    settings = ["--config-dir", ".", "experiment=judge_plugin"]
    plan = cgpo(here, installed, "train", *settings, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "judges mentions, plain_words" in " ".join(plan.stdout.split())

    settings += [f"model.name={tiny_model}", "rollout=hf", "strata.plain.sampling.max_tokens=6", "train.steps=1"]
    settings += ["reward_stage.epochs=1", "reward_stage.max_length=32", "reward_stage.trainable_layers=0"]
    reward = cgpo(here, installed, "reward", *settings)
    assert reward.returncode == 0, reward.stderr[-3000:]
    train = cgpo(here, installed, "train", *settings)
    assert train.returncode == 0, train.stderr[-3000:]
    (line,) = (here / "runs" / "judge_plugin" / "metrics.jsonl").read_text().splitlines()
    metrics = json.loads(line)["metrics"]
    assert metrics["plain/satisfied_rate/mentions"] <= 1.0
    assert 0.0 <= metrics["plain/satisfied_rate/plain_words"] <= 1.0


def test_training_without_the_package_names_the_missing_judge(here: Path) -> None:
    done = cgpo(here, "", "train", "--config-dir", ".", "experiment=judge_plugin", "--dry-run")
    assert done.returncode == 2
    assert "unknown judge 'mentions'" in done.stderr


def test_a_name_that_is_taken_is_an_error_that_names_both_packages(here: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(FOLDER, tmp_path / "clashing"))
    project = source / "pyproject.toml"
    text = project.read_text()
    assert 'mentions = "' in text
    project.write_text(text.replace('mentions = "', 'math = "').replace("example-judges", "clashing-judges"))
    install(source, tmp_path / "target")
    for arguments in (
        ["list"],
        ["check", "math"],
        ["run", "--judge", "math", "--input", "rows.jsonl", "--output", "o"],
    ):
        done = cgpo(here, tmp_path / "target", "judge", *arguments)
        assert done.returncode == 2
        assert "the judge name 'math' is claimed by two packages" in done.stderr
        assert "clashing-judges 1.0 (example_judges:mentions)" in done.stderr
        assert "(judges.rules.math:MathJudge)" in done.stderr
    done = cgpo(here, tmp_path / "target", "train", "--config-dir", ".", "experiment=judge_plugin", "--dry-run")
    assert done.returncode == 2
    assert "claimed by two packages" in done.stderr
