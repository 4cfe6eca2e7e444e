"""The time left that a stage says, also when it goes on where it was killed."""

from __future__ import annotations

import io

import pytest

from cgpo.tracking import progress as module
from cgpo.tracking.progress import StageProgress


@pytest.mark.parametrize(("before", "at", "left"), [(0, 20, "1 min 20 s"), (80, 90, "10 s")])
def test_time_left_counts_only_what_was_done_now(
    before: int, at: int, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with StageProgress("plain", stream=stream).task("step", 100, before) as update:
        for done in range(before + 1, at + 1):
            now[0] += 1.0  # a second a step
            update(done, "")
    assert stream.getvalue().splitlines()[-1] == f"step {at}/100, about {left} left"
