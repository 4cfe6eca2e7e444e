"""The form in which an answer is read: a tree of expressions, and of the relations, lists and brackets around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


class UnreadableError(ValueError):
    """The text is no mathematics that the reader knows."""


class InWordsError(UnreadableError):
    """The text has words of a language in it."""


@dataclass(frozen=True)
class Node:
    """A part of an answer.

    Attributes:
        op: what it is. Of expressions: `num`, `sym`, `const` (pi, e, i, inf), `add`, `mul`, `pow`, `root`, `call`,
            `loop` (a sum or product sign), `pm`, `degree`, `opaque` (what is compared as text only). Around
            expressions: `relation`, `list`, `brackets`, `set`, `builder`, `union`, `intersection`, `minus`, `matrix`
            (of `row`), `words`, `based`.
        args: its parts.
        value: a number, a name, signs: whatever `op` needs besides.
        symbols: the names of all symbols below it.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Any = None
    symbols: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        own = frozenset({self.value}) if self.op == "sym" else frozenset()
        below = own.union(*(arg.symbols for arg in self.args))
        object.__setattr__(self, "symbols", below - {self.value[1]} if self.op == "loop" else below)


EXPRESSIONS = frozenset({"num", "sym", "const", "add", "mul", "pow", "root", "call", "loop", "pm", "degree", "opaque"})


def number(value: int | Fraction | str) -> Node:
    """A rational number."""
    return Node("num", value=Fraction(value))


ONE, TWO, MINUS_ONE = number(1), number(2), number(-1)
INFINITY = Node("const", value="inf")


def symbol(name: str) -> Node:
    """A symbol; case, index and primes are part of its name."""
    return Node("sym", value=name)


def negative(node: Node) -> Node:
    """Minus `node`."""
    return number(-node.value) if node.op == "num" else product([MINUS_ONE, node])


def total(terms: Iterable[Node]) -> Node:
    """The sum of `terms`."""
    terms = tuple(terms)
    return terms[0] if len(terms) == 1 else Node("add", terms)


def product(factors: Iterable[Node]) -> Node:
    """The product of `factors`."""
    factors = tuple(factors)
    return factors[0] if len(factors) == 1 else Node("mul", factors)


def quotient(top: Node, bottom: Node) -> Node:
    """`top` divided by `bottom`."""
    return product([top, Node("pow", (bottom, MINUS_ONE))])


def key(node: Node) -> str:
    """A text that is the same for trees that differ in the order of summands, factors and set elements only."""
    if node.op == "num":
        return str(node.value)
    if node.op in ("sym", "const", "words", "opaque"):
        return f"{node.op[0]}:{node.value}"
    parts = [key(arg) for arg in _flat(node)]
    if node.op in ("add", "mul", "set", "union", "intersection"):
        parts.sort()
    value = "" if node.value is None else f"{node.value}"
    return f"{node.op}{value}({','.join(parts)})"


def _flat(node: Node) -> Iterable[Node]:
    for arg in node.args:
        if arg.op == node.op in ("add", "mul"):
            yield from _flat(arg)
        else:
            yield arg


def count(node: Node, op: str) -> int:
    """How many nodes of kind `op`, or calls of a function `op`, there are in the tree."""
    return (op in (node.op, node.value if node.op == "call" else None)) + sum(count(arg, op) for arg in node.args)
