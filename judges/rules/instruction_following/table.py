"""The table of all types of instructions, a family a file: public id → checker, arguments and what it asks for."""

from __future__ import annotations

from judges.rules.instruction_following import ifbench_forms, ifbench_words, ifeval, open_instruct, own, own_data
from judges.rules.instruction_following.instruction_type import InstructionType

_FAMILIES = (
    ifeval.TYPES,
    own.TYPES,
    own_data.TYPES,
    ifbench_words.TYPES,
    ifbench_forms.TYPES,
    open_instruct.TYPES,
)

INSTRUCTIONS: dict[str, InstructionType] = {id: type for family in _FAMILIES for id, type in family.items()}

if len(INSTRUCTIONS) < sum(map(len, _FAMILIES)):
    raise ValueError("two families of instructions share an id")
