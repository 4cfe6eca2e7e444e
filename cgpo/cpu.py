"""This process on a machine's CPU: how its threads wait, how it keeps memory, and who else is busy there.

OpenMP's threads, which do the arithmetic of torch and vLLM, spin for some milliseconds while they wait for each other.
Beside another busy process a spinning thread holds the core that the one it waits for needs: everything takes two to
three times as long. Threads that sleep at once lose a tenth on an idle machine. A short spin, tens of microseconds,
loses nothing there and less beside others (bench/busy_machine.py, bench/results/busy_machine.json). GNU's OpenMP, which
torch brings, reads how long to spin when it is loaded, so `tune_process` comes before the import of torch.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OPENMP = {"GOMP_SPINCOUNT": "5000"}
"""What OpenMP reads from the environment, where the user has not chosen how threads wait."""

SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Who has set one of these has chosen how threads wait."""

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd")
"""Devices of NVIDIA's and AMD's drivers: with one of them tensors are on the GPU."""

BUSY_CORES = 0.3
"""Cores that other processes take, from which on a machine without idle cores counts as loaded."""
IDLE_SHARE = 0.1
"""Share of the cores' time that is idle, above which other processes take nothing away from this one."""

_TICKS = os.sysconf("SC_CLK_TCK")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def tune_process() -> None:
    """Threads that soon sleep while they wait, and memory that stays with the process once it has it.

    Without the second a tensor of some MiB comes from the kernel page by page and goes back at once. Children inherit
    the first. Call it before torch is imported.
    """
    if not any(name in os.environ for name in SPIN_VARIABLES):
        os.environ.update(OPENMP)
    if _computes_here() and not any(name.startswith("MALLOC_") for name in os.environ):
        with suppress(OSError, AttributeError):  # another C library has other knobs, or none
            allocator = ctypes.CDLL(None).mallopt
            allocator(_M_MMAP_THRESHOLD, 2**25)  # its highest; larger blocks go back at once as before
            allocator(_M_TRIM_THRESHOLD, 2**31 - 1)


def _computes_here() -> bool:
    """Whether large tensors are this process's memory: Linux without a GPU's driver."""
    return sys.platform == "linux" and not any(Path(device).exists() for device in GPU_DRIVERS)


@dataclass(frozen=True, slots=True)
class Load:
    """Who was busy on this process's cores for a while.

    Attributes:
        cores: cores this process may use.
        others: how many of them other processes took, on average; 0 ≤ others ≤ cores.
        idle: how many of them were idle, on average.
    """

    cores: int
    others: float
    idle: float

    @property
    def is_high(self) -> bool:
        """Whether others slow this process down."""
        return self.others >= BUSY_CORES and self.idle < IDLE_SHARE * self.cores

    def __str__(self) -> str:
        return f"other processes take {self.others:.1f} of {self.cores} cores"


class LoadMeter:
    """Measures the load between two readings.

    Args:
        family: whose CPU time is our own: this process with its descendants, or with several ranks on a machine the
            descendants of what started them.
    """

    def __init__(self, family: int | None = None) -> None:
        self._family = os.getpid() if family is None else family
        self._last = self._read()

    def take(self) -> Load | None:
        """The load since the last call, or since the meter was made; None where it cannot be read (no /proc)."""
        before, self._last = self._last, self._read()
        if before is None or self._last is None or self._last.at <= before.at:
            return None
        seconds = self._last.at - before.at
        cores = len(os.sched_getaffinity(0))
        busy, own = self._last.busy - before.busy, self._last.own - before.own
        idle = (self._last.idle - before.idle) / seconds
        return Load(cores, min(max(busy - own, 0.0) / seconds, float(cores)), min(max(idle, 0.0), float(cores)))

    def _read(self) -> _Reading | None:
        try:
            busy, idle = _core_seconds()
            return _Reading(time.monotonic(), busy, idle, _family_seconds(self._family))
        except (OSError, ValueError):  # no /proc, or another form of it
            return None


@dataclass(frozen=True, slots=True)
class _Reading:
    """Seconds of CPU time so far, of this process's cores and of its family."""

    at: float
    busy: float
    idle: float
    own: float


def _core_seconds() -> tuple[float, float]:
    """Busy and idle seconds so far of the cores this process may use (proc(5), /proc/stat)."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    busy = idle = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in ours:
            user, nice, system, idling, iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq + steal
            idle += idling + iowait
    return busy / _TICKS, idle / _TICKS


def _family_seconds(root: int) -> float:
    """CPU seconds so far of a process and its descendants, with those that have ended and were waited for."""
    children, ticks = defaultdict(list), {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                children[int(fields[1])].append(int(folder.name))
                ticks[int(folder.name)] = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    family = [root]
    for process in family:
        family += children[process]
    return sum(ticks.get(process, 0) for process in family) / _TICKS
