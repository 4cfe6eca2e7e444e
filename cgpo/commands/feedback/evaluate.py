"""`cgpo feedback evaluate`: a reward model's scores against the reactions of later users."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from judges.number_types import count, open_share, share

if TYPE_CHECKING:
    from cgpo.feedback.scoring import HeadScorer

_DESCRIPTION = """Scores later data with a reward model and says how well the scores fit what users did: AUROC,
calibration at the true rate, Brier, lift by decile and correlation with length, with intervals in which the rows of
one user are not independent. Data that is not later than the model's last training example is refused."""

_EPILOG = """examples:
  cgpo feedback evaluate --model runs/rluf-reward/model --head love --data runs/rluf-feedback/prepared
  cgpo feedback evaluate --model love --data next-month.jsonl --trained-on prepared --output evaluation

A row of a file: {"schema": 1, "prompt": messages, "response": text, "label": 0 or 1, "time": Unix seconds, "user":
text, "policy": text}, as in a prepared folder's heldout.jsonl."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo feedback evaluate`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model(parser, required=True)
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR|FILE", help="a prepared folder (its held-out rows), or a file"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write evaluation.json and evaluation.html there")
    parser.add_argument(
        "--trained-on",
        type=Path,
        metavar="DIR|FILE",
        help="what the head was trained on (default: what its run's config.yaml says, else --data's train.jsonl)",
    )
    parser.add_argument(
        "--allow-earlier", action="store_true", help="measure even if rows are not later than the training's last"
    )
    parser.add_argument(
        "--bins", type=count, default=10, metavar="N", help="bins of the calibration (default: %(default)s)"
    )


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

    check_output(args.output)
    rows = heldout_rows(args.data)
    scorer = open_model(args)
    time = times(rows, trained_until(args.trained_on, scorer, args.data))
    refuse_earlier(time, len(rows), allowed=args.allow_earlier)
    scores = scorer.score([row.prompt for row in rows], [row.response for row in rows])
    evaluation = evaluate(rows, scores, scorer, time, args.data, confidence=args.confidence, bins=args.bins)
    print_evaluation(evaluation)
    if args.output is not None:
        EVALUATION.write(args.output, evaluation, evaluation_page(evaluation, rows, scores.values))
        print(f"written to {args.output}: {EVALUATION.json_name}, {EVALUATION.page_name}")
    return 0


def add_model(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds the options that name a reward model and say how it scores."""
    parser.add_argument("--model", required=required, metavar="NAME", help="the reward model: folder or hub name")
    parser.add_argument("--head", metavar="HEAD", help="which of its heads; needed where it has several")
    parser.add_argument(
        "--max-length",
        type=count,
        metavar="TOKENS",
        help="most tokens of prompt + response (default: as in training, else that of the reward's settings)",
    )
    parser.add_argument("--batch-tokens", type=count, metavar="TOKENS", help="padded tokens scored at once")
    parser.add_argument(
        "--max-missing-rate",
        type=share,
        default=0.01,
        metavar="R",
        help="largest share of rows without a finite score (default: %(default)s)",
    )
    parser.add_argument(
        "--confidence", type=open_share, default=0.95, metavar="C", help="level of the intervals (default: %(default)s)"
    )


def open_model(args: argparse.Namespace) -> HeadScorer:
    """The head that the options of `add_model` name.

    Raises:
        ConfigError: there is no such model or head.
    """
    from cgpo.feedback.scoring import HeadScorer

    return HeadScorer(
        args.model,
        args.head,
        max_length=args.max_length,
        batch_tokens=args.batch_tokens,
        max_missing_rate=args.max_missing_rate,
    )
