"""Threads that soon sleep while they wait, memory that stays, and the load of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cgpo.cpu import Load, LoadMeter, _computes_here, _family_seconds

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
BURN = "import time\nwhile time.process_time() < 0.5: pass"


def _environment(**chosen: str) -> dict[str, str]:
    # vLLM, once imported, has libgomp loaded before anything else in the processes that are started.
    dropped = (*NAMES, "LD_PRELOAD")
    kept = {name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("MALLOC_")}
    return kept | chosen


def _after_tuning(code: str, **environment: str) -> str:
    """What a process says that was tuned first."""
    done = subprocess.run(
        [sys.executable, "-c", f"from cgpo.cpu import tune_process; tune_process(); {code}"],
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout + done.stderr


def test_the_openmp_that_torch_loads_is_told_to_spin_briefly() -> None:
    said = _after_tuning("import torch; torch.ones(9).sum()", OMP_DISPLAY_ENV="verbose")
    assert "GOMP_SPINCOUNT = '5000'" in said


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "500")])
def test_what_the_user_has_set_stays(name: str, value: str) -> None:
    said = _after_tuning(f"import os; print([os.environ.get(name) for name in {NAMES}])", **{name: value})
    assert eval(said) == [value if name == each else None for each in NAMES]


@pytest.mark.skipif(not _computes_here(), reason="memory is tuned on Linux without a GPU")
@pytest.mark.parametrize(("environment", "again"), [({}, False), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, True)])
def test_memory_once_had_is_not_asked_for_again(environment: dict[str, str], again: bool) -> None:
    """Eight blocks of 16 MiB, written and freed ten times: pages come from the kernel once, or each time."""
    code = (
        "import ctypes, resource; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; "
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use():\n"
        "    blocks = [ctypes.c_void_p(c.malloc(2**24)) for _ in range(8)]\n"
        "    for block in blocks: ctypes.memset(block, 1, 2**24)\n"
        "    for block in blocks: c.free(block)\n"
        "use(); before = faults()\n"
        "for _ in range(10): use()\n"
        "print(faults() - before)"
    )
    faults = int(_after_tuning(code.replace("def use", "\ndef use"), **environment))
    assert (faults > 1000) is again


@pytest.mark.parametrize(
    ("load", "high"),
    [
        (Load(2, 1.0, 0.0), True),
        (Load(2, 0.3, 0.1), True),
        (Load(2, 0.2, 0.0), False),  # too little
        (Load(2, 1.0, 0.9), False),  # there is room for both
        (Load(16, 1.0, 1.5), True),
    ],
)
def test_others_matter_where_no_core_is_idle(load: Load, high: bool) -> None:
    assert load.is_high is high
    assert str(load) == f"other processes take {load.others:.1f} of {load.cores} cores"


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The id of a process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(0.5)  # its start takes CPU time
    yield process.pid
    process.kill()
    process.wait()


def test_the_work_of_another_process_is_load(sleeper: int) -> None:
    meter = LoadMeter(sleeper)
    started, before = time.monotonic(), time.process_time()
    while time.process_time() < before + 0.5:
        pass
    seconds = time.monotonic() - started
    load = meter.take()
    assert load is not None
    assert load.cores == len(os.sched_getaffinity(0))
    assert load.others * seconds >= 0.4  # of the half second; ticks are a hundredth


def test_the_work_of_descendants_is_our_own_also_when_they_have_ended(sleeper: int) -> None:
    ours, theirs = _family_seconds(os.getpid()), _family_seconds(sleeper)
    process = subprocess.Popen([sys.executable, "-c", f"{BURN}\nprint(flush=True)\ntime.sleep(600)"], stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    assert _family_seconds(os.getpid()) - ours >= 0.45
    process.kill()
    process.wait()
    assert _family_seconds(os.getpid()) - ours >= 0.45
    assert _family_seconds(sleeper) - theirs < 0.2
