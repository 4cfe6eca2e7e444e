"""Orders to a server in a box: a byte, with descriptors beside it."""

from __future__ import annotations

import array
import os
from typing import Any


def order(connection: Any) -> tuple[bytes, list[int]]:
    """The next order and the descriptors that came with it. Ends the process when the other side is gone."""
    head, ancillary, _, _ = connection.recvmsg(1, 1024)
    if not head:
        os._exit(0)
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    return head, list(descriptors)
