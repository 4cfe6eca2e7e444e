"""Are two expressions equal? Decided at points, exactly where fractions suffice, else to many digits.

Two different rational functions agree at a random point of 60 bits with a probability below 10^-15 for degrees in the
hundreds; two points are tried. The points are always the same, and so are verdicts. Where there are roots, logarithms
or other functions, five points are tried: positive and negative ones, within and without the unit circle. Two
expressions are equal when they agree wherever both are computed from real numbers alone: `x*sqrt(x)` is `sqrt(x^3)` and
`ln(xy)` is `ln(x) + ln(y)`, as for the positive numbers that such answers are about, but `sqrt(x^2)` is not x. Where
one has absolute values and the other has none, they must agree wherever either is real: `ln|x|` is not `ln(x)`.

n, m and k stand for positive whole numbers, which is what they are in answers: `(-1)^n` is `cos(n*pi)`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache

from judges.rules.math.approximate import Value, approximate, tolerance
from judges.rules.math.exact import InexactError, Point, TooLargeError, UndefinedError, exact, whole
from judges.rules.math.tree import Node, count, key, product, quotient, symbol

_EXACT_POINTS = 2
_POINTS = 5
_MOST_POINTS = 24
_MOST_TOO_LARGE = 6


@lru_cache(maxsize=4096)
def equal(first: Node, second: Node) -> bool:
    """Whether the two expressions have the same value everywhere.

    Raises:
        TooLargeError: nobody can compute that in time.
    """
    if key(first) == key(second):
        return True
    symbols = first.symbols | second.symbols
    try:
        return _equal_exactly(first, second, symbols)
    except (InexactError, TooLargeError):
        return _equal_nearly(first, second, symbols)


def _equal_exactly(first: Node, second: Node, symbols: frozenset[str]) -> bool:
    tried = 0
    for point in _large_points(symbols):
        try:
            one, other = exact(first, point), exact(second, point)
        except UndefinedError:
            if not symbols:
                return False
            continue
        if one != other:
            return False
        tried += 1
        if not symbols or tried == _EXACT_POINTS:
            return True
    return False


def _equal_nearly(first: Node, second: Node, symbols: frozenset[str]) -> bool:
    either = (count(first, "abs") > 0) != (count(second, "abs") > 0)
    agreed = too_large = 0
    nonreal: list[tuple[Value, Value]] = []
    for point in points(symbols):
        try:
            one, other = approximate([first, second], point)
        except UndefinedError:
            if not symbols:
                return False
            continue
        except TooLargeError:
            too_large += 1
            if not symbols or too_large > _MOST_TOO_LARGE:
                raise
            continue
        inside = (_is_real(one) or _is_real(other)) if either else (one.real and other.real)
        if symbols and not inside:
            nonreal.append((one, other))
            continue
        if not _agree(one, other):
            return False
        agreed += 1
        if agreed == _POINTS or not symbols:
            return True
    return agreed > 0 or (bool(nonreal) and all(_agree(*pair) for pair in nonreal))


def proportional(first: Node, second: Node) -> Fraction | float | None:
    """The constant that `first` is of `second`, to be trusted for its sign; None when they are not proportional."""
    symbols = first.symbols | second.symbols
    for point in points(symbols):
        values = {name: Node("num", value=value) for name, value in point.items()}
        try:
            one, other = approximate([first, second], point)
        except UndefinedError:
            continue
        if abs(one.number) <= tolerance([one, other]) or abs(other.number) <= tolerance([one, other]):
            if abs(one.number) <= tolerance([one, other]) and abs(other.number) <= tolerance([one, other]):
                continue
            return None
        ratio = quotient(substituted(first, values), substituted(second, values))
        if not equal(first, product([ratio, second])):
            return None
        constant = one.number / other.number
        return float(constant.real) if abs(constant.imag) <= abs(constant) * 1e-20 else None
    return None


def substituted(node: Node, values: dict[str, Node]) -> Node:
    """`node` with some of its symbols replaced."""
    if node.op == "sym":
        return values.get(node.value, node)
    if not node.symbols & values.keys():
        return node
    return Node(node.op, tuple(substituted(arg, values) for arg in node.args), node.value)


def sign(first: Node, second: Node) -> int:
    """-1, 0 or 1 as the first of two real constants is smaller, equal or larger.

    Raises:
        UndefinedError: they are no real constants.
        TooLargeError: nobody can compute that in time.
    """
    if first.symbols or second.symbols:
        raise UndefinedError("not constant")
    try:
        one, other = exact(first, {}), exact(second, {})
        return (one > other) - (one < other)
    except (InexactError, TooLargeError):
        pass
    near, far = approximate([first, second], {})
    if not (_is_real(near) and _is_real(far)):
        raise UndefinedError("not real")
    difference = (near.number - far.number).real
    return 0 if abs(difference) <= tolerance([near, far]) else (1 if difference > 0 else -1)


def points(symbols: frozenset[str]) -> Iterator[Point]:
    """Points with coordinates up to 12, half of them with negative ones too."""
    random_number = random.Random(7)
    names = sorted(symbols)
    for index in range(_MOST_POINTS if names else 1):
        yield {name: _coordinate(name, index, random_number) for name in names}


def _coordinate(name: str, index: int, random_number: random.Random) -> Fraction:
    if whole(symbol(name)):
        return Fraction(random_number.randint(2, 11))
    size = Fraction(random_number.randint(10**9, 10**10), 10**10)  # 0.1 to 1
    if index % 3:
        size = size * 2 + 1 if index % 3 == 1 else size * 9 + 3
    return -size if index % 2 and random_number.random() < 0.7 else size


def _large_points(symbols: frozenset[str]) -> Iterable[Point]:
    random_number = random.Random(11)
    names = sorted(symbols)
    for _ in range(_MOST_POINTS if names else 1):
        yield {name: Fraction(random_number.randint(2**20, 2**60)) for name in names}


def _is_real(value: Value) -> bool:
    return bool(abs(value.number.imag) <= tolerance([value]))


def _agree(one: Value, other: Value) -> bool:
    return bool(abs(one.number - other.number) <= tolerance([one, other]))
