r"""The value of an expression to as many digits as its terms ask for, where it has no fraction for a value.

It is computed with mpmath, to 100 digits at first. How many decimal places the largest and the smallest intermediate
value lie apart then says how many are needed: three times as many, and 60 more. So no term is dropped because it is
small, and no two small numbers are equal for being small.

Real odd roots of negative numbers are real, as at school. `\log` without a base is that of ten.
"""

from __future__ import annotations

from fractions import Fraction
from hashlib import blake2b
from math import log10
from threading import local
from typing import Any, NamedTuple

from judges.rules.math.exact import MAX_STEPS, InexactError, Point, TooLargeError, UndefinedError, exact, whole_range
from judges.rules.math.tree import Node, key

_MAX_EXPONENT = 10**7
_MAX_SPREAD = 2_500
_FIRST_DIGITS = 100
_SPARE_DIGITS = 60


class Value(NamedTuple):
    """A number to many digits.

    Attributes:
        number: mpmath's number, real or complex.
        largest: the largest size of an intermediate value.
        spread: how many decimal digits lie between that and the smallest one.
        real: all intermediate values are real.
    """

    number: Any
    largest: Any
    spread: int
    real: bool


def approximate(nodes: list[Node], point: Point) -> list[Value]:
    """The values of several expressions at one point, to digits that suffice for all their terms.

    Raises:
        TooLargeError: this would take too long, or the terms are too far apart.
        UndefinedError: there is no value.
    """
    values = [_Approximate(point, _FIRST_DIGITS).all(node) for node in nodes]
    spread = max(value.spread for value in values)
    if spread > _MAX_SPREAD:
        raise TooLargeError("terms of too different sizes")
    digits = _SPARE_DIGITS + 3 * spread
    if digits > _FIRST_DIGITS:
        values = [_Approximate(point, 50 * (digits // 50 + 1)).all(node) for node in nodes]
    return [value._replace(spread=spread) for value in values]


def tolerance(values: list[Value]) -> Any:
    """What two values that are equal may differ by: far less than the smallest term of either."""
    spread = max(value.spread for value in values)
    return max(value.largest for value in values) * _context(_FIRST_DIGITS).mpf(10) ** -(
        _SPARE_DIGITS - 10 + 2 * spread
    )


class _Contexts(local):
    """mpmath's contexts by their decimal digits, one set for each thread; apart from its global settings."""

    def __init__(self) -> None:
        self.by_digits: dict[int, Any] = {}


_CONTEXTS = _Contexts()


def _context(digits: int) -> Any:
    from mpmath import MPContext

    if digits not in _CONTEXTS.by_digits:
        _CONTEXTS.by_digits[digits] = MPContext()
        _CONTEXTS.by_digits[digits].dps = digits
    return _CONTEXTS.by_digits[digits]


class _Approximate:
    def __init__(self, point: Point, digits: int) -> None:
        self.mp = _context(digits)
        self.point = point
        self.noise = self.mp.mpf(10) ** -(digits - 10)
        self.largest = self.smallest = self.mp.mpf(1)
        self.all_real = True
        self.steps = 0

    def all(self, node: Node) -> Value:
        result = self.value(node)
        spread = int((self.mp.mag(self.largest) - self.mp.mag(self.smallest)) * log10(2)) + 1
        return Value(result, self.largest, spread, self.all_real)

    def value(self, node: Node) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError("too many operations")
        try:
            result = self.plain(node)
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise UndefinedError(str(error)) from error
        self.note(result, cancelled=node.op in ("add", "call"))
        return result

    def note(self, result: Any, cancelled: bool) -> None:
        """Keeps the sizes of intermediate values; what a sum or function leaves of values that cancel is none."""
        size = self.mp.fabs(result)
        if not self.mp.isfinite(size):
            raise UndefinedError("no finite value")
        if size and abs(self.mp.mag(size)) > _MAX_EXPONENT:
            raise TooLargeError("too large or too small a value")
        self.all_real = self.all_real and abs(self.mp.im(result)) <= self.noise * size
        self.largest = max(self.largest, size)
        if size and not (cancelled and size < self.noise * self.largest):
            self.smallest = min(self.smallest, size)

    def plain(self, node: Node) -> Any:
        if node.op == "num":
            return self.fraction(node.value)
        if node.op == "sym":
            return self.fraction(self.point[node.value])
        if node.op == "const":
            return self.constant(node.value)
        if node.op == "add":
            return self.mp.fsum(self.value(arg) for arg in node.args)
        if node.op == "mul":
            return self.mp.fprod(self.value(arg) for arg in node.args)
        if node.op == "pow":
            return self.power(*node.args)
        if node.op == "root":
            return self.root(self.value(node.args[1]), exact(node.args[0], self.point))
        if node.op == "degree":
            return self.value(node.args[0]) * self.mp.pi / 180
        if node.op == "loop":
            return self.loop(node)
        if node.op == "call":
            return self.call(node.value, [self.value(arg) for arg in node.args])
        return self.unknown(node.op, [], key(node))

    def fraction(self, value: Fraction) -> Any:
        return self.mp.mpf(value.numerator) / value.denominator

    def constant(self, name: str) -> Any:
        if name == "pi":
            return +self.mp.pi
        if name == "e":
            return +self.mp.e
        if name == "i":
            return self.mp.mpc(0, 1)
        return self.unknown("const", [], name)

    def power(self, base: Node, exponent: Node) -> Any:
        try:
            height: Fraction | None = exact(exponent, self.point)
        except (InexactError, TooLargeError):
            height = None
        if base.op == "const" and base.value == "e" and height is None:
            return self.exp(self.value(exponent))
        below = self.value(base)
        if height is not None and height.denominator == 1:
            return self.whole_power(below, int(height))
        if height is not None and height.denominator % 2 and self.mp.im(below) == 0 and below < 0:
            return self.whole_power(self.root(below, Fraction(height.denominator)), height.numerator)
        above = self.value(exponent)
        if below == 0:
            if self.mp.re(above) <= 0:
                raise UndefinedError("a power of zero")
            return self.mp.mpf(0)
        self.check_exponent(self.mp.fabs(above) * (abs(self.mp.mag(below)) + 2))
        return self.mp.power(below, above)

    def whole_power(self, base: Any, exponent: int) -> Any:
        if base == 0 and exponent < 0:
            raise UndefinedError("division by zero")
        if base:
            self.check_exponent(abs(exponent) * abs(self.mp.log(self.mp.fabs(base), 2)))
        return base**exponent

    def exp(self, exponent: Any) -> Any:
        self.check_exponent(self.mp.fabs(exponent) * 1.5)
        return self.mp.exp(exponent)

    def check_exponent(self, bits: Any) -> None:
        if bits > _MAX_EXPONENT:
            raise TooLargeError("too high a power")

    def root(self, value: Any, index: Fraction) -> Any:
        if index == 0:
            raise UndefinedError("a root of order zero")
        if self.mp.im(value) == 0 and self.mp.re(value) < 0 and index.denominator == 1 and index % 2:
            return -self.mp.power(-self.mp.re(value), self.fraction(1 / index))
        return self.mp.sqrt(value) if index == 2 else self.mp.power(value, self.fraction(1 / index))

    def loop(self, node: Node) -> Any:
        kind, name = node.value
        low, high = (exact(arg, self.point) for arg in node.args[:2])
        before = self.point
        terms = []
        for index in whole_range(low, high):
            self.point = {**before, name: Fraction(index)}
            terms.append(self.value(node.args[2]))
        self.point = before
        return self.mp.fsum(terms) if kind == "sum" else self.mp.fprod(terms)

    def call(self, name: str, args: list[Any]) -> Any:
        if name in ("factorial", "factorial2", "binomial"):
            return self.gamma(name, args)
        if name in ("abs", "floor", "ceil", "max", "min", "sgn"):
            return self.stepwise(name, args)
        if name == "log" and len(args) == 2:
            return self.mp.ln(self.nonzero(args[0])) / self.nonzero(self.mp.ln(self.nonzero(args[1])))
        if name in ("log", "lg") and len(args) == 1:
            return self.mp.log10(self.nonzero(args[0]))
        if name == "exp":
            return self.exp(args[0])
        function = _FUNCTIONS.get(name)
        if function is None or len(args) != 1:
            return self.unknown(name, args)
        if name == "ln":
            self.nonzero(args[0])
        if name in _EXPONENTIAL:
            self.check_exponent(self.mp.fabs(args[0]) * 1.5)
        return getattr(self.mp, function)(args[0])

    def nonzero(self, value: Any) -> Any:
        if value == 0:
            raise UndefinedError("the logarithm of zero")
        return value

    def gamma(self, name: str, args: list[Any]) -> Any:
        if any(self.mp.fabs(arg) > 10**6 for arg in args):
            raise TooLargeError("too large a factorial")
        if name == "binomial":
            return self.mp.binomial(*args)
        return self.mp.factorial(args[0]) if name == "factorial" else self.mp.fac2(args[0])

    def stepwise(self, name: str, args: list[Any]) -> Any:
        if name == "abs":
            return self.mp.fabs(args[0])
        args = [self.real(arg) for arg in args]
        if name in ("max", "min"):
            return max(args) if name == "max" else min(args)
        if name == "sgn":
            return self.mp.sign(args[0])
        nearest = self.mp.nint(args[0])
        if self.mp.fabs(args[0] - nearest) < self.noise * (1 + self.mp.fabs(nearest)):
            return nearest  # a whole number but for the last digits
        return self.mp.floor(args[0]) if name == "floor" else self.mp.ceil(args[0])

    def real(self, value: Any) -> Any:
        if self.mp.fabs(self.mp.im(value)) > self.noise * (1 + self.mp.fabs(value)):
            raise UndefinedError("an order of complex numbers")
        return self.mp.re(value)

    def unknown(self, name: str, args: list[Any], text: str = "") -> Any:
        """A value for a function nobody knows: any, but always the same for the same arguments."""
        shown = [self.mp.nstr(self.mp.mpc(arg), 25) for arg in args]
        digest = blake2b("|".join([name, text, *shown]).encode(), digest_size=8).digest()
        return 1 + self.mp.mpf(int.from_bytes(digest, "big")) / 2**64


_EXPONENTIAL = frozenset({"sinh", "cosh", "tanh", "coth"})
_FUNCTIONS = {
    **{name: name for name in "sin cos tan cot sec csc sinh cosh tanh coth ln arg".split()},  # noqa: SIM905
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arccot": "acot",
    "Re": "re",
    "Im": "im",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
}
