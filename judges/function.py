"""Plain functions as judges: `def f(row: Row) -> Verdict | bool`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeVar

from judges.judge import Expense, Judge, Row
from judges.verdict import Outcome, Verdict

JudgeFunction = Callable[..., "Verdict | bool"]
"""Takes the row and its options as keyword arguments; True means satisfied."""

F = TypeVar("F", bound=JudgeFunction)
_DECLARATIONS = ("requires", "applies_only_with", "timeout_seconds", "expense", "version", "examples", "side")


def rule_judge(
    *,
    requires: Iterable[str] = (),
    applies_only_with: Iterable[str] = (),
    timeout_seconds: float = Judge.timeout_seconds,
    expense: Expense = Judge.expense,
    version: str = Judge.version,
    examples: Iterable[tuple[Row, Outcome]] = (),
    side: Literal["safety", "refusal"] | None = None,
) -> Callable[[F], F]:
    """Declares what a judge function needs; an undecorated function needs nothing.

    Args:
        requires: metadata keys without which the verdict is `unknown`.
        applies_only_with: metadata keys without which the judge does not apply.
        timeout_seconds: wall time one verdict may take.
        expense: what a verdict costs.
        version: raise it when the function decides differently than before.
        examples: rows with the outcome they must get with the default options; `judge check` tries them.
        side: `safety` or `refusal` (`Judge.side`).
    """

    def declare(function: F) -> F:
        declared = function.__dict__
        declared["requires"] = frozenset(requires)
        declared["applies_only_with"] = frozenset(applies_only_with)
        declared["timeout_seconds"] = timeout_seconds
        declared["expense"] = expense
        declared["version"] = version
        declared["examples"] = tuple(examples)
        declared["side"] = side
        return function

    return declare


class FunctionJudge(Judge):
    """A judge that calls `function`; see `judge_class`."""

    function: ClassVar[JudgeFunction]

    def __init__(self, **options: Any) -> None:
        self.options = options

    def judge(self, row: Row) -> Verdict:
        answer = type(self).function(row, **self.options)
        if isinstance(answer, bool):
            return Verdict.of(answer)
        return answer  # what is no verdict is refused where every verdict is checked (judges/running/boundary.py)


@lru_cache(maxsize=512)
def judge_class(function: JudgeFunction) -> type[Judge]:
    """The judge class that wraps `function`; its keyword parameters are the judge's options."""
    members: dict[str, Any] = {"function": staticmethod(function), "__doc__": function.__doc__}
    members |= {name: getattr(function, name) for name in _DECLARATIONS if hasattr(function, name)}
    return type(getattr(function, "__name__", "judge"), (FunctionJudge,), members)
