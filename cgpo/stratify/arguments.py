"""The arguments of `cgpo stratify`. Nothing heavy is imported here: `--help` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """Assigns every row of a data set to a stratum and writes one JSON Lines file for each: the row as it
was, with `stratum` and `stratum_score` added. What no stratum can be told for goes into unassigned.jsonl; nothing is
guessed."""

_EPILOG = """examples:
  cgpo stratify --input rows.jsonl --output strata --column task --map maths=math --map talk=chat
  cgpo stratify --input rows.jsonl --output strata --method embeddings --strata strata.yaml --truth task
  cgpo stratify --input rows.jsonl --output strata --method embeddings experiment=quickstart
  cgpo stratify --input rows.jsonl --output strata --method judge --strata strata.yaml \\
      --llm model=NAME --llm base_url=http://127.0.0.1:8000/v1

strata.yaml: name: description, or name: {description: …, examples: [prompt, …]}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cgpo stratify`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="an experiment whose strata have descriptions"
    )
    parser.add_argument(
        "--input", required=True, metavar="ROWS", help="JSONL, JSON, CSV or Parquet file, folder or hub"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    parser.add_argument(
        "--method", choices=METHODS, default="column", help="how rows are assigned (default: column, by --column)"
    )
    parser.add_argument("--column", metavar="COLUMN", help="for the method column: the column that says the stratum")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="VALUE=STRATUM",
        help="value of --column or --truth → stratum; may be repeated; without it, values are the strata's names",
    )
    parser.add_argument(
        "--strata", type=Path, metavar="FILE.yaml", help="descriptions and example prompts of the strata"
    )
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own YAML files, for experiment=…")
    parser.add_argument(
        "--margin",
        type=_share,
        metavar="M",
        help="leave a row unassigned when the best stratum is not this far ahead of the second (default: 0.02 for "
        "embeddings, in cosine similarity; 0.05 for judge, in probability)",
    )
    parser.add_argument(
        "--encoder",
        default="minilm",
        metavar="MODEL",
        help="sentence encoder for embeddings: minilm, a hub name, a folder",
    )
    parser.add_argument(
        "--llm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="the judge model: model, backend, base_url, … as in a judge's option llm; default: judging.llm",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="of a question to the judge model (default: 60 s)"
    )
    parser.add_argument("--truth", metavar="COLUMN", help="compare with this column: accuracy and confusion")
    parser.add_argument("--prompt-column", default="prompt", metavar="COLUMN", help="column of the prompt")
    parser.add_argument("--split", default="train", metavar="SPLIT", help="split of a hub data set or folder")
    parser.add_argument(
        "--key", default="stratum", metavar="KEY", help="name of what is added: KEY and KEY_score (default: stratum)"
    )
    parser.add_argument(
        "--max-bad-rate",
        type=_share,
        default=0.0,
        metavar="R",
        help="go on over rows that are none, up to this share; they are listed (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Assigns the rows (`cgpo.stratify.command`)."""
    from cgpo.stratify import command

    return command.run(args)


METHODS = ("column", "embeddings", "judge")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value
