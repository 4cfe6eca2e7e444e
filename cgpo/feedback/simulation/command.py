"""`cgpo feedback simulate`: writes a simulated log, and the truth about it apart."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cgpo.feedback.simulation.simulator import Log, Simulation, simulate
from cgpo.storage.disk import write_atomically


def run(args: argparse.Namespace) -> int:
    """Writes what was asked for and says what the log holds.

    Raises:
        RunError: a file cannot be written.
    """
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
    print(_said(log, args.output))
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


def _said(log: Log, output: Path) -> str:
    honest = log.honest()
    adversarial = len(log.reactions) - int(honest.sum())
    return (
        f"SIMULATED log: {len(log.reactions)} responses of {len(log.policy_names)} policies to {len(log.kinds)} users, "
        f"{int(log.reactions.sum())} reactions ({log.reactions.mean():.2%}); honest users: true rate "
        f"{log.truth[honest].mean():.2%}, observed {log.reactions[honest].mean():.2%}; {adversarial} responses went to "
        f"adversarial users.\nwritten to {output}"
    )
