"""Verifiable instructions in the public IFEval format: the public ones and our own, and a table id → checker."""

from judges.rules.instruction_following.judge import InstructionFollowingJudge
from judges.rules.instruction_following.table import INSTRUCTIONS

__all__ = ["INSTRUCTIONS", "InstructionFollowingJudge"]
