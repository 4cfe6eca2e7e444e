"""The commands of README.md run: as they stand where they are quick, shortened and on a tiny model where they train."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [line.split("   ")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = [shlex.split(line) for line in LINES if not line.startswith("make ")]

ROW = {"prompt": "What is 3 + 4?", "response": "The final answer is 7.", "metadata": {"answer": "7"}}


def shortened(model: str) -> list[str]:
    """Overrides that make the quickstart a matter of seconds."""
    small = [f"strata.{s}.{key}" for s in ("math", "instruction_following", "chat") for key in ("prompts_per_step=2",)]
    sampling = [f"strata.{s}.sampling.max_tokens=6" for s in ("math", "instruction_following", "chat")]
    heldout = [f"strata.{s}.heldout.size=2" for s in ("math", "instruction_following", "chat")]
    return [
        f"model.name={model}",
        "model.context_length=256",
        "train.steps=1",
        "rollout=hf",  # two ranks with vLLM each are in test_training.py
        *small,
        *sampling,
        *heldout,
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the files the README's commands name."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from cgpo.models.assets import resolve_model

    found = tmp_path_factory.mktemp("readme")
    (found / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    (found / "my.jsonl").write_text(json.dumps({"prompt": ROW["prompt"], "metadata": ROW["metadata"]}) + "\n")
    base, reward = resolve_model("minilm"), found / "runs" / "quickstart-reward" / "model"
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(reward)
    AutoTokenizer.from_pretrained(base).save_pretrained(reward)
    return found


def program(words: list[str]) -> list[str]:
    """The command as this environment runs it."""
    if words[0] == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", *words[1:]]
    assert words[0] == "cgpo", f"the README names a program this test does not know: {words[0]}"
    return [sys.executable, "-m", "cgpo", *words[1:]]


def trains(words: list[str]) -> bool:
    return "train" in words and "--dry-run" not in words


def test_the_readme_leads_with_its_two_commands() -> None:
    assert [line.split("#")[0].strip() for line in BLOCKS[0].splitlines()] == ["make quickstart", "make test"]


@pytest.mark.parametrize("words", [c for c in COMMANDS if not trains(c)], ids=" ".join)
def test_quick_commands_run_as_they_stand(words: list[str], folder: Path) -> None:
    done = subprocess.run(program(words), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [c for c in COMMANDS if trains(c)], ids=" ".join)
def test_training_commands_run_shortened(words: list[str], folder: Path, tiny_model: str) -> None:
    command = [*program(words), *shortened(tiny_model)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    named = [word.removeprefix("run_dir=") for word in words if word.startswith("run_dir=")]
    assert (folder / (named or ["runs/quickstart"])[0] / "report.html").is_file()


def test_several_processes_do_not_go_on_in_the_quickstarts_directory() -> None:
    (words,) = [c for c in COMMANDS if c[0] == "torchrun"]
    assert any(word.startswith("run_dir=") for word in words)


def test_the_yaml_example_is_a_valid_experiment(folder: Path) -> None:
    (example,) = re.findall(r"```yaml\n# my-configs/experiment/mine.yaml[^\n]*\n(.*?)```", README, re.DOTALL)
    (folder / "my-configs" / "experiment").mkdir(parents=True)
    (folder / "my-configs" / "experiment" / "mine.yaml").write_text(example)
    command = program(["cgpo", "train", "--config-dir", "my-configs", "experiment=mine", "--dry-run"])
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "64 prompts × 8 responses" in " ".join(done.stdout.split())


def test_console_script_is_installed() -> None:
    assert shutil.which("cgpo", path=str(Path(sys.executable).parent))
