"""Tells the person why a command failed: one clear message, once, whatever launched the ranks.

Rank 0 speaks. The others fail for the same reason nearly always: they wait for the launcher to end them, and speak only
if it does not. torchrun prints a report of its own after every failure: it quotes the message of the first rank that
failed, which each leaves in the file torchrun has named.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from cgpo.interrupt import INTERRUPTED
from cgpo.tracking.run_log import early_words, log_path, user_stderr
from judges.printing import say, showable

GRACE_SECONDS = 5.0
"""How long another rank leaves the word to rank 0."""


def first_rank() -> bool:
    """Whether this process is rank 0 by the launcher's variables, before the process group is joined."""
    return _rank() == "0"


def tell(text: str) -> None:
    """Prints why a command failed, where the person reads it."""
    text = showable(text)  # torchrun prints it too
    if (log := log_path()) is not None:
        say(text, file=sys.stderr)  # which is the log by now
        text += f"\nWhat libraries said: {log}"
    if not first_rank():
        time.sleep(GRACE_SECONDS)
        text = f"rank {_rank()}: {text}"
    _leave_for_torchrun(text)
    say(text, file=user_stderr())


def end(status: int) -> NoReturn:
    """Ends the process. One of several ranks that failed waits for no other at its end, as NCCL would."""
    if status not in (0, INTERRUPTED) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        for stream in (sys.stdout, sys.stderr, user_stderr()):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


def tell_interruption(text: str) -> None:
    """Prints that a command was stopped, which is no failure."""
    if first_rank():
        say(text, file=user_stderr())


def tell_unexpected(command: str, error: BaseException) -> None:
    """The same for an error that nobody foresaw: its traceback goes to the log, its last line to the person.

    Without a log all is shown, and what libraries said before it.
    """
    lines = "".join(traceback.format_exception(error))
    if log_path() is None:
        tell(f"{early_words()}{lines}cgpo {command}: {_in_a_line(error)}")
        return
    say(lines, file=sys.stderr)
    tell(f"cgpo {command}: {_in_a_line(error)}\n{_where(error)}. The traceback is in the log")


def _in_a_line(error: BaseException) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def _where(error: BaseException) -> str:
    """The innermost place in this project, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}cgpo{os.sep}" in frame.filename]
    frame = (ours or frames)[-1]
    return f"in {frame.name}, {Path(frame.filename).name} line {frame.lineno}"


def _leave_for_torchrun(text: str) -> None:
    """torchrun quotes what stands here, in the last lines of its report."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": text, "timestamp": int(time.time())}))


def _rank() -> str:
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
