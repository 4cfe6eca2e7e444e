"""Shows how far pip has come, in one line with sizes and the time left: pip … 2>&1 | progress.py PACKAGES MB STATE.

In a terminal the line is redrawn; elsewhere a new one comes now and then. It is the same for all calls of pip that make
an installation: STATE keeps what was loaded so far. Standard library only, for any Python from 3.11 on.

PACKAGES   how many packages will be installed in the end; 0 where that is not known
MB         how large their files are together; 0 where that is not known
STATE      a file; its folder is the virtual environment
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

LOADED = re.compile(r"^ *(?:Downloading|Using cached) (\S+?)(?:\.metadata)? \(([\d.,]+) ([kMG]?B)\)")
LOCAL = re.compile(r"^ *Processing (/\S+\.(?:whl|tar\.gz|zip))")
UNITS = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}

LOADING_SHARE = 0.5
"""Of the time; the rest is unpacking, about the same on the machines it was measured on."""

DRAW_SECONDS = 0.5
LINE_SECONDS = 10.0
"""Without a terminal, a line at most this often."""


class Progress:
    """What was loaded and installed.

    Args:
        packages: to be installed in the end, or 0.
        megabytes: of their files, or 0.
        state: where what was loaded is kept from one call of pip to the next.
    """

    def __init__(self, packages: int, megabytes: float, state: Path) -> None:
        self._packages, self._megabytes, self._state = packages, megabytes, state
        kept = {"started": time.time(), "loaded": {}, "before": self._installed()}
        with suppress(OSError, ValueError):
            kept = json.loads(state.read_text())
        self._started: float = kept["started"]
        self._loaded: dict[str, float] = kept["loaded"]
        self._before: int = kept["before"]

    def read(self, lines: Iterable[str]) -> None:
        """Takes pip's output to its end."""
        for line in lines:
            if match := LOADED.match(line):
                if not line.split("(")[0].rstrip().endswith(".metadata"):
                    self._loaded[match[1]] = float(match[2].replace(",", "")) * UNITS[match[3]]
            elif match := LOCAL.match(line):
                with suppress(OSError):
                    self._loaded[Path(match[1]).name] = Path(match[1]).stat().st_size * 1e-6
        kept = {"started": self._started, "loaded": self._loaded, "before": self._before}
        with suppress(OSError):
            self._state.write_text(json.dumps(kept))

    def text(self) -> str:
        """`83 of 226 packages, 612 of 940 MB, about 1 min 20 s left`."""
        installed = self._installed()
        loaded = sum(self._loaded.values())
        parts = [f"{min(installed, self._packages) if self._packages else installed}"]
        parts[0] += f" of {self._packages} packages installed" if self._packages else " packages installed"
        # What an earlier call has installed is not loaded again: then the sum of all files says nothing.
        of = f" of {max(self._megabytes, loaded):,.0f}" if self._megabytes and not self._before_matters() else ""
        parts.append(f"{loaded:,.0f}{of} MB loaded")
        share = self._share(installed, loaded)
        elapsed = time.time() - self._started
        if share > 0.02 and elapsed > 3:
            parts.append(f"about {in_words(elapsed / share * (1 - share))} left")
        return ", ".join(parts)

    def _share(self, installed: int, loaded: float) -> float:
        if not self._packages or not self._megabytes or self._before_matters():
            return 0.0
        unpacked = (installed - self._before) / max(self._packages - self._before, 1)
        return LOADING_SHARE * min(loaded / self._megabytes, 1) + (1 - LOADING_SHARE) * min(unpacked, 1)

    def _before_matters(self) -> bool:
        return self._before > 5

    def _installed(self) -> int:
        """Packages that are there as a whole: pip writes RECORD last."""
        return sum(1 for _ in self._state.parent.glob("lib/python3*/site-packages/*.dist-info/RECORD"))


def in_words(seconds: float) -> str:
    """`47 s`, `3 min 20 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def show(progress: Progress, lines: Iterable[str], out: TextIO) -> None:
    """Reads pip's output in the background and shows the progress until its end."""
    reader = threading.Thread(target=progress.read, args=(lines,))
    reader.start()
    terminal = out.isatty()
    shown = time.monotonic()
    while reader.is_alive():
        reader.join(DRAW_SECONDS)
        if terminal:
            out.write(f"\r\033[K  {progress.text()}")
            out.flush()
        elif reader.is_alive() and time.monotonic() - shown >= LINE_SECONDS:
            shown = time.monotonic()
            out.write(f"  {progress.text()}\n")
            out.flush()
    if terminal:
        out.write("\r\033[K")
        out.flush()


def main() -> None:
    """Shows the progress of the pip whose output is standard input."""
    packages, megabytes, state = sys.argv[1:]
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    show(Progress(int(packages), float(megabytes), Path(state)), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
