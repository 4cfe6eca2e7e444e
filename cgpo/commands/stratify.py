"""`cgpo stratify`: assigns the rows of a data set to strata, by a column, by embeddings or by a judge model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgpo.errors import ConfigError, DataError, unknown_name
from judges.number_types import share

if TYPE_CHECKING:
    from cgpo.stratify.assignment import Assigner
    from cgpo.stratify.definitions import Definition
    from judges.llm.settings import LLMSettings

METHODS = ("column", "embeddings", "judge")
DEFAULT_MARGINS = {"embeddings": 0.02, "judge": 0.05}

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
    """Adds the options of `cgpo stratify`."""
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
        "--method", choices=METHODS, default="column", help="how rows are assigned (default: %(default)s, by --column)"
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
        type=share,
        metavar="M",
        help="leave a row unassigned when the best stratum is not this far ahead of the second (default: "
        f"{DEFAULT_MARGINS['embeddings']:g} for embeddings, in cosine similarity; {DEFAULT_MARGINS['judge']:g} for "
        "judge, in probability)",
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
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="of a question to the judge model (default: %(default)g s)",
    )
    parser.add_argument("--truth", metavar="COLUMN", help="compare with this column: accuracy and confusion")
    parser.add_argument("--prompt-column", default="prompt", metavar="COLUMN", help="column of the prompt")
    parser.add_argument("--split", default="train", metavar="SPLIT", help="split of a hub data set or folder")
    parser.add_argument(
        "--key",
        default="stratum",
        metavar="KEY",
        help="name of what is added: KEY and KEY_score (default: %(default)s)",
    )
    parser.add_argument(
        "--max-bad-rate",
        type=share,
        default=0.0,
        metavar="R",
        help="go on over rows that are none, up to this share; they are listed (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Assigns the rows and prints the counts.

    Raises:
        CgpoError: whatever a person can mend, in words; then nothing is written.
    """
    from cgpo.stratify.definitions import read_map
    from cgpo.stratify.output import OutputFolder, print_tally
    from cgpo.stratify.rows import Source, Truth, assign_rows
    from judges.terminal import open_console

    names = read_map(args.map)
    _check_arguments(args)
    definitions, llm = _from_experiment_or_file(args)
    source = Source(args.input, args.split, args.prompt_column)
    truth = Truth(args.truth, names) if args.truth else None
    with OutputFolder(args.output) as output:
        total, problems = source.count(args.max_bad_rate)
        with closing(_assigner(args, names, definitions, llm)) as assigner:
            tally = assign_rows(source, total, assigner, output, args.key, truth)
        if not tally.assigned:
            reason, count = tally.reasons.most_common(1)[0]
            raise DataError(f"none of the {total} rows could be assigned; commonest reason ({count} rows): {reason}")
        output.finish({"schema": 1, "method": args.method, "input": args.input, "bad": problems, **tally.as_json()})
    print_tally(open_console(), tally)
    print(f"written: {args.output}")
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuses arguments that the method would not use, so that none is ignored."""
    if args.method == "column" and not args.column:
        raise ConfigError("--method column needs --column COLUMN, the column that says the stratum")
    given = {
        "--column": (args.column, "column"),
        "--strata": (args.strata, "embeddings judge"),
        "--margin": (args.margin, "embeddings judge"),
        "--llm": (args.llm, "judge"),
        "key=value": (args.overrides, "embeddings judge"),
    }
    for name, (value, methods) in given.items():
        if value and args.method not in methods.split():
            raise ConfigError(f"{name} has no use with --method {args.method}; it belongs to {methods}")
    if args.map and args.method != "column" and not args.truth:
        raise ConfigError("--map has no use here: it maps values of --column or --truth")
    if args.strata and args.overrides:
        raise ConfigError("give either --strata FILE.yaml or an experiment, not both")


def _from_experiment_or_file(args: argparse.Namespace) -> tuple[dict[str, Definition], LLMSettings | None]:
    """The descriptions of the strata, and the experiment's judge model."""
    from cgpo.stratify.definitions import experiment_definitions, read_definitions

    if args.method == "column":
        return {}, None
    if args.strata:
        return read_definitions(args.strata), None
    if not args.overrides:
        raise ConfigError(f"--method {args.method} needs --strata FILE.yaml, or an experiment (experiment=NAME)")
    from cgpo.compose import compose

    settings = compose(args.overrides, config_dir=args.config_dir).settings
    descriptions = {name: stratum.description for name, stratum in settings.strata.items()}
    return experiment_definitions(descriptions), settings.judging.llm


def _assigner(
    args: argparse.Namespace,
    names: Mapping[str, str],
    definitions: Mapping[str, Definition],
    llm: LLMSettings | None,
) -> Assigner:
    """The chosen way of assigning.

    Args:
        args: the options.
        names: value of the column → stratum.
        definitions: the strata in words.
        llm: the experiment's judge model.

    Raises:
        ConfigError: an encoder or a model cannot be used.
    """
    if args.method == "column":
        from cgpo.stratify.assignment import ByColumn

        return ByColumn(args.column, names)
    margin = DEFAULT_MARGINS[args.method] if args.margin is None else float(args.margin)
    if args.method == "embeddings":
        from cgpo.stratify.embeddings import ByEmbeddings, Encoder

        return ByEmbeddings(definitions, Encoder(args.encoder), margin)
    from cgpo.stratify.judge_model import ByJudge

    settings = _llm_settings(args.llm) if args.llm else llm
    if settings is None:
        raise ConfigError("--method judge needs a model: --llm model=NAME, or an experiment with judging.llm")
    return ByJudge(definitions, settings, margin, args.timeout)


def _llm_settings(entries: list[str]) -> LLMSettings:
    """The model of `--llm KEY=VALUE`, its `model` resolved as elsewhere (`smollm2` is the small one)."""
    import yaml
    from pydantic import ValidationError

    from cgpo.models.assets import resolve_model
    from judges.llm.settings import LLMSettings

    values: dict[str, Any] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if key not in LLMSettings.model_fields or not equals:
            raise ConfigError(unknown_name("key", key, LLMSettings.model_fields, f"--llm {entry!r} (KEY=VALUE)"))
        values[key] = yaml.safe_load(value)
    if values.get("backend", "endpoint") != "endpoint" and isinstance(values.get("model"), str):
        values["model"] = resolve_model(values["model"])
    try:
        return LLMSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"--llm {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value
