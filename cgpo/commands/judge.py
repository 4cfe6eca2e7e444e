"""`cgpo judge`: the judges' own command line, which `python -m judges` is too."""

from __future__ import annotations

import argparse

import judges.cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands of `cgpo judge`."""
    parser.description = (
        "Judges without training: list them, judge a file of responses, compare verdicts, check a judge."
    )
    judges.cli.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the sub-command that was chosen and returns its status."""
    return judges.cli.run(args)
