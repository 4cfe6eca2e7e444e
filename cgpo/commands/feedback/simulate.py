"""`cgpo feedback simulate`: writes a simulated log, and the truth about it apart."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cgpo.feedback.simulation.settings import Simulation
from cgpo.storage.disk import write_atomically
from judges.command_options import Form, add_options, read_options
from judges.printing import say

if TYPE_CHECKING:
    from cgpo.feedback.simulation.simulator import Log

_DESCRIPTION = """Writes a SIMULATED log of reactions, for tests and experiments: users with hidden tastes react to
texts that a grammar composed. The true P[love] of every row is known and written apart, so that calibration, filters
and correlation can be checked against truth. Nothing in it is about people."""

_EPILOG = """examples:
  cgpo feedback simulate --rows 20000 --seed 1 --output logs.jsonl --truth truth.jsonl
  cgpo feedback simulate --rows 20000 --seed 1 --output logs.jsonl --adversarial 0.05 --population population.json

truth.jsonl: {"row": 1, "probability": P[love] among honest users, "user_kind": "honest" or how it is adversarial}"""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the log goes, and the truth about it."""

    output: Annotated[Path, Form(Path, "LOGS.jsonl")]
    """the log; replaced if there"""
    truth: Annotated[Path | None, Form(Path, "TRUTH.jsonl")] = None
    """what is true of each row of the log"""
    rates: Annotated[Path | None, Form(Path, "RATES.csv")] = None
    """reaction rates by policy, observed and true"""
    population: Annotated[Path | None, Form(Path, "FILE.json")] = None
    """the users, so that other texts can be rated by them"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback simulate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Simulation)
    add_options(parser, Files)


def run(args: argparse.Namespace) -> int:
    """Writes the log, with `--truth`, `--rates` and `--population` the truth too, and prints the log's size and rates.

    Raises:
        RunError: a file cannot be written.
    """
    from cgpo.feedback.simulation.simulator import simulate

    files = read_options(args, Files)
    log = simulate(read_options(args, Simulation))
    _write(files.output, _lines(log.rows()), "the simulated log")
    if files.truth:
        _write(files.truth, _lines(log.truth_rows()), "the truth about the simulated log")
    if files.rates:
        _write(files.rates, _table(list(log.policy_rates())), "the rates of the simulated policies")
    if files.population:
        files.population.parent.mkdir(parents=True, exist_ok=True)
        log.population.write(files.population)
    say(_log_words(log, files.output))
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
