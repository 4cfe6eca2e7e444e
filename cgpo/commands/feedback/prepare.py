"""`cgpo feedback prepare`: from logs of reactions to a prepared folder, and what is printed of the outcome."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cgpo.errors import ConfigError
from cgpo.feedback.settings import PrepareSettings
from judges.command_options import Form, add_options, read_options
from judges.printing import say

_DESCRIPTION = """Turns logs of users' reactions into training and held-out data for P[Love]: checks the rows, splits
them in time, filters adversarial patterns, caps what one user or one text may contribute, and upsamples positive
reactions. Writes train.jsonl, heldout.jsonl, dropped.jsonl, report.json and report.html."""

_EPILOG = """examples:
  cgpo feedback prepare --input logs.jsonl --output prepared
  cgpo feedback prepare --input 'logs/*.parquet' --output prepared --positive love,heart --hash-users
  cgpo feedback prepare --input logs.csv --output prepared --column reaction=liked --heldout-from 2025-05-14

A row: {"prompt": text or messages, "response": text, "reaction": true or false, "time": ISO 8601 or Unix seconds,
"user": text, "policy": text, "conversation_id": text}; the last three may be absent. Instead of prompt and response a
row may have "conversation", messages of which the last is the response."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What is read, and where the prepared folder goes."""

    input: Annotated[str, Form(str, "LOGS")]
    """JSONL, CSV or Parquet; a glob; a folder"""
    output: Annotated[Path, Form(Path, "DIR")]
    """the prepared folder"""
    overwrite: bool = False
    """replace a prepared folder that exists"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback prepare`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Files)
    add_options(parser, PrepareSettings)


def run(args: argparse.Namespace) -> int:
    """Prepares the logs and prints the rows left after each part of the work.

    Raises:
        CgpoError: whatever a person can mend, in words; then nothing is written.
    """
    from cgpo.feedback.preparation.prepare import prepare
    from cgpo.feedback.preparation.report import print_report
    from judges.terminal import open_console

    files, settings = read_options(args, Files), read_options(args, PrepareSettings)
    if settings.log.salt and not settings.log.hash_users:
        raise ConfigError("--salt-file has no use without --hash-users")
    outcome = prepare(files.input, files.output, settings, overwrite=files.overwrite)
    print_report(open_console(), outcome)
    say(f"written: {files.output}")
    return 0
