"""The arguments of `cgpo feedback prepare`. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

from cgpo.errors import unknown_name
from cgpo.feedback.preparation.settings import (
    FILTERS,
    CapSettings,
    FilterSettings,
    LogSettings,
    SplitSettings,
    UpsamplingSettings,
)

_DESCRIPTION = """Turns logs of users' reactions into training and held-out data for P[Love]: checks the rows, splits
them in time, filters adversarial patterns, caps what one user or one text may contribute, and upsamples positive
reactions. Writes train.jsonl, heldout.jsonl, dropped.jsonl, report.json and report.html."""

_EPILOG = """examples:
  cgpo feedback prepare --input logs.jsonl --output prepared
  cgpo feedback prepare --input 'logs/*.parquet' --output prepared --positive love,heart --hash-users
  cgpo feedback prepare --input logs.csv --output prepared --column reaction=liked --heldout-from 2025-05-14

A row: {"prompt": text or messages, "response": text, "reaction": true or false, "time": ISO 8601 or Unix seconds,
"user": text, "policy": text, "conversation_id": text}; the last three may be absent. Instead of prompt and response a
row may have "conversation", messages of which the last is the response."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--input", required=True, metavar="LOGS", help="JSONL, CSV or Parquet; a glob; a folder")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the prepared folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared folder that exists")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of whatever is drawn (default: 0)")
    _add_log(parser.add_argument_group("the log"))
    _add_split(parser.add_argument_group("the split in time"))
    _add_upsampling(parser.add_argument_group("upsampling"))
    _add_caps(parser.add_argument_group("caps (a number, or none)"))
    _add_filters(parser.add_argument_group("filters"))


def _add_log(group: argparse._ArgumentGroup) -> None:
    default = LogSettings(now=0)
    group.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="WHAT=COLUMN",
        help="the log's name for prompt, response, reaction, time, user, policy, conversation or conversation_id",
    )
    group.add_argument(
        "--positive", type=_words, default=(), metavar="WORD[,WORD]", help="reactions that are positive, if not true/1"
    )
    group.add_argument("--time-unit", choices=("s", "ms"), default="s", help="of times that are numbers (default: s)")
    group.add_argument("--now", metavar="TIME", help="what counts as now (default: the clock)")
    group.add_argument(
        "--clock-skew",
        type=_not_negative,
        default=default.clock_skew,
        metavar="S",
        help=f"seconds a row may lie in the future (default: {default.clock_skew:g})",
    )
    group.add_argument(
        "--max-bad-share",
        type=_share,
        default=default.max_bad_share,
        metavar="R",
        help=f"go on without bad rows up to this share of all (default: {default.max_bad_share:g})",
    )
    group.add_argument("--hash-users", action="store_true", help="write hashes instead of user ids, with a random salt")
    group.add_argument(
        "--salt-file", type=Path, metavar="FILE", help="with --hash-users: a salt of your own, for equal hashes later"
    )


def _add_split(group: argparse._ArgumentGroup) -> None:
    default = SplitSettings()
    where = group.add_mutually_exclusive_group()
    where.add_argument("--heldout-from", metavar="TIME", help="the first held-out time: ISO 8601 or Unix seconds")
    where.add_argument(
        "--heldout-share",
        type=_open_share,
        default=default.heldout_share,
        metavar="R",
        help=f"hold out this share of the rows, the newest (default: {default.heldout_share:g})",
    )
    group.add_argument(
        "--gap", type=_not_negative, default=0.0, metavar="HOURS", help="leave out so many hours before (default: 0)"
    )


def _add_upsampling(group: argparse._ArgumentGroup) -> None:
    default = UpsamplingSettings()
    group.add_argument(
        "--positive-share",
        type=_open_share,
        default=default.positive_share,
        metavar="R",
        help=f"raise the positives' share of the training rows to this (default: {default.positive_share:g})",
    )
    group.add_argument(
        "--by",
        choices=("copies", "dropping-negatives"),
        default=default.by,
        help=f"count positives several times, or leave out negatives (default: {default.by})",
    )


def _add_caps(group: argparse._ArgumentGroup) -> None:
    default = CapSettings()
    for option, value, text in (
        ("--max-user-rows", default.user_rows, "rows of a user"),
        ("--max-user-positives", default.user_positives, "positive reactions of a user"),
        ("--max-near-duplicates", default.near_duplicates, "rows with nearly the same response"),
    ):
        group.add_argument(option, type=_limit, default=value, metavar="N", help=f"{text} (default: {value})")
    group.add_argument(
        "--keep", choices=("random", "newest"), default=default.keep, help=f"which stay (default: {default.keep})"
    )


def _add_filters(group: argparse._ArgumentGroup) -> None:
    default = FilterSettings()
    group.add_argument(
        "--filters",
        type=_filters,
        default=FILTERS,
        metavar="all|none|NAME[,NAME]",
        help=f"which run, of {', '.join(FILTERS)} (default: all)",
    )
    group.add_argument("--filter-heldout", action="store_true", help="filter held-out rows too")
    group.add_argument(
        "--significance",
        type=_open_share,
        default=default.significance,
        metavar="P",
        help=f"of a burst or a coordinated window, over all that are looked at (default: {default.significance:g})",
    )
    group.add_argument(
        "--false-discovery-rate",
        type=_open_share,
        default=default.false_discovery_rate,
        metavar="P",
        help=f"over the users of burst, rate and content (default: {default.false_discovery_rate:g})",
    )
    group.add_argument(
        "--burst-window", type=_positive, default=default.burst_window, metavar="S", help="seconds (default: 600)"
    )
    group.add_argument(
        "--coordination-window",
        type=_positive,
        default=default.coordination_window,
        metavar="S",
        help="seconds (default: 3600)",
    )
    group.add_argument(
        "--max-user-share",
        type=_open_share,
        default=default.max_user_share,
        metavar="R",
        help=f"a user with more of all positive reactions is looked at (default: {default.max_user_share:g})",
    )
    group.add_argument(
        "--min-user-rows",
        type=_count,
        default=default.min_user_rows,
        metavar="N",
        help=f"users with fewer are not tested by rate (default: {default.min_user_rows})",
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _filters(text: str) -> tuple[str, ...]:
    names = {"all": FILTERS, "none": ()}.get(text, _words(text))
    for name in names:
        if name not in FILTERS:
            raise argparse.ArgumentTypeError(unknown_name("filter", name, [*FILTERS, "all", "none"]))
    return tuple(name for name in FILTERS if name in names)


def _limit(text: str) -> int | None:
    return None if text.lower() == "none" else _count(text)


def _count(text: str) -> int:
    return int(_checked(int(text), int(text) >= 1, text, "a whole number above 0"))


def _share(text: str) -> float:
    return _checked(float(text), 0 <= float(text) <= 1, text, "between 0 and 1")


def _open_share(text: str) -> float:
    return _checked(float(text), 0 < float(text) < 1, text, "strictly between 0 and 1")


def _not_negative(text: str) -> float:
    return _checked(float(text), 0 <= float(text) < float("inf"), text, "a number that is not negative")


def _positive(text: str) -> float:
    return _checked(float(text), 0 < float(text) < float("inf"), text, "a number above 0")


def _checked(value: float, right: bool, text: str, wanted: str) -> float:
    if not right:
        raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
    return value
