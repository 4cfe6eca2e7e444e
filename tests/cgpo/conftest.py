"""Lets the tests of this folder import what they share (`fixed_learning`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random model of two layers and 67 tokens, without a tokenizer: for learning alone."""
    from fixed_learning import make_model

    return make_model(tmp_path_factory.mktemp("models") / "small")
