"""`judge run`: judges a file of any size in bounded memory, and goes on after a kill."""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from judges.command_options import Form, add_options, read_options
from judges.commands.judge_options import JudgeOptions, judge_entries, labelled_specs
from judges.errors import JudgesError
from judges.number_types import count, share
from judges.printing import say

if TYPE_CHECKING:
    from judges.files import Source
    from judges.files.partial import Partial, Progress
    from judges.files.rows import Fields, InputRow, Summary
    from judges.mixture import Mixture
    from judges.spec import JudgeSpec

_EPILOG = """A row of the input: {{"prompt": text or messages, "response": text or messages, "metadata": {{…}}}}.
Other names: --prompt-key, --response-key, --metadata-key.
The output has the same rows in the same order, with "verdicts" and "satisfied" added.
Files are Parquet when their name ends in .parquet, otherwise JSON Lines, compressed when it ends in .gz; "-" is
standard input or output. The same command started again after a kill goes on where it stopped.

examples:
  {prog} --judge math --input rows.jsonl --output judged.jsonl
  {prog} --judge math,refusal --option math.format=boxed --max-unknown-rate 0.05 \\
      --input rows.parquet --output judged.parquet
  {prog} --judge math,boxed=math --option boxed.format=boxed --input rows.jsonl --output judged.jsonl
  {prog} --judge math --response-key completion --metadata-key answer --input rows.jsonl --output judged.jsonl
  {prog} --judge my_judges.py:polite --input rows.jsonl --output judged.jsonl"""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, kw_only=True)
class Options(JudgeOptions):
    """What `judge run` is asked."""

    judge: Annotated[tuple[str, ...], Form(str, "[LABEL=]NAME[,…]", collect=tuple)]
    """the judges; all must be satisfied; may be repeated; FILE.py:FUNCTION is one that is not installed; LABEL names
    its verdicts, and its options, where one judge is asked twice"""
    input: Annotated[Path, Form(Path, "ROWS.jsonl")]
    """rows to judge"""
    output: Annotated[Path, Form(Path, "OUT.jsonl")]
    """where the judged rows go"""
    max_unknown_rate: Annotated[float, Form(share, "R")] = 1.0
    """exit with status 1 when any judge is unknown on more than this share of the rows, from 0 to 1"""
    workers: Annotated[int | None, Form(count, "N", default="by the machine")] = None
    """worker processes"""
    early_stop: bool = False
    """do not ask costly judges where a cheaper one found a violation"""
    cache: Annotated[Path | None, Form(Path, "FILE")] = None
    """keep verdicts of costly judges for the next time"""
    prompt_key: Annotated[str, Form(str, "FIELD")] = "prompt"
    """field of the prompt"""
    no_prompt: bool = False
    """rows may have no prompt; it is then empty"""
    response_key: Annotated[str, Form(str, "FIELD")] = "response"
    """field of the response"""
    metadata_key: Annotated[tuple[str, ...], Form(str, "KEY[=FIELD][,…]", collect=tuple)] = ()
    """field that is metadata KEY, besides those in `metadata`; with dots into objects; may be repeated"""
    strict: bool = False
    """stop at the first malformed row, write nothing"""
    fresh: bool = False
    """drop what a stopped command has judged, start anew"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `judge run`."""
    parser.epilog = _EPILOG.format(prog=parser.prog)
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Judges the file and prints a summary; see `judges.cli` for the exit status."""
    from judges.commands.files import judge_files
    from judges.commands.summary import exit_status, print_summary
    from judges.files import STANDARD, open_source

    options = read_options(args, Options)
    _refuse_same_file(options)
    entries = judge_entries(options.judge)
    with judge_files(name for _, name in entries) as names, _stoppable():
        specs = labelled_specs((label for label, _ in entries), names, options.option)
        with open_mixture(options, specs) as (mixture, in_flight):
            source = open_source(options.input, _fields(options))
            if options.output == STANDARD:
                summary = _stream(options, source, mixture, in_flight)
            else:
                summary = _judge_file(options, source, mixture, in_flight, _job(options, specs, mixture))
    print_summary(summary, options.input, options.output)
    return exit_status(summary, options.input, options.max_unknown_rate)


@contextmanager
def open_mixture(options: Options, specs: Sequence[JudgeSpec]) -> Iterator[tuple[Mixture, int]]:
    """The judges, and how many rows they should have at once."""
    from judges import registry
    from judges.files.rows import in_flight
    from judges.mixture import Mixture
    from judges.running.runtime import JudgeRuntime

    with JudgeRuntime(options.workers, cache=options.cache) as runtime:
        mixture = Mixture(specs, runtime, early_stop=options.early_stop)
        models = any(registry.load(member.name).kind != "rule" for member in _members(mixture))
        yield mixture, in_flight(runtime.processes, models=models)


def _members(mixture: Mixture) -> list[JudgeSpec]:
    """The single judges of the mixture."""
    return [member for constraint in mixture.constraints for member in constraint.members]


def _judge_file(options: Options, source: Source, mixture: Mixture, in_flight: int, job: dict[str, Any]) -> Summary:
    from judges.files import open_sink
    from judges.files.partial import Partial
    from judges.files.rows import judge_rows

    sink = open_sink(options.output, options.input)
    with Partial(options.output) as work, _explained(work):
        if options.fresh or not options.input.is_file():  # a pipe cannot be read again
            work.start_anew()
        summary, line, end = _begin(work.start(job))
        rows = _rows(options, source, line, end, summary)
        try:
            for row, judgement in judge_rows(rows, mixture, in_flight):
                work.write(sink.line(row, judgement))
                summary.add(row, judgement)
                work.reached(partial(_progress, row, summary))
        except _MalformedError:
            work.discard()
            raise
        if not summary.rows:
            raise JudgesError(f"{options.input} has no rows")
        work.finish(sink.finish)
    return summary


def _stream(options: Options, source: Source, mixture: Mixture, in_flight: int) -> Summary:
    """Judged rows as JSON lines on standard output; nothing is kept, so nothing can be gone on with."""
    from judges.files.rows import Summary, judge_rows, output_line

    summary = Summary()
    rows = _rows(options, source, 0, 0, summary)
    for row, judgement in judge_rows(rows, mixture, in_flight):
        _print_line(output_line(row, judgement))
        summary.add(row, judgement)
    if not summary.rows:
        raise JudgesError(f"{options.input} has no rows")
    return summary


def _print_line(line: bytes) -> None:
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What could not be written is still in the buffer; Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise JudgesError(f"standard output: {error.strerror}") from error


def _rows(options: Options, source: Source, line: int, end: int, summary: Summary) -> Iterator[InputRow]:
    """The rows that are left, with a progress display; with `--strict` the first malformed row is an error."""
    from judges.commands.progress import progress

    if options.strict and summary.malformed:
        raise _MalformedError(_place(options, *summary.malformed[0]))
    for row in progress(source.rows(line, end), source.total, summary.rows):
        if options.strict and row.problem:
            raise _MalformedError(_place(options, row.line, row.problem))
        yield row


class _MalformedError(JudgesError):
    """`--strict` found a malformed row."""


def _place(options: Options, line: int, problem: str) -> str:
    return f"{options.input} line {line}: {problem}"


def _begin(saved: Progress | None) -> tuple[Summary, int, int]:
    """The summary so far, and the line and position after which reading goes on."""
    from judges.files.rows import Summary

    if saved is None:
        return Summary(), 0, 0
    summary = Summary.from_json(saved.summary)
    say(f"going on after the {summary.rows} rows that were judged before", file=sys.stderr)
    return summary, saved.line, saved.end


def _progress(row: InputRow, summary: Summary) -> Progress:
    from judges.files.partial import Progress

    return Progress(row.line, row.end, summary.as_json())


def _job(options: Options, specs: Sequence[JudgeSpec], mixture: Mixture) -> dict[str, Any]:
    """What determines the output: the input file, and the judges with their options and versions."""
    from judges import registry
    from judges.running.cache import judge_identity

    stat = options.input.stat() if options.input.is_file() else None
    identities = [judge_identity(member, registry.load(member.name)) for member in _members(mixture)]
    return {
        "input": str(options.input.resolve()),
        "bytes of the input": stat and stat.st_size,
        "the input's time of change": stat and stat.st_mtime_ns,
        "judges": [spec.as_config() for spec in specs],
        "early stop": options.early_stop,
        "fields": asdict(_fields(options)),
        "version of the judges": hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16],
    }


def _fields(options: Options) -> Fields:
    """Where rows have what is judged."""
    from judges.files.rows import Fields

    beside: dict[str, str] = {}
    for entry in (part.strip() for text in options.metadata_key for part in text.split(",")):
        key, equals, path = entry.partition("=")
        if not key or (equals and not path):
            raise JudgesError(f"--metadata-key {entry!r}: write it as KEY or KEY=FIELD, e.g. answer=solution.value")
        beside[key] = path or key
    return Fields(options.prompt_key, options.response_key, beside, options.no_prompt)


def _refuse_same_file(options: Options) -> None:
    with suppress(OSError):  # one of them does not exist or cannot be looked at: opening it will say so
        if options.output.samefile(options.input):
            raise JudgesError(f"--output {options.output} is the input; write the judged rows to another file")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ends the command on SIGTERM as on Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _explained(work: Partial) -> Iterator[None]:
    """Says how the command is gone on with when something stops it."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped. {_way_on(work)}") from None
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise JudgesError(f"{work.output}: {error.strerror}. {_way_on(work)}") from error


def _way_on(work: Partial) -> str:
    rows = work.saved.summary["rows"] if work.saved else 0
    if not rows:
        return "No row was judged."
    return f"{rows} judged rows are kept in {work.folder}: the same command goes on with them, --fresh starts anew"
