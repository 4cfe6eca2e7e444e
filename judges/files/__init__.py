"""Files of rows by their suffix: `.parquet`, `.jsonl.gz`, and JSON Lines for every other."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from judges.files.jsonl import JsonlSource
from judges.files.rows import USUAL_FIELDS, Fields, InputRow, output_line
from judges.verdict import Judgement

__all__ = ["STANDARD", "Sink", "Source", "open_sink", "open_source"]

STANDARD = Path("-")
"""Standard input or output."""


class Source(Protocol):
    """Rows that can be read from any position an earlier row ended at."""

    @property
    def total(self) -> int | None:
        """The value of `InputRow.done` after the last row, where that is known before."""

    def rows(self, line: int = 0, end: int = 0) -> Iterator[InputRow]:
        """The rows after the row with this `line` and `end`."""


class Sink(Protocol):
    """How judged rows become the output: each as a line of a spool file that can be gone on with, then all of them."""

    def line(self, source: InputRow, judgement: Judgement) -> bytes:
        """What the spool file keeps of a judged row."""

    def finish(self, spool: Path, target: Path) -> None:
        """Makes the output from the complete spool file, which may be used up. `target` is on the same disk."""


def open_source(path: Path, fields: Fields = USUAL_FIELDS) -> Source:
    """The rows of a file, or of standard input; `fields` says where they have what is judged.

    Raises:
        JudgesError: the file is no such file, or what reads it is not installed.
        OSError: it cannot be read.
    """
    if path.suffix == ".parquet":
        from judges.files.parquet import ParquetSource

        return ParquetSource(path, fields)
    return JsonlSource(None if path == STANDARD else path, fields)


def open_sink(path: Path, source: Path) -> Sink:
    """How rows of `source` are written to `path`.

    Raises:
        JudgesError: what writes that format is not installed.
    """
    if path.suffix == ".parquet":
        from judges.files.parquet import ParquetCopySink, ParquetSink

        return ParquetCopySink(source) if source.suffix == ".parquet" else ParquetSink()
    return GzipSink() if path.suffix == ".gz" else JsonlSink()


class JsonlSink:
    """JSON Lines: the spool file is the output."""

    def line(self, source: InputRow, judgement: Judgement) -> bytes:
        return output_line(source, judgement)

    def finish(self, spool: Path, target: Path) -> None:
        spool.replace(target)


class GzipSink(JsonlSink):
    """JSON Lines compressed by gzip at the end: a compressed file cannot be cut back to the last whole row."""

    def finish(self, spool: Path, target: Path) -> None:
        with (
            spool.open("rb") as lines,
            target.open("wb") as file,
            gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as compressed,  # the same bytes every time
        ):
            shutil.copyfileobj(lines, compressed, 2**20)
