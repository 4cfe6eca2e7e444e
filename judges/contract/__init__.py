"""The public contract of a judge, as tests that anyone can run on their own judge: `cgpo judge check NAME`."""

from judges.contract.checks import CheckResult, check_judge
from judges.contract.texts import HOSTILE_TEXTS

__all__ = ["HOSTILE_TEXTS", "CheckResult", "check_judge"]
