"""`judge check`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Annotated

from judges.command_options import Form, add_options, read_options
from judges.commands.judge_options import JudgeOptions, judge_names, judge_specs

_EPILOG = """examples:
  {prog} math --option math.format=boxed
  {prog} my_judges.py:polite"""


@dataclass(frozen=True, kw_only=True)
class Options(JudgeOptions):
    """What `judge check` is asked."""

    judge: Annotated[str, Form(str, "NAME", positional=True)]
    """the judge; FILE.py:FUNCTION or FILE.py:CLASS is one that is not installed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `judge check`."""
    parser.epilog = _EPILOG.format(prog=parser.prog)
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Prints every check with what was seen; status 1 when one failed."""
    from rich.text import Text

    from judges.commands.files import judge_files
    from judges.contract import check_judge
    from judges.terminal import open_console

    options = read_options(args, Options)
    console = open_console()
    failures = 0
    with judge_files(judge_names([options.judge])) as names:
        for spec in judge_specs(names, options.option):
            results = check_judge(spec)
            for result in results:
                mark, style = ("ok    ", "green") if result.passed else ("FAILED", "red")
                console.print(Text.assemble((mark, style), f" {result.name}: {result.explanation}"))
            failed = sum(not result.passed for result in results)
            verdict = f"{failed} of {len(results)} checks failed" if failed else "all checks passed"
            console.print(f"{spec.name}: {verdict}")
            failures += failed
    return 1 if failures else 0
