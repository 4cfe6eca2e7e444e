"""What the benches import exists: nothing runs them between measurements, so a renamed module would go unnoticed."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).parents[2] / "bench").glob("*.py"))


def imports(file: Path) -> set[tuple[str, str]]:
    """(module, name) of every `from cgpo… import name`, those inside functions too."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").split(".")[0] in ("cgpo", "judges")]
    return {(str(node.module), alias.name) for node in ours for alias in node.names}


@pytest.mark.parametrize("bench", BENCHES, ids=lambda file: file.name)
def test_a_bench_imports_what_there_is(bench: Path) -> None:
    missing = [
        f"{module}: {name}"
        for module, name in sorted(imports(bench))
        if not hasattr(importlib.import_module(module), name) and importlib.util.find_spec(f"{module}.{name}") is None
    ]
    assert missing == []


def test_there_are_imports_to_check() -> None:
    assert {module for bench in BENCHES for module, _ in imports(bench)} >= {"cgpo.compose", "judges"}
