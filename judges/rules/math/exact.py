"""The value of an expression as a fraction, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, comb, factorial, floor, gcd, isqrt, lcm

from judges.rules.math.tree import Node

Point = dict[str, Fraction]
"""A value for every symbol."""

_MAX_BITS = 60_000
MAX_STEPS = 10_000
_MAX_RANGE = 1000
_MAX_FACTORIAL = 5000
_INTEGER_FUNCTIONS = frozenset("factorial factorial2 binomial abs floor ceil max min gcd lcm".split())  # noqa: SIM905


class InexactError(ArithmeticError):
    """The value is no fraction that can be found exactly."""


class TooLargeError(ArithmeticError):
    """Computing the value would take too long."""


class UndefinedError(ArithmeticError):
    """The expression has no value at this point."""


def exact(node: Node, point: Point) -> Fraction:
    """The value as a fraction.

    Raises:
        InexactError: it has roots, functions or constants whose value is irrational, or depends on symbols.
        TooLargeError: it would have too many digits.
        UndefinedError: there is a division by zero.
    """
    return _Exact(point).value(node)


class _Exact:
    def __init__(self, point: Point) -> None:
        self.point = point
        self.steps = 0

    def value(self, node: Node) -> Fraction:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError("too many operations")
        if node.op == "num":
            return _bounded(node.value)
        if node.op == "sym":
            return self.point[node.value]
        if node.op == "add":
            return self.folded(node, lambda a, b: a + b)
        if node.op == "mul":
            return self.folded(node, lambda a, b: a * b)
        if node.op == "pow":
            return self.power(node)
        if node.op == "loop":
            return self.loop(node)
        if node.op == "root" and not node.symbols:
            return _exact_root(self.value(node.args[1]), self.value(node.args[0]))
        if node.op == "call" and node.value in _INTEGER_FUNCTIONS and not node.symbols:
            return _integer_function(node.value, [self.value(arg) for arg in node.args])
        raise InexactError(node.op)

    def folded(self, node: Node, operation: Callable[[Fraction, Fraction], Fraction]) -> Fraction:
        result = self.value(node.args[0])
        for arg in node.args[1:]:
            result = _bounded(operation(result, self.value(arg)))
        return result

    def power(self, node: Node) -> Fraction:
        base, exponent = node.args
        if exponent.symbols and not whole(exponent):
            raise InexactError("a symbol in an exponent")
        height = self.value(exponent)
        if height.denominator != 1:
            if base.symbols:
                raise InexactError("a root of symbols")
            return _exact_power(_exact_root(self.value(base), Fraction(height.denominator)), height.numerator)
        return _exact_power(self.value(base), height.numerator)

    def loop(self, node: Node) -> Fraction:
        kind, name = node.value
        low, high = self.value(node.args[0]), self.value(node.args[1])
        result = Fraction(kind == "prod")
        before = self.point
        for index in whole_range(low, high):
            self.point = {**before, name: Fraction(index)}
            term = self.value(node.args[2])
            result = _bounded(result + term if kind == "sum" else result * term)
        self.point = before
        return result


def whole(node: Node) -> bool:
    """Whether all symbols of `node` are such as take whole values: n, m and k."""
    return node.symbols <= {"n", "m", "k"}


def whole_range(low: Fraction, high: Fraction) -> range:
    if low.denominator != 1 or high.denominator != 1 or high - low > _MAX_RANGE:
        raise TooLargeError("a sum of too many terms")
    return range(int(low), int(high) + 1)


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > _MAX_BITS:
        raise TooLargeError("too many digits")
    return value


def _exact_power(base: Fraction, exponent: int) -> Fraction:
    if base == 0 and exponent < 0:
        raise UndefinedError("division by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base not in (0, 1, -1) and bits * abs(exponent) > _MAX_BITS:
        raise TooLargeError("too high a power")
    return base**exponent if base not in (1, -1) else (base if exponent % 2 else Fraction(1))


def _exact_root(value: Fraction, index: Fraction) -> Fraction:
    """The root, where it is a fraction."""
    if index.denominator != 1 or not 0 < index <= 64 or (value < 0 and index % 2 == 0):
        raise InexactError("no root among the fractions")
    sign = -1 if value < 0 else 1
    top, bottom = (_whole_root(part, int(index)) for part in (abs(value.numerator), value.denominator))
    return Fraction(sign * top, bottom)


def _whole_root(value: int, index: int) -> int:
    if index == 2:
        root = isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // index + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**index <= value else (low, middle - 1)
        root = low
    if root**index != value:
        raise InexactError("no root among the fractions")
    return root


def _integer_function(name: str, args: list[Fraction]) -> Fraction:
    if name == "abs":
        return abs(args[0])
    if name in ("floor", "ceil"):
        return Fraction(floor(args[0]) if name == "floor" else ceil(args[0]))
    if name in ("max", "min"):
        return max(args) if name == "max" else min(args)
    if any(arg.denominator != 1 for arg in args):
        raise InexactError(name)
    numbers = [int(arg) for arg in args]
    if name in ("gcd", "lcm"):
        return _bounded(Fraction(gcd(*numbers) if name == "gcd" else lcm(*numbers)))
    if numbers[0] < 0:
        raise InexactError(name)
    if numbers[0] > _MAX_FACTORIAL:
        raise TooLargeError("too large a factorial")
    if name == "factorial2":
        result = 1
        for factor in range(numbers[0], 1, -2):
            result *= factor
        return _bounded(Fraction(result))
    return _bounded(Fraction(factorial(numbers[0]) if name == "factorial" else comb(*numbers)))
