"""Real boxes: one sandbox for all tests of a module, as a worker process has it for all rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judges.sandbox import LocalSandbox, SandboxOptions

sys.path.insert(0, str(Path(__file__).parent))  # for `programs`: test folders are not packages

LIMITS = {"wall_seconds": 6.0, "cpu_seconds": 2, "memory_mib": 256, "file_mib": 4, "output_kib": 64}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    sandbox = LocalSandbox(SandboxOptions.parse(LIMITS))
    sandbox.prepare()
    yield sandbox
    sandbox.close()
