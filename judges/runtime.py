"""`JudgeRuntime` under the name that plugins and scripts import; it lives in `judges.running.runtime`."""

from judges.running.runtime import JudgeRuntime

__all__ = ["JudgeRuntime"]
