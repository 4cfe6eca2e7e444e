"""Text for files and pages; that of models may hold lone surrogates. `judges.printing` has what goes to terminals."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, written out as `\\udXXX`; all else unchanged."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def percent(share: float, decimals: int = 0) -> str:
    """`43 %`, `1.7 %`."""
    return f"{share:.{decimals}%}"[:-1] + " %"
