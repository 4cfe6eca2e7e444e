"""The `cgpo` command. Parsing only: what a command does is imported when it runs, so `--help` answers at once.

Bad input prints one clear message on stderr and exits 2, without a traceback. Errors that are nobody's typing (a
limit was passed in mid-run, the disk is full) exit 1; a run stopped by a signal exits 130.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cgpo import __version__
from cgpo.errors import CgpoError, RunError, nearest
from cgpo.interrupt import INTERRUPTED, Interrupted

TRAINING_MODULES = frozenset(
    [
        "accelerate",
        "datasets",
        "deepspeed",
        "filelock",
        "huggingface_hub",
        "jinja2",
        "numpy",
        "peft",
        "pyarrow",
        "safetensors",
        "scipy",
        "sklearn",
        "tensorboard",
        "tokenizers",
        "torch",
        "transformers",
    ]
)
"""What the extra `train` brings; the base installation does without."""

OVERRIDES_HELP = "settings as Hydra overrides: experiment=quickstart train.steps=3 strata.math.optimizer.kl_max=12"


class _Parser(argparse.ArgumentParser):
    """Says the nearest match for a misspelt command."""

    def error(self, message: str) -> None:  # type: ignore[override]
        before, found, choices = message.partition(" (choose from ")
        if found:
            word = before.rpartition("invalid choice: ")[2].strip("'")
            close = nearest(word, choices.rstrip(")").replace("'", "").split(", "))
            message += f". Did you mean {close!r}?" if close else ""
        super().error(message)


COMMANDS = (
    "train",
    "pipeline",
    "sft",
    "reward",
    "dpo",
    "preferences",
    "evaluate",
    "report",
    "export",
    "judge",
    "doctor",
    "stratify",
    "feedback",
    "tradeoff",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="cgpo",
        description="Constrained generative policy optimisation of language models with a mixture of judges.",
        epilog="example: cgpo train experiment=quickstart --dry-run",
    )
    parser.add_argument("--version", action="version", version=f"cgpo {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_pipeline(commands)
    _add_stages(commands)
    _add_preferences(commands)
    _add_evaluate(commands)
    report = commands.add_parser(
        "report",
        help="write a run's report.html",
        description="Writes report.html from what a run has recorded so far; works on a killed run too.",
        epilog="example: cgpo report runs/quickstart",
    )
    report.add_argument("run", metavar="RUN", help="the run directory")
    export = commands.add_parser(
        "export",
        help="write a run's policy as a Hugging Face checkpoint",
        description="Writes the policy of a run's newest checkpoint as a Hugging Face folder with its tokenizer.",
        epilog="example: cgpo export runs/quickstart --output exported",
    )
    export.add_argument("run", metavar="RUN", help="the run directory")
    export.add_argument("--output", metavar="DIR", required=True, help="a folder that does not exist yet")
    export.add_argument("--checkpoint", metavar="best|STEP", help="which one; without it, the newest")
    export.add_argument("--adapter", action="store_true", help="write the LoRA adapter alone, in peft's form")
    judge = commands.add_parser(
        "judge",
        help="list, run, compare and check judges",
        description="Judges without training: list them, judge a file of responses, compare verdicts, check a judge.",
        epilog="example: cgpo judge run --judge math --input rows.jsonl --output judged.jsonl",
    )
    import judges.cli

    judges.cli.add_arguments(judge)
    stratify = commands.add_parser("stratify", help="assign the rows of a data set to strata")
    import cgpo.stratify.arguments

    cgpo.stratify.arguments.add_arguments(stratify)
    feedback = commands.add_parser("feedback", help="learn from users' reactions: prepare logs, evaluate, correlate")
    import cgpo.feedback.arguments

    cgpo.feedback.arguments.add_arguments(feedback)
    tradeoff = commands.add_parser("tradeoff", help="draw what runs gained in one measure and lost in others")
    import cgpo.tradeoff.arguments

    cgpo.tradeoff.arguments.add_arguments(tradeoff)
    doctor = commands.add_parser(
        "doctor",
        help="what this machine can run, and what to type to mend what is missing",
        description="Checks versions, GPUs, compiler, bubblewrap and disk, and says what to type for each finding.",
        epilog="example: cgpo doctor",
    )
    import cgpo.commands.doctor

    cgpo.commands.doctor.add_arguments(doctor)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES_HELP)
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own YAML files, searched besides conf/")


def _add_fresh(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fresh", action="store_true", help="start anew; an existing run directory is moved aside")


def _add_train(commands: argparse._SubParsersAction[_Parser]) -> None:
    train = commands.add_parser(
        "train",
        help="CGPO training",
        description="Trains a policy with CGPO. The same command started again goes on where it stopped.",
        epilog="example: cgpo train experiment=quickstart strata.math.optimizer.kl_max=12 --dry-run",
    )
    _add_settings(train)
    _add_fresh(train)
    train.add_argument(
        "--allow-changes",
        metavar="KEY[,KEY]",
        type=lambda text: text.split(","),
        default=[],
        help="settings, or groups of them, that may differ from those the run was started with; recorded",
    )
    _add_dry_run(train)
    train.add_argument("-m", "--multirun", action="store_true", help="sweep: key=a,b runs once for each value")


def _add_pipeline(commands: argparse._SubParsersAction[_Parser]) -> None:
    from cgpo.commands.pipeline import STAGES

    pipeline = commands.add_parser(
        "pipeline",
        help="SFT, reward model, DPO and CGPO, one after the other",
        description="Runs the four stages of an experiment, each starting from the model of the one before. The same "
        "command started again skips stages that are done and goes on in the one that is not.",
        epilog="example: cgpo pipeline experiment=pipeline --dry-run",
    )
    _add_settings(pipeline)
    _add_fresh(pipeline)
    _add_dry_run(pipeline)
    part = pipeline.add_mutually_exclusive_group()
    part.add_argument("--from", dest="first", choices=STAGES, metavar="STAGE", help="leave out what comes before STAGE")
    part.add_argument("--only", choices=STAGES, metavar="STAGE", help=f"one stage alone: {', '.join(STAGES)}")


def _add_stages(commands: argparse._SubParsersAction[_Parser]) -> None:
    texts = {
        "sft": (
            "train the policy on given responses",
            "Trains the policy to imitate the assistant's turns of given conversations, and prints the loss on "
            "held-out ones.",
            "cgpo sft experiment=pipeline --dry-run",
        ),
        "reward": (
            "train a reward model on pairs, reactions or ratings",
            "Trains a reward model (a sequence classifier) of one head or several: on preference pairs, from a file or "
            "made from the strata's prompts, on users' reactions or labels, or on ratings. Says what each head is "
            "worth on held-out rows.",
            "cgpo reward experiment=quickstart",
        ),
        "dpo": (
            "warm the policy up on preference pairs",
            "Trains the policy on preference pairs by direct preference optimisation, and prints how many held-out "
            "pairs it orders rightly.",
            "cgpo dpo experiment=pipeline --dry-run",
        ),
    }
    for name, (text, description, example) in texts.items():
        stage = commands.add_parser(name, help=text, description=description, epilog=f"example: {example}")
        _add_settings(stage)
        _add_fresh(stage)
        _add_dry_run(stage)


def _add_preferences(commands: argparse._SubParsersAction[_Parser]) -> None:
    preferences = commands.add_parser(
        "preferences",
        help="make preference pairs from a model's own responses",
        description="Samples responses to the strata's training prompts, ranks them by judges and rewards, and writes "
        "pairs with their provenance for `cgpo dpo` and `cgpo reward`.",
        epilog="example: cgpo preferences experiment=quickstart preferences.responses_per_prompt=8 --dry-run",
    )
    _add_settings(preferences)
    _add_fresh(preferences)
    _add_dry_run(preferences)
    preferences.add_argument(
        "--heldout",
        metavar="FILE",
        action="append",
        default=[],
        help="prompts to measure with, none of which is to be among the pairs; may be given several times",
    )


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="check the settings, print the plan, do nothing")


def _add_evaluate(commands: argparse._SubParsersAction[_Parser]) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate a checkpoint, or another model, on held-out prompts",
        description="Evaluates a checkpoint (the newest) of the run these settings describe, or another model, on the "
        "run's held-out prompts, against the run's reference; or an exported model on tasks of lm-evaluation-harness.",
        epilog="example: cgpo evaluate experiment=quickstart --output result.json",
    )
    _add_settings(evaluate)
    evaluate.add_argument("--checkpoint", metavar="STEP", help="that of this step, or `best` (default: the newest)")
    evaluate.add_argument("--model", metavar="NAME", help="a hub name or folder to evaluate instead of a checkpoint")
    evaluate.add_argument("--output", metavar="FILE", help="write the numbers to a JSON file")
    evaluate.add_argument("--lm-eval", metavar="TASKS", help="tasks of lm-evaluation-harness, or YAML files of tasks")
    evaluate.add_argument("--lm-eval-limit", metavar="N", type=int, help="only so many examples of each task")
    evaluate.add_argument("--lm-eval-chat", action="store_true", help="put the model's chat template around examples")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command and exits with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    args, rest = parser.parse_known_args(arguments)
    if hasattr(args, "overrides"):
        args.overrides += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    sys.exit(_run(args))


def _run(args: argparse.Namespace) -> int:
    from judges.errors import JudgesError

    try:
        return _dispatch(args)
    except KeyboardInterrupt:
        print("cgpo: broken off", file=sys.stderr)
        return INTERRUPTED
    except (CgpoError, JudgesError) as error:
        print(f"cgpo {args.command}: {error}", file=sys.stderr)
        if isinstance(error, Interrupted):
            return INTERRUPTED
        return 1 if isinstance(error, RunError) else 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAINING_MODULES:
            raise
        print(
            f"cgpo {args.command}: the package {error.name!r} is not installed: this command needs the training parts. "
            f"Install them: pip install 'cgpo[train]', or in a clone: make setup",
            file=sys.stderr,
        )
        return 2


def _dispatch(args: argparse.Namespace) -> int:
    if args.command == "judge":
        import judges.cli

        return judges.cli.run(args)
    if args.command == "doctor":
        import cgpo.commands.doctor

        return cgpo.commands.doctor.run(args)
    if args.command == "stratify":
        import cgpo.stratify.command

        return cgpo.stratify.command.run(args)
    if args.command == "feedback":
        import cgpo.feedback.arguments

        return cgpo.feedback.arguments.run(args)
    if args.command == "tradeoff":
        import cgpo.tradeoff.command

        return cgpo.tradeoff.command.run(args)
    from cgpo.commands import stages as commands

    run = {
        "train": commands.train,
        "pipeline": commands.pipeline,
        "sft": commands.sft,
        "reward": commands.reward,
        "dpo": commands.dpo,
        "preferences": commands.preferences,
        "evaluate": commands.evaluate,
        "report": commands.report,
        "export": commands.export,
    }[args.command]
    return run(args)
