"""`cgpo feedback correlate`: does the offline score of policies go with their reaction rates online?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cgpo.commands.feedback.reward_model import ScoringOptions
from cgpo.errors import ConfigError, LimitError
from judges.command_options import Form, add_options, read_options
from judges.printing import say

if TYPE_CHECKING:
    from cgpo.feedback.policy_rows import PolicyResponse

_DESCRIPTION = """Says whether a reward model's mean score of several policies goes with the reaction rates that were
observed of them: Pearson and Spearman with an interval that is honest for ten policies, a permutation test, and whether
one policy carries it all. Needs the policies' responses to the same prompts."""

_EPILOG = """examples:
  cgpo feedback correlate --model love --responses responses.jsonl --observed rates.csv --output correlation
  cgpo feedback correlate --policy sft=sft.jsonl --policy dpo=dpo.jsonl --policy rl=rl.jsonl --score-column love \\
      --observed rates.json

A response: {"policy": name, "prompt": text or messages, "response": text}. An observed row: policy and one of
positives + n; rate, with n where known; change, with se or low + high (95 %) where known. CSV, JSON or JSON Lines."""


@dataclass(frozen=True, kw_only=True)
class Options(ScoringOptions):
    """What is correlated."""

    responses: Annotated[str | None, Form(str, "ROWS")] = None
    """file of responses with their `policy`"""
    policy: Annotated[tuple[str, ...], Form(str, "NAME=ROWS", collect=tuple)] = ()
    """file of one policy's responses; may be repeated"""
    observed: Annotated[str, Form(str, "ROWS")]
    """file of each policy's reaction rate"""
    model: Annotated[str | None, Form(str, "NAME")] = None
    """the reward model: folder or hub name"""
    score_column: Annotated[str | None, Form(str, "COLUMN")] = None
    """the responses are scored already: the column; instead of --model"""
    output: Annotated[Path | None, Form(Path, "DIR")] = None
    """write correlation.json and correlation.html there"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback correlate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Correlates, prints, and writes `--output`.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    from cgpo.feedback.correlation import correlate, correlation_page, print_correlation
    from cgpo.feedback.policy_rows import read_observed, read_responses
    from cgpo.feedback.results import CORRELATION, check_output

    options = read_options(args, Options)
    if (options.model is None) == (options.score_column is None):
        raise ConfigError("give one of --model (to score the responses) and --score-column (they are scored already)")
    check_output(options.output)
    observed = read_observed(options.observed)
    rows = read_responses(options.responses, options.policy, options.score_column)
    values, source = _scores(rows, options)
    correlation = {**source, **correlate(rows, values, observed, options.confidence)}
    print_correlation(correlation)
    if options.output is not None:
        CORRELATION.write(options.output, correlation, correlation_page(correlation))
        say(f"written to {options.output}: {CORRELATION.json_name}, {CORRELATION.page_name}")
    return 0


def _scores(rows: Sequence[PolicyResponse], options: Options) -> tuple[list[float | None], dict[str, Any]]:
    """The number of each response whose mean is taken (P[positive] where the head gives one, else the score), and
    where it comes from.

    Raises:
        LimitError: more scores are missing than `--max-missing-rate` allows.
    """
    from cgpo.statistics.odds import sigmoid

    if options.model is None:
        values = [row.score for row in rows]
        missing = sum(value is None for value in values)
        if missing / len(values) > options.max_missing_rate:
            raise LimitError(
                f"--score-column {options.score_column}: {missing} of {len(values)} responses have no finite score "
                f"(--max-missing-rate is {100 * options.max_missing_rate:g} %)"
            )
        return values, {"model": None, "head": None, "score": options.score_column}
    scorer = options.open(options.model)
    scores = scorer.score([row.prompt for row in rows], [row.response for row in rows])
    source = {"model": options.model, "head": scorer.name}
    if not scorer.is_probability:
        return scores.values, {**source, "score": f"score of {scorer.name}"}
    chances = [None if value is None else sigmoid(value) for value in scores.values]
    return chances, {**source, "score": f"P[{scorer.name}]"}
