"""The bound on the tests' memory: it counts every test process, says which tests ran, and ends all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

CONFTEST = Path(__file__).parents[1] / "conftest.py"
GREEDY = """
import subprocess, sys, time
import pytest

@pytest.mark.parametrize("mib", [200, 201])
def test_greedy(mib, request):
    held = bytearray(mib * 2**20)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(250)"], start_new_session=True)
    (request.config.rootpath / f"pid-{mib}").write_text(str(child.pid))
    time.sleep(250)
"""


def test_two_processes_that_are_too_large_together_are_ended(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_greedy.py").write_text(GREEDY)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    # Either alone stays below, with its 200 MiB beside the interpreter's few dozen.
    environment = os.environ | {"CGPO_TEST_MAX_GIB": "0.5"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "more than CGPO_TEST_MAX_GIB=0.5: ended" in done.stderr
    assert done.stderr.count("in test_greedy") == 2
    children = [int(file.read_text()) for file in tmp_path.glob("pid-*")]
    assert len(children) == 2
    assert not any(map(alive, children))


def alive(pid: int) -> bool:
    """Does it run, other than as a corpse nobody has collected?"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
