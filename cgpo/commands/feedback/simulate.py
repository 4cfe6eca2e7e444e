"""`cgpo feedback simulate`: writes a simulated log, and the truth about it apart."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    parser.add_argument("--rows", type=_count, required=True, metavar="N", help="how many responses")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds make equal logs (default: 0)")
    parser.add_argument("--output", type=Path, required=True, metavar="LOGS.jsonl", help="the log; replaced if there")
    parser.add_argument("--truth", type=Path, metavar="TRUTH.jsonl", help="what is true of each row of the log")
    parser.add_argument("--rates", type=Path, metavar="RATES.csv", help="reaction rates by policy, observed and true")
    parser.add_argument(
        "--population", type=Path, metavar="FILE.json", help="the users, so that other texts can be rated by them"
    )
    parser.add_argument(
        "--base-rate", type=_open_share, default=0.02, metavar="P", help="mean P[love] of honest users (default: 0.02)"
    )
    parser.add_argument(
        "--adversarial", type=_share, default=0.0, metavar="SHARE", help="share of adversarial users (default: 0)"
    )
    parser.add_argument("--policies", type=_count, default=10, metavar="N", help="policies that wrote (default: 10)")
    parser.add_argument("--days", type=_count, default=28, metavar="N", help="days that the log covers (default: 28)")
    parser.add_argument(
        "--drift", type=float, default=0.0, metavar="D", help="change of the log-odds over these days (default: 0)"
    )
    parser.add_argument("--users", type=_count, metavar="N", help="users (default: one for every 25 rows, at least 20)")


def run(args: argparse.Namespace) -> int:
    """Writes the log, with `--truth`, `--rates` and `--population` the truth too, and prints the log's size and rates.

    Raises:
        RunError: a file cannot be written.
    """
    from cgpo.feedback.simulation.simulator import Simulation, simulate

    simulation = Simulation(
        rows=args.rows,
        seed=args.seed,
        base_rate=args.base_rate,
        policies=args.policies,
        adversarial=args.adversarial,
        days=args.days,
        drift=args.drift,
        users=args.users,
    )
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


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1 (1 excluded)")
    return value


def _open_share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie strictly between 0 and 1")
    return value
