"""`run.log`: what libraries write is there, in whatever way they write it, and the person reads our words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cgpo.tracking.run_log import divert, is_diverted, user_stderr

SAY = """
import logging, os, subprocess, sys, warnings
from pathlib import Path
from cgpo.tracking import run_log
from cgpo.tracking.display import make_display

def libraries(when):
    os.write(2, f"native {when}\\n".encode())
    print(f"printed {when}")
    print(f"to stderr {when}", file=sys.stderr)
    warnings.warn(f"warned {when}")
    logging.getLogger("library").error(f"logged {when}")
    subprocess.run([sys.executable, "-c", f"print('child {when}', flush=True)"], check=True)

run_log.show_notices()
run_log.divert("train")
libraries("early")
log = run_log.open_log(Path(sys.argv[1]), 0, 1)
"""
KINDS = ("native", "printed", "to stderr", "warned", "logged", "child")


def run(folder: Path, script: str, status: int = 0) -> tuple[str, str, str]:
    """Standard output, standard error and the log after a script that begins like a command."""
    command = [sys.executable, "-c", SAY + script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    log = folder / "run.log"
    return done.stdout, done.stderr, log.read_text() if log.is_file() else ""


def test_libraries_write_to_the_log_and_the_command_to_the_person(tmp_path: Path) -> None:
    script = """
libraries("late")
make_display("plain").message("step 1")
logging.getLogger("cgpo.models.assets").info("converting")
print("the answer", file=run_log.user_stdout())
"""
    out, err, log = run(tmp_path, script)
    assert (out, err) == ("the answer\n", "step 1\nconverting\n")
    header, *lines = log.splitlines()
    assert header.startswith("--- ")
    assert "cgpo train, rank 0 of 1, process " in header
    for kind in KINDS:
        said = [n for n, line in enumerate(lines) if f"{kind} early" in line or f"{kind} late" in line]
        assert len(said) >= 2, f"{kind}: {log}"


def test_a_second_start_goes_on_in_the_same_log(tmp_path: Path) -> None:
    run(tmp_path, "")
    _, _, log = run(tmp_path, "print('again')")
    assert log.count("cgpo train, rank 0 of 1") == 2
    assert log.index("again") > log.rindex("cgpo train, rank 0")


def test_last_words_of_a_native_abort_are_in_the_log(tmp_path: Path) -> None:
    out, err, log = run(tmp_path, "os.write(2, b'terminate called'); os.abort()", status=-signal.SIGABRT)
    assert log.endswith("terminate called")
    assert "Fatal Python error: Aborted" in err
    assert not out


def test_a_full_disk_under_the_log_ends_nothing(tmp_path: Path) -> None:
    script = """
full = os.open("/dev/full", os.O_WRONLY)
os.dup2(full, 1); os.dup2(full, 2)
for n in range(10_000):
    print("a line that has no room")
sys.stdout.flush()
print("done", file=run_log.user_stdout())
"""
    assert run(tmp_path, script)[0] == "done\n"


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "run.log").mkdir()
    out, err, _ = run(tmp_path, "libraries('late'); print('done', file=run_log.user_stdout())")
    assert out == "done\n"
    assert err == f"warning: {tmp_path}/run.log cannot be written: Is a directory\n"


def test_each_rank_has_a_log_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, "run_log.open_log(Path(sys.argv[1]), 1, 2); print('from rank 1')")
    assert "from rank 1" in (tmp_path / "run.rank1.log").read_text()
    assert "from rank 1" not in (tmp_path / "run.log").read_text()


def test_an_unforeseen_error_is_told_in_short_and_the_log_has_the_rest(tmp_path: Path) -> None:
    script = """
from cgpo.commands.failure import tell_unexpected
try:
    {}["absent"]
except KeyError as error:
    tell_unexpected("train", error)
"""
    _, err, log = run(tmp_path, script)
    first, _, last = err.splitlines()
    assert first == "cgpo train: KeyError: 'absent'"
    assert last == f"What libraries said: {tmp_path}/run.log"
    assert "Traceback (most recent call last)" in log
    assert log.count("cgpo train: KeyError: 'absent'") == 1


def test_before_there_is_a_log_an_unforeseen_error_brings_everything(tmp_path: Path) -> None:
    script = SAY.rpartition("log =")[0] + (
        "from cgpo.commands.failure import tell_unexpected\ntell_unexpected('train', KeyError('absent'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "native early" in done.stderr
    assert done.stderr.endswith("cgpo train: KeyError: 'absent'\n")


def test_streams_that_somebody_else_holds_are_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    divert("train")
    assert not is_diverted()
    assert user_stderr() is sys.stderr
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"
