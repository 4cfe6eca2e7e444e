"""The judge of verifiable instructions: a response is satisfied when it follows every instruction of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judges.errors import JudgesError, unknown_name
from judges.judge import Judge, Row
from judges.metadata import kind_of, structure
from judges.options import bind
from judges.rules.instruction_following.arguments import check_bounds, wanted, within
from judges.rules.instruction_following.own import COUNTS
from judges.rules.instruction_following.public import detect
from judges.rules.instruction_following.table import COUNTED, INSTRUCTIONS
from judges.verdict import Outcome, Verdict

_BOUNDS = ("exactly", "at_least", "at_most")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its arguments, checked."""

    id: str
    arguments: dict[str, Any]

    @classmethod
    def parse(cls, id: Any, arguments: Any) -> Instruction:
        """From one entry of `instruction_id_list` and its `kwargs`. Raises JudgesError when they do not fit."""
        if not isinstance(id, str) or id not in INSTRUCTIONS:
            raise JudgesError(unknown_name("instruction", str(id), INSTRUCTIONS))
        if arguments is not None and not isinstance(arguments, Mapping):
            raise JudgesError(f"kwargs of {id} must be a mapping, not {kind_of(arguments)}")
        # Tabular copies of the data name every argument of every instruction (null) and store whole numbers as 3.0.
        given = {key: _whole(value) for key, value in (arguments or {}).items() if value is not None}
        bound = bind(INSTRUCTIONS[id], given, id, "argument")
        if id in COUNTED:
            _check_bounds(id, bound)
        return cls(id, bound)

    def followed_by(self, text: str) -> bool:
        """Does the text follow it? An empty text follows nothing."""
        return bool(text.strip()) and INSTRUCTIONS[self.id](text, **self.arguments)

    def in_words(self, text: str) -> str:
        """The id, and where it bounds a number, the number that the text has instead."""
        if self.id not in COUNTS:
            return self.id
        bounds = {key: self.arguments.get(key) for key in _BOUNDS}
        number = COUNTS[self.id](text, **{key: value for key, value in self.arguments.items() if key not in _BOUNDS})
        return self.id if within(number, **bounds) else f"{self.id} ({number}, {wanted(**bounds)} wanted)"


class InstructionFollowingJudge(Judge):
    """Every verifiable instruction in metadata `instruction_id_list` and `kwargs` (IFEval's form) is followed.

    The score is 1 when all are followed, else minus the share of those that are not.

    Args:
        strict: judge the response as it is. If false, an instruction also counts as followed when the response
            follows it without its first line, its last line or both, or without asterisks (IFEval's loose measure).
    """

    requires = frozenset({"instruction_id_list", "kwargs"})
    examples = (
        (
            Row("Greet me.", "hello there", {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}),
            Outcome.SATISFIED,
        ),
        (
            Row("Greet me.", "hello, there", {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}),
            Outcome.VIOLATED,
        ),
        (Row("Greet me.", "hello", {"instruction_id_list": ["no:such"], "kwargs": [{}]}), Outcome.UNKNOWN),
    )

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def credit(self, verdict: Verdict) -> float:
        """The share of the instructions that are followed."""
        if verdict.score is None or verdict.outcome is Outcome.SATISFIED:
            return super().credit(verdict)
        return 1 + min(0.0, verdict.score)

    def prepare(self) -> None:
        detect("The profiles of all languages are loaded by the first call.")

    def judge(self, row: Row) -> Verdict:
        try:
            instructions = _instructions(row.metadata)
        except JudgesError as error:
            return Verdict.unknown(str(error))
        if not row.response.strip():
            return Verdict.violated("empty response", -1.0)
        texts = [row.response] if self.strict else _loose_variants(row.response)
        failed = [item for item in instructions if not any(map(item.followed_by, texts))]
        number = len(instructions)
        if not failed:
            return Verdict.satisfied(f"follows {number} of {number} instructions", 1.0)
        descriptions = ", ".join(item.in_words(row.response) for item in failed)
        reason = f"{len(failed)} of {number} instructions not followed: {descriptions}"
        return Verdict.violated(reason, -len(failed) / number)


def _instructions(metadata: Mapping[str, Any]) -> list[Instruction]:
    ids, arguments = structure(metadata["instruction_id_list"]), structure(metadata["kwargs"])
    for key, value in (("instruction_id_list", ids), ("kwargs", arguments)):
        if not isinstance(value, (list, tuple)):
            raise JudgesError(f"metadata `{key}` must be a list, not {kind_of(value)}")
    if not ids:
        raise JudgesError("metadata `instruction_id_list` is empty: there is nothing to judge")
    if len(ids) != len(arguments):
        raise JudgesError(f"{len(ids)} entries in `instruction_id_list`, but {len(arguments)} in `kwargs`")
    return [Instruction.parse(id, structure(given)) for id, given in zip(ids, arguments, strict=True)]


def _check_bounds(id: str, arguments: Mapping[str, Any]) -> None:
    try:
        check_bounds(**{key: value for key, value in arguments.items() if key in _BOUNDS})
    except JudgesError as error:
        raise JudgesError(f"{id}: {error}") from None


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _loose_variants(text: str) -> list[str]:
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return cut + [variant.replace("*", "") for variant in cut]
