"""What a person sees: plain lines as text, the live panel in a real pseudo-terminal."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
import threading
import time

import pytest

from cgpo.tracking.display import NoDisplay, PlainDisplay, make_display
from cgpo.tracking.lines import StratumLine, duration, sparkline

METRICS = {
    "time/step": 47.0,
    "math/responses": 30,
    "math/satisfied": 12,
    "math/violated": 16,
    "math/unknown": 2,
    "math/calibrated_reward": 0.512,
    "math/log_ratio": 1.234,
    "chat/responses": 4,
    "chat/satisfied": 0,
    "chat/violated": 0,
    "chat/unknown": 4,
    "chat/no_signal": 1.0,
}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_step_is_one_line_with_time_left_and_every_stratum() -> None:
    out = io.StringIO()
    display = PlainDisplay(out, Clock())
    display.start(12, ["math", "chat"])
    display.step(3, METRICS)
    display.stop()
    start, step = out.getvalue().splitlines()
    assert start == "12 steps; strata: math, chat"
    assert step == (
        "step 3/12 · 47 s · about 7 min 03 s left | math 43 % (12/28, 2 unknown), reward 0.51, log_ratio +1.23 "
        "| chat none known (0/0, 4 unknown), no signal"
    )


def test_time_left_is_the_mean_of_the_recent_steps() -> None:
    out, clock = io.StringIO(), Clock()
    display = PlainDisplay(out, clock)
    display.start(100, ["math"], first_step=80)
    clock.now = 500.0
    for step in range(81, 92):
        # The first step is slow and, ten steps later, forgotten.
        display.step(step, {"time/step": 100.0 if step == 81 else 10.0})
    display.stop()
    assert "going on after step 80" in out.getvalue()
    assert "step 90/100 · 10 s · about 3 min 10 s left" in out.getvalue()
    assert "step 91/100 · 10 s · about 1 min 30 s left" in out.getvalue()


def test_phases_are_told_at_once_while_loading_and_later_only_when_it_is_quiet() -> None:
    out, clock = io.StringIO(), Clock()
    display = PlainDisplay(out, clock)
    display.phase("loading the policy")
    display.start(2, ["math"])
    display.phase("rollout", 1, 8)
    clock.now = 19.0
    display.phase("rollout", 3, 8)
    clock.now = 21.0
    display.phase("rollout", 5, 8)
    display.phase("rollout", 6, 8)
    display.stop()
    assert out.getvalue().splitlines() == [
        "loading the policy",
        "2 steps; strata: math",
        "  rollout 5/8, for 21 s, about 16 s left (0/2 steps done)",
    ]


def test_a_blocking_phase_is_told_of_without_a_call() -> None:
    out = io.StringIO()
    display = PlainDisplay(out, quiet_seconds=0.1)
    display.start(2, ["math"])
    display.phase("evaluation")
    deadline = time.monotonic() + 60
    while "  evaluation, for" not in out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    display.stop()
    assert "  evaluation, for 0 s (0/2 steps done)" in out.getvalue()


def test_a_closed_stream_does_not_end_the_run() -> None:
    out = io.StringIO()
    display = PlainDisplay(out)
    out.close()
    display.start(2, ["math"])
    display.step(1, METRICS)
    display.stop()
    display.stop()


def test_only_rank_0_displays_and_a_pipe_gets_plain_lines() -> None:
    assert isinstance(make_display("live", rank=1), NoDisplay)
    assert isinstance(make_display("off"), NoDisplay)
    assert isinstance(make_display("auto", stream=io.StringIO()), PlainDisplay)


LIVE = """
import logging, sys
noisy = logging.getLogger("library")
noisy.addHandler(logging.StreamHandler())          # made before the panel, as libraries do
from cgpo.tracking.display import make_display
from test_tracking_display import METRICS
display = make_display("auto")
display.phase("loading [the] policy")
display.start(12, ["math", "chat"])
display.phase("rollout", 17, 36)
noisy.warning("a warning from a library")
print("a print from a library")
display.message("dropped 3 prompts")
display.step(3, METRICS | {"train/grad_norm": 0.83})
display.phase("learning", 1, 2)
display.stop()
noisy.warning("after the end")
display.stop()
"""


def test_live_panel_in_a_terminal_with_noisy_libraries() -> None:
    leader, follower = pty.openpty()
    here = os.path.dirname(__file__)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", "PYTHONPATH": here}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    chunks: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(leader, chunks))
    reader.start()
    assert process.wait() == 0
    reader.join(timeout=60)
    os.close(leader)
    text = b"".join(chunks).decode()
    assert "loading [the] policy" in text
    assert "step 3/12" in text
    assert "43 % (12/28, 2 unknown)" in text
    assert "gradient norm 0.83" in text
    assert "about 7 min 03 s left" in text
    # Each noisy line stands alone: the panel was wiped before it (erase codes), not written into.
    for noise in ("a warning from a library", "a print from a library", "dropped 3 prompts", "after the end"):
        assert [line for line in text.replace("\r", "\n").splitlines() if line.endswith(noise)], noise
    assert text.rstrip().endswith("after the end")


def _drain(leader: int, chunks: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other end is closed
            return
        if not chunk:
            return
        chunks.append(chunk)


def test_log_handlers_get_their_stream_back() -> None:
    from cgpo.tracking.live import LiveDisplay

    handler = logging.StreamHandler()
    stream = handler.stream
    logger = logging.getLogger("tracking.display.test")
    logger.addHandler(handler)
    try:
        display = LiveDisplay(io.StringIO())
        display.start(1, ["math"])
        display.stop()
        assert handler.stream is stream
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sparkline_shows_gaps() -> None:
    assert sparkline([0.0, None, 0.5, 1.0]) == "▁·▅█"
    assert len(sparkline([0.5] * 50)) == 16


def test_a_stratum_without_known_verdicts_has_no_rate() -> None:
    assert StratumLine(0, 0, 3).rate is None
    assert StratumLine(0, 5, 0).satisfied_text == "0 % (0/5)"
