"""The settings of `cgpo feedback prepare`, with their defaults. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FILTERS = ("coordinated", "share", "burst", "rate", "content")
"""The filters, in the order in which they run: each sees what those before it left."""

COLUMNS = ("prompt", "conversation", "response", "reaction", "time", "user", "policy", "conversation_id")
"""The parts of a log's row."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a log is read.

    Attributes:
        columns: what → the column that holds it, where that has another name.
        positive: words that are positive reactions; all other words are then none.
        milliseconds: whether numbers are Unix milliseconds instead of seconds.
        now: Unix seconds; later rows are in the future.
        clock_skew: seconds by which a row may be later than `now`.
        max_bad_share: of all rows, at most this share may be unusable.
        salt: what user ids are hashed with; None leaves them as they are.
    """

    now: float
    columns: dict[str, str] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    milliseconds: bool = False
    clock_skew: float = 300.0
    max_bad_share: float = 0.1
    salt: bytes | None = None


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Where the held-out rows begin.

    Attributes:
        heldout_from: Unix seconds of the first held-out row; None: by share.
        heldout_share: this share of the rows, the newest, is held out.
        gap: seconds before the held-out rows that are on neither side.
    """

    heldout_from: float | None = None
    heldout_share: float = 0.1
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Thresholds of the filters.

    Attributes:
        names: the filters that run.
        significance: a burst or a coordinated window is one whose tail probability, times the number of windows looked
            at, is below this.
        false_discovery_rate: over the users tested by `burst`, `rate` and `content`, each.
        min_user_rows: users with fewer rows are not tested by `rate`, nor by `burst` for crowded rows.
        min_user_positives: users with fewer positive reactions are not tested by `share`, nor for their bursts.
        min_content_positives: users with fewer reactions of either class are not tested by `content`.
        burst_window: seconds.
        coordination_window: seconds.
        min_coordinated_users: different users who react to one text within the window.
        max_user_share: a user with a larger share of all positive reactions must be like honest users in their rate.
    """

    names: tuple[str, ...] = FILTERS
    significance: float = 1e-3
    false_discovery_rate: float = 0.01
    min_user_rows: int = 5
    min_user_positives: int = 5
    min_content_positives: int = 10
    burst_window: float = 600.0
    coordination_window: float = 3600.0
    min_coordinated_users: int = 5
    max_user_share: float = 0.02


@dataclass(frozen=True, slots=True)
class CapSettings:
    """Limits on what one user or one text contributes; None sets no limit.

    Attributes:
        user_rows: rows of a user.
        user_positives: positive reactions of a user.
        near_duplicates: rows whose responses are nearly the same text.
        keep: which of them stay: the `newest`, or `random` ones, drawn by the seed.
    """

    user_rows: int | None = 500
    user_positives: int | None = 50
    near_duplicates: int | None = 100
    keep: Literal["random", "newest"] = "random"


@dataclass(frozen=True, slots=True)
class UpsamplingSettings:
    """How the share of positive reactions is raised.

    Attributes:
        positive_share: to this; a share that is higher already stays.
        by: `copies` of positive rows, or by dropping negative ones (`dropping-negatives`), which trains faster.
    """

    positive_share: float = 0.1
    by: Literal["copies", "dropping-negatives"] = "copies"


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """All of it.

    Attributes:
        log: how the log is read.
        split: where the held-out rows begin.
        filters: what is adversarial.
        caps: what one user or text may contribute.
        upsampling: the share of positive reactions.
        filter_heldout: whether the filters are applied to held-out rows too; those are then not at the true rate.
        seed: of whatever is drawn.
    """

    log: LogSettings
    split: SplitSettings = field(default_factory=SplitSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)
    caps: CapSettings = field(default_factory=CapSettings)
    upsampling: UpsamplingSettings = field(default_factory=UpsamplingSettings)
    filter_heldout: bool = False
    seed: int = 0
