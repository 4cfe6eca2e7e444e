"""`cgpo feedback prepare`: its options, the settings they mean, and what is printed of the outcome."""

from __future__ import annotations

import argparse
import secrets
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from cgpo.errors import ConfigError, unknown_name
from cgpo.feedback.settings import (
    FILTERS,
    CapSettings,
    FilterSettings,
    LogSettings,
    PrepareSettings,
    SplitSettings,
    UpsamplingSettings,
)
from judges.number_types import count, not_negative, open_share, positive, share

HOUR = 3600.0
LONGEST_SALT = 64

Settings = TypeVar("Settings", FilterSettings, CapSettings, UpsamplingSettings)

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
    """Adds the options of `cgpo feedback prepare`."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--input", required=True, metavar="LOGS", help="JSONL, CSV or Parquet; a glob; a folder")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the prepared folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared folder that exists")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of whatever is drawn (default: %(default)s)")
    _add_log(parser.add_argument_group("the log"))
    _add_split(parser.add_argument_group("the split in time"))
    _add_upsampling(parser.add_argument_group("upsampling"))
    _add_caps(parser.add_argument_group("caps (a number, or none)"))
    _add_filters(parser.add_argument_group("filters"))


def run(args: argparse.Namespace) -> int:
    """Prepares the logs and prints the rows left after each part of the work.

    Raises:
        CgpoError: whatever a person can mend, in words; then nothing is written.
    """
    from cgpo.feedback.preparation.prepare import prepare
    from cgpo.feedback.preparation.report import print_report
    from judges.terminal import open_console

    outcome = prepare(args.input, args.output, settings_of(args), overwrite=args.overwrite)
    print_report(open_console(), outcome)
    print(f"written: {args.output}")
    return 0


def settings_of(args: argparse.Namespace) -> PrepareSettings:
    """The settings that the options mean.

    Raises:
        ConfigError: a time, a column or a salt cannot be used.
    """
    if args.salt_file and not args.hash_users:
        raise ConfigError("--salt-file has no use without --hash-users")
    return PrepareSettings(
        log=LogSettings(
            now=time.time() if args.now is None else _time(args.now, "--now"),
            columns=dict(_column(entry) for entry in args.column),
            positive=args.positive,
            milliseconds=args.time_unit == "ms",
            clock_skew=args.clock_skew,
            max_bad_share=args.max_bad_share,
            salt=_salt(args.salt_file) if args.hash_users else None,
        ),
        split=SplitSettings(
            None if args.heldout_from is None else _time(args.heldout_from, "--heldout-from"),
            args.heldout_share,
            args.gap * HOUR,
        ),
        filters=_settings(FilterSettings, args),
        caps=_settings(CapSettings, args),
        upsampling=_settings(UpsamplingSettings, args),
        filter_heldout=args.filter_heldout,
        seed=args.seed,
    )


def _settings(kind: type[Settings], args: argparse.Namespace) -> Settings:
    """The settings whose options are stored under the fields' names; fields without an option keep their default."""
    values: dict[str, Any] = {field.name: getattr(args, field.name) for field in fields(kind) if field.name in args}
    return kind(**values)


def _time(text: str, option: str) -> float:
    from cgpo.feedback.logs.rows import BadRowError, seconds_of

    try:
        return seconds_of(text)
    except BadRowError as error:
        raise ConfigError(f"{option}: {error.detail}") from error


def _column(entry: str) -> tuple[str, str]:
    what, equals, name = entry.partition("=")
    if not equals or not name:
        raise ConfigError(f"--column {entry!r} must be WHAT=COLUMN, such as reaction=liked")
    return what.strip(), name


def _salt(file: Path | None) -> bytes:
    if file is None:
        # Nobody keeps it: the hashes tell users of this folder apart, but can be neither guessed nor linked elsewhere.
        return secrets.token_bytes(32)
    try:
        salt = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"--salt-file {file} cannot be read: {error.strerror or error}") from error
    if not 16 <= len(salt) <= LONGEST_SALT:
        raise ConfigError(f"--salt-file {file}: a salt has 16 to {LONGEST_SALT} bytes, this one {len(salt)}")
    return salt


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
    group.add_argument(
        "--time-unit", choices=("s", "ms"), default="s", help="of times that are numbers (default: %(default)s)"
    )
    group.add_argument("--now", metavar="TIME", help="what counts as now (default: the clock)")
    group.add_argument(
        "--clock-skew",
        type=not_negative,
        default=default.clock_skew,
        metavar="S",
        help="seconds a row may lie in the future (default: %(default)g)",
    )
    group.add_argument(
        "--max-bad-share",
        type=share,
        default=default.max_bad_share,
        metavar="R",
        help="go on without bad rows up to this share of all (default: %(default)g)",
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
        type=open_share,
        default=default.heldout_share,
        metavar="R",
        help="hold out this share of the rows, the newest (default: %(default)g)",
    )
    group.add_argument(
        "--gap",
        type=not_negative,
        default=0.0,
        metavar="HOURS",
        help="leave out so many hours before (default: %(default)g)",
    )


def _add_upsampling(group: argparse._ArgumentGroup) -> None:
    default = UpsamplingSettings()
    group.add_argument(
        "--positive-share",
        type=open_share,
        default=default.positive_share,
        metavar="R",
        help="raise the positives' share of the training rows to this (default: %(default)g)",
    )
    group.add_argument(
        "--by",
        choices=("copies", "dropping-negatives"),
        default=default.by,
        help="count positives several times, or leave out negatives (default: %(default)s)",
    )


def _add_caps(group: argparse._ArgumentGroup) -> None:
    default = CapSettings()
    for name, value, text in (
        ("user-rows", default.user_rows, "rows of a user"),
        ("user-positives", default.user_positives, "positive reactions of a user"),
        ("near-duplicates", default.near_duplicates, "rows with nearly the same response"),
    ):
        group.add_argument(
            f"--max-{name}",
            dest=name.replace("-", "_"),
            type=_limit,
            default=value,
            metavar="N",
            help=f"{text} (default: %(default)s)",
        )
    group.add_argument(
        "--keep", choices=("random", "newest"), default=default.keep, help="which stay (default: %(default)s)"
    )


def _add_filters(group: argparse._ArgumentGroup) -> None:
    default = FilterSettings()
    group.add_argument(
        "--filters",
        dest="names",
        type=_filters,
        default=default.names,
        metavar="all|none|NAME[,NAME]",
        help=f"which run, of {', '.join(FILTERS)} (default: all)",
    )
    group.add_argument("--filter-heldout", action="store_true", help="filter held-out rows too")
    group.add_argument(
        "--significance",
        type=open_share,
        default=default.significance,
        metavar="P",
        help="of a burst or a coordinated window, over all that are looked at (default: %(default)g)",
    )
    group.add_argument(
        "--false-discovery-rate",
        type=open_share,
        default=default.false_discovery_rate,
        metavar="P",
        help="over the users of burst, rate and content (default: %(default)g)",
    )
    group.add_argument(
        "--burst-window",
        type=positive,
        default=default.burst_window,
        metavar="S",
        help="seconds (default: %(default)g)",
    )
    group.add_argument(
        "--coordination-window",
        type=positive,
        default=default.coordination_window,
        metavar="S",
        help="seconds (default: %(default)g)",
    )
    group.add_argument(
        "--max-user-share",
        type=open_share,
        default=default.max_user_share,
        metavar="R",
        help="a user with more of all positive reactions is looked at (default: %(default)g)",
    )
    group.add_argument(
        "--min-user-rows",
        type=count,
        default=default.min_user_rows,
        metavar="N",
        help="users with fewer are not tested by rate (default: %(default)s)",
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
    return None if text.lower() == "none" else count(text)
