"""How a type of instruction is declared: a checker with typed arguments under its id, in the table of a family.

    TYPES = Types()

    @TYPES.add("keywords:existence")
    def existence(text: str, *, keywords: Words) -> bool:
        \"\"\"Every keyword occurs, also inside a longer word.\"\"\"
        return all(keyword.lower() in text.lower() for keyword in keywords)

The arguments that a row may give, with their types and defaults, are the checker's keyword-only parameters; what the
instruction asks for is the first paragraph of its docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from judges.errors import JudgesError
from judges.options import Option, bind, described

Checker = Callable[..., bool]
"""`checker(text, **arguments)`: does the text follow the instruction? The text is never blank."""
_Checker = TypeVar("_Checker", bound=Checker)


@dataclass(frozen=True, slots=True)
class InstructionType:
    """A type of instruction.

    Attributes:
        id: its public name, `family:name`.
        checker: says whether a text follows it.
        check: raises JudgesError, without the id, when arguments of the right types contradict each other.
        seen: what of a text that does not follow to name in the reason, from the text and the arguments; may be empty.
        several_turns: it refers to an earlier turn, so that a prompt of a single one cannot ask for it.
    """

    id: str
    checker: Checker
    check: Callable[..., None] | None = None
    seen: Callable[..., str] | None = None
    several_turns: bool = False

    @property
    def about(self) -> str:
        """What it asks for."""
        return " ".join((inspect.getdoc(self.checker) or "").partition("\n\n")[0].split())

    @property
    def arguments(self) -> list[Option]:
        """Names, types and defaults of its arguments."""
        return described(self.checker)

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The checker's arguments from plain data. Raises JudgesError when they do not fit."""
        bound = bind(self.checker, given, self.id, "argument")
        if self.check is not None:
            try:
                self.check(**bound)
            except JudgesError as error:
                raise JudgesError(f"{self.id}: {error}") from None
        return bound


class Types(dict[str, InstructionType]):
    """The types of a family by their ids."""

    def add(
        self,
        id: str,
        *,
        check: Callable[..., None] | None = None,
        seen: Callable[..., str] | None = None,
        several_turns: bool = False,
    ) -> Callable[[_Checker], _Checker]:
        """Declares the decorated checker under `id`; the other arguments are those of `InstructionType`."""

        def declare(checker: _Checker) -> _Checker:
            if id in self:
                raise ValueError(f"two types of instruction are called {id!r}")
            self[id] = InstructionType(id, checker, check, seen, several_turns)
            return checker

        return declare
