"""Lines of text that the live and the plain display share: one stratum, one step, a time and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cgpo.storage.text import percent
from cgpo.tracking.metrics import Metrics

Clock = Callable[[], float]

RECENT_STEPS = 10
"""The time left is estimated from the mean of this many last steps: early ones warm caches up."""

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class StratumLine:
    """What is shown of one stratum after a step.

    Attributes:
        satisfied: how many responses every judge was satisfied with.
        known: how many have a known verdict.
        unknown: how many do not.
        calibrated_reward: mean, or None.
        log_ratio: mean in nats per response, or None.
        note: anything to add, e.g. `no signal`.
    """

    satisfied: int
    known: int
    unknown: int
    calibrated_reward: float | None = None
    log_ratio: float | None = None
    note: str = ""

    @classmethod
    def of(cls, stratum: str, metrics: Metrics) -> StratumLine:
        """From the metrics of a step, named as `cgpo.tracking.response_metrics` and the trainer name them."""

        def count(name: str) -> int:
            return int(metrics.get(f"{stratum}/{name}") or 0)

        return cls(
            satisfied=count("satisfied"),
            known=count("satisfied") + count("violated"),
            unknown=count("unknown"),
            calibrated_reward=metrics.get(f"{stratum}/calibrated_reward"),
            log_ratio=metrics.get(f"{stratum}/log_ratio"),
            note="no signal" if metrics.get(f"{stratum}/no_signal") else "",
        )

    @property
    def rate(self) -> float | None:
        """Satisfied over known, or None when nothing is known."""
        return self.satisfied / self.known if self.known else None

    @property
    def satisfied_text(self) -> str:
        """`43 % (12/28, 2 unknown)`."""
        unknown = f", {self.unknown} unknown" if self.unknown else ""
        share = "none known" if self.rate is None else percent(self.rate)
        return f"{share} ({self.satisfied}/{self.known}{unknown})"


def number(value: float | None, form: str) -> str:
    """The number in the given format, or `–` when it is not known."""
    return "–" if value is None else format(value, form)


def stratum_lines(strata: Sequence[str], metrics: Metrics) -> dict[str, StratumLine]:
    """A line for each stratum that has responses in the step's metrics."""
    return {name: StratumLine.of(name, metrics) for name in strata if f"{name}/responses" in metrics}


def plain_step(step: int, total: int, seconds: float, left: float | None, lines: Mapping[str, StratumLine]) -> str:
    """`step 3/12 · 47 s · about 7 min left | math 43 % (12/28, 2 unknown), reward 0.51, log_ratio +1.2 | …`."""
    parts = [f"step {step}/{total} · {duration(seconds)}"]
    if left is not None and step < total:
        parts[0] += f" · about {duration(left)} left"
    for name, line in lines.items():
        part = f"{name} {line.satisfied_text}"
        if line.calibrated_reward is not None:
            part += f", reward {line.calibrated_reward:.2f}"
        if line.log_ratio is not None:
            part += f", log_ratio {line.log_ratio:+.2f}"
        parts.append(part + (f", {line.note}" if line.note else ""))
    return " | ".join(parts)


def duration(seconds: float) -> str:
    """`47 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def sparkline(values: Sequence[float | None], width: int = 16) -> str:
    """The last `width` values, each between 0 and 1, as a row of small bars; `·` where one is not known."""
    return "".join("·" if v is None else _BARS[round(min(max(v, 0), 1) * (len(_BARS) - 1))] for v in values[-width:])


class PhaseTimes:
    """How long a phase has lasted and, from that, how long the rest of it will take.

    Its parts may be worked on side by side, as responses are: then the first of many comes late and the others soon
    after it, and what the first one took says nothing of what a part takes. So a phase that was there before is
    expected to take as long, part for part, as the last time. Another one goes on at the pace of the parts after the
    first, which is told when they have taken as long as that one.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._name: str | None = None
        self._since = clock()
        self._first: tuple[float, int] | None = None
        self._latest: tuple[float, int] | None = None
        self._total = 0
        self._seconds_a_part: dict[str, float] = {}

    def tell(self, name: str, done: int | None, total: int | None) -> bool:
        """The phase `name` has come this far; True where another phase was before it."""
        now, new = self._clock(), name != self._name
        if new:
            self._name, self._since, self._first, self._latest = name, now, None, None
        self._total = total or 0
        if done:
            self._latest = (now, done)
            self._first = self._first or self._latest
            if done == total:
                self._seconds_a_part[name] = (now - self._since) / done
        return new

    def end(self) -> None:
        """The phase is over, and may come again."""
        self._name = None

    @property
    def lasted(self) -> float:
        """Seconds since the phase began."""
        return self._clock() - self._since

    @property
    def left(self) -> float | None:
        """Seconds until it ends, about; None where that cannot be told, it takes longer than was told, or is done."""
        if self._name is None or self._latest is None or self._first is None or self._latest[1] >= self._total:
            return None
        if (before := self._seconds_a_part.get(self._name)) and (left := before * self._total - self.lasted) > 0:
            return left
        (began, first), (now, done) = self._first, self._latest
        if done == first or now - began < began - self._since:
            return None
        left = (now - began) / (done - first) * (self._total - done) - (self._clock() - now)
        return left if left > 0 else None

    @property
    def text(self) -> str:
        """`3 min 05 s, about 20 s left`."""
        left = self.left
        return duration(self.lasted) + ("" if left is None else f", about {duration(left)} left")


class StepTimes:
    """How long steps take and, from that, how long the rest will take."""

    def __init__(self, total_steps: int, clock: Clock = time.monotonic) -> None:
        self._total = total_steps
        self._clock = clock
        self._started = self._last = clock()
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)

    def record(self, step: int, metrics: Metrics) -> tuple[float, float | None]:
        """Seconds of this step, and seconds left after it."""
        now = self._clock()
        seconds = metrics.get("time/step")
        seconds = now - self._last if seconds is None else seconds
        self._last = now
        self._recent.append(seconds)
        return seconds, sum(self._recent) / len(self._recent) * max(self._total - step, 0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started
