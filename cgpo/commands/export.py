"""`cgpo export`: the policy of a run's checkpoint as a Hugging Face folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.commands.shared_options import add_run, existing_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo export`."""
    parser.description = "Writes the policy of a run's newest checkpoint as a Hugging Face folder with its tokenizer."
    parser.epilog = "example: cgpo export runs/quickstart --output exported"
    add_run(parser)
    parser.add_argument("--output", metavar="DIR", required=True, help="a folder that does not exist yet")
    parser.add_argument("--checkpoint", metavar="best|STEP", help="which one; without it, the newest")
    parser.add_argument("--adapter", action="store_true", help="write the LoRA adapter alone, in peft's form")


def run(args: argparse.Namespace) -> int:
    """Writes the folder and prints where it is."""
    run_dir = existing_run(args)
    from cgpo.policy.export import export_adapter, export_run

    write = export_adapter if args.adapter else export_run
    print(write(run_dir, Path(args.output), args.checkpoint))
    return 0
