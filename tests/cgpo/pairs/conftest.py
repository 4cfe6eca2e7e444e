"""A process group that does not outlive its test, and the path to what the tests of this folder share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo import distributed

sys.path.insert(0, str(Path(__file__).parent))  # test folders are not packages


@pytest.fixture(autouse=True)
def _leave_no_process_group() -> Iterator[None]:
    yield
    distributed.close_distributed()
