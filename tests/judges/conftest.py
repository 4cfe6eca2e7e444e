"""Judges that are installed for a test only: a real package with metadata, on the path of tests and workers."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

InstallPlugin = Callable[..., Path]

_FEW_SEEDS = """
import sys
from judges.contract import checks
checks._SEEDS_SECONDS = 0.0
from cgpo.cli import main
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def few_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract's checks in this process try no further seeds, which take 8 s a judge."""
    monkeypatch.setattr("judges.contract.checks._SEEDS_SECONDS", 0.0)


@pytest.fixture(scope="session")
def cgpo_with_few_seeds() -> list[str]:
    """`cgpo` as a command in a process of its own, whose `judge check` tries no further seeds either."""
    return [sys.executable, "-c", _FEW_SEEDS]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallPlugin:
    """`install("pkg", "code", name="attribute", …)`: a distribution with one module and its judges' entry points."""

    def install(package: str, code: str, **judges: str) -> Path:
        folder = tmp_path / package
        folder.mkdir()
        module = package.replace("-", "_")
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        points = "".join(f"{name} = {module}:{attribute}\n" for name, attribute in judges.items())
        (info / "entry_points.txt").write_text(f"[cgpo.judges]\n{points}")
        monkeypatch.syspath_prepend(str(folder))
        return folder

    return install
