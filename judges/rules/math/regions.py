"""Sets of real numbers: are two of them, given by intervals, unions and inequalities, the same?

Both are asked at the ends of all intervals and at the roots of all linear inequalities, just beside these, between them
and beyond; and at points spread over the line, for what is not linear.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise

from judges.rules.math.equality import equal, sign, substituted
from judges.rules.math.exact import UndefinedError
from judges.rules.math.kinds import Form, Members, Ordered, Region, Statement, Value, form
from judges.rules.math.tree import INFINITY, Node, negative, number, quotient, total

Test = Callable[[Node], bool]
_FAR = [Fraction(sign * 7 * 3**power, 5**4) for power in range(0, 18, 2) for sign in (-1, 1)]
_BESIDE = Fraction(1, 10**12)
_REALS = Node("const", value="Reals")
_ORDER = ("<", ">", "le", "ge", "ne", "=")


class NoRegionError(ValueError):
    """This is no set of real numbers that can be looked at point by point."""


def same_region(first: Form, second: Form) -> bool:
    """Whether both are the same set of real numbers.

    Raises:
        NoRegionError: one of them is none.
    """
    variables = [_variable(one) for one in (first, second)]
    if len({name for name in variables if name}) > 1:
        return False
    ends: list[Node] = []
    tests = [_test(one, ends) for one in (first, second)]
    return all(tests[0](point) == tests[1](point) for point in _points(ends))


def _variable(one: Form) -> str:
    """The name of the number that is spoken of; empty where it has none."""
    if isinstance(one, Statement):
        if len(one.node.symbols) != 1:
            raise NoRegionError("not in one variable")
        return next(iter(one.node.symbols))
    name = getattr(one, "name", None)
    if name is not None:
        return str(name.value)
    return str(one.node.value) if isinstance(one, Region) and one.node.op == "builder" else ""


def _points(ends: list[Node]) -> list[Node]:
    """The ends, points on either side of each, and points all over the line."""
    finite = [end for end in ends if _infinite(end) == 0]
    ordered: list[Node] = []
    for end in sorted(finite, key=cmp_to_key(sign)):
        if not ordered or sign(ordered[-1], end):
            ordered.append(end)
    beside = [total([end, number(step)]) for end in ordered for step in (-_BESIDE, _BESIDE)]
    between = [quotient(total([left, right]), number(2)) for left, right in pairwise(ordered)]
    return [*ordered, *beside, *between, *map(number, _FAR)]


def _infinite(node: Node) -> int:
    """1 or -1 for the infinities, else 0."""
    if node == INFINITY:
        return 1
    return -1 if node == negative(INFINITY) else 0


def _test(one: Form, ends: list[Node]) -> Test:
    """Tells which points belong to `one`, and adds where that may change to `ends`."""
    if isinstance(one, Statement):
        return _statement_test(one, ends)
    if isinstance(one, Region):
        return _set_test(one.node, ends)
    if isinstance(one, Ordered):
        return _interval_test([item.node for item in one.items if isinstance(item, Value)], one.brackets, ends)
    if isinstance(one, Members):
        return _finite_test([item.node for item in one.items if isinstance(item, Value)], len(one.items), ends)
    raise NoRegionError("no set of real numbers")


def _interval_test(items: list[Node], brackets: str, ends: list[Node]) -> Test:
    if len(items) != 2 or any(item.symbols for item in items):
        raise NoRegionError("no interval of numbers")
    low, high = items
    if _infinite(low) == 1 or _infinite(high) == -1:
        raise NoRegionError("an interval from the wrong end")
    ends += items

    def test(point: Node) -> bool:
        above = _infinite(low) or sign(point, low) > 0 or (brackets[0] == "[" and sign(point, low) == 0)
        below = _infinite(high) or sign(point, high) < 0 or (brackets[1] == "]" and sign(point, high) == 0)
        return bool(above and below)

    return test


def _finite_test(items: list[Node], expected: int, ends: list[Node]) -> Test:
    if len(items) != expected or any(item.symbols for item in items):
        raise NoRegionError("no set of numbers")
    ends += items
    return lambda point: any(sign(point, item) == 0 for item in items)


def _set_test(node: Node, ends: list[Node]) -> Test:
    if node == _REALS:
        return lambda point: True
    if node.op == "builder":
        return _test(form(node.args[0]), ends)
    if node.op == "const":
        raise NoRegionError("not put together from intervals")
    if node.op not in ("union", "intersection", "minus"):
        return _test(form(node), ends)
    tests = [_set_test(arg, ends) for arg in node.args]
    if node.op == "union":
        return lambda point: any(test(point) for test in tests)
    if node.op == "intersection":
        return lambda point: all(test(point) for test in tests)
    return lambda point: tests[0](point) and not tests[1](point)


def _statement_test(one: Statement, ends: list[Node]) -> Test:
    if one.operation:
        tests = [_statement_test(item, ends) for item in one.items]
        every = any if one.operation == "or" else all
        return lambda point: every(test(point) for test in tests)
    if len(one.node.value) != 1 or one.node.value[0] not in _ORDER or one.node.op != "relation":
        raise NoRegionError("no order")
    left, right = one.node.args
    relation = one.node.value[0]
    name = next(iter(one.node.symbols), "")
    root = _root(total([left, negative(right)]), name)
    ends += [root] if root is not None else []

    def test(point: Node) -> bool:
        sides = [substituted(side, {name: point}) for side in (left, right)]
        try:
            found = sign(*sides)
        except UndefinedError:
            return False
        return {"<": found < 0, ">": found > 0, "le": found <= 0, "ge": found >= 0, "ne": found != 0, "=": found == 0}[
            relation
        ]

    return test


def _root(difference: Node, name: str) -> Node | None:
    """Where a linear expression is zero; None when it is not linear."""
    at = [substituted(difference, {name: number(x)}) for x in (0, 1, 2)]
    try:
        if not equal(total([at[0], at[2]]), total([at[1], at[1]])):
            return None
        slope = total([at[1], negative(at[0])])
        return None if sign(slope, number(0)) == 0 else quotient(negative(at[0]), slope)
    except UndefinedError:
        return None
