"""The options that several commands have: settings, `--fresh`, `--dry-run`, a run directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.errors import ConfigError
from cgpo.storage.file_names import CONFIG_NAME

OVERRIDES_HELP = "settings as Hydra overrides: experiment=quickstart train.steps=3 strata.math.optimizer.kl_max=12"


def add_settings(parser: argparse.ArgumentParser) -> None:
    """`key=value …` and `--config-dir`, for `compose(args.overrides, config_dir=args.config_dir)`."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES_HELP)
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own YAML files, searched besides conf/")


def add_fresh(parser: argparse.ArgumentParser) -> None:
    """`--fresh`."""
    parser.add_argument("--fresh", action="store_true", help="start anew; an existing run directory is moved aside")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """`--dry-run`."""
    parser.add_argument("--dry-run", action="store_true", help="check the settings, print the plan, do nothing")


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """`--verbose`, for `divert_unless_verbose`."""
    text = "show what libraries say instead of keeping it in run.log of the run directory"
    parser.add_argument("--verbose", action="store_true", help=text)


def divert_unless_verbose(args: argparse.Namespace) -> None:
    """From here on what libraries write goes to the log of the run directory (`cgpo.tracking.run_log`)."""
    from cgpo.tracking.run_log import divert

    if not args.verbose:
        divert(args.command)


def add_run(parser: argparse.ArgumentParser) -> None:
    """`RUN`, a run directory that is there already (`existing_run`)."""
    parser.add_argument("run", metavar="RUN", help="the run directory")


def existing_run(args: argparse.Namespace) -> Path:
    """The run directory that was named.

    Raises:
        ConfigError: it is none; the message lists those below `runs/`.
    """
    run_dir = Path(args.run)
    if not (run_dir / CONFIG_NAME).is_file():
        runs = sorted(p.parent.as_posix() for p in Path("runs").glob(f"*/{CONFIG_NAME}"))
        known = f" Runs here: {', '.join(runs)}" if runs else ""
        raise ConfigError(f"{args.run} is no run directory: it has no {CONFIG_NAME}.{known}")
    return run_dir
