"""`judge compare`: agreement, confusion and Cohen's kappa of two judged files, or of a judged file and labels."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from judges.command_options import Form, add_options, read_options
from judges.commands.judge_options import judge_names
from judges.errors import JudgesError, did_you_mean, unknown_name
from judges.number_types import natural
from judges.printing import json_text, say

if TYPE_CHECKING:
    from judges.files.comparison import Comparison, LabelReader, Rater, Result

_EPILOG = """Compares all judges that both files have, and the rows' "satisfied"; or those of --judge. Rows belong
together by their order, or by the field --key; their prompts and responses must be equal where both files have them.

examples:
  {prog} judged.jsonl judged_by_another.jsonl
  {prog} judged.jsonl --judge refusal --label-key metadata.label --positive full_compliance
  {prog} judged.jsonl --judge refusal --judge-b false_refusal
  {prog} judged.jsonl labels.jsonl --key id --judge refusal --label-key label --positive 1 --json"""
_SHOWN_CHARS = 180


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `judge compare` is asked."""

    a: Annotated[Path, Form(Path, "A.jsonl", positional=True)]
    """a judged file, JSON Lines or Parquet"""
    b: Annotated[Path | None, Form(Path, "B.jsonl", positional=True, default="itself")] = None
    """what to compare it with"""
    judge: Annotated[tuple[str, ...], Form(str, "NAME[,NAME…]", collect=tuple)] = ()
    """compare only these judges"""
    judge_b: Annotated[str | None, Form(str, "NAME")] = None
    """the judge in B, where it is another than that of --judge"""
    label_key: Annotated[str | None, Form(str, "FIELD")] = None
    """compare with labels in this field of B, e.g. metadata.ok"""
    positive: Annotated[str | None, Form(str, "VALUE[,VALUE…]", default="true")] = None
    """labels that mean satisfied"""
    key: Annotated[str | None, Form(str, "FIELD")] = None
    """match rows by this field instead of by order, e.g. metadata.id"""
    show: Annotated[int, Form(natural, "N")] = 5
    """disagreements to list"""
    json: bool = False
    """print JSON instead of tables"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `judge compare`."""
    parser.epilog = _EPILOG.format(prog=parser.prog)
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Prints the comparison."""
    from judges.files.comparison import compare

    options = read_options(args, Options)
    rater_a, rater_b = _raters(options)
    result = compare(rater_a, rater_b, options.key, options.show)
    _check_compared(options, result, rater_b)
    if options.json:
        say(json_text(_as_json(options, result), indent=1))
    else:
        _print(options, result)
    return 0


def _raters(options: Options) -> tuple[Rater, Rater]:
    """Raises JudgesError where the arguments do not say what to compare."""
    from judges.files.comparison import LabelReader, Rater, verdicts_reader

    judges = judge_names(options.judge) if options.judge else None
    if options.judge_b and (judges is None or len(judges) != 1):
        raise JudgesError("--judge-b needs one judge in --judge to compare it with")
    if options.judge_b and options.label_key:
        raise JudgesError("--judge-b and --label-key: compare with a judge or with labels")
    if options.positive and not options.label_key:
        raise JudgesError("--positive is for labels: say with --label-key where they are")
    if options.b is None and not (options.label_key or options.judge_b):
        raise JudgesError("nothing to compare with: name a second file, --label-key or --judge-b")
    b = options.b or options.a
    same_names = {name: name for name in judges} if judges else None
    if options.label_key:
        positive = [value.strip() for value in options.positive.split(",")] if options.positive else []
        return Rater(options.a, verdicts_reader(same_names)), Rater(b, LabelReader(options.label_key, positive))
    if options.judge_b and judges:
        shown = f"{judges[0]} / {options.judge_b}"
        return Rater(options.a, verdicts_reader({judges[0]: shown})), Rater(
            b, verdicts_reader({options.judge_b: shown})
        )
    return Rater(options.a, verdicts_reader(same_names)), Rater(b, verdicts_reader(same_names))


def _check_compared(options: Options, result: Result, rater_b: Rater) -> None:
    """Raises JudgesError when there was nothing to compare."""
    from judges.files.comparison import LabelReader

    if not result.rows:
        raise JudgesError(f"no rows of {options.a} and {options.b or options.a} belong together")
    if isinstance(rater_b.read, LabelReader):
        _check_labels(rater_b.path, rater_b.read)
    compared = [name for name, comparison in result.comparisons.items() if _in_both(comparison)]
    if options.judge_b:
        if not compared:
            raise JudgesError(f"no row has verdicts of both {options.judge[0]!r} and {options.judge_b!r}")
    elif options.judge:
        for name in judge_names(options.judge):
            if name not in compared:
                raise JudgesError(unknown_name("judge", name, _judges(options), "(with verdicts in both, or a label)"))
    elif options.label_key and not compared:
        raise JudgesError("no row with a label has verdicts")


def _check_labels(path: Path, labels: LabelReader) -> None:
    """Raises JudgesError when there is no label or no positive one; warns of positive values that do not occur."""
    from judges.files.comparison import fields_of

    if not labels.matched and not labels.others:
        fields = fields_of(path)
        hint = f".{did_you_mean(labels.key, fields)} Its fields: {', '.join(fields)}"
        raise JudgesError(f"no row of {path} has a label in `{labels.key}`{'' if labels.key in fields else hint}")
    occurring = [*sorted(labels.matched), *labels.others]
    for value in labels.positive:
        if value in labels.matched:
            continue
        problem = f"--positive: no label in `{labels.key}` is {value!r}.{did_you_mean(value, occurring)}"
        if not labels.matched:
            raise JudgesError(f"{problem} Labels: {', '.join(occurring)}")
        say(f"warning: {problem}", file=sys.stderr)


def _judges(options: Options) -> set[str]:
    """The judges of the first rows of A."""
    from itertools import islice

    from judges.files import open_source
    from judges.files.comparison import ALL, verdicts_reader

    read = verdicts_reader(None)
    return {name for row in islice(open_source(options.a).rows(), 100) for name in read(row.content)} - {ALL}


def _in_both(comparison: Comparison) -> bool:
    from judges.files.kappa import MISSING

    return any(MISSING not in pair for pair, count in comparison.agreement.counts.items() if count)


def _as_json(options: Options, result: Result) -> dict[str, Any]:
    return {
        "schema": 1,
        "a": str(options.a),
        "b": str(options.b or options.a),
        "rows": result.rows,
        "only_in_a": result.only_in_a,
        "only_in_b": result.only_in_b,
        "comparisons": {
            name: {
                **comparison.agreement.as_json(),
                "disagreements": [
                    {
                        "line_a": row.line_a,
                        "line_b": row.line_b,
                        "a": row.a.answer,
                        "b": row.b.answer,
                        "reason_a": row.a.reason,
                        "reason_b": row.b.reason,
                    }
                    for row in comparison.disagreements
                ],
            }
            for name, comparison in result.comparisons.items()
        },
    }


def _print(options: Options, result: Result) -> None:
    from judges.files.kappa import CONFIDENCE
    from judges.terminal import open_console

    console = open_console(markup=False)
    b = f"the labels `{options.label_key}`" if options.label_key else str(options.b or options.a)
    console.print(f"A: {options.a}   B: {b}   {result.rows} rows compared   intervals: {CONFIDENCE:.0%}")
    if result.only_in_a or result.only_in_b:
        console.print(f"left out: {result.only_in_a} rows only in A, {result.only_in_b} only in B")
    for name, comparison in result.comparisons.items():
        console.print()
        if _in_both(comparison):
            _print_comparison(console, name, comparison)
        else:
            console.print(f"{name}: not compared, only one side has its verdicts")


def _print_comparison(console: Any, name: str, comparison: Comparison) -> None:
    from rich.table import Table

    from judges.files.kappa import ANSWERS

    agreement = comparison.agreement
    agreed = _with_interval(agreement.rate, agreement.rate_interval(), percent=True)
    kappa = _with_interval(agreement.kappa(), agreement.kappa_interval(), percent=False)
    console.print(
        f"{name}: agreement {agreed} ({agreement.agreements}/{agreement.decided} decided rows), kappa {kappa}"
    )
    used_a = [x for x in ANSWERS if any(agreement.counts[x, y] for y in ANSWERS)]
    used_b = [y for y in ANSWERS if any(agreement.counts[x, y] for x in ANSWERS)]
    table = Table("A \\ B", *used_b, box=None, pad_edge=False)
    for answer in used_a:
        table.add_row(answer, *(str(agreement.counts[answer, other]) for other in used_b))
    console.print(table)
    for row in comparison.disagreements:
        reasons = " | ".join(filter(None, (row.a.reason, row.b.reason)))
        console.print(_cut(f"  line {row.line_a} / {row.line_b}: {row.a.answer} / {row.b.answer}  {reasons}"))
    if len(comparison.disagreements) < agreement.decided - agreement.agreements:
        console.print(f"  … {agreement.decided - agreement.agreements} disagreements in all")
    if agreement.decided < agreement.rows:
        console.print(f"  {agreement.rows - agreement.decided} rows were not decided by both and count neither way")


def _with_interval(value: float | None, interval: tuple[float, float] | None, *, percent: bool) -> str:
    if value is None:
        return "not defined"
    form = "{:.1%}" if percent else "{:.3f}"
    shown = form.format(value)
    return f"{shown} [{form.format(interval[0])}, {form.format(interval[1])}]" if interval else shown


def _cut(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"
