"""Data files, and a process group that does not outlive its test. Test folders are not packages: hence the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo import distributed

sys.path.insert(0, str(Path(__file__).parent))

from stage_data import conversations, pairs, write_rows


@pytest.fixture(autouse=True)
def _leave_no_process_group() -> Iterator[None]:
    yield
    distributed.close_distributed()


@pytest.fixture(scope="session")
def conversations_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "talks.jsonl", conversations())


@pytest.fixture(scope="session")
def preferences_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "preferences.jsonl", pairs())
