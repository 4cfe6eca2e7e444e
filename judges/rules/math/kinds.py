"""The kinds of answers: what the reader's tree says, as one of a few forms that have rules of their own.

| kind | example |
|---|---|
| `Value` | `2\\sqrt{3}`, `x^2+2xy`, `y = 2x+1` |
| `Several` | `2, 3`, `x = 2 or x = 3`, `\\pm 2` |
| `Named` | `x = 1, y = 2` |
| `Ordered` | `(1, 2)`, `[0, 1)` |
| `Members` | `\\{1, 2\\}`, the empty set |
| `Region` | `(-\\infty, 0) \\cup (0, \\infty)`, the real numbers, `\\{x \\mid x > 3\\}` |
| `Statement` | `x + y = 3`, `1 \\le x < 3`, `x < -1 or x > 3` |
| `Matrix` | a matrix or vector |
| `Words` | `\\text{no solution}` |
| `Based` | `204_5` |
"""

from __future__ import annotations

from dataclasses import dataclass

from judges.rules.math.tree import EXPRESSIONS, MINUS_ONE, Node, count, key, negative

_SETS = frozenset({"union", "intersection", "minus", "builder"})
_NUMBER_SETS = frozenset({"Reals", "Integers", "Naturals", "Rationals", "Complexes"})
_FIGURES = frozenset({r"\angle", r"\triangle"})
_ORDER = frozenset({"<", ">", "le", "ge", "ne", "="})


@dataclass(frozen=True)
class Value:
    """An expression, perhaps with the name that it was given."""

    node: Node
    name: Node | None = None


@dataclass(frozen=True)
class Several:
    """Values whose order does not matter, but how often each stands there; `between` them stands `,`, `and`, `or`."""

    items: tuple[Form, ...]
    name: Node | None = None
    between: str = ","


@dataclass(frozen=True)
class Named:
    """Values of different names; of a point, `(x, y) = (1, 2)`, in its order, else in that of the alphabet."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Ordered:
    """Values in brackets: a point, a vector, or an interval."""

    items: tuple[Form, ...]
    brackets: str
    name: Node | None = None


@dataclass(frozen=True)
class Members:
    """A finite set."""

    items: tuple[Form, ...]
    name: Node | None = None


@dataclass(frozen=True)
class Region:
    """A set of real numbers that is put together from intervals."""

    node: Node
    name: Node | None = None


@dataclass(frozen=True)
class Statement:
    """A relation, or several with `and`, `or` or a comma between them (`operation`); of one, `items` is empty.

    A comma may mean either: `x < 0, x > 4`, and `x > 0, y > 0`.
    """

    node: Node
    operation: str = ""
    items: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """Rows of values."""

    rows: tuple[tuple[Form, ...], ...]
    name: Node | None = None


@dataclass(frozen=True)
class Words:
    """Words of a language, in small letters."""

    text: str
    name: Node | None = None


@dataclass(frozen=True)
class Based:
    """Digits in a base."""

    digits: str
    base: int
    name: Node | None = None


Form = Value | Several | Named | Ordered | Members | Region | Statement | Matrix | Words | Based


def form(node: Node, name: Node | None = None) -> Form:
    """The kind of answer that `node` is; `name` is the left side of `x = …` or `x ∈ …`."""
    if node.op == "degree":
        return form(node.args[0], name)
    if node.op in EXPRESSIONS:
        return _value(node, name)
    if node.op == "list":
        return _several(node, name)
    if node.op == "relation":
        return _related(node)
    if node.op == "brackets":
        return Ordered(tuple(form(arg) for arg in node.args), node.value, name)
    if node.op == "set":
        return Members(tuple(form(arg) for arg in node.args), name)
    if node.op in _SETS:
        return Region(node, name)
    if node.op == "matrix":
        return Matrix(tuple(tuple(form(cell) for cell in row.args) for row in node.args), name)
    if node.op == "words":
        return Words(node.value, name)
    if node.op == "based":
        digits, base = node.value
        return Based(digits, base, name)
    raise ValueError(f"no kind of answer: {node.op}")


def _value(node: Node, name: Node | None) -> Form:
    if node.op == "const" and node.value in _NUMBER_SETS:
        return Region(node, name)
    if not count(node, "pm"):
        return Value(node, name)
    both = [Value(_with_sign(node, upper)) for upper in (1, -1)]
    return Several(tuple(both), name, "or")


def _with_sign(node: Node, upper: int) -> Node:
    r"""`node` with one of the signs of every `\pm`, and the other one of every `\mp`."""
    args = tuple(_with_sign(arg, upper) for arg in node.args)
    if node.op == "pm":
        return args[0] if node.value == upper else negative(args[0])
    return Node(node.op, args, node.value) if args else node


def is_name(node: Node) -> bool:
    r"""Whether `node` can be the name of a value: a symbol, words, a function of symbols, a figure's measure.

    `x`, `\text{Area}`, `f(x)`, `(x, y)`, `AB`, `|AB|`, `\angle ABC`, `\frac{AB}{CD}` are names; `xy` is a product.
    """
    if node.op == "call" and str(node.value).endswith("()"):
        return all(arg.op in ("sym", "num") for arg in node.args)
    if node.op == "brackets":
        return all(is_name(arg) for arg in node.args)
    return node.op in ("sym", "words") or _points(node) > 1


def _points(node: Node) -> int:
    """How many points of a figure are named, and nothing else."""
    if node.op == "sym":
        return int(node.value in _FIGURES or node.value[0].isupper())
    if node.op == "pow":
        return _points(node.args[0]) if node.args[1] == MINUS_ONE else 0
    if node.op == "mul" or node.value == "abs":
        named = [_points(arg) for arg in node.args]
        return sum(named) if all(named) else 0
    return 0


def _related(node: Node) -> Form:
    left, right, *more = node.args
    if not more and node.value == ("=",):
        if is_name(right) and not left.symbols:
            left, right = right, left
        if left.op == right.op == "brackets" and is_name(left) and len(left.args) == len(right.args):
            return Named(tuple(Value(value, name) for name, value in zip(left.args, right.args, strict=True)))
        if is_name(left) and not (_own(left) & right.symbols):
            return form(right, left)
    if not more and node.value == ("in",) and is_name(left):
        return form(right, left)
    if set(node.value) <= _ORDER and len(node.value) > 1:
        parts = [
            Statement(Node("relation", pair, (sign,)))
            for pair, sign in zip(zip(node.args, node.args[1:], strict=False), node.value, strict=True)
        ]
        return Statement(node, "and", tuple(parts))
    return Statement(node)


def _own(name: Node) -> frozenset[str]:
    return frozenset({str(name.value)[:-2]}) if name.op == "call" else name.symbols


def _several(node: Node, name: Node | None) -> Form:
    items = [form(item) for item in node.args]
    names = [getattr(item, "name", None) for item in items]
    values = [item for item in items if isinstance(item, Value)]
    if len(values) == len(items) and None not in names and len(set(names)) == len(names) and node.value != "or":
        return Named(tuple(sorted(values, key=lambda value: key(value.name) if value.name else "")))
    if any(isinstance(item, Statement) for item in items) and _all_statements(node):
        statements = tuple(as_statement(item, arg) for item, arg in zip(items, node.args, strict=True))
        return Statement(node, node.value if node.value in ("or", ",") else "and", statements)
    if name is None and names[0] is not None and set(names) <= {names[0], None}:
        name, items = names[0], [_nameless(item) for item in items]
    flat: list[Form] = []
    for item in items:
        flat += item.items if isinstance(item, Several) else [item]
    return Several(tuple(flat), name, node.value)


def _all_statements(node: Node) -> bool:
    return all(arg.op in ("relation", "list") for arg in node.args)


def _nameless(item: Form) -> Form:
    if isinstance(item, (Named, Statement)):
        return item
    fields = {field: getattr(item, field) for field in item.__dataclass_fields__}
    return type(item)(**{**fields, "name": None})


def as_statement(item: Form, node: Node) -> Statement:
    """An item of a list of statements: what has been read as a named value is an equation there."""
    return item if isinstance(item, Statement) else Statement(node)
