"""`cgpo report`: the page of a run, from what it has recorded so far."""

from __future__ import annotations

import argparse

from cgpo.commands.shared_options import ExistingRun
from judges.command_options import add_options, read_options
from judges.printing import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo report`."""
    parser.description = "Writes report.html from what a run has recorded so far; works on a killed run too."
    parser.epilog = "example: cgpo report runs/quickstart"
    add_options(parser, ExistingRun)


def run(args: argparse.Namespace) -> int:
    """Writes the page and prints where, and the phrases that responses have come to share."""
    run_dir = read_options(args, ExistingRun).folder()

    from cgpo.report.overoptimisation import read_overoptimisation
    from cgpo.report.run_page import write_report
    from cgpo.report.terminal import print_phrases
    from judges.terminal import open_console

    say(write_report(run_dir))
    print_phrases(open_console(stderr=True), read_overoptimisation(run_dir, {}, [], []))
    return 0
