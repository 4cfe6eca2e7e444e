"""What a start finds and leaves in its environment: the programs beside it, and nothing compiled by DeepSpeed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_ninja_of_the_environment_is_found_and_deepspeed_builds_nothing(tmp_path: Path) -> None:
    """Also where `.venv/bin/cgpo` is started without activating the environment."""
    code = (
        "from cgpo.distributed import close_distributed, init_distributed; import shutil; "
        "init_distributed(); close_distributed(); print(shutil.which('ninja'))"
    )
    env = os.environ | {"PATH": "/usr/bin:/bin", "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(Path(sys.executable).parent / "ninja")
    assert not (tmp_path / "extensions").exists()
