"""Which names the tests take from the code under test."""

from __future__ import annotations

import builtins
import symtable
from dataclasses import dataclass

_BUILTIN = frozenset(vars(builtins))


@dataclass(frozen=True)
class Names:
    """Names that tests use and do not define themselves.

    Attributes:
        free: those that are no built-ins: they must come from the candidate.
        builtin: those that are. They are the tests' own, whatever the candidate defines under such a name, unless
            nothing else is left to be tested: a task may ask for a function called `sum`.
        checks: whether the tests define a function `check`, which is given what it tests.
        imports: whether the tests may import names from the module `solution`.
    """

    free: frozenset[str]
    builtin: frozenset[str]
    checks: bool
    imports: bool

    def of_candidate(self, entry_point: str) -> frozenset[str]:
        """What to ask the candidate for. Depends on the tests alone, so a candidate cannot choose to shadow `abs`."""
        if entry_point:
            return self.free - {"candidate"} | {entry_point}
        return self.free if self.free or self.imports or self.checks else self.builtin


def needed(texts: list[str]) -> Names:
    """The names free in Python source texts that share a namespace. Raises SyntaxError."""
    used: set[str] = set()
    bound: set[str] = set()
    for text in texts:
        _collect(symtable.symtable(text, "<tests>", "exec"), used, bound)
    free = {name for name in used - bound if not name.startswith("__")}
    imports = any("solution" in text for text in texts)
    return Names(frozenset(free - _BUILTIN), frozenset(free & _BUILTIN), "check" in bound, imports)


def _collect(table: symtable.SymbolTable, used: set[str], bound: set[str]) -> None:
    module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if not module and not symbol.is_global():
            continue
        if symbol.is_referenced():
            used.add(symbol.get_name())
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            bound.add(symbol.get_name())
    for child in table.get_children():
        _collect(child, used, bound)
