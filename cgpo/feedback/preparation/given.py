"""The settings that the arguments of `cgpo feedback prepare` mean."""

from __future__ import annotations

import argparse
import secrets
import time
from pathlib import Path

from cgpo.errors import ConfigError
from cgpo.feedback.preparation.log_rows import BadRowError, seconds_of
from cgpo.feedback.preparation.settings import (
    CapSettings,
    FilterSettings,
    LogSettings,
    PrepareSettings,
    SplitSettings,
    UpsamplingSettings,
)

HOUR = 3600.0
LONGEST_SALT = 64


def settings_of(args: argparse.Namespace) -> PrepareSettings:
    """The settings that the arguments mean.

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
        filters=FilterSettings(
            names=args.filters,
            significance=args.significance,
            false_discovery_rate=args.false_discovery_rate,
            min_user_rows=args.min_user_rows,
            burst_window=args.burst_window,
            coordination_window=args.coordination_window,
            max_user_share=args.max_user_share,
        ),
        caps=CapSettings(args.max_user_rows, args.max_user_positives, args.max_near_duplicates, args.keep),
        upsampling=UpsamplingSettings(args.positive_share, args.by),
        filter_heldout=args.filter_heldout,
        seed=args.seed,
    )


def _time(text: str, option: str) -> float:
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
