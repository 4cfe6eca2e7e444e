"""The boundary at which whatever a judge does becomes a verdict with a name: no exception passes it."""

from __future__ import annotations

import math
from typing import Any

from judges.judge import Judge, Row
from judges.verdict import Outcome, Verdict

MAX_REASON_CHARS = 1000
"""A reason is for a person to read and is stored for every sample; a longer one is cut."""


def safe_verdict(judge: Judge, row: Row) -> Verdict:
    """The judge's verdict, or `unknown` with the reason why it gave none that can be used."""
    try:
        return normalised(judge.verdict(row))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - this is the boundary: a failing judge is `unknown`
        return failed(error)


def failed(error: BaseException) -> Verdict:
    """The verdict when a judge raised."""
    return Verdict.unknown(readable(f"{type(error).__name__}: {error}"))


def readable(text: str) -> str:
    """`text` short enough to store and encodable as UTF-8."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_REASON_CHARS else text[: MAX_REASON_CHARS - 1] + "…"


def normalised(answer: Any) -> Verdict:
    """`answer` if it is a verdict that can be stored, else `unknown`."""
    if not isinstance(answer, Verdict):
        return Verdict.unknown(f"the judge returned {type(answer).__name__}, not a Verdict")
    if not isinstance(answer.outcome, Outcome) or not isinstance(answer.reason, str):
        return Verdict.unknown(readable(f"the judge returned a malformed verdict: {answer!r}"))
    score = answer.score
    if score is None:
        return Verdict(answer.outcome, readable(answer.reason), None, answer.cost)
    try:
        score = float(score)
    except (TypeError, ValueError):
        return Verdict.unknown(readable(f"the judge's score is no number: {score!r}"))
    if not math.isfinite(score):
        return Verdict.unknown(f"the judge's score is {score}")
    return Verdict(answer.outcome, readable(answer.reason), score, answer.cost)
