"""What the commands that need a configuration or a run directory do."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.compose import Composed, compose
from cgpo.errors import ConfigError


def train(args: argparse.Namespace) -> int:
    """`cgpo train`."""
    if args.multirun:
        from cgpo.commands.sweep import sweep

        flags = [flag for flag, given in {"--dry-run": args.dry_run, "--fresh": args.fresh}.items() if given]
        flags += ["--allow-changes", ",".join(args.allow_changes)] if args.allow_changes else []
        return sweep(args.overrides, args.config_dir, flags=flags)
    composed = compose(args.overrides, config_dir=args.config_dir)
    from cgpo.training.plan import print_plan

    if args.dry_run:
        print_plan(composed, fresh=args.fresh, allow=args.allow_changes)
        return 0
    from cgpo.commands.train import run_training

    run_training(composed, fresh=args.fresh, allow=args.allow_changes)
    return 0


def pipeline(args: argparse.Namespace) -> int:
    """`cgpo pipeline`."""
    from cgpo.commands.pipeline import Pipeline

    found = Pipeline(args.overrides, args.config_dir, first=args.first, only=args.only, fresh=args.fresh)
    if args.dry_run:
        found.print_plan()
        return 0
    return found.run()


def sft(args: argparse.Namespace) -> int:
    """`cgpo sft`: a run directory of its own, `<run_base>-sft` by default."""
    composed = _stage(args, "sft")
    if args.dry_run:
        return 0
    from cgpo.stages.sft import run_sft_stage

    return run_sft_stage(composed.settings, fresh=args.fresh)


def reward(args: argparse.Namespace) -> int:
    """`cgpo reward`: a run directory of its own, `<run_base>-reward` by default."""
    composed = _stage(args, "reward")
    if args.dry_run:
        return 0
    from cgpo.stages.reward_model.stage import run_reward_stage

    return run_reward_stage(composed.settings, fresh=args.fresh)


def dpo(args: argparse.Namespace) -> int:
    """`cgpo dpo`: a run directory of its own, `<run_base>-dpo` by default."""
    composed = _stage(args, "dpo")
    if args.dry_run:
        return 0
    from cgpo.stages.dpo import run_dpo_stage

    return run_dpo_stage(composed.settings, fresh=args.fresh)


def preferences(args: argparse.Namespace) -> int:
    """`cgpo preferences`: a run directory of its own, `<run_base>-preferences` by default."""
    from cgpo.pairs.configuration import compose_preferences
    from cgpo.pairs.plan import print_preferences_plan

    composed = compose_preferences(args.overrides, args.config_dir, args.heldout)
    if args.dry_run:
        print_preferences_plan(composed, fresh=args.fresh)
        return 0
    from cgpo.commands.preferences import run_preferences

    return run_preferences(composed.settings, fresh=args.fresh)


def _stage(args: argparse.Namespace, command: str) -> Composed:
    """The configuration of a stage, checked; with `--dry-run` its plan is printed."""
    from cgpo.stages.plan import compose_stage, print_stage_plan

    composed = compose_stage(command, args.overrides, args.config_dir)
    if args.dry_run:
        print_stage_plan(command, composed, fresh=args.fresh)
    return composed


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
    from cgpo.commands.evaluate import Target, run_evaluation

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
    from rich.console import Console

    from cgpo.report.overoptimisation import print_phrases, read_overoptimisation
    from cgpo.report.report import write_report

    print(write_report(Path(args.run)))
    print_phrases(Console(stderr=True), read_overoptimisation(Path(args.run), {}, [], []))
    return 0


def export(args: argparse.Namespace) -> int:
    """`cgpo export`."""
    _require_run(args.run)
    from cgpo.policy.export import export_adapter, export_run

    write = export_adapter if args.adapter else export_run
    print(write(Path(args.run), Path(args.output), args.checkpoint))
    return 0


def _require_run(path: str) -> None:
    if not (Path(path) / "config.yaml").is_file():
        runs = sorted(p.parent.as_posix() for p in Path("runs").glob("*/config.yaml"))
        known = f" Runs here: {', '.join(runs)}" if runs else ""
        raise ConfigError(f"{path} is no run directory: it has no config.yaml.{known}")
