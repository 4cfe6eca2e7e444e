"""The texts of a log's valid rows, in a file while the log is prepared, so that memory holds none of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from cgpo.feedback.preparation.log_rows import LogRow
from cgpo.feedback.preparation.table import Ints

WRITTEN_AT_ONCE = 1 << 20
READ_AT_ONCE = 1 << 13


class Spill:
    """A file of one JSON object a row: `prompt`, `response`, `where`.

    Args:
        path: the file; made anew, and removed at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=WRITTEN_AT_ONCE)
        self._end = 0

    def add(self, row: LogRow) -> int:
        """Appends a row and returns its place."""
        place = self._end
        texts = {"prompt": row.prompt, "response": row.response, "where": row.where}
        line = json.dumps(texts, ensure_ascii=False).encode() + b"\n"
        self._file.write(line)
        self._end += len(line)
        return place

    def read(self, places: Ints | Iterable[int]) -> Iterator[dict[str, Any]]:
        """The rows at these places, in this order."""
        self._file.flush()
        with self._path.open("rb", buffering=READ_AT_ONCE) as file:
            for place in places:
                file.seek(int(place))
                yield json.loads(file.readline())

    def responses(self, places: Ints) -> list[str]:
        """The responses at these places, read in the file's order and returned in that of `places`."""
        found = [""] * len(places)
        order = np.argsort(places, kind="stable")
        for number, texts in zip(order, self.read(places[order]), strict=True):
            found[number] = texts["response"]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):  # what a full disk left unwritten: the error was raised where it was met
            self._file.close()
        self._path.unlink(missing_ok=True)
