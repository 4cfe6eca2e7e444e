"""The arguments of `cgpo feedback gate`."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """Passes or fails a reward model, and the policies trained with it, rule by rule with value, interval,
limit and reason. A rule looks at the bound of the interval that speaks against a release, not at the estimate, and
fails on what is unknown. Exit status: 0 passed, 1 failed, 2 bad input."""

_EPILOG = """examples:
  cgpo feedback gate --evaluation evaluation --correlation correlation
  cgpo feedback gate --evaluation evaluation --correlation correlation --run runs/rluf --rules rules.yaml --json

rules.yaml: a rule's name and its limit, or `off`; the others keep their defaults (docs/feedback.md):
  auroc: 0.8
  correlation: off
  violation/farewell: 0.02"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--evaluation", type=Path, metavar="FILE", help="evaluation.json of `cgpo feedback evaluate`, or its folder"
    )
    parser.add_argument(
        "--correlation", type=Path, metavar="FILE", help="correlation.json of `cgpo feedback correlate`, or its folder"
    )
    parser.add_argument(
        "--run", action="append", default=[], type=Path, metavar="RUN", help="a run's directory; may be repeated"
    )
    parser.add_argument("--rules", type=Path, metavar="FILE.yaml", help="limits of your own")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
