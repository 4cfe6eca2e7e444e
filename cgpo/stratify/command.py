"""`cgpo stratify`: reads rows twice (once to count and check them), assigns them batch by batch, writes them."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data.filter import as_text
from cgpo.data.messages import messages_of
from cgpo.data.rows import Bad, RawRow, read_rows
from cgpo.errors import ConfigError, DataError, unknown_name
from cgpo.models.assets import resolve_model
from cgpo.stratify.assignment import Assigner, Assignment, Item
from cgpo.stratify.definitions import UNASSIGNED, Definition, experiment_definitions, read_definitions, read_map
from cgpo.stratify.output import OutputFolder
from cgpo.stratify.tally import Tally, print_tally

_Maker = Callable[[argparse.Namespace, Mapping[str, str], Mapping[str, Definition], Any], Assigner]
"""Makes an assigner from the arguments, value → stratum, what the strata are, and the experiment's judge model."""

DEFAULT_MARGINS = {"embeddings": 0.02, "judge": 0.05}
SHOWN_BAD = 10


def run(args: argparse.Namespace) -> int:
    """Assigns the rows and prints the counts.

    Raises:
        CgpoError: whatever a person can mend, in words; then nothing is written.
    """
    from rich.console import Console

    names = read_map(args.map)
    _check_arguments(args)
    definitions, llm = _from_experiment_or_file(args)
    with OutputFolder(args.output) as output:
        total, bad = _count(args)
        with closing(_assigner(args, names, definitions, llm)) as assigner:
            tally = _assign(args, assigner, names, output, total)
        if not tally.assigned:
            reason, count = tally.reasons.most_common(1)[0]
            raise DataError(f"none of the {total} rows could be assigned; commonest reason ({count} rows): {reason}")
        output.finish({"schema": 1, "method": args.method, "input": args.input, "bad": bad, **tally.as_json()})
    print_tally(Console(), tally)
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


def _from_experiment_or_file(args: argparse.Namespace) -> tuple[dict[str, Definition], Any]:
    """What the classifier is told of the strata, and the experiment's judge model."""
    if args.method == "column":
        return {}, None
    if args.strata:
        return read_definitions(args.strata), None
    if not args.overrides:
        raise ConfigError(f"--method {args.method} needs --strata FILE.yaml, or an experiment (experiment=NAME)")
    from cgpo.compose import compose

    settings = compose(args.overrides, config_dir=args.config_dir).settings
    described = {name: stratum.description for name, stratum in settings.strata.items()}
    return experiment_definitions(described), settings.judging.llm


def _assigner(
    args: argparse.Namespace, names: Mapping[str, str], definitions: Mapping[str, Definition], llm: Any
) -> Assigner:
    makers: dict[str, _Maker] = {"column": _by_column, "embeddings": _by_embeddings, "judge": _by_judge}
    return makers[args.method](args, names, definitions, llm)


def _by_column(args: argparse.Namespace, names: Mapping[str, str], _: Any, __: Any) -> Assigner:
    from cgpo.stratify.column import ByColumn

    return ByColumn(args.column, names)


def _by_embeddings(args: argparse.Namespace, _: Any, definitions: Mapping[str, Definition], __: Any) -> Assigner:
    from cgpo.stratify.embeddings import ByEmbeddings, Encoder

    return ByEmbeddings(definitions, Encoder(args.encoder), _margin(args))


def _by_judge(args: argparse.Namespace, _: Any, definitions: Mapping[str, Definition], llm: Any) -> Assigner:
    from cgpo.stratify.judge_model import ByJudge

    settings = _llm_settings(args.llm) if args.llm else llm
    if settings is None:
        raise ConfigError("--method judge needs a model: --llm model=NAME, or an experiment with judging.llm")
    return ByJudge(definitions, settings, _margin(args), args.timeout)


def _margin(args: argparse.Namespace) -> float:
    return DEFAULT_MARGINS[args.method] if args.margin is None else float(args.margin)


def _llm_settings(entries: list[str]) -> Any:
    """The model of `--llm KEY=VALUE`, its `model` resolved as elsewhere (`smollm2` is the small one)."""
    import yaml
    from pydantic import ValidationError

    from judges.llm.settings import LLMSettings

    found: dict[str, Any] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if key not in LLMSettings.model_fields or not equals:
            raise ConfigError(unknown_name("key", key, LLMSettings.model_fields, f"--llm {entry!r} (KEY=VALUE)"))
        found[key] = yaml.safe_load(value)
    if found.get("backend", "endpoint") != "endpoint" and isinstance(found.get("model"), str):
        found["model"] = resolve_model(found["model"])
    try:
        return LLMSettings.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"--llm {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _rows(args: argparse.Namespace, bad: Bad) -> Iterator[tuple[RawRow, Item]]:
    """Rows with a prompt; `bad` is told of the others."""
    settings = PromptSettings(path=args.input, split=args.split)
    for row in read_rows(settings, "--input", bad):
        if args.prompt_column not in row.values:
            bad(f"{row.where}: no column {args.prompt_column!r}; it has {', '.join(map(str, row.values)) or 'none'}")
            continue
        try:
            messages = messages_of(row.values[args.prompt_column], row.where)
        except DataError as error:
            bad(str(error))
            continue
        yield row, Item(messages, row.values)


def _count(args: argparse.Namespace) -> tuple[int, list[str]]:
    """How many rows there are, and what is wrong with the first of those that are none.

    Raises:
        DataError: there are no rows, or too many that are none.
    """
    bad_rows = 0
    shown: list[str] = []

    def bad(problem: str) -> None:
        nonlocal bad_rows
        bad_rows += 1
        if len(shown) < SHOWN_BAD:
            shown.append(problem)

    good = sum(1 for _ in _rows(args, bad))
    total = good + bad_rows
    if total == 0:
        raise DataError(f"--input {args.input}: there are no rows")
    listed = "\n  ".join([*shown, *([f"… and {bad_rows - len(shown)} more"] if bad_rows > len(shown) else [])])
    if bad_rows > args.max_bad_rate * total or not good:
        raise DataError(
            f"--input {args.input}: {bad_rows} of {total} rows cannot be used (--max-bad-rate is "
            f"{args.max_bad_rate:g}):\n  {listed}"
        )
    if bad_rows:
        import sys

        print(f"left out: {bad_rows} of {total} rows that cannot be used:\n  {listed}", file=sys.stderr)
    return good, shown


def _assign(
    args: argparse.Namespace, assigner: Assigner, names: Mapping[str, str], output: OutputFolder, total: int
) -> Tally:
    from cgpo.tracking.progress import StageProgress

    tally = Tally()
    truth = partial(_truth, column=args.truth, names=names) if args.truth else None
    rows = _rows(args, lambda problem: None)  # they have been counted and listed
    with StageProgress().task("assigned rows", total) as update:
        while batch := list(itertools.islice(rows, assigner.batch_size)):
            found = assigner.assign([item for _, item in batch])
            for (row, _), assignment in zip(batch, found, strict=True):
                output.write(assignment.stratum or UNASSIGNED, _with(row, assignment, args.key), row.where)
                tally.add(assignment, truth(row) if truth else None)
            update(tally.rows.total(), f"{tally.rows[UNASSIGNED]} unassigned")
    if args.truth and not tally.confusion:
        raise DataError(f"--truth {args.truth}: no row has a value in that column")
    return tally


def _with(row: RawRow, assignment: Assignment, key: str) -> dict[str, Any]:
    """The row as it was, and where it belongs."""
    added = {key: assignment.stratum, f"{key}_score": assignment.score}
    for name, value in added.items():
        if name in row.values and row.values[name] != value:
            raise DataError(f"{row.where}: has a column {name!r} already; give what is added another name with --key")
    return {**row.values, **added}


def _truth(row: RawRow, column: str, names: Mapping[str, str]) -> str | None:
    value = row.values.get(column)
    if value is None:
        return None
    return names.get(as_text(value), as_text(value))
