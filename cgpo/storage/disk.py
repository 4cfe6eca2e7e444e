"""Writing files so that neither a kill nor a full disk leaves half a file or an unclear error."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cgpo.errors import RunError

TEMPORARY_SUFFIX = ".tmp"

_LIBRARIES_SAY = ("PytorchStreamWriter", "inline_container.cc", "iostream error", "while serializing: I/O error")
"""In the errors of torch.save and safetensors when a file cannot be written: they are not `OSError`s."""


@contextmanager
def writing(what: str, path: Path) -> Iterator[None]:
    """Turns a failure to write inside into a `RunError` that says what was being written, where and why it failed.

    Args:
        what: for people, e.g. `the metrics of step 12`.
        path: the file or folder that was being written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(_explain(error, what, path)) from error
    except Exception as error:
        if not is_write_failure(error):
            raise
        first_line = str(error).splitlines()[0]
        raise RunError(f"could not write {what} to {path} ({_free(path)}): {first_line}") from error


def is_write_failure(error: Exception) -> bool:
    """Whether a file could not be written, in the words of Python or of the libraries that write weights."""
    return isinstance(error, OSError) or any(words in str(error) for words in _LIBRARIES_SAY)


def append_line(path: Path, line: str, what: str) -> None:
    """Appends one line and waits until it is on the disk.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    with writing(what, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(line.encode("utf-8") + b"\n")
            file.flush()
            _sync(file.fileno())


def write_atomically(path: Path, data: bytes, what: str) -> None:
    """Replaces the file as a whole: after a kill at any moment it is either the old one or the new one.

    Raises:
        RunError: the disk is full, or the file cannot be written; the old file is untouched.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}"
    with writing(what, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            # Renaming onto a device would replace the device itself.
            raise OSError(errno.EINVAL, "it exists and is not a regular file")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            temporary.replace(path)
        except BaseException:
            # Also on Ctrl-C: half a file must not stay behind.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # the file itself is on the disk
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new file in it survive a power cut, where folders can be synced at all.

    Raises:
        OSError: it cannot be opened, or the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path) -> None:
    """Deletes what `write_atomically` left in the folder when its process was killed."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            path.unlink()


def human_bytes(count: float) -> str:
    """`1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _explain(error: OSError, what: str, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        limit = "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
        return (
            f"{limit}: could not write {what} to {path} ({_free(path)}). "
            "Make room, then start the same command again: the run goes on from its last checkpoint."
        )
    return f"could not write {what} to {path}: {error.strerror or error}"


def _free(path: Path) -> str:
    folder = path.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return f"{human_bytes(shutil.disk_usage(folder).free)} free in {folder}"


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Pipes and some network file systems cannot be synced; that is no loss of data we could prevent.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
