"""The `cgpo` command: the table of commands, the parser, and the exit status of whatever a command raises.

A command is imported when it is asked for, so that `--help` answers at once. Bad input prints one clear message on
stderr and exits 2, without a traceback. Errors that are nobody's typing (a limit was passed in mid-run, the disk is
full) exit 1; a run stopped by a signal exits 130.
"""

from __future__ import annotations

import argparse
import io
import pkgutil
import sys
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, Protocol

from cgpo import __version__
from cgpo.cpu import tune_process
from cgpo.errors import CgpoError, RunError
from cgpo.interrupt import INTERRUPTED, Interrupted
from judges.command_options import Parser
from judges.printing import show_errors_plainly

COMMANDS = {
    "train": ("cgpo.commands.train", "CGPO training"),
    "pipeline": ("cgpo.commands.pipeline", "SFT, reward model, DPO and CGPO, one after the other"),
    "sft": ("cgpo.commands.stages:SFT", "train the policy on given responses"),
    "reward": ("cgpo.commands.stages:REWARD", "train a reward model on pairs, reactions or ratings"),
    "dpo": ("cgpo.commands.stages:DPO", "warm the policy up on preference pairs"),
    "preferences": ("cgpo.commands.preferences", "make preference pairs from a model's own responses"),
    "evaluate": ("cgpo.commands.evaluate", "evaluate a checkpoint, or another model, on held-out prompts"),
    "report": ("cgpo.commands.report", "write a run's report.html"),
    "export": ("cgpo.commands.export", "write a run's policy as a Hugging Face checkpoint"),
    "judge": ("cgpo.commands.judge", "list, run, compare and check judges"),
    "stratify": ("cgpo.commands.stratify", "assign the rows of a data set to strata"),
    "feedback": ("cgpo.commands.feedback", "learn from users' reactions: prepare logs, evaluate, correlate"),
    "tradeoff": ("cgpo.commands.tradeoff", "draw what runs gained in one measure and lost in others"),
    "doctor": ("cgpo.commands.doctor", "what this machine can run, and what to type to mend what is missing"),
}
"""Name → where the command is (`module` or `module:object`, a `Command`), and its line in `cgpo --help`."""

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


class Command(Protocol):
    """A command: a module with these two functions, or an object. Importing it imports nothing heavy."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Gives the parser its description, example and options."""

    def run(self, args: argparse.Namespace) -> int:
        """Does it and returns the exit status; raises CgpoError for what a person can mend."""


class RankParser(Parser):
    """Says what is wrong with a command line once, whatever launched the ranks."""

    def print_usage(self, file: Any = None) -> None:
        """Prints the usage, on rank 0."""
        from cgpo.commands.failure import first_rank

        if first_rank():
            super().print_usage(file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the process, after the message where there is one."""
        from cgpo.commands.failure import tell

        if message:
            tell(message.rstrip())
        super().exit(status)


def build_parser(with_options: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of all commands.

    Args:
        with_options: the commands whose options are added, for which they are imported; by default all.
    """
    parser = RankParser(
        prog="cgpo",
        description="Constrained generative policy optimisation of language models with a mixture of judges.",
        epilog="example: cgpo train experiment=quickstart --dry-run",
    )
    parser.add_argument("--version", action="version", version=f"cgpo {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text)
        if name in with_options:
            load_command(name).add_arguments(subparser)
    return parser


def load_command(name: str) -> Command:
    """Imports a command of the table."""
    command: Command = pkgutil.resolve_name(COMMANDS[name][0])
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command and exits with its status."""
    _write_in_any_locale()
    show_errors_plainly()
    arguments = _after_launcher(sys.argv[1:] if argv is None else argv)
    chosen = [word for word in arguments if not word.startswith("-")][:1]
    parser = build_parser(chosen)
    args, rest = parser.parse_known_args(arguments)
    if hasattr(args, "overrides"):
        args.overrides = [*args.overrides, *(word for word in rest if not word.startswith("-"))]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    status = _run(args)
    from cgpo.commands.failure import end

    end(status)


def _after_launcher(arguments: Sequence[str]) -> list[str]:
    """The arguments as the person gave them: `deepspeed` puts `--local_rank=N` in front, and LOCAL_RANK says it too."""
    return list(arguments[1:] if arguments and arguments[0].startswith("--local_rank=") else arguments)


def _write_in_any_locale() -> None:
    """In a locale without `→` or `ρ` it is written out as `\\u2192`, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(args: argparse.Namespace) -> int:
    from cgpo.commands.failure import tell, tell_interruption, tell_unexpected
    from cgpo.tracking.run_log import is_diverted, show_notices
    from judges.errors import JudgesError

    tune_process()
    show_notices()
    try:
        return load_command(args.command).run(args)
    except KeyboardInterrupt:
        tell_interruption("cgpo: broken off")
        return INTERRUPTED
    except Interrupted as error:
        tell_interruption(f"cgpo {args.command}: {error}")
        return INTERRUPTED
    except (CgpoError, JudgesError) as error:
        tell(f"cgpo {args.command}: {error}")
        return 1 if isinstance(error, RunError) else 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAINING_MODULES:
            raise
        tell(
            f"cgpo {args.command}: the package {error.name!r} is not installed: this command needs the training parts. "
            f"Install them: pip install 'cgpo[train]', or in a clone: make setup"
        )
        return 2
    except Exception as error:
        if not is_diverted():
            raise
        tell_unexpected(args.command, error)
        return 1
