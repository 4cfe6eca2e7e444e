"""The arguments of `cgpo feedback prepare`, with their defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """Turns logs of users' reactions into training and held-out data for P[Love]: checks the rows, splits
them in time, filters adversarial patterns, caps what one user or one text may contribute, and upsamples positive
reactions. Writes train.jsonl, heldout.jsonl, dropped.jsonl, report.json and report.html."""

_EPILOG = """examples:
  cgpo feedback prepare --input logs.jsonl --output prepared
  cgpo feedback prepare --input 'logs/*.parquet' --output prepared --positive love,heart --hash-users

A row: {"prompt": text or messages, "response": text, "reaction": true or false, "time": ISO 8601 or Unix seconds,
"user": text, "policy": text, "conversation_id": text}; the last three may be absent. Instead of prompt and response a
row may have "conversation", messages of which the last is the response."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--input", required=True, metavar="LOGS", help="JSONL, CSV or Parquet file, glob of files, folder"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the prepared folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared folder that exists")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of whatever is drawn (default: 0)")
