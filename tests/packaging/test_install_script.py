"""launch/install.sh without a network: what it keeps, what it mends, and what it says when it cannot go on.

A whole installation takes minutes and is what `make test` begins with, so it is not repeated here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What install.sh reads of the project, and a `.venv` that it takes for finished."""
    project = tmp_path_factory.mktemp("install") / "project"
    project.mkdir()
    shutil.copytree(ROOT / "launch", project / "launch")
    (project / "cgpo").mkdir()
    for name in ("setup.cfg", "pyproject.toml", "cgpo/__init__.py"):
        shutil.copy(ROOT / name, project / name)
    subprocess.run([sys.executable, "-m", "venv", project / ".venv"], check=True)
    _finish(project)
    return project


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared project, in another place but marked as installed there."""
    copy = tmp_path / "project"
    shutil.copytree(prepared, copy, symlinks=True)
    _finish(copy)
    return copy


def _program(file: Path, script: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _finish(project: Path) -> None:
    script = 'source launch/install.sh; DEVICE=cpu; echo "$DEVICE $PWD" > $VENV/cgpo-place; fingerprint > $STAMP'
    subprocess.run(["bash", "-c", script], cwd=project, check=True)


def _install(
    project: Path, *arguments: str, free_gib: int = 50, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs install.sh with space on the disk and no package index, so that nothing is installed by accident."""
    programs = project / "programs"
    _program(programs / "df", f'printf "Filesystem\\n/dev/disk 0 0 %s\\n" {free_gib * 2**20}')
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"} | environment
    env = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull} | environment
    env["CGPO_DEVICE"] = environment.get("CGPO_DEVICE", "cpu")
    command = ["bash", "launch/install.sh", *arguments]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


def test_second_run_does_nothing(project: Path) -> None:
    before = sorted(path for path in (project / ".venv").rglob("*"))
    done = _install(project)
    assert (done.returncode, done.stdout) == (0, ".venv is up to date (cpu)\n")
    assert sorted(path for path in (project / ".venv").rglob("*")) == before


def test_changed_settings_install_again_and_no_index_is_said_in_one_line(project: Path) -> None:
    with (project / "setup.cfg").open("a") as file:
        file.write("\n# changed\n")
    done = _install(project)
    assert done.returncode == 1
    assert "making .venv" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("install: could not install pip and setuptools: ")
    assert "To mend: " in line
    assert not (project / ".venv" / "cgpo-stamp").exists()


def test_interrupted_installation_is_not_taken_for_finished(project: Path) -> None:
    (project / ".venv" / "cgpo-stamp").unlink()
    site = next((project / ".venv" / "lib").glob("python3*/site-packages"))
    half, whole = site / "half-1.0.dist-info", site / "whole-1.0.dist-info"
    for info in (half, whole):
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\n")
    (whole / "RECORD").write_text("whole.py,,\n")
    assert _install(project).returncode == 1
    assert not half.exists()
    assert whole.exists()


@pytest.mark.parametrize("damage", ["moved", "broken"])
def test_moved_or_broken_environment_is_made_anew(project: Path, damage: str) -> None:
    if damage == "moved":
        project = project.rename(project.with_name("elsewhere"))
    else:
        (project / ".venv" / "bin" / "python").unlink()
        (project / ".venv" / "bin" / "python").symlink_to("/no/such/python")
    done = _install(project, PYTHON=sys.executable)
    assert done.returncode == 1
    assert "making .venv with Python 3." in done.stdout
    assert (project / ".venv" / "cgpo-place").read_text() == f"cpu {project}\n"


def test_other_device_makes_the_environment_anew(project: Path) -> None:
    done = _install(project, "cuda", PYTHON=sys.executable)
    assert "for cuda" in done.stdout
    assert "torchvision" not in done.stdout + done.stderr


@pytest.mark.parametrize(("device", "needed"), [("cpu", 6), ("cuda", 12)])
def test_too_little_space_is_named(project: Path, device: str, needed: int) -> None:
    (project / ".venv" / "cgpo-stamp").unlink()
    done = _install(project, device, free_gib=needed - 1)
    assert (done.returncode, done.stderr) == (
        1,
        f"install: {needed - 1} GiB free at {project}, {needed} GiB are needed: free some space\n",
    )


@pytest.mark.parametrize(
    ("torch", "vllm", "refused"),
    [
        ("12.9", "0.32.0", None),
        ("12.9", "0.32.0+cu129", None),
        (None, "0.32.0", "torch 2.13.0+cpu"),
        ("12.9", "0.32.0+cpu", "vllm 0.32.0+cpu"),
    ],
)
def test_builds_without_cuda_are_refused_by_name(
    project: Path, torch: str | None, vllm: str, refused: str | None
) -> None:
    version = "2.13.0" if torch else "2.13.0+cpu"
    for name, installed in {"torch": version, "vllm": vllm}.items():
        (site,) = (project / ".venv" / "lib").glob("python3*/site-packages")
        (site / f"{name}-{installed}.dist-info").mkdir()
        (site / f"{name}-{installed}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {installed}\n")
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("from torch import version\n")
    (site / "torch" / "version.py").write_text(f"cuda = {torch!r}\n")
    script = "source launch/install.sh; DEVICE=cuda; : >$LOG; check_cuda_builds torch vllm"
    done = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True)
    assert done.returncode == (refused is not None), done.stderr
    if refused:
        assert f"install: the package index gave {refused}, which is built without CUDA. Name one" in done.stderr


def test_deepspeed_is_installed_without_a_toolkit(project: Path) -> None:
    script = (
        'source launch/install.sh; DEVICE=cuda; install_step() { echo "$1: ${DS_IGNORE_CUDA_DETECTION:-}"; }; '
        'check_cuda_builds() { echo "checked $*"; }; install_cuda'
    )
    done = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "torch: ",
        "checked torch",
        "vLLM, DeepSpeed and what they need: 1",
        "checked torch vllm",
    ]


def test_unknown_device_is_refused(project: Path) -> None:
    done = _install(project, "tpu")
    assert (done.returncode, done.stderr) == (1, "install: unknown device 'tpu'. Allowed: cpu, cuda\n")


def test_old_or_missing_python_is_named(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    done = _install(project, PYTHON="/no/such/python")
    assert done.returncode == 1
    assert "no Python from 3.11 to 3.13 found (looked for /no/such/python)" in done.stderr


def test_python_without_headers_is_named(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(project / ".venv")
    python = tmp_path / "python3.11"
    python.write_text(f'#!/bin/sh\ncase "$2" in *Python.h*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = _install(project, PYTHON=str(python))
    assert done.returncode == 1
    assert "has no header files (Python.h)" in done.stderr
    assert "apt-get install python3.11-dev" in done.stderr


def test_missing_compiler_is_named(project: Path, tmp_path: Path) -> None:
    (project / ".venv" / "cgpo-stamp").unlink()
    programs = tmp_path / "bin"
    programs.mkdir()
    needed = ("bash", "dirname", "flock", "grep", "uname", "cat", "sha256sum", "cut")
    for name in needed:
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    done = _install(project, PATH=str(programs), CXX="")
    assert done.returncode == 1
    assert "no C++ compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr
