"""The sub-commands of `cgpo feedback`. Nothing heavy is imported here: `--help` answers at once.

A sub-command has two modules: one adds its arguments, the other runs it (`run(args) -> int`).
"""

from __future__ import annotations

import argparse
from importlib import import_module

from cgpo.feedback import correlate_arguments, evaluate_arguments, gate_arguments
from cgpo.feedback.preparation import arguments as prepare_arguments
from cgpo.feedback.simulation import arguments as simulate_arguments

_ADD = {
    "prepare": prepare_arguments.add_arguments,
    "evaluate": evaluate_arguments.add_arguments,
    "correlate": correlate_arguments.add_arguments,
    "gate": gate_arguments.add_arguments,
    "simulate": simulate_arguments.add_arguments,
}

_RUN = {
    "prepare": "cgpo.feedback.preparation.prepare",
    "evaluate": "cgpo.feedback.evaluate",
    "correlate": "cgpo.feedback.correlate",
    "gate": "cgpo.feedback.gate",
    "simulate": "cgpo.feedback.simulation.command",
}
"""Where each is run; imported then."""

_HELP = {
    "prepare": "turn logs of users' reactions into training and held-out data for P[Love]",
    "evaluate": "measure a reward model on the reactions of later users",
    "correlate": "whether a reward model's score of several policies goes with their observed reaction rates",
    "gate": "pass or fail for a release, rule by rule, with reasons",
    "simulate": "write a simulated log whose true P[love] is known, for tests and experiments",
}

_DESCRIPTION = "Users' reactions: from logs to a reward model's data, and what that model is worth."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands, each with its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = "example: cgpo feedback prepare --input logs.jsonl --output prepared"
    commands = parser.add_subparsers(dest="feedback_command", metavar="COMMAND", required=True)
    for name, add in _ADD.items():
        add(commands.add_parser(name, help=_HELP[name]))


def run(args: argparse.Namespace) -> int:
    """Runs the sub-command that was chosen."""
    status: int = import_module(_RUN[args.feedback_command]).run(args)
    return status
