"""The wheel: everything is in it, nothing else is, and installed into a fresh environment the commands answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"cgpo": "cgpo", "judges": "judges", "conf": "cgpo/conf"}
"""Folder in the repository → folder in the wheel."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources: setuptools would carry along what an earlier build left behind."""
    source, target = tmp_path_factory.mktemp("source") / "cgpo", tmp_path_factory.mktemp("wheel")
    source.mkdir()
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True)
    (built,) = target.glob("cgpo-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and its base requirements, nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "-c", ROOT / "launch" / "pins-cpu.txt", wheel], check=True)
    return folder


@pytest.fixture
def command(installed: Path, tmp_path: Path, smollm2: str) -> Command:
    """Runs a program of the fresh environment far from the checkout. (The small model is in the cache.)"""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    env["COLUMNS"] = "160"

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        words = [installed / "bin" / program, *arguments]
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def _on_disk() -> set[str]:
    """Every file of the packages, as it should be named in the wheel."""
    names = set()
    for folder, packaged in SOURCES.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                names.add(f"{packaged}/{file.relative_to(ROOT / folder).as_posix()}")
    return names


def test_wheel_holds_every_file_and_no_other(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    missing = sorted(_on_disk() - inside)
    hint = "add the package to [options] packages or the file to [options.package_data] in setup.cfg"
    assert not missing, f"not in the wheel: {missing}; {hint}"
    assert sorted(inside - _on_disk()) == []


def test_wheel_carries_the_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (licence,) = [name for name in archive.namelist() if name.endswith("LICENSE")]
    assert "Apache License" in archive.read(licence).decode()


def test_help_answers(command: Command) -> None:
    done = command("cgpo", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cgpo train experiment=quickstart --dry-run" in done.stdout


def test_judge_list_names_the_built_in_judges(command: Command) -> None:
    done = command("cgpo", "judge", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in ("math", "instruction_following", "refusal"))


def test_judges_work_without_the_training_parts(command: Command, tmp_path: Path) -> None:
    rows = [
        {"prompt": "What is 3 + 4?", "response": "The final answer is 7.", "metadata": {"answer": "7"}},
        {"prompt": "What is 3 + 4?", "response": "The final answer is 8.", "metadata": {"answer": "7"}},
    ]
    source, target = tmp_path / "rows.jsonl", tmp_path / "judged.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("cgpo", "judge", "run", "--judge", "math", "--input", str(source), "--output", str(target))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["satisfied"] for line in target.read_text().splitlines()] == [True, False]


def test_dry_run_finds_the_configuration(command: Command) -> None:
    done = command("cgpo", "train", "experiment=quickstart", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(stratum in done.stdout for stratum in ("math", "instruction_following", "chat"))


def test_training_without_the_training_parts_says_what_to_install(command: Command) -> None:
    done = command("cgpo", "train", "experiment=quickstart")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cgpo[train]" in done.stderr


def test_doctor_reports_the_missing_training_parts(command: Command) -> None:
    done = command("cgpo", "doctor")
    assert done.returncode == 0, done.stdout
    assert "not installed: no training, only judges and settings" in " ".join(done.stdout.split())


def test_import_does_not_come_from_the_checkout(command: Command, installed: Path) -> None:
    code = "import cgpo.conf, judges; print(cgpo.conf.__file__); print(judges.__file__)"
    done = command("python", "-c", code)
    assert all(line.startswith(str(installed)) for line in done.stdout.splitlines())
