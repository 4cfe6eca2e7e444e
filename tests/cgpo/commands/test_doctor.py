"""`cgpo doctor` on this machine and on machines that lack something; the lack is real files and paths, not mocks."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cgpo.commands import doctor
from cgpo.commands.doctor import Status


@pytest.fixture
def extra_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of the module search path; `_add_package` puts installed packages there."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def _add_package(folder: Path, name: str, version: str, record: str = "") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(record)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


def _add_program(folder: Path, name: str, prints: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{prints}'\n")
    program.chmod(0o755)


def _run(capsys: pytest.CaptureFixture[str], as_json: bool = False) -> tuple[int, str]:
    status = doctor.run(argparse.Namespace(json=as_json))
    return status, capsys.readouterr().out


def test_this_environment_has_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    status, output = _run(capsys, as_json=True)
    found = json.loads(output)
    failed = [row for row in found["findings"] if row["status"] == "fail"]
    assert (status, found["ok"], failed) == (0, True, [])
    assert {row["what"] for row in found["findings"]} >= {"Python", "torch", "deepspeed", "hydra-core", "memory"}
    assert all(row["mend"] for row in found["findings"] if row["status"] != "ok")


def test_vllm_may_be_its_cpu_build() -> None:
    finding = next(finding for finding in doctor.check_packages() if finding.what == "vllm")
    assert finding.status is Status.OK


def test_package_of_another_version_fails(extra_packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _add_package(extra_packages, "transformers", "4.57.0")
    status, output = _run(capsys)
    assert status == 1
    assert "4.57.0, which does not fit" in " ".join(output.split())
    assert "make setup" in output


def test_cuda_torchvision_beside_cpu_torch_fails(extra_packages: Path) -> None:
    _add_package(extra_packages, "torch", "2.13.0+cpu")
    assert [f.status for f in doctor.check_cuda_builds()] == [Status.OK]
    _add_package(extra_packages, "torchvision", "0.28.0")
    (finding,) = doctor.check_cuda_builds()
    assert finding.status is Status.FAIL
    assert finding.mend.endswith("-m pip uninstall -y torchvision")


def test_another_package_named_judges_fails(extra_packages: Path) -> None:
    _add_package(extra_packages, "judges", "0.1.0", record="judges/__init__.py,,\n")
    (finding,) = doctor.check_judges_name()
    assert finding.status is Status.FAIL
    assert finding.found == "judges 0.1.0 is imported under the same name"


def test_missing_compiler_fails_where_training_is_installed(programs: Path) -> None:
    compiler = doctor.check_compiler()[0]
    assert (compiler.status, compiler.mend) == (Status.FAIL, "apt-get install build-essential")
    _add_program(programs, "g++", "g++ 12.2.0")
    compiler = doctor.check_compiler()[0]
    assert (compiler.status, compiler.found) == (Status.OK, f"{programs}/g++: g++ 12.2.0")


def test_programs_run_in_boxes_on_this_machine() -> None:
    (finding,) = doctor.check_sandbox()
    assert (finding.status, finding.mend) == (Status.OK, "")
    assert "bwrap" in finding.found


@pytest.mark.parametrize(
    ("path", "mend"), [(None, "apt-get install bubblewrap"), ("/usr/bin/bwrap", "allow user namespaces")]
)
def test_a_machine_without_boxes_warns(monkeypatch: pytest.MonkeyPatch, path: str | None, mend: str) -> None:
    monkeypatch.setattr("judges.sandbox.available", lambda: "no isolation on this machine")
    monkeypatch.setattr("judges.sandbox.isolation.bubblewrap", lambda: path)
    (finding,) = doctor.check_sandbox()
    assert finding.status is Status.WARN
    assert finding.mend.startswith(mend)
    assert "no isolation on this machine" in finding.found


def test_gpu_with_cpu_torch_warns(programs: Path, extra_packages: Path) -> None:
    (finding,) = doctor.check_gpus()
    assert finding.found == "none found: everything runs on the CPU"
    _add_program(programs, "nvidia-smi", "NVIDIA H100 80GB HBM3, 81559 MiB, 570.86")
    _add_package(extra_packages, "torch", "2.13.0+cpu")
    (finding,) = doctor.check_gpus()
    assert (finding.status, finding.mend) == (Status.WARN, "bash launch/install.sh cuda")
    assert "H100" in finding.found


def test_full_disk_warns(tmp_path: Path) -> None:
    finding = doctor._disk("disk", tmp_path / "not" / "yet", needed_gib=1e9, mend="free some space")
    assert (finding.status, finding.mend) == (Status.WARN, "free some space")


def test_a_folder_that_cannot_be_written_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    finding = doctor._disk("disk", tmp_path / "not" / "yet", needed_gib=1e-6, mend="set CGPO_CACHE")
    assert (finding.status, finding.mend) == (Status.WARN, "set CGPO_CACHE")
    assert "cannot be written" in finding.found


@pytest.mark.parametrize(
    ("machine", "flags", "said"),
    [
        ("x86_64", {"avx2", "avx512f"}, ", x86_64, AVX2, AVX-512"),
        ("x86_64", set(), ", no AVX2"),
        ("aarch64", set(), "h64"),
    ],
)
def test_the_processor_in_words(machine: str, flags: set[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "machine", lambda: machine)
    monkeypatch.setattr(doctor, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    (finding,) = doctor.check_cpu()
    assert finding.found.endswith(said)


def test_doctor_does_not_import_torch() -> None:
    code = (
        "import argparse, sys; from cgpo.commands import doctor; doctor.run(argparse.Namespace(json=True)); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
