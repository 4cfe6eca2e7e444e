"""The settings of `cgpo feedback prepare`, which are its options, with their defaults and help.

Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cgpo.errors import unknown_name
from cgpo.feedback.values import BadRowError, seconds_of
from judges.command_options import Form
from judges.number_types import count, not_negative, open_share, positive, share, whole

FILTERS = ("coordinated", "share", "burst", "rate", "content")
"""The filters, in the order in which they run: each sees what those before it left."""

COLUMNS = ("prompt", "conversation", "response", "reaction", "time", "user", "policy", "conversation_id")
"""The parts of a log's row."""

HOUR = 3600.0
SHORTEST_SALT, LONGEST_SALT = 16, 64


def _column(text: str) -> tuple[str, str]:
    what, equals, name = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be WHAT=COLUMN, such as reaction=liked")
    return what.strip(), name


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _time(text: str) -> float:
    try:
        return seconds_of(text)
    except BadRowError as error:
        raise argparse.ArgumentTypeError(error.detail) from error


def _hours(text: str) -> float:
    return not_negative(text) * HOUR


def _salt(text: str) -> bytes:
    try:
        salt = Path(text).read_bytes().strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror or error}") from error
    if not SHORTEST_SALT <= len(salt) <= LONGEST_SALT:
        raise argparse.ArgumentTypeError(
            f"{text}: a salt has {SHORTEST_SALT} to {LONGEST_SALT} bytes, this one {len(salt)}"
        )
    return salt


def _filters(text: str) -> tuple[str, ...]:
    names = {"all": FILTERS, "none": ()}.get(text, _words(text))
    for name in names:
        if name not in FILTERS:
            raise argparse.ArgumentTypeError(unknown_name("filter", name, [*FILTERS, "all", "none"]))
    return tuple(name for name in FILTERS if name in names)


def _limit(text: str) -> int | None:
    return None if text.lower() == "none" else count(text)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a log is read."""

    columns: Annotated[dict[str, str], Form(_column, "WHAT=COLUMN", name="--column", collect=dict)] = field(
        default_factory=dict
    )
    """the log's name for prompt, response, reaction, time, user, policy, conversation or conversation_id; may be
    repeated"""
    positive: Annotated[tuple[str, ...], Form(_words, "WORD[,WORD]")] = ()
    """reactions that are positive, if not true/1; all other words are then none"""
    time_unit: Literal["s", "ms"] = "s"
    """of times that are numbers: Unix seconds or milliseconds"""
    now: Annotated[float, Form(_time, "TIME", default="the clock")] = field(default_factory=time.time)
    """what counts as now, ISO 8601 or Unix seconds; later rows are in the future"""
    clock_skew: Annotated[float, Form(not_negative, "S")] = 300.0
    """seconds a row may lie in the future"""
    max_bad_share: Annotated[float, Form(share, "R")] = 0.1
    """go on without bad rows up to this share of all"""
    hash_users: bool = False
    """write hashes instead of user ids, with a random salt"""
    salt: Annotated[bytes | None, Form(_salt, "FILE", name="--salt-file")] = None
    """with --hash-users: a salt of your own, for equal hashes later"""


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Where the held-out rows begin."""

    heldout_from: Annotated[float | None, Form(_time, "TIME", either="start of the held-out rows")] = None
    """the first held-out time: ISO 8601 or Unix seconds"""
    heldout_share: Annotated[float, Form(open_share, "R", either="start of the held-out rows")] = 0.1
    """hold out this share of the rows, the newest"""
    gap: Annotated[float, Form(_hours, "HOURS")] = 0.0
    """leave out so many hours before"""


@dataclass(frozen=True, slots=True)
class UpsamplingSettings:
    """How the share of positive reactions is raised."""

    positive_share: Annotated[float, Form(open_share, "R")] = 0.1
    """raise the positives' share of the training rows to this; a share that is higher already stays"""
    by: Literal["copies", "dropping-negatives"] = "copies"
    """count positives several times, or leave out negatives, which trains faster"""


@dataclass(frozen=True, slots=True)
class CapSettings:
    """Limits on what one user or one text contributes; None sets no limit."""

    user_rows: Annotated[int | None, Form(_limit, "N", name="--max-user-rows")] = 500
    """rows of a user"""
    user_positives: Annotated[int | None, Form(_limit, "N", name="--max-user-positives")] = 50
    """positive reactions of a user"""
    near_duplicates: Annotated[int | None, Form(_limit, "N", name="--max-near-duplicates")] = 100
    """rows with nearly the same response"""
    keep: Literal["random", "newest"] = "random"
    """which stay"""


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Thresholds of the filters."""

    names: Annotated[
        tuple[str, ...], Form(_filters, "all|none|NAME[,NAME]", name="--filters", default=f"all: {', '.join(FILTERS)}")
    ] = FILTERS
    """which run"""
    significance: Annotated[float, Form(open_share, "P")] = 1e-3
    """of a burst or a coordinated window: the tail probability, times the number of windows looked at, is below this"""
    false_discovery_rate: Annotated[float, Form(open_share, "P")] = 0.01
    """over the users of burst, rate and content, each"""
    burst_window: Annotated[float, Form(positive, "S")] = 600.0
    """seconds"""
    coordination_window: Annotated[float, Form(positive, "S")] = 3600.0
    """seconds"""
    min_coordinated_users: Annotated[int, Form(count, "N")] = 5
    """different users who react to one text or policy within the window"""
    max_user_share: Annotated[float, Form(open_share, "R")] = 0.02
    """a user with more of all positive reactions must be like honest users in their rate"""
    min_user_rows: Annotated[int, Form(count, "N")] = 5
    """users with fewer are not tested by rate, nor by burst for crowded rows"""
    min_user_positives: Annotated[int, Form(count, "N")] = 5
    """users with fewer positive reactions are not tested by share, nor for their bursts"""
    min_content_positives: Annotated[int, Form(count, "N")] = 10
    """users with fewer reactions of either class are not tested by content"""


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """All of it."""

    log: LogSettings = field(default_factory=LogSettings)
    """the log"""
    split: SplitSettings = field(default_factory=SplitSettings)
    """the split in time"""
    upsampling: UpsamplingSettings = field(default_factory=UpsamplingSettings)
    """upsampling"""
    caps: CapSettings = field(default_factory=CapSettings)
    """caps (a number, or none)"""
    filters: FilterSettings = field(default_factory=FilterSettings)
    """filters"""
    filter_heldout: bool = False
    """filter held-out rows too; they are then not at the true rate"""
    seed: Annotated[int, Form(whole, "N")] = 0
    """of whatever is drawn"""
