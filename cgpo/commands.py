"""What the commands that need a configuration or a run directory do."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.compose import compose
from cgpo.errors import ConfigError


def train(args: argparse.Namespace) -> int:
    """`cgpo train`."""
    if args.multirun:
        from cgpo.sweep import sweep

        flags = [flag for flag, given in {"--dry-run": args.dry_run, "--fresh": args.fresh}.items() if given]
        flags += ["--allow-changes", ",".join(args.allow_changes)] if args.allow_changes else []
        return sweep(args.overrides, args.config_dir, flags=flags)
    composed = compose(args.overrides, config_dir=args.config_dir)
    from cgpo.plan import print_plan

    if args.dry_run:
        print_plan(composed, fresh=args.fresh, allow=args.allow_changes)
        return 0
    from cgpo.run import run_training

    run_training(composed, fresh=args.fresh, allow=args.allow_changes)
    return 0


def reward(args: argparse.Namespace) -> int:
    """`cgpo reward`: a run directory of its own, `runs/<experiment>-reward` by default."""
    composed = compose(args.overrides, config_dir=args.config_dir, run_suffix="-reward")
    from cgpo.stages.reward import run_reward_stage

    return run_reward_stage(composed.settings, fresh=args.fresh)


def evaluate(args: argparse.Namespace) -> int:
    """`cgpo evaluate`."""
    output = None if args.output is None else Path(args.output)
    if args.lm_eval is not None:
        from cgpo.evaluation.harness import run_harness

        _refuse_beside_harness(args)
        run_harness(args.model, args.lm_eval, output, chat=args.lm_eval_chat, limit=args.lm_eval_limit)
        return 0
    if args.model is not None and args.checkpoint is not None:
        raise ConfigError("--model and --checkpoint exclude each other: one names another model, one a checkpoint")
    composed = compose(args.overrides, config_dir=args.config_dir)
    from cgpo.evaluation.command import Target, run_evaluation

    run_evaluation(composed, Target(args.checkpoint, args.model, output))
    return 0


def _refuse_beside_harness(args: argparse.Namespace) -> None:
    if args.model is None:
        raise ConfigError("--lm-eval needs --model FOLDER, an exported checkpoint: cgpo export RUN --output FOLDER")
    if args.overrides or args.checkpoint is not None:
        raise ConfigError(
            "--lm-eval evaluates --model on the harness's own tasks: it takes no settings, no --checkpoint"
        )


def report(args: argparse.Namespace) -> int:
    """`cgpo report`."""
    _require_run(args.run)
    from cgpo.tracking.report import write_report

    print(write_report(Path(args.run)))
    return 0


def export(args: argparse.Namespace) -> int:
    """`cgpo export`."""
    _require_run(args.run)
    from cgpo.export import export_run

    print(export_run(Path(args.run), Path(args.output)))
    return 0


def _require_run(path: str) -> None:
    if not (Path(path) / "config.yaml").is_file():
        runs = sorted(p.parent.as_posix() for p in Path("runs").glob("*/config.yaml"))
        known = f" Runs here: {', '.join(runs)}" if runs else ""
        raise ConfigError(f"{path} is no run directory: it has no config.yaml.{known}")
