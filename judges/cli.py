"""`judge list`, `judge run` and `judge check`: the judges on the command line, as `cgpo judge` and `python -m judges`.

Building the parser imports nothing heavy. Errors of the user are ValueError (JudgesError) or OSError with a message
that stands on its own; exit status 0: done, 1: done but above a limit or a check failed, 2: wrong use.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judges import registry
from judges.errors import JudgesError
from judges.spec import JudgeSpec

if TYPE_CHECKING:
    from rich.progress import Progress

    from judges.rows import InputRow, Summary

_EXAMPLES = """examples:
  {prog} list
  {prog} run --judge math,refusal --input rows.jsonl --output judged.jsonl
  {prog} check math"""
_RUN_EXAMPLES = """A row of the input: {{"prompt": text or messages, "response": text, "metadata": {{…}}}}.
The output has the same rows in the same order, with "verdicts" and "satisfied" added.

examples:
  {prog} --judge math --input rows.jsonl --output judged.jsonl
  {prog} --judge math,refusal --option math.format=boxed --max-unknown-rate 0.05 \\
      --input rows.jsonl --output judged.jsonl"""
_PLAIN_PROGRESS_SECONDS = 30.0
_WIDTH_OF_FILES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands list, run and check to `parser`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser.formatter_class = raw
    parser.epilog = _EXAMPLES.format(prog=parser.prog)
    commands = parser.add_subparsers(dest="judge_command", metavar="{list,run,check}", required=True)

    text = "show built-in and installed judges"
    listing = commands.add_parser("list", help=text, description=_sentence(text), formatter_class=raw)
    listing.epilog = f"example:\n  {listing.prog}"
    listing.set_defaults(judge_run=_list)

    text = "judge the rows of a JSON Lines file"
    run_parser = commands.add_parser("run", help=text, description=_sentence(text), formatter_class=raw)
    run_parser.epilog = _RUN_EXAMPLES.format(prog=run_parser.prog)
    _add_run_arguments(run_parser)
    run_parser.set_defaults(judge_run=_run)

    text = "run the public contract tests on a judge, a plugin's too"
    checking = commands.add_parser("check", help=text, description=_sentence(text), formatter_class=raw)
    checking.epilog = f"example:\n  {checking.prog} math --option math.format=boxed"
    checking.add_argument("judge", metavar="NAME", help="the judge")
    _add_option_argument(checking)
    checking.set_defaults(judge_run=_check)


def run(args: argparse.Namespace) -> int:
    """Runs the subcommand of parsed arguments and returns the exit status; prints the user's errors itself."""
    try:
        status: int = args.judge_run(args)
    except JudgesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no output was written", file=sys.stderr)
        return 130
    return status


def main(arguments: list[str] | None = None) -> int:
    """The program `python -m judges`."""
    parser = argparse.ArgumentParser(prog="python -m judges", description="The mixture of judges.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--judge",
        required=True,
        action="append",
        metavar="NAME[,NAME…]",
        help="the judges; all must be satisfied; may be repeated",
    )
    parser.add_argument("--input", required=True, type=Path, metavar="ROWS.jsonl", help="rows to judge")
    parser.add_argument("--output", required=True, type=Path, metavar="OUT.jsonl", help="where the judged rows go")
    _add_option_argument(parser)
    parser.add_argument(
        "--max-unknown-rate",
        type=_rate,
        default=1.0,
        metavar="R",
        help="exit with status 1 when any judge is unknown on more than this share of the rows (0 to 1; default: 1)",
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="worker processes (default: by the machine)")
    parser.add_argument("--strict", action="store_true", help="stop at the first malformed row, write nothing")


def _add_option_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME.KEY=VALUE",
        help="option of a judge, as JSON or plain text; may be repeated; timeout_seconds works for every judge",
    )


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text!r}")
    return value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def _specs(names: str, options: list[str]) -> list[JudgeSpec]:
    """The judges of `--judge` with the options of `--option`."""
    chosen: dict[str, dict[str, Any]] = {}
    for name in (part.strip() for part in names.split(",")):
        if not name:
            raise JudgesError(f"--judge: an empty name in {names!r}")
        if name in chosen:
            raise JudgesError(f"--judge: {name!r} is named twice")
        chosen[name] = {}
    for option in options:
        path, equals, value = option.partition("=")
        name, dot, key = path.partition(".")
        if not (equals and dot and name and key):
            raise JudgesError(f"--option {option!r}: write it as NAME.KEY=VALUE, e.g. math.format=boxed")
        if name not in chosen:
            raise JudgesError(f"--option {option!r}: the judge {name!r} is not among {', '.join(chosen)}")
        chosen[name][key] = _value(value)
    return [JudgeSpec(name, given) for name, given in chosen.items()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _list(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "metadata it needs", "comes from", "what it asks"):
        table.add_column(column, no_wrap=column in ("name", "kind"), overflow="fold")
    for info in registry.describe():
        needs = ", ".join(info.requires) or "–"
        if info.applies_only_with:
            needs += f" (only where the row has {', '.join(info.applies_only_with)})"
        about = f"cannot be used: {info.error}" if info.error else info.summary
        table.add_row(*map(Text, (info.name, info.kind or "–", needs, info.distribution, about)))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_FILES)
    console.print(table)
    return 0


def _check(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from judges.contract import check_judge

    console = Console(highlight=False)
    failures = 0
    for spec in _specs(args.judge, args.option):
        results = check_judge(spec)
        for result in results:
            mark, style = ("ok    ", "green") if result.passed else ("FAILED", "red")
            console.print(Text.assemble((mark, style), f" {result.name}: {result.explanation}"), soft_wrap=True)
        failed = sum(not result.passed for result in results)
        verdict = f"{failed} of {len(results)} checks failed" if failed else "all checks passed"
        console.print(f"{spec.name}: {verdict}", soft_wrap=True)
        failures += failed
    return 1 if failures else 0


def _run(args: argparse.Namespace) -> int:
    from judges.mixture import Mixture
    from judges.workers import JudgeWorkers

    with JudgeWorkers(args.workers) as workers:
        mixture = Mixture(_specs(",".join(args.judge), args.option), workers)
        summary = _judge_file(args, mixture, workers.processes)
    _print_summary(summary, args.output)
    too_many = [name for name in summary.outcomes if summary.unknown_rate(name) > args.max_unknown_rate]
    for name in too_many:
        rate = f"{summary.unknown_rate(name):.1%}"
        message = f"error: judge {name!r} is unknown on {rate} of the rows, more than {args.max_unknown_rate:.1%}"
        print(message, file=sys.stderr)
    return 1 if too_many else 0


def _judge_file(args: argparse.Namespace, mixture: Any, processes: int) -> Summary:
    from judges.rows import Summary, in_flight, judge_rows, output_line, read_rows, replacing

    summary = Summary(outcomes={})
    with args.input.open("rb") as source, replacing(args.output) as target:
        rows = _progress(read_rows(source), args.input.stat().st_size)
        checked = _strictly(rows, args.input) if args.strict else rows
        for row, judgement in judge_rows(checked, mixture, in_flight(processes)):
            target.write(output_line(row, judgement))
            summary.add(row, judgement)
        if not summary.rows:
            raise JudgesError(f"{args.input} has no rows")
    for line, problem in summary.malformed:
        print(f"warning: {args.input} line {line}: {problem}", file=sys.stderr)
    if summary.malformed_rows > len(summary.malformed):
        print(f"warning: … {summary.malformed_rows} malformed rows in all", file=sys.stderr)
    return summary


def _strictly(rows: Iterator[InputRow], path: Path) -> Iterator[InputRow]:
    for row in rows:
        if row.problem:
            raise JudgesError(f"{path} line {row.line}: {row.problem}")
        yield row


def _progress(rows: Iterator[InputRow], size: int) -> Iterator[InputRow]:
    """Passes rows on and shows on standard error how far the file has been read: a bar, or plain lines now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _plain_progress(rows, size)
        return
    columns = (TextColumn("judging"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())
    with Progress(*columns, MofNCompleteColumn(), console=console, transient=True) as bar:
        yield from _bar_progress(rows, size, bar)


def _bar_progress(rows: Iterator[InputRow], size: int, bar: Progress) -> Iterator[InputRow]:
    task = bar.add_task("judging", total=size)
    for row in rows:
        yield row
        bar.advance(task, row.size)


def _plain_progress(rows: Iterator[InputRow], size: int) -> Iterator[InputRow]:
    shown, done = time.monotonic(), 0
    for count, row in enumerate(rows, start=1):
        yield row
        done += row.size
        if time.monotonic() - shown >= _PLAIN_PROGRESS_SECONDS:
            shown = time.monotonic()
            print(f"judged about {count} rows, {done / size:.0%} of the file", file=sys.stderr)


def _print_summary(summary: Summary, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("judge", "satisfied", "violated", "unknown", "neutral", box=None, pad_edge=False)
    for name, counts in summary.outcomes.items():
        neutral = counts["not_applicable"] + counts["not_judged"]
        table.add_row(name, *map(str, (counts["satisfied"], counts["violated"], counts["unknown"], neutral)))
    rows = summary.satisfied
    table.add_row("all of them", *map(str, (rows[True], rows[False], rows[None], "")))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{summary.rows} rows written to {output}", soft_wrap=True, markup=False)
