"""Compares a final answer with the reference by the rule of the reference's kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from judges.rules.math.equality import equal, proportional
from judges.rules.math.exact import UndefinedError
from judges.rules.math.kinds import (
    Based,
    Form,
    Matrix,
    Members,
    Named,
    Ordered,
    Region,
    Several,
    Statement,
    Value,
    Words,
)
from judges.rules.math.regions import NoRegionError, same_region
from judges.rules.math.tree import Node, key, negative, number, total

T = TypeVar("T")

_FLIPPED = {">": "<", "ge": "le"}
_ORDER = frozenset({"<", "le", "=", "ne"})


def same(reference: Form, answer: Form) -> bool:
    """Whether `answer` says what `reference` says.

    Raises:
        TooLargeError: nobody can compute that in time.
    """
    for side in (reference, answer):
        if isinstance(side, Statement) and side.operation == ",":
            both = [replace(side, operation=operation) for operation in ("and", "or")]
            return any(same(one, answer) if side is reference else same(reference, one) for one in both)
    if not _names_agree(reference, answer):
        return _same_statement(reference, answer)
    if isinstance(reference, Value) and isinstance(answer, Value):
        return _same_value(reference, answer)
    if isinstance(reference, Words) or isinstance(answer, Words):
        return isinstance(reference, Words) and isinstance(answer, Words) and reference.text == answer.text
    if isinstance(reference, Based) or isinstance(answer, Based):
        return _same_based(reference, answer)
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        return _same_matrix(reference, answer)
    if isinstance(reference, Named) or isinstance(answer, Named):
        return _same_named(reference, answer)
    return _same_collection(reference, answer) or _same_statement(reference, answer) or _same_region(reference, answer)


def _names_agree(reference: Form, answer: Form) -> bool:
    """Not `y = 5` for `x = 5`; one of them may have no name, and `y` may be called `f(x)`."""
    names = [name for one in (reference, answer) if (name := getattr(one, "name", None)) is not None]
    if len(names) < 2 or key(names[0]) == key(names[1]):
        return True
    return names[0].op != names[1].op and "y" in (names[0].value, names[1].value)


def _same_value(reference: Value, answer: Value) -> bool:
    return equal(reference.node, answer.node)


def _same_based(reference: Form, answer: Form) -> bool:
    """The same digits in the same base; where one names no base, the same digits."""
    if isinstance(reference, Based) and isinstance(answer, Based):
        return reference.base == answer.base and reference.digits.lstrip("0") == answer.digits.lstrip("0")
    if isinstance(reference, Based):
        return isinstance(answer, Value) and key(answer.node) == reference.digits.lstrip("0")
    assert isinstance(answer, Based)
    plain = isinstance(reference, Value) and answer.base == 10 and answer.digits.isdigit()
    return plain and isinstance(reference, Value) and equal(reference.node, number(answer.digits))


def _same_matrix(reference: Form, answer: Form) -> bool:
    """The same entries; a matrix of one column or row is a vector and may be written as one."""
    rows = [_rows(one) for one in (reference, answer)]
    first, second = rows
    if first is None or second is None:
        return False
    if not (isinstance(reference, Matrix) and isinstance(answer, Matrix)):
        first, second = [_flat(one) for one in rows if one]
    if [len(row) for row in first] != [len(row) for row in second]:
        return False
    return all(same(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True))


def _rows(one: Form) -> tuple[tuple[Form, ...], ...] | None:
    if isinstance(one, Matrix):
        return one.rows
    return (one.items,) if isinstance(one, Ordered) and one.brackets == "()" else None


def _flat(rows: tuple[tuple[Form, ...], ...]) -> tuple[tuple[Form, ...], ...]:
    return (tuple(row[0] for row in rows),) if all(len(row) == 1 for row in rows) else rows


def _same_named(reference: Form, answer: Form) -> bool:
    """The same values of the same names, in any order; a point may stand for them in the order of the alphabet."""
    if isinstance(reference, Named) and isinstance(answer, Named):
        return len(reference.items) == len(answer.items) and _same_members(reference.items, answer.items)
    named, other = (reference, answer) if isinstance(reference, Named) else (answer, reference)
    assert isinstance(named, Named)
    if isinstance(other, Ordered) and other.brackets == "()":
        return _same_in_order([Value(item.node) for item in named.items], other.items)
    return _same_statement(reference, answer)


def _same_collection(reference: Form, answer: Form) -> bool:
    if isinstance(reference, Region) and isinstance(answer, Region) and key(reference.node) == key(answer.node):
        return True
    if isinstance(reference, Members) and isinstance(answer, Members):
        return all(any(same(a, b) for b in answer.items) for a in reference.items) and all(
            any(same(a, b) for a in reference.items) for b in answer.items
        )
    if isinstance(reference, Ordered) and isinstance(answer, Ordered):
        brackets = len(reference.items) != 2 or reference.brackets == answer.brackets
        return brackets and _same_in_order(reference.items, answer.items)
    if isinstance(reference, Ordered) and isinstance(answer, Several):
        return reference.brackets == "()" and answer.between == "," and _same_in_order(reference.items, answer.items)
    if isinstance(reference, (Several, Members)) and isinstance(answer, (Several, Members)):
        return _same_members(reference.items, answer.items)
    if isinstance(reference, Several) and isinstance(answer, Ordered):
        return answer.brackets in ("()", "[]") and _same_members(reference.items, answer.items)
    return False


def _same_in_order(reference: Sequence[Form], answer: Sequence[Form]) -> bool:
    return len(reference) == len(answer) and all(same(a, b) for a, b in zip(reference, answer, strict=True))


def _same_members(reference: Sequence[Form], answer: Sequence[Form]) -> bool:
    return _paired(reference, answer, same)


def _paired(first: Sequence[T], second: Sequence[T], alike: Callable[[T, T], bool]) -> bool:
    """Every item of one has its own partner in the other."""
    if len(first) != len(second):
        return False
    left = list(second)
    for item in first:
        partner = next((index for index, other in enumerate(left) if alike(item, other)), None)
        if partner is None:
            return False
        left.pop(partner)
    return True


def _same_region(reference: Form, answer: Form) -> bool:
    """Sets of real numbers, of which at least one is no plain pair."""
    kinds = (Region, Statement)
    if not (isinstance(reference, kinds) or isinstance(answer, kinds)):
        return False
    try:
        return same_region(reference, answer)
    except (NoRegionError, UndefinedError):
        return False


def _same_statement(reference: Form, answer: Form) -> bool:
    """The same relations, each up to a factor, in any order, joined in the same way."""
    first, second = _statement(reference), _statement(answer)
    if first is None or second is None:
        return False
    return _same_parts(first, second)


def _statement(one: Form) -> Statement | None:
    if isinstance(one, Statement):
        return one
    if isinstance(one, Value) and one.name is not None:
        return Statement(Node("relation", (one.name, one.node), ("=",)))
    if isinstance(one, Named):
        parts = [part for item in one.items if (part := _statement(item)) is not None]
        return Statement(Node("list", tuple(part.node for part in parts), "and"), "and", tuple(parts))
    return None


def _same_parts(first: Statement, second: Statement) -> bool:
    if first.operation != second.operation:
        return False
    if not first.operation:
        return _same_relation(first.node, second.node)
    return _paired(_flattened(first), _flattened(second), _same_parts)


def _flattened(one: Statement) -> list[Statement]:
    parts: list[Statement] = []
    for item in one.items:
        parts += _flattened(item) if item.operation == one.operation else [item]
    return parts


def _same_relation(first: Node, second: Node) -> bool:
    (sign, difference), (other_sign, other) = _difference(first), _difference(second)
    if sign != other_sign:
        return False
    if difference is None or other is None:
        operands = [key(operand) for operand in first.args], [key(operand) for operand in second.args]
        return first.value == second.value and operands[0] == operands[1]
    factor = proportional(difference, other)
    return factor is not None and (factor > 0 or sign in ("=", "ne"))


def _difference(node: Node) -> tuple[str, Node | None]:
    """The sign and what is compared with zero: `x > 3` as (`<`, 3 - x)."""
    sign = node.value[0] if len(node.value) == 1 else ""
    left, right = node.args[0], node.args[-1]
    if sign in _FLIPPED:
        sign, left, right = _FLIPPED[sign], right, left
    if sign not in _ORDER:
        return str(node.value), None
    return sign, total([left, negative(right)])
