r"""How much work it can be to compare a formula: bounds on its expanded form, read from the text without computing it.

A policy that is paid for "unknown" more than for "violated" writes `9!!!!!!!` or `(a+b+c+d+e)^{99}`, which nobody
computes in time. The bounds are rough (symbols count as 1, functions as symbols) and err to the large side for powers,
factorials and binomials, from which all such formulas are made.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from math import comb, inf, isfinite, log10

_TOKEN = re.compile(r"(?P<mantissa>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]+))?|\\[A-Za-z]+|\\?\S")
_IGNORED = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])|\\[,;:! ]")
_LOOP = re.compile(r"\\(?:sum|prod|i*nt|oint|lim)(?![A-Za-z])")
_OPENING, _CLOSING = frozenset({"(", "[", "{", r"\{"}), frozenset({")", "]", "}", r"\}"})
_BETWEEN_TERMS = frozenset("+-−,;&=<>±") | {r"\pm", r"\mp", "\\\\"}
_FRACTIONS = frozenset({r"\frac", r"\dfrac", r"\tfrac"})
_BINOMIALS = frozenset({r"\binom", r"\dbinom", r"\tbinom"})
_MAX_DEPTH = 20
_MAX_FACTORIAL = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """Upper bounds of a formula.

    Attributes:
        terms: summands after multiplying out.
        degree: highest power of a symbol.
        digits: decimal logarithm of the largest number in it.
    """

    terms: float = 1
    degree: float = 0
    digits: float = 0


LIMIT = Size(terms=1000, degree=200, digits=1000)
"""What is compared whatever the reference is; measured, such formulas take at most about two seconds."""
_ENDLESS = Size(inf, inf, inf)


def too_complex(answer: str, reference: str) -> bool:
    """Whether comparing `answer` could take far longer than its reference gives reason for."""
    if len(_LOOP.findall(answer)) > len(_LOOP.findall(reference)):
        return True
    given, expected = astuple(size(answer)), astuple(size(reference))
    allowed = [
        max(most, 1.1 * bound if isfinite(bound) else 0) for most, bound in zip(astuple(LIMIT), expected, strict=True)
    ]
    return any(one > most for one, most in zip(given, allowed, strict=True))


def size(formula: str) -> Size:
    """Bounds of a formula in LaTeX or plain text; endless ones where it is nested too deeply."""
    tokens = list(_TOKEN.finditer(_IGNORED.sub(" ", formula.replace("**", "^"))))
    tokens.reverse()
    whole = Size()
    try:
        while tokens:
            whole = _product(whole, _sum(tokens, 0))
    except RecursionError:
        return _ENDLESS
    return whole


def _sum(tokens: list[re.Match[str]], depth: int) -> Size:
    """Reads up to and with the next closing bracket."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    done: list[Size] = []
    term, begun = Size(), False
    while tokens and tokens[-1][0] not in _CLOSING:
        if tokens[-1][0] in _BETWEEN_TERMS:
            tokens.pop()
            done += [term] if begun else []  # otherwise it is a sign
            term, begun = Size(), False
            continue
        begun = True
        if tokens[-1][0] == "/":
            tokens.pop()
            term = _quotient(term, _factor(tokens, depth))
        else:
            term = _product(term, _factor(tokens, depth))
    if tokens:
        tokens.pop()
    done.append(term)
    return Size(
        sum(one.terms for one in done),
        max(one.degree for one in done),
        max(one.digits for one in done) + log10(len(done)),
    )


def _factor(tokens: list[re.Match[str]], depth: int) -> Size:
    """Something with what is attached to it: index, power, factorial."""
    base = _atom(tokens, depth)
    while tokens and tokens[-1][0] in ("_", "^", "!"):
        mark = tokens.pop()[0]
        if mark == "!":
            base = _factorial(base)
        elif mark == "_":
            _atom(tokens, depth)
        else:
            base = _power(base, _exponent(tokens, depth))
    return base


def _exponent(tokens: list[re.Match[str]], depth: int) -> Size:
    while tokens and tokens[-1][0] in ("+", "-", "−"):
        tokens.pop()
    return _factor(tokens, depth + 1) if depth < _MAX_DEPTH else _ENDLESS


def _atom(tokens: list[re.Match[str]], depth: int) -> Size:
    if not tokens or tokens[-1][0] in _CLOSING:
        return Size()
    token = tokens.pop()
    text = token[0]
    if token["mantissa"]:
        shift = min(float(token["exponent"] or 0), 1e9)
        return Size(digits=max(0.0, _log(token["mantissa"]) + abs(shift)))
    if text in _OPENING:
        return _sum(tokens, depth + 1)
    if text in _FRACTIONS:
        return _quotient(_atom(tokens, depth), _atom(tokens, depth))
    if text in _BINOMIALS:
        return _factorial(_product(_atom(tokens, depth), _atom(tokens, depth)))
    if text == r"\sqrt" and tokens and tokens[-1][0] == "[":
        _atom(tokens, depth)
    return _atom(tokens, depth) if text == r"\sqrt" else Size(degree=float(text.isalpha()))


def _log(digits: str) -> float:
    whole = digits.partition(".")[0].lstrip("0")
    return len(whole) - 1 + log10(float(f"{whole[0]}.{whole[1:16]}")) if whole else 0.0


def _product(a: Size, b: Size) -> Size:
    return Size(a.terms * b.terms, a.degree + b.degree, a.digits + b.digits)


def _quotient(a: Size, b: Size) -> Size:
    return Size(a.terms * b.terms, a.degree + b.degree, max(a.digits, b.digits))


def _factorial(a: Size) -> Size:
    number = 10.0 ** min(a.digits, 9)
    return Size(a.terms, a.degree, number * a.digits if number <= _MAX_FACTORIAL + 0.5 else inf)


def _power(base: Size, exponent: Size) -> Size:
    number = round(10.0 ** min(exponent.digits, 9))
    if base.terms > 1 and (number > 10_000 or base.terms > 10_000):
        return _ENDLESS
    terms = comb(number + int(base.terms) - 1, number) if base.terms > 1 else 1
    return Size(float(min(terms, 10**300)), base.degree * number, base.digits * number)
