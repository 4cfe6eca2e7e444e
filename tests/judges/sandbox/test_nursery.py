"""Programs forked in one box one after the other: what each may do, and that none finds anything of the one before."""

from __future__ import annotations

import logging
import time

import psutil
import pytest
from programs import run

from judges.sandbox import LocalSandbox, SandboxError, SandboxOptions, nursery
from judges.verdict import Outcome

LEAVES = """
    import builtins, os, time
    builtins.sum = lambda x: 7
    os.environ["LEFT"] = "1"
    open("left", "w").write("x")
    for _ in range(2):
        if not os.fork():
            os.setsid()
            while True: time.sleep(0.01)
    def f(): return 1
"""
FINDS = """
    import os
    def alive(pid):
        try: os.kill(pid, 0)
        except ProcessLookupError: return False
        return True
    def f(): return os.listdir("/tmp"), dict(os.environ), sum([1]), [pid for pid in range(1, 200) if alive(pid)]
"""
RIGHTS = """
    import ctypes, struct
    library = ctypes.CDLL(None)
    def capabilities():
        held = ctypes.create_string_buffer(24)
        library.capget(ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0)), held)
        return held.raw.strip(b"\\0")
    def asked(question, number=0): return library.prctl(question, number, 0, 0, 0)
    def bounds(): return [n for n in range(41) if asked(23, n) == 1]
    def ambient(): return [n for n in range(41) if library.prctl(47, 1, n, 0, 0) == 1]
    def refused(call, *arguments): return getattr(library, call)(*arguments) == -1
"""


def test_programs_are_forked_here(sandbox: LocalSandbox) -> None:
    assert nursery.works(sandbox._runtime)


def test_nothing_of_a_program_is_there_for_the_next(sandbox: LocalSandbox) -> None:
    for _ in range(3):
        assert run(sandbox, LEAVES, "assert f() == 1").outcome is Outcome.SATISFIED
        found = run(sandbox, FINDS, "assert f() == ([], {}, 1, [1, 2])")
        assert found.outcome is Outcome.SATISFIED, found


def test_a_program_has_no_right_and_can_get_none(sandbox: LocalSandbox) -> None:
    tests = """
        assert capabilities() == b"" and bounds() == [] and ambient() == []
        assert asked(21) == 2  # a filter of system calls
        assert asked(39) == 1  # no new privileges
        assert asked(3) == 0  # not to be looked into
        assert refused("umount2", b"/tmp", 2) and refused("unshare", 0x10000000) and refused("setns", 0, 0)
        assert refused("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None) and refused("sethostname", b"x", 1)
    """
    assert run(sandbox, RIGHTS, tests).outcome is Outcome.SATISFIED


def test_files_are_counted_too(sandbox: LocalSandbox) -> None:
    program = """
        def f():
            for n in range(10**6): open(str(n), "w").close()
    """
    found = run(sandbox, program, "f()\nassert True")
    assert found.outcome is Outcome.VIOLATED
    assert "No space left" in found.reason


def test_a_nursery_that_was_killed_is_replaced(sandbox: LocalSandbox) -> None:
    sandbox.prepare()
    assert sandbox._nursery is not None
    sandbox._nursery._box.process.kill()
    sandbox._nursery._box.process.wait()
    assert run(sandbox, "def f(): return 1", "assert f() == 1").outcome is Outcome.SATISFIED


def test_a_program_ends_with_its_verdict_and_not_with_the_next_program(sandbox: LocalSandbox) -> None:
    sandbox.prepare()
    before = set(psutil.Process().children(recursive=True))
    run(sandbox, LEAVES, "assert f() == 1")
    deadline = time.monotonic() + 60
    while (left := set(psutil.Process().children(recursive=True)) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


@pytest.fixture
def not_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where bubblewrap works, but namespaces cannot be made inside its box."""

    def fails(*_: object) -> None:
        raise SandboxError("clone: Operation not permitted")

    monkeypatch.setattr(nursery, "Nursery", fails)
    nursery.works.cache_clear()
    yield
    nursery.works.cache_clear()


@pytest.mark.usefixtures("not_nesting")
def test_where_programs_cannot_be_forked_each_gets_a_box(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = LocalSandbox(SandboxOptions.parse({"wall_seconds": 6.0}))
    try:
        sandbox.prepare()
        assert "clone: Operation not permitted" in caplog.text
        assert run(sandbox, "def f(): return 1", "assert f() == 1").outcome is Outcome.SATISFIED
        assert run(sandbox, "import os\nos._exit(3)", "assert f() == 1").reason.endswith("exit status 3")
        assert run(sandbox, RIGHTS, "assert capabilities() == b'' and asked(21) == 2").outcome is Outcome.SATISFIED
    finally:
        sandbox.close()
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
