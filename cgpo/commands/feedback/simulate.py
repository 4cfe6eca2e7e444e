"""`cgpo feedback simulate`: writes a simulated log, and the truth about it apart."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgpo.commands.number_types import count, open_share, share_below_one
from cgpo.feedback.simulation.settings import MIN_USERS, ROWS_PER_USER, Simulation
from cgpo.storage.disk import write_atomically

if TYPE_CHECKING:
    from cgpo.feedback.simulation.simulator import Log

_DESCRIPTION = """Writes a SIMULATED log of reactions, for tests and experiments: users with hidden tastes react to
texts that a grammar composed. The true P[love] of every row is known and written apart, so that calibration, filters
and correlation can be checked against truth. Nothing in it is about people."""

_EPILOG = """examples:
  cgpo feedback simulate --rows 20000 --seed 1 --output logs.jsonl --truth truth.jsonl
  cgpo feedback simulate --rows 20000 --seed 1 --output logs.jsonl --adversarial 0.05 --population population.json

truth.jsonl: {"row": 1, "probability": P[love] among honest users, "user_kind": "honest" or how it is adversarial}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback simulate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = Simulation(rows=0)
    parser.add_argument("--rows", type=count, required=True, metavar="N", help="how many responses")
    parser.add_argument(
        "--seed", type=int, default=default.seed, metavar="N", help="equal seeds make equal logs (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="LOGS.jsonl", help="the log; replaced if there")
    parser.add_argument("--truth", type=Path, metavar="TRUTH.jsonl", help="what is true of each row of the log")
    parser.add_argument("--rates", type=Path, metavar="RATES.csv", help="reaction rates by policy, observed and true")
    parser.add_argument(
        "--population", type=Path, metavar="FILE.json", help="the users, so that other texts can be rated by them"
    )
    parser.add_argument(
        "--base-rate",
        type=open_share,
        default=default.base_rate,
        metavar="P",
        help="mean P[love] of honest users (default: %(default)s)",
    )
    parser.add_argument(
        "--adversarial",
        type=share_below_one,
        default=default.adversarial,
        metavar="SHARE",
        help="share of adversarial users (default: %(default)g)",
    )
    parser.add_argument(
        "--policies",
        type=count,
        default=default.policies,
        metavar="N",
        help="policies that wrote (default: %(default)s)",
    )
    parser.add_argument(
        "--days", type=count, default=default.days, metavar="N", help="days that the log covers (default: %(default)s)"
    )
    parser.add_argument(
        "--drift",
        type=float,
        default=default.drift,
        metavar="D",
        help="change of the log-odds over these days (default: %(default)g)",
    )
    parser.add_argument(
        "--users",
        type=count,
        metavar="N",
        help=f"users (default: one for every {ROWS_PER_USER} rows, at least {MIN_USERS})",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the log, with `--truth`, `--rates` and `--population` the truth too, and prints the log's size and rates.

    Raises:
        RunError: a file cannot be written.
    """
    from cgpo.feedback.simulation.simulator import simulate

    simulation = Simulation(**{field.name: getattr(args, field.name) for field in fields(Simulation)})
    log = simulate(simulation)
    _write(args.output, _lines(log.rows()), "the simulated log")
    if args.truth:
        _write(args.truth, _lines(log.truth_rows()), "the truth about the simulated log")
    if args.rates:
        _write(args.rates, _table(list(log.policy_rates())), "the rates of the simulated policies")
    if args.population:
        args.population.parent.mkdir(parents=True, exist_ok=True)
        log.population.write(args.population)
    print(_log_words(log, args.output))
    return 0


def _write(path: Path, text: str, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode(), what)


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _log_words(log: Log, output: Path) -> str:
    honest = log.honest()
    adversarial = len(log.reactions) - int(honest.sum())
    return (
        f"SIMULATED log: {len(log.reactions)} responses of {len(log.policy_names)} policies to {len(log.kinds)} users, "
        f"{int(log.reactions.sum())} reactions ({log.reactions.mean():.2%}); honest users: true rate "
        f"{log.truth[honest].mean():.2%}, observed {log.reactions[honest].mean():.2%}; {adversarial} responses went to "
        f"adversarial users.\nwritten to {output}"
    )
