"""`cgpo feedback evaluate`: a reward model's scores against the reactions of later users."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cgpo.commands.feedback.reward_model import ScoringOptions
from judges.command_options import Form, add_options, read_options
from judges.number_types import count
from judges.printing import say

_DESCRIPTION = """Scores later data with a reward model and says how well the scores fit what users did: AUROC,
calibration at the true rate, Brier, lift by decile and correlation with length, with intervals in which the rows of
one user are not independent. Data that is not later than the model's last training example is refused."""

_EPILOG = """examples:
  cgpo feedback evaluate --model runs/rluf-reward/model --head love --data runs/rluf-feedback/prepared
  cgpo feedback evaluate --model love --data next-month.jsonl --trained-on prepared --output evaluation

A row of a file: {"schema": 1, "prompt": messages, "response": text, "label": 0 or 1, "time": Unix seconds, "user":
text, "policy": text}, as in a prepared folder's heldout.jsonl."""


@dataclass(frozen=True, kw_only=True)
class Options(ScoringOptions):
    """What is measured."""

    model: Annotated[str, Form(str, "NAME")]
    """the reward model: folder or hub name"""
    data: Annotated[Path, Form(Path, "DIR|FILE")]
    """a prepared folder (its held-out rows), or a file"""
    output: Annotated[Path | None, Form(Path, "DIR")] = None
    """write evaluation.json and evaluation.html there"""
    trained_on: Annotated[
        Path | None, Form(Path, "DIR|FILE", default="what its run's config.yaml says, else --data's train.jsonl")
    ] = None
    """what the head was trained on"""
    allow_earlier: bool = False
    """measure even if rows are not later than the training's last"""
    bins: Annotated[int, Form(count, "N")] = 10
    """bins of the calibration"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback evaluate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints, and writes `--output`.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    from cgpo.feedback.evaluation import (
        evaluate,
        evaluation_page,
        heldout_rows,
        print_evaluation,
        refuse_earlier,
        times,
        trained_until,
    )
    from cgpo.feedback.results import EVALUATION, check_output

    options = read_options(args, Options)
    check_output(options.output)
    rows = heldout_rows(options.data)
    scorer = options.open(options.model)
    time = times(rows, trained_until(options.trained_on, scorer, options.data))
    refuse_earlier(time, len(rows), allowed=options.allow_earlier)
    scores = scorer.score([row.prompt for row in rows], [row.response for row in rows])
    evaluation = evaluate(rows, scores, scorer, time, options.data, confidence=options.confidence, bins=options.bins)
    print_evaluation(evaluation)
    if options.output is not None:
        EVALUATION.write(options.output, evaluation, evaluation_page(evaluation, rows, scores.values))
        say(f"written to {options.output}: {EVALUATION.json_name}, {EVALUATION.page_name}")
    return 0
