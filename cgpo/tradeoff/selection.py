"""The choice of what is drawn of the runs, as the options of `cgpo tradeoff` say it. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from judges.command_options import Form


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is drawn: measures of the axes, the stratum, and the setting of the labels; None or empty: the usual."""

    x: Annotated[str | None, Form(str, "NAME", default="the reward whose weight differs")] = None
    """measure of the horizontal axis"""
    y: Annotated[
        tuple[str, ...],
        Form(str, "NAME", collect=tuple, default="the other rewards, probes, satisfied, response_tokens"),
    ] = ()
    """measure of a panel; may be repeated"""
    stratum: Annotated[str | None, Form(str, "NAME")] = None
    """whose measures; needed where the runs have several"""
    label: Annotated[str | None, Form(str, "SETTING", default="the reward's weight")] = None
    """setting whose value labels the points"""
