"""The judges on the command line, as `cgpo judge` and `python -m judges`: list, run, compare, check.

Building the parser imports nothing heavy. Errors of the user are ValueError (JudgesError) or OSError with a message
that stands on its own; exit status 0: done, 1: done but above a limit or a check failed, 2: wrong use, 130: stopped.
"""

from __future__ import annotations

import argparse
import sys

from judges.command_options import Parser
from judges.commands import check, compare, listing
from judges.commands import run as run_command
from judges.errors import JudgesError
from judges.printing import say, show_errors_plainly

INTERRUPTED = 130
"""Exit status after SIGINT or SIGTERM, as shells have it for the first."""

_EXAMPLES = """examples:
  {prog} list
  {prog} run --judge math,refusal --input rows.jsonl --output judged.jsonl
  {prog} compare judged.jsonl judged_by_another.jsonl
  {prog} check math"""
_COMMANDS = {
    "list": (listing, "show built-in and installed judges"),
    "run": (run_command, "judge the rows of a JSON Lines or Parquet file"),
    "compare": (compare, "compare verdicts with labels or with those of another judge"),
    "check": (check, "run the public contract tests on a judge, a plugin's too"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands to `parser`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser.formatter_class = raw
    parser.epilog = _EXAMPLES.format(prog=parser.prog)
    commands = parser.add_subparsers(dest="judge_command", metavar=f"{{{','.join(_COMMANDS)}}}", required=True)
    for name, (module, text) in _COMMANDS.items():
        description = f"{text[0].upper()}{text[1:]}."
        command = commands.add_parser(name, help=text, description=description, formatter_class=raw)
        module.add_arguments(command)
        command.set_defaults(judge_run=module.run)


def run(args: argparse.Namespace) -> int:
    """Runs the subcommand of parsed arguments and returns the exit status; prints the user's errors itself."""
    try:
        status: int = args.judge_run(args)
    except JudgesError as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        say(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        say(str(interrupt) or "stopped; nothing was done", file=sys.stderr)
        return INTERRUPTED
    return status


def main(arguments: list[str] | None = None) -> int:
    """The program `python -m judges`."""
    show_errors_plainly()
    parser = Parser(prog="python -m judges", description="The mixture of judges.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))
