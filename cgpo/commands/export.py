"""`cgpo export`: the policy of a run's checkpoint as a Hugging Face folder."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cgpo.commands.shared_options import ExistingRun
from judges.command_options import Form, add_options, read_options
from judges.printing import say


@dataclass(frozen=True, kw_only=True)
class Options(ExistingRun):
    """What is written."""

    output: Annotated[Path, Form(Path, "DIR")]
    """a folder that does not exist yet"""
    checkpoint: Annotated[str | None, Form(str, "best|STEP", default="the newest")] = None
    """which one"""
    adapter: bool = False
    """write the LoRA adapter alone, in peft's form"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo export`."""
    parser.description = "Writes the policy of a run's newest checkpoint as a Hugging Face folder with its tokenizer."
    parser.epilog = "example: cgpo export runs/quickstart --output exported"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Writes the folder and prints where it is."""
    options = read_options(args, Options)
    run_dir = options.folder()
    from cgpo.policy.export import export_adapter, export_run

    write = export_adapter if options.adapter else export_run
    say(write(run_dir, options.output, options.checkpoint))
    return 0
