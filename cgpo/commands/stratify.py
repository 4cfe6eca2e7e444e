"""`cgpo stratify`: assigns the rows of a data set to strata, by a column, by embeddings or by a judge model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cgpo.errors import ConfigError, DataError, unknown_name
from judges.command_options import Form, add_options, read_options
from judges.number_types import seconds, share
from judges.printing import say

if TYPE_CHECKING:
    from cgpo.stratify.assignment import Assigner
    from cgpo.stratify.definitions import Definition
    from judges.llm.settings import LLMSettings

Method = Literal["column", "embeddings", "judge"]
DEFAULT_MARGINS = {"embeddings": 0.02, "judge": 0.05}
_MARGIN_WORDS = (
    f"{DEFAULT_MARGINS['embeddings']:g} for embeddings, in cosine similarity; {DEFAULT_MARGINS['judge']:g} for judge, "
    "in probability"
)

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


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is assigned, and how."""

    overrides: Annotated[tuple[str, ...], Form(str, "key=value", positional=True, collect=tuple)] = ()
    """an experiment whose strata have descriptions"""
    input: Annotated[str, Form(str, "ROWS")]
    """JSONL, JSON, CSV or Parquet file, folder or hub"""
    output: Annotated[Path, Form(Path, "DIR")]
    """a folder that does not exist yet"""
    method: Annotated[Method, Form(default="column, by --column")] = "column"
    """how rows are assigned"""
    column: Annotated[str | None, Form(str, "COLUMN")] = None
    """for the method column: the column that says the stratum"""
    map: Annotated[tuple[str, ...], Form(str, "VALUE=STRATUM", collect=tuple)] = ()
    """value of --column or --truth → stratum; may be repeated; without it, values are the strata's names"""
    strata: Annotated[Path | None, Form(Path, "FILE.yaml")] = None
    """descriptions and example prompts of the strata"""
    config_dir: Annotated[str | None, Form(str, "DIR")] = None
    """a folder of your own YAML files, for experiment=…"""
    margin: Annotated[float | None, Form(share, "M", default=_MARGIN_WORDS)] = None
    """leave a row unassigned when the best stratum is not this far ahead of the second"""
    encoder: Annotated[str, Form(str, "MODEL")] = "minilm"
    """sentence encoder for embeddings: minilm, a hub name, a folder"""
    llm: Annotated[tuple[str, ...], Form(str, "KEY=VALUE", collect=tuple, default="judging.llm")] = ()
    """the judge model: model, backend, base_url, … as in a judge's option llm; may be repeated"""
    timeout: Annotated[float, Form(seconds, "S")] = 60.0
    """seconds for a question to the judge model"""
    truth: Annotated[str | None, Form(str, "COLUMN")] = None
    """compare with this column: accuracy and confusion"""
    prompt_column: Annotated[str, Form(str, "COLUMN")] = "prompt"
    """column of the prompt"""
    split: Annotated[str, Form(str, "SPLIT")] = "train"
    """split of a hub data set or folder"""
    key: Annotated[str, Form(str, "KEY")] = "stratum"
    """name of what is added: KEY and KEY_score"""
    max_bad_rate: Annotated[float, Form(share, "R")] = 0.0
    """go on over rows that are none, up to this share; they are listed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo stratify`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Assigns the rows and prints the counts.

    Raises:
        CgpoError: whatever a person can mend, in words; then nothing is written.
    """
    from cgpo.stratify.definitions import read_map
    from cgpo.stratify.output import OutputFolder, print_tally
    from cgpo.stratify.rows import Source, Truth, assign_rows
    from judges.terminal import open_console

    options = read_options(args, Options)
    names = read_map(options.map)
    _check_arguments(options)
    definitions, llm = _from_experiment_or_file(options)
    source = Source(options.input, options.split, options.prompt_column)
    truth = Truth(options.truth, names) if options.truth else None
    with OutputFolder(options.output) as output:
        total, problems = source.count(options.max_bad_rate)
        with closing(_assigner(options, names, definitions, llm)) as assigner:
            tally = assign_rows(source, total, assigner, output, options.key, truth)
        if not tally.assigned:
            reason, count = tally.reasons.most_common(1)[0]
            raise DataError(f"none of the {total} rows could be assigned; commonest reason ({count} rows): {reason}")
        output.finish(
            {"schema": 1, "method": options.method, "input": options.input, "bad": problems, **tally.as_json()}
        )
    print_tally(open_console(), tally)
    say(f"written: {options.output}")
    return 0


def _check_arguments(options: Options) -> None:
    """Refuses arguments that the method would not use, so that none is ignored."""
    if options.method == "column" and not options.column:
        raise ConfigError("--method column needs --column COLUMN, the column that says the stratum")
    given = {
        "--column": (options.column, "column"),
        "--strata": (options.strata, "embeddings judge"),
        "--margin": (options.margin, "embeddings judge"),
        "--llm": (options.llm, "judge"),
        "key=value": (options.overrides, "embeddings judge"),
    }
    for name, (value, methods) in given.items():
        if value and options.method not in methods.split():
            raise ConfigError(f"{name} has no use with --method {options.method}; it belongs to {methods}")
    if options.map and options.method != "column" and not options.truth:
        raise ConfigError("--map has no use here: it maps values of --column or --truth")
    if options.strata and options.overrides:
        raise ConfigError("give either --strata FILE.yaml or an experiment, not both")


def _from_experiment_or_file(options: Options) -> tuple[dict[str, Definition], LLMSettings | None]:
    """The descriptions of the strata, and the experiment's judge model."""
    from cgpo.stratify.definitions import experiment_definitions, read_definitions

    if options.method == "column":
        return {}, None
    if options.strata:
        return read_definitions(options.strata), None
    if not options.overrides:
        raise ConfigError(f"--method {options.method} needs --strata FILE.yaml, or an experiment (experiment=NAME)")
    from cgpo.compose import compose

    settings = compose(options.overrides, config_dir=options.config_dir).settings
    descriptions = {name: stratum.description for name, stratum in settings.strata.items()}
    return experiment_definitions(descriptions), settings.judging.llm


def _assigner(
    options: Options,
    names: Mapping[str, str],
    definitions: Mapping[str, Definition],
    llm: LLMSettings | None,
) -> Assigner:
    """The chosen way of assigning.

    Args:
        options: those of the command.
        names: value of the column → stratum.
        definitions: the strata in words.
        llm: the experiment's judge model.

    Raises:
        ConfigError: an encoder or a model cannot be used.
    """
    if options.method == "column":
        from cgpo.stratify.assignment import ByColumn

        assert options.column  # `_check_arguments` has seen to it
        return ByColumn(options.column, names)
    margin = DEFAULT_MARGINS[options.method] if options.margin is None else options.margin
    if options.method == "embeddings":
        from cgpo.stratify.embeddings import ByEmbeddings, Encoder

        return ByEmbeddings(definitions, Encoder(options.encoder), margin)
    from cgpo.stratify.judge_model import ByJudge

    settings = _llm_settings(options.llm) if options.llm else llm
    if settings is None:
        raise ConfigError("--method judge needs a model: --llm model=NAME, or an experiment with judging.llm")
    return ByJudge(definitions, settings, margin, options.timeout)


def _llm_settings(entries: Sequence[str]) -> LLMSettings:
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
