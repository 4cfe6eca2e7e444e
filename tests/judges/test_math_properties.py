"""Properties that the math judge's equality must have, over formulas that sympy makes and rewrites."""

from __future__ import annotations

from fractions import Fraction

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from judges import Row
from judges.rules.math import MathJudge

SYMBOLS = sympy.symbols("x y a R r", real=True)
REWRITINGS = (sympy.expand, sympy.factor, sympy.simplify, sympy.together, sympy.nsimplify)
FUNCTIONS = (sympy.sin, sympy.cos, sympy.exp, lambda inner: sympy.sqrt(inner**2 + 1), sympy.Abs)


def grown(inner: st.SearchStrategy[sympy.Expr]) -> st.SearchStrategy[sympy.Expr]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda pair: pair[0] + pair[1]),
        pairs.map(lambda pair: pair[0] - pair[1]),
        pairs.map(lambda pair: pair[0] * pair[1]),
        pairs.map(lambda pair: pair[0] / (pair[1] ** 2 + 1)),
        st.tuples(inner, st.integers(2, 3)).map(lambda pair: pair[0] ** pair[1]),
    )


LEAVES = st.one_of(
    st.sampled_from(SYMBOLS),
    st.integers(-9, 9).map(sympy.Integer),
    st.fractions(-3, 3, max_denominator=9).map(lambda value: sympy.Rational(value.numerator, value.denominator)),
)
RATIONAL = st.recursive(LEAVES, grown, max_leaves=5)
WITH_FUNCTIONS = st.tuples(RATIONAL, st.sampled_from(FUNCTIONS), RATIONAL).map(lambda p: p[0] + p[1](p[2]))
EXPRESSIONS = st.one_of(RATIONAL, WITH_FUNCTIONS)
RADICALS = st.lists(st.tuples(st.integers(-5, 5), st.sampled_from((1, 2, 3, 5, 6, 12))), min_size=1, max_size=3).map(
    lambda terms: sum((factor * sympy.sqrt(root) for factor, root in terms), sympy.Integer(0))
)


def text(expression: sympy.Basic) -> str:
    return str(sympy.latex(expression, ln_notation=True))


def equal(reference: str, said: str) -> bool:
    verdict = MathJudge().verdict(Row("q", f"The final answer is {said}", {"answer": reference}))
    assert verdict.outcome in ("satisfied", "violated"), verdict.reason
    return verdict.outcome == "satisfied"


def is_number(expression: sympy.Basic) -> bool:
    """Of a number, only finished forms are accepted."""
    return not expression.free_symbols and bool(expression.is_rational)


@settings(max_examples=12, deadline=None)
@given(EXPRESSIONS)
def test_equality_is_reflexive_and_survives_rewriting(expression: sympy.Expr) -> None:
    plain = text(expression)
    assert equal(plain, plain)
    for rewriting in REWRITINGS:
        other = text(rewriting(expression))
        if len(plain) <= 200 and len(other) <= 200 and not is_number(expression):
            assert equal(plain, other), f"{rewriting.__name__}: {plain} is {other}"
            assert equal(other, plain), f"{rewriting.__name__}: {other} is {plain}"


@settings(max_examples=20, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS)
def test_equality_is_symmetric_and_that_of_sympy(first: sympy.Expr, second: sympy.Expr) -> None:
    one, other = text(first), text(second)
    if max(len(one), len(other)) > 200 or is_number(first) or is_number(second):
        return
    assert equal(one, other) == equal(other, one)
    values = {symbol: sympy.Rational(17 + 4 * index, 7) for index, symbol in enumerate(SYMBOLS)}
    if abs(sympy.N((first - second).subs(values), 50)) > 1e-30:
        assert not equal(one, other)


@settings(max_examples=20, deadline=None)
@given(st.one_of(EXPRESSIONS, RADICALS), st.integers(1, 120), st.integers(1, 9))
def test_a_perturbed_value_is_never_equal(expression: sympy.Expr, digits: int, step: int) -> None:
    plain = text(expression)
    if len(plain) > 150 or is_number(expression):
        return
    for sign in "+-":
        assert not equal(plain, rf"{plain} {sign} \frac{{{step}}}{{10^{{{digits}}}}}")
        assert not equal(plain, rf"\left({plain}\right)\left(1 {sign} {step}\cdot 10^{{-{digits}}}\right)") or (
            expression.is_zero
        )


@settings(max_examples=12, deadline=None)
@given(RADICALS, RADICALS)
def test_radicals_are_compared_exactly(first: sympy.Expr, second: sympy.Expr) -> None:
    if is_number(first) or is_number(second):
        return
    assert equal(text(first), text(second)) == (sympy.simplify(first - second) == 0)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.fractions(-5, 5, max_denominator=6), min_size=2, max_size=4), st.randoms())
def test_lists_and_sets_and_tuples(values: list[Fraction], random_number: object) -> None:
    said = [text(sympy.Rational(value.numerator, value.denominator)) for value in values]
    shuffled = sorted(said, key=lambda _: random_number.random())  # type: ignore[attr-defined]
    assert equal(", ".join(said), " and ".join(shuffled))
    assert equal(rf"\{{{', '.join(said)}\}}", rf"\{{{', '.join([*shuffled, said[0]])}\}}")
    assert equal(f"({', '.join(said)})", f"({', '.join(shuffled)})") == (said == shuffled)
    assert not equal(", ".join(said), ", ".join([*said, said[0]]))
    assert not equal(", ".join(said), ", ".join([*said[:-1], "7"]))


ENDS = st.lists(st.integers(-9, 9), min_size=2, max_size=6, unique=True).map(sorted)


@settings(max_examples=12, deadline=None)
@given(ENDS, st.booleans(), st.booleans())
def test_unions_of_intervals_and_inequalities(ends: list[int], left: bool, right: bool) -> None:
    pairs = list(zip(ends[::2], ends[1::2], strict=False))
    union = r" \cup ".join(f"{'[' if left else '('}{low}, {high}{']' if right else ')'}" for low, high in pairs)
    below, above = r"\le" if left else "<", r"\leqslant" if right else "<"
    relations = r" \text{ or } ".join(rf"{low} {below} x {above} {high}" for low, high in pairs)
    assert equal(union, relations)
    assert equal(relations, union)
    other = r" \cup ".join(f"{'(' if left else '['}{low}, {high}{']' if right else ')'}" for low, high in pairs)
    assert not equal(union, other)
    assert not equal(relations, other)
