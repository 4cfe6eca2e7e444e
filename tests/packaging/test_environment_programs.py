"""Started as `.venv/bin/cgpo`, without activating the environment, the programs beside it are found all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_ninja_of_the_environment_is_found() -> None:
    code = (
        "from cgpo.distributed import close_distributed, init_distributed; import shutil; "
        "init_distributed(); close_distributed(); print(shutil.which('ninja'))"
    )
    env = os.environ | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(Path(sys.executable).parent / "ninja")
