"""launch/progress.py: what pip says becomes one progress with sizes and the time left."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "progress.py"
PIP = """\
Collecting torch==2.13.0+cpu
  Downloading torch-2.13.0+cpu-cp311-linux_x86_64.whl.metadata (30 kB)
Downloading torch-2.13.0+cpu-cp311-linux_x86_64.whl (190.5 MB)
  Using cached six-1.17.0-py2.py3-none-any.whl (500 kB)
Requirement already satisfied: pip in .venv
Installing collected packages: six, torch
"""


@pytest.fixture(scope="module")
def module() -> Any:
    spec = importlib.util.spec_from_file_location("progress", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def install(venv: Path, *names: str) -> None:
    for name in names:
        info = venv / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").touch()


def test_sizes_packages_and_the_time_left(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "time", lambda: 100.0)
    progress = module.Progress(4, 382.0, tmp_path / "progress.json")
    progress.read(PIP.splitlines())
    assert progress.text() == "0 of 4 packages installed, 191 of 382 MB loaded"
    install(tmp_path, "six-1.17.0", "torch-2.13.0")
    monkeypatch.setattr(module.time, "time", lambda: 130.0)
    # Half of the files and half of the packages: half of the work, in 30 s.
    assert progress.text() == "2 of 4 packages installed, 191 of 382 MB loaded, about 30 s left"


def test_the_next_call_of_pip_goes_on_with_the_same_numbers(module: Any, tmp_path: Path) -> None:
    state = tmp_path / "progress.json"
    module.Progress(4, 382.0, state).read(PIP.splitlines())
    again = module.Progress(4, 382.0, state)
    wheel = tmp_path / "local-1.0-py3-none-any.whl"
    wheel.write_bytes(b"x" * 2_000_000)
    again.read([f"Processing {wheel}"])  # of a mirror that is a folder
    assert again.text() == "0 of 4 packages installed, 193 of 382 MB loaded"
    assert sorted(json.loads(state.read_text())["loaded"]) == [
        "local-1.0-py3-none-any.whl",
        "six-1.17.0-py2.py3-none-any.whl",
        "torch-2.13.0+cpu-cp311-linux_x86_64.whl",
    ]


def test_an_installation_that_goes_on_promises_nothing(module: Any, tmp_path: Path) -> None:
    install(tmp_path, *(f"p{n}-1" for n in range(10)))
    progress = module.Progress(20, 382.0, tmp_path / "progress.json")
    progress.read(PIP.splitlines())
    assert progress.text() == "10 of 20 packages installed, 191 MB loaded"


def test_without_a_terminal_nothing_is_redrawn(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "4", "382", str(tmp_path / "progress.json")]
    done = subprocess.run(command, input=PIP, capture_output=True, text=True, timeout=60, check=True)
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
