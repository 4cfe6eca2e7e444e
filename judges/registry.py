"""Finds judges: built-in and installed ones are Python entry points of the group `cgpo.judges`.

Nothing here imports a judge's module before that judge is asked for.
"""

from __future__ import annotations

from judges.spec import JudgeSpec

__all__ = ["JudgeSpec"]
