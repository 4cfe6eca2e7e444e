"""`cgpo preferences`: preference pairs from a model's own responses, in `<run_base>-preferences` by default."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Annotated

from cgpo.commands.shared_options import RunOptions
from judges.command_options import Form, add_options, read_options


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What is made."""

    heldout: Annotated[tuple[str, ...], Form(str, "FILE", collect=tuple)] = ()
    """prompts to measure with, none of which is to be among the pairs; may be repeated"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo preferences`."""
    parser.description = (
        "Samples responses to the strata's training prompts, ranks them by judges and rewards, and writes pairs with "
        "their provenance for `cgpo dpo` and `cgpo reward`."
    )
    parser.epilog = "example: cgpo preferences experiment=quickstart preferences.responses_per_prompt=8 --dry-run"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Makes the pairs, or prints the plan."""
    from cgpo.pairs.configuration import compose_preferences
    from cgpo.pairs.preferences_plan import print_preferences_plan

    options = read_options(args, Options)
    composed = compose_preferences(options.overrides, options.config_dir, options.heldout)
    if options.dry_run:
        print_preferences_plan(composed, fresh=options.fresh)
        return 0
    options.divert_unless_verbose("preferences")
    from cgpo.pairs.running import run_preferences

    return run_preferences(composed.settings, fresh=options.fresh)
