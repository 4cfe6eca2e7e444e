"""`cgpo feedback`: users' reactions, from logs to a reward model's data and to what that model is worth.

One module a sub-command, each with `add_arguments(parser)` and `run(args) -> int`. Importing them imports nothing
heavy: what a sub-command computes with is imported when it runs.
"""

from __future__ import annotations

import argparse

from cgpo.commands.feedback import correlate, evaluate, gate, prepare, simulate

_COMMANDS = {
    "prepare": (prepare, "turn logs of users' reactions into training and held-out data for P[Love]"),
    "evaluate": (evaluate, "measure a reward model on the reactions of later users"),
    "correlate": (
        correlate,
        "whether a reward model's score of several policies goes with their observed reaction rates",
    ),
    "gate": (gate, "pass or fail for a release, rule by rule, with reasons"),
    "simulate": (simulate, "write a simulated log whose true P[love] is known, for tests and experiments"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands, each with its options."""
    parser.description = "Users' reactions: from logs to a reward model's data, and what that model is worth."
    parser.epilog = "example: cgpo feedback prepare --input logs.jsonl --output prepared"
    subparsers = parser.add_subparsers(dest="feedback_command", metavar="COMMAND", required=True)
    for name, (command, text) in _COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=text))


def run(args: argparse.Namespace) -> int:
    """Runs the sub-command that was chosen and returns its status."""
    command, _ = _COMMANDS[args.feedback_command]
    status: int = command.run(args)
    return status
