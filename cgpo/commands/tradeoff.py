"""`cgpo tradeoff`: reads runs, writes `tradeoff.html` and `tradeoff.json`, prints the table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cgpo.tradeoff.selection import Selection
from judges.command_options import Form, add_options, read_options
from judges.printing import say

_DESCRIPTION = """Draws what runs gained and what it cost: the change of each measure on held-out prompts against the
run's own start, with intervals, one measure against another. Which settings differ is found in the runs' config.yaml:
the one that was swept labels the points, the others part them into series."""

_EPILOG = """examples:
  cgpo tradeoff runs/rluf-sweep
  cgpo tradeoff runs/rluf-sweep --x rewards/love --y probes/farewell --y rewards/helpfulness"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Runs, and where the page goes."""

    runs: Annotated[tuple[Path, ...], Form(Path, "RUN", positional=True, collect=tuple)]
    """run directories, or a sweep's folder of them"""
    output: Annotated[Path | None, Form(Path, "DIR", default="the sweep's folder, or here")] = None
    """where tradeoff.html and tradeoff.json go"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo tradeoff`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Selection)
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Draws the trade-off between runs.

    Raises:
        ConfigError: there is nothing to compare, or a name is unknown.
        RunError: a file cannot be written.
    """
    from cgpo.tradeoff.comparison import compare_runs
    from cgpo.tradeoff.page import PAGE_NAME, print_table, write_tradeoff
    from judges.terminal import open_console

    options = read_options(args, Options)
    tradeoff = compare_runs(options.runs, read_options(args, Selection))
    folder = options.output or _usual_folder(options.runs)
    write_tradeoff(tradeoff, folder)
    print_table(tradeoff, open_console())
    say(folder / PAGE_NAME)
    return 0


def _usual_folder(paths: Sequence[Path]) -> Path:
    """The sweep's folder where one was named, else the current one."""
    from cgpo.storage.file_names import CONFIG_NAME

    alone = len(paths) == 1 and not (paths[0] / CONFIG_NAME).is_file()
    return paths[0] if alone else Path()
