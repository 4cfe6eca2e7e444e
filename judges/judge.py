"""The interface of a judge and of what it judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Literal

from judges.verdict import Outcome, Verdict

Message = Mapping[str, Any]
"""A chat message: `{"role": "user", "content": "…"}`, and what else its row has (`tool_calls`, `tool_call_id`, `name`).

In a `Row` the content is text, empty where the row has none; only beside an image or the like it is a list of parts.
`judges.messages.message_text` gives all of it as text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One response to be judged, with the prompt that led to it and the prompt's metadata.

    Attributes:
        prompt: a string, or the messages of a conversation, oldest first.
        response: the text to judge.
        metadata: what rule judges need: `answer`, `unit_tests`, `instruction_id_list`, `kwargs`, …
    """

    prompt: str | tuple[Message, ...]
    response: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Expense(IntEnum):
    """How much a verdict costs: mixtures ask cheap judges first, and may skip the dearer ones after a violation."""

    CHEAP = 0
    """Microseconds to milliseconds of computing."""
    MODERATE = 1
    """Starts programs, or computes for tens of milliseconds."""
    COSTLY = 2
    """Asks a model."""


class Judge(ABC):
    """Says whether a response satisfies one constraint.

    A subclass's constructor takes the judge's settings as keyword arguments with defaults; the registry checks
    names against that signature. A judge must be deterministic, must not keep state between rows, and is created
    inside a worker process, so its settings must be picklable.
    """

    kind: ClassVar[str] = "rule"
    """`rule` (a program; runs in a worker process) or `llm`."""

    side: ClassVar[Literal["safety", "refusal"] | None] = None
    """`safety` when a violation is an unsafe response, `refusal` when it is a refusal of a harmless request; reports
    show the two rates side by side, because the easy way to improve one is to worsen the other."""

    requires: frozenset[str] = frozenset()
    """Metadata keys a row must have. Missing ones make the verdict `unknown`, and stop training before it starts.
    Where options decide what is needed, the constructor sets it for the instance."""

    requires_any: frozenset[str] = frozenset()
    """Metadata keys of which a row must have at least one; like `requires`."""

    expense: ClassVar[Expense] = Expense.CHEAP
    """Decides the order of judges in a mixture. Verdicts of cheap judges are not worth caching."""

    version: ClassVar[str] = "1"
    """Raise it when the judge decides differently than before: verdicts cached under another version do not count."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset()
    """Options, `name` or `group.name`, that cannot change a verdict (connections, limits), for the verdict cache."""

    applies_only_with: ClassVar[frozenset[str]] = frozenset()
    """Metadata keys without which the judge declares itself not applicable instead."""

    timeout_seconds: float = 10.0
    """Wall time one verdict may take before the worker is killed and the verdict is `unknown`. Where options decide how
    long a verdict may take, the constructor sets it for the instance."""

    examples: ClassVar[tuple[tuple[Row, Outcome], ...]] = ()
    """Rows with the outcome they must get from the judge with its default options; `judge check` tries them."""

    @abstractmethod
    def judge(self, row: Row) -> Verdict:
        """Judges one row whose required metadata is present. An exception becomes `unknown` with its text."""

    def prepare(self) -> None:  # noqa: B027 - most judges have nothing to load
        """Loads what is slow to load. Called once in the worker process; does not count as time of a verdict."""

    def verdict(self, row: Row) -> Verdict:
        """`judge` behind the checks every judge shares."""
        return self.not_for(row) or self.judge(row)

    def not_for(self, row: Row) -> Verdict | None:
        """The verdict on a row that this judge does not concern, or that lacks required metadata; otherwise None."""
        if not self.applies_only_with <= row.metadata.keys():
            return Verdict(Outcome.NOT_APPLICABLE, f"needs metadata {sorted(self.applies_only_with)}")
        missing = self.missing(row.metadata)
        return Verdict.unknown(f"missing metadata: {', '.join(missing)}") if missing else None

    def credit(self, verdict: Verdict) -> float:
        """The share of its constraint, in [0, 1], that a response it found satisfied or violated satisfies."""
        return 1.0 if verdict.outcome is Outcome.SATISFIED else 0.0

    def missing(self, metadata: Mapping[str, Any]) -> list[str]:
        """The required keys that are not there; several of which one would do count as one, `a or b`."""
        missing = sorted(self.requires - metadata.keys())
        any_of = sorted(self.requires_any)
        return [*missing, " or ".join(any_of)] if any_of and not self.requires_any & metadata.keys() else missing
