"""`cgpo sft`, `cgpo reward` and `cgpo dpo`: one supervised stage, in a run directory of its own.

The directory is `<run_base>-<command>` by default.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from cgpo.commands.shared_options import RunOptions
from judges.command_options import add_options, read_options


@dataclass(frozen=True)
class StageCommand:
    """The command of one stage.

    Attributes:
        name: `sft`, `reward` or `dpo`.
        runs: `module:function` that runs the stage: (settings, fresh) → exit status.
        description: what it does, for `--help`.
        example: a command to try.
    """

    name: str
    runs: str
    description: str
    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of the command."""
        parser.description = self.description
        parser.epilog = f"example: {self.example}"
        add_options(parser, RunOptions)

    def run(self, args: argparse.Namespace) -> int:
        """Runs the stage, or prints its plan."""
        from pkgutil import resolve_name

        from cgpo.stages.configuration import compose_stage
        from cgpo.stages.stage_plan import print_stage_plan

        options = read_options(args, RunOptions)
        composed = compose_stage(self.name, options.overrides, options.config_dir)
        if options.dry_run:
            print_stage_plan(self.name, composed, fresh=options.fresh)
            return 0
        options.divert_unless_verbose(self.name)
        status: int = resolve_name(self.runs)(composed.settings, fresh=options.fresh)
        return status


SFT = StageCommand(
    "sft",
    "cgpo.stages.sft:run_sft_stage",
    "Trains the policy to imitate the assistant's turns of given conversations, and prints the loss on held-out ones.",
    "cgpo sft experiment=pipeline --dry-run",
)
REWARD = StageCommand(
    "reward",
    "cgpo.stages.reward_model.stage:run_reward_stage",
    "Trains a reward model (a sequence classifier) of one head or several: on preference pairs, from a file or "
    "made from the strata's prompts, on users' reactions or labels, or on ratings. Says what each head is "
    "worth on held-out rows.",
    "cgpo reward experiment=quickstart",
)
DPO = StageCommand(
    "dpo",
    "cgpo.stages.dpo:run_dpo_stage",
    "Trains the policy on preference pairs by direct preference optimisation, and prints how many held-out "
    "pairs it orders rightly.",
    "cgpo dpo experiment=pipeline --dry-run",
)
