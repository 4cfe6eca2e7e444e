"""`judge check`."""

from __future__ import annotations

import argparse

from judges.commands.arguments import add_option_argument, judge_names, judge_specs

_EPILOG = """examples:
  {prog} math --option math.format=boxed
  {prog} my_judges.py:polite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `judge check`."""
    parser.epilog = _EPILOG.format(prog=parser.prog)
    help_text = "the judge; FILE.py:FUNCTION or FILE.py:CLASS is one that is not installed"
    parser.add_argument("judge", metavar="NAME", help=help_text)
    add_option_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Prints every check with what was seen; status 1 when one failed."""
    from rich.text import Text

    from judges.commands.files import judge_files
    from judges.contract import check_judge
    from judges.terminal import open_console

    console = open_console()
    failures = 0
    with judge_files(judge_names([args.judge])) as names:
        for spec in judge_specs(names, args.option):
            results = check_judge(spec)
            for result in results:
                mark, style = ("ok    ", "green") if result.passed else ("FAILED", "red")
                console.print(Text.assemble((mark, style), f" {result.name}: {result.explanation}"))
            failed = sum(not result.passed for result in results)
            verdict = f"{failed} of {len(results)} checks failed" if failed else "all checks passed"
            console.print(f"{spec.name}: {verdict}")
            failures += failed
    return 1 if failures else 0
