"""The arguments of `cgpo feedback correlate`, with their defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.feedback.evaluate_arguments import add_model

_DESCRIPTION = """Says whether a reward model's mean score of several policies goes with the reaction rates that were
observed of them: Pearson and Spearman with an interval that is honest for ten policies, a permutation test, and whether
one policy carries it all. Needs the policies' responses to the same prompts."""

_EPILOG = """examples:
  cgpo feedback correlate --model love --responses responses.jsonl --observed rates.csv --output correlation
  cgpo feedback correlate --policy sft=sft.jsonl --policy dpo=dpo.jsonl --policy rl=rl.jsonl --score-column love \\
      --observed rates.json

A response: {"policy": name, "prompt": text or messages, "response": text}. An observed row: policy and one of
positives + n; rate, with n where known; change, with se or low + high (95 %) where known. CSV, JSON or JSON Lines."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--responses", metavar="ROWS", help="file of responses with their `policy`")
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="NAME=ROWS",
        help="file of one policy's responses; may be repeated",
    )
    parser.add_argument("--observed", required=True, metavar="ROWS", help="file of each policy's reaction rate")
    add_model(parser, required=False)
    parser.add_argument(
        "--score-column", metavar="COLUMN", help="the responses are scored already: the column; instead of --model"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write correlation.json and correlation.html there")
