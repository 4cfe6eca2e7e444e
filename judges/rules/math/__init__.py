"""The math judge: compares the final answer with the reference as mathematics, by the kind of answer that it is."""

from judges.rules.math.judge import Format, MathJudge

__all__ = ["Format", "MathJudge"]
