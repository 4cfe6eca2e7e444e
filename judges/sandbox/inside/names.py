"""Which names the tests take from the code under test."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_BUILTIN = frozenset(vars(builtins))
_EXCEPTIONS = frozenset(
    name for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, BaseException)
)


@dataclass(frozen=True)
class Names:
    """Names that tests use and do not define themselves.

    Attributes:
        free: those that are neither built-ins nor modules: they must come from the candidate.
        builtin: those that are built-ins. They are the tests' own, whatever the candidate defines under such a name,
            unless a single one is all that the tests use: a task may ask for a function called `sum`.
        modules: modules of the standard library that tests forgot to import (`math.isclose(…)`): the tests' own too.
        checks: whether the tests define a function `check`, which is given what it tests.
        imports: whether the tests may import names from the module `solution`.
    """

    free: frozenset[str]
    builtin: frozenset[str]
    modules: frozenset[str]
    checks: bool
    imports: bool

    @property
    def ambiguous(self) -> bool:
        """Whether the tests use nothing but several built-ins: nothing says which of them is tested."""
        return not (self.free or self.imports or self.checks) and len(self.builtin - _EXCEPTIONS) > 1

    def of_candidate(self, entry_point: str) -> frozenset[str]:
        """What to ask the candidate for. Depends on the tests alone, so a candidate cannot choose to shadow `abs`."""
        if entry_point:
            return self.free - {"candidate"} | {entry_point}
        if self.free or self.imports or self.checks or self.ambiguous:
            return self.free
        return self.builtin - _EXCEPTIONS


def needed(texts: Sequence[str]) -> Names:
    """The names free in Python source texts that share a namespace. Raises SyntaxError."""
    used: set[str] = set()
    bound: set[str] = set()
    for text in texts:
        _collect(symtable.symtable(text, "<tests>", "exec"), used, bound)
    free = {name for name in used - bound if not name.startswith("__")}
    imports = any("solution" in text for text in texts)
    modules = free & sys.stdlib_module_names - _BUILTIN - _used_by_themselves(texts)
    return Names(
        free=frozenset(free - _BUILTIN - modules),
        builtin=frozenset(free & _BUILTIN),
        modules=frozenset(modules),
        checks="check" in bound,
        imports=imports,
    )


def _used_by_themselves(texts: Sequence[str]) -> set[str]:
    """Names used in any other way than `name.attribute`: no modules, whatever they are called (`bisect(a, 3)`)."""
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    return {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in owners}


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
