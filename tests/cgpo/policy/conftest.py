"""The process group for tests that make policies in this process; the folder's helper, `policies.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo import distributed

sys.path.insert(0, str(Path(__file__).parent))  # test folders are not packages


@pytest.fixture(scope="module")
def process_group() -> Iterator[None]:
    distributed.init_distributed()
    yield
    distributed.close_distributed()
