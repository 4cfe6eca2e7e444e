"""Real boxes: one sandbox for all tests of a module, as a worker process has it for all rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from judges.sandbox import LocalSandbox, SandboxOptions

LIMITS = {"wall_seconds": 3.0, "cpu_seconds": 1, "memory_mib": 256, "file_mib": 4, "output_kib": 64}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    sandbox = LocalSandbox(SandboxOptions.parse(LIMITS))
    sandbox.prepare()
    yield sandbox
    sandbox.close()
