"""The judge of verifiable instructions: a response is satisfied when it follows every instruction of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judges.errors import JudgesError, unknown_name
from judges.judge import Judge, Message, Row
from judges.metadata import kind_of, structure
from judges.rules.instruction_following.ifeval import detect
from judges.rules.instruction_following.instruction_type import InstructionType
from judges.rules.instruction_following.table import INSTRUCTIONS
from judges.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its arguments, checked."""

    type: InstructionType
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
        return cls(INSTRUCTIONS[id], INSTRUCTIONS[id].bind(given))

    def followed_by(self, text: str) -> bool:
        """Does the text follow it? An empty text follows nothing."""
        return bool(text.strip()) and self.type.checker(text, **self.arguments)

    def in_words(self, text: str) -> str:
        """The id, and what the text has instead of what is wanted, where the type can tell."""
        seen = self.type.seen(text, **self.arguments) if self.type.seen is not None else ""
        return f"{self.type.id} ({seen})" if seen else self.type.id


class InstructionFollowingJudge(Judge):
    """Every verifiable instruction in metadata `instruction_id_list` and `kwargs` (IFEval's form) is followed.

    The score is 1 when all are followed, else minus the share of those that are not.

    Args:
        strict: judge the response as it is. If false, an instruction also counts as followed when the response
            follows it without its first line, its last line or both, or without asterisks (IFEval's loose measure).
    """

    version = "2"
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
            _check_turns(instructions, row.prompt)
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


def _check_turns(instructions: list[Instruction], prompt: str | tuple[Message, ...]) -> None:
    """Raises JudgesError when an instruction refers to an earlier turn and the prompt has none."""
    if not isinstance(prompt, str) and any(message.get("role") == "assistant" for message in prompt):
        return
    for instruction in instructions:
        if instruction.type.several_turns:
            raise JudgesError(
                f"{instruction.type.id} needs a prompt of several turns, and this one has no earlier response"
            )


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _loose_variants(text: str) -> list[str]:
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return cut + [variant.replace("*", "") for variant in cut]
