"""The mixture of judges: programs and models that say whether a response satisfies a constraint.

Usable on its own: imports neither cgpo nor, at import, torch, vllm or deepspeed.
"""

from judges.function import rule_judge
from judges.judge import Expense, Judge, Message, Row
from judges.verdict import NEUTRAL, Cost, Judgement, Outcome, Verdict, combine

__all__ = [
    "NEUTRAL",
    "Cost",
    "Expense",
    "Judge",
    "Judgement",
    "Message",
    "Outcome",
    "Row",
    "Verdict",
    "combine",
    "rule_judge",
]
