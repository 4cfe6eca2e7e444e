"""`cgpo preferences`: preference pairs from a model's own responses, in `<run_base>-preferences` by default."""

from __future__ import annotations

import argparse

from cgpo.commands.shared_options import add_dry_run, add_fresh, add_settings, add_verbose, divert_unless_verbose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo preferences`."""
    parser.description = (
        "Samples responses to the strata's training prompts, ranks them by judges and rewards, and writes pairs with "
        "their provenance for `cgpo dpo` and `cgpo reward`."
    )
    parser.epilog = "example: cgpo preferences experiment=quickstart preferences.responses_per_prompt=8 --dry-run"
    add_settings(parser)
    add_fresh(parser)
    add_dry_run(parser)
    add_verbose(parser)
    parser.add_argument(
        "--heldout",
        metavar="FILE",
        action="append",
        default=[],
        help="prompts to measure with, none of which is to be among the pairs; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Makes the pairs, or prints the plan."""
    from cgpo.pairs.configuration import compose_preferences
    from cgpo.pairs.preferences_plan import print_preferences_plan

    composed = compose_preferences(args.overrides, args.config_dir, args.heldout)
    if args.dry_run:
        print_preferences_plan(composed, fresh=args.fresh)
        return 0
    divert_unless_verbose(args)
    from cgpo.pairs.running import run_preferences

    return run_preferences(composed.settings, fresh=args.fresh)
