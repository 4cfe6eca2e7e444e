"""Messages between a worker process and the thread that manages it: no half of one may hold the other side up.

`multiprocessing.Connection` waits without end for the rest of a message of which a byte has come, and for a process
that does not read. What a judge's process does is not to be relied on, so here every wait has an end.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any

MAX_ANSWER_BYTES = 2**20
"""No answer is that long: reasons are cut (`boundary.MAX_REASON_CHARS`)."""
_LENGTH = struct.Struct(">Q")
_PART_BYTES = 2**20


class NoMessageError(Exception):
    """What came is no message."""


def packed(message: Any) -> bytes:
    """The message as it is sent."""
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


def received(receive: Callable[[int], bytes], max_bytes: int | None = None) -> Any:
    """The next message.

    Args:
        receive: gives at most so many bytes, empty at the end of the connection. May raise what it likes.
        max_bytes: a longer one is none; None: no limit.

    Raises:
        EOFError: the connection has ended.
        NoMessageError: what came is no message.
    """
    (length,) = _LENGTH.unpack(_exactly(receive, _LENGTH.size))
    if max_bytes is not None and length > max_bytes:
        raise NoMessageError(f"the worker's answer has {length} bytes, more than {max_bytes}")
    return pickle.loads(_exactly(receive, length))


def _exactly(receive: Callable[[int], bytes], count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = receive(min(count - len(data), _PART_BYTES))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
