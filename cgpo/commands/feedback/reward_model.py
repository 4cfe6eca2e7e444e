"""The options that say how a reward model scores, for the commands that ask one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from judges.command_options import Form
from judges.number_types import count, open_share, share

if TYPE_CHECKING:
    from cgpo.feedback.scoring import HeadScorer


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How a reward model scores, and how its numbers are reported."""

    head: Annotated[str | None, Form(str, "HEAD")] = None
    """which of its heads; needed where it has several"""
    max_length: Annotated[
        int | None, Form(count, "TOKENS", default="as in training, else that of the reward's settings")
    ] = None
    """most tokens of prompt + response"""
    batch_tokens: Annotated[int | None, Form(count, "TOKENS")] = None
    """padded tokens scored at once"""
    max_missing_rate: Annotated[float, Form(share, "R")] = 0.01
    """largest share of rows without a finite score"""
    confidence: Annotated[float, Form(open_share, "C")] = 0.95
    """level of the intervals"""

    def open(self, model: str) -> HeadScorer:
        """The head of a reward model, a folder or a hub name.

        Raises:
            ConfigError: there is no such model or head.
        """
        from cgpo.feedback.scoring import HeadScorer

        return HeadScorer(
            model,
            self.head,
            max_length=self.max_length,
            batch_tokens=self.batch_tokens,
            max_missing_rate=self.max_missing_rate,
        )
