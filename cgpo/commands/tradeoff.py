"""`cgpo tradeoff`: reads runs, writes `tradeoff.html` and `tradeoff.json`, prints the table."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """Draws what runs gained and what it cost: the change of each measure on held-out prompts against the
run's own start, with intervals, one measure against another. Which settings differ is found in the runs' config.yaml:
the one that was swept labels the points, the others part them into series."""

_EPILOG = """examples:
  cgpo tradeoff runs/rluf-sweep
  cgpo tradeoff runs/rluf-sweep --x rewards/love --y probes/farewell --y rewards/helpfulness"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo tradeoff`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run directories, or a sweep's folder of them"
    )
    parser.add_argument(
        "--x", metavar="NAME", help="measure of the horizontal axis (default: the reward whose weight differs)"
    )
    parser.add_argument(
        "--y",
        metavar="NAME",
        action="append",
        help="measure of a panel, may be repeated (default: the other rewards, probes, satisfied, response_tokens)",
    )
    parser.add_argument("--stratum", metavar="NAME", help="whose measures; needed where the runs have several")
    parser.add_argument(
        "--label", metavar="SETTING", help="setting whose value labels the points (default: the reward's weight)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where tradeoff.html and tradeoff.json go (default: the sweep's folder, or here)",
    )


def run(args: argparse.Namespace) -> int:
    """Draws the trade-off between runs.

    Raises:
        ConfigError: there is nothing to compare, or a name is unknown.
        RunError: a file cannot be written.
    """
    from cgpo.tradeoff.comparison import Selection, compare_runs
    from cgpo.tradeoff.page import PAGE_NAME, print_table, write_tradeoff
    from judges.terminal import open_console

    tradeoff = compare_runs(args.runs, Selection(args.x, args.y or (), args.stratum, args.label))
    folder = args.output or _usual_folder(args.runs)
    write_tradeoff(tradeoff, folder)
    print_table(tradeoff, open_console())
    print(folder / PAGE_NAME)
    return 0


def _usual_folder(paths: list[Path]) -> Path:
    """The sweep's folder where one was named, else the current one."""
    from cgpo.storage.file_names import CONFIG_NAME

    alone = len(paths) == 1 and not (paths[0] / CONFIG_NAME).is_file()
    return paths[0] if alone else Path()
