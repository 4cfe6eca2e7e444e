"""Keywords of JSON Schema that jsonschema computes otherwise than the specification has them.

`multipleOf` is exact: in binary floating point, 19.99 is no multiple of 0.01. Patterns are ECMAScript's
(judges/rules/ecma_patterns.py), and a search for one is stopped after `PATTERN_SECONDS`: in `pattern`,
`patternProperties`, and `additionalProperties` and `unevaluatedProperties` beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from judges.rules.ecma_patterns import compiled

PATTERN_SECONDS = 1.0
"""Wall time that one search for one pattern of the schema may take."""

_SHOWN = 200
_MAX_DIGITS = 2000

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any]]
"""(validator, the keyword's value, the instance, the schema) → errors."""


class ExactFloat(float):
    """A number whose decimal digits a float cannot hold: equal to the nearest float, what was written is `exact`."""

    exact: Decimal

    @classmethod
    def of(cls, digits: str) -> float:
        """The float nearest to `digits`: a plain one where it is written with the same digits."""
        value = float(digits)
        if len(digits) > _MAX_DIGITS or math.isinf(value):
            return value
        try:
            exact = Decimal(digits)
        except InvalidOperation:  # 1e-99999999999999999999
            return value
        if exact == Decimal(repr(value)):
            return value
        made = cls(value)
        made.exact = exact
        return made

    def is_integer(self) -> bool:
        return self.exact == self.exact.to_integral_value()


def exact(value: float) -> Decimal:
    """The decimal number that a JSON text has for `value`."""
    return value.exact if isinstance(value, ExactFloat) else Decimal(repr(value))


def is_multiple(value: Decimal, of: Decimal) -> bool:
    """Is `value` a whole number of times `of`, which is not 0? Exact, whatever the size of the exponents."""
    digits, shift = _digits(value), _exponent(value) - _exponent(of)
    divisor = _digits(of)
    if shift >= 0:
        return digits * pow(10, shift, divisor) % divisor == 0
    # 10 ** -shift divides no number other than 0 that has fewer digits
    return digits == 0 or (-shift < _MAX_DIGITS and digits % (divisor * 10**-shift) == 0)


def _digits(value: Decimal) -> int:
    return int("".join(map(str, value.as_tuple().digits)))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # neither NaN nor infinite: `read_json` refuses those
    return exponent


def matches(pattern: str, text: str) -> bool:
    """Does the pattern occur in the text? Raises TimeoutError and `regex.error`."""
    try:
        return compiled(pattern).search(text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise TimeoutError(f"{pattern!r} takes longer than {PATTERN_SECONDS:g} s") from None


def is_pattern(value: object) -> bool:
    """For the format `regex` of the meta-schemas. Raises `regex.error` where it is none."""
    return not isinstance(value, str) or compiled(value) is not None


def multiple_of(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`multipleOf`, and `divisibleBy` of draft 3."""
    if validator.is_type(instance, "number") and not is_multiple(exact(instance), exact(divisor)):
        yield _error(f"{instance!r} is not a multiple of {divisor!r}")


def pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    """`pattern`."""
    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield _error(f"{instance[:_SHOWN]!r} does not match {pattern!r}")


def pattern_properties(validator: Any, properties: Mapping[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    """`patternProperties`."""
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in properties.items():
        for key, value in instance.items():
            if matches(pattern, key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def additional_properties(validator: Any, subschema: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`additionalProperties`: of keys that neither `properties` nor `patternProperties` names."""
    if not validator.is_type(instance, "object"):
        return
    extras = [key for key in instance if not _named(key, schema)]
    if subschema is False and extras:
        yield _unexpected("Additional", extras)
    elif not isinstance(subschema, bool):
        for key in extras:
            yield from validator.descend(instance[key], subschema, path=key)


def unevaluated_properties(validator: Any, subschema: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`unevaluatedProperties`: of keys that no keyword beside it, or in what it refers to, has looked at."""
    if not validator.is_type(instance, "object"):
        return
    seen = _evaluated(validator, instance, {key: value for key, value in schema.items() if key != _UNEVALUATED})
    extras = [key for key in instance if key not in seen]
    if subschema is False and extras:
        yield _unexpected("Unevaluated", extras)
    elif not isinstance(subschema, bool):
        for key in extras:
            yield from validator.descend(instance[key], subschema, path=key)


_UNEVALUATED = "unevaluatedProperties"
KEYWORDS: Mapping[str, Keyword] = {
    "multipleOf": multiple_of,
    "divisibleBy": multiple_of,
    "pattern": pattern,
    "patternProperties": pattern_properties,
    "additionalProperties": additional_properties,
    _UNEVALUATED: unevaluated_properties,
}
"""Keyword → what takes its place, in those drafts that have it."""


def _named(key: str, schema: Mapping[str, Any]) -> bool:
    return key in schema.get("properties", {}) or any(matches(one, key) for one in schema.get("patternProperties", {}))


def _evaluated(validator: Any, instance: Mapping[str, Any], schema: Any) -> set[str]:
    """The keys of the instance, valid against the schema, that keywords of the schema apply to."""
    if not isinstance(schema, Mapping):
        return set()
    if "additionalProperties" in schema or _UNEVALUATED in schema:
        return set(instance)
    seen = {key for key in instance if _named(key, schema)}
    for inner, beside in _in_place(validator, instance, schema):
        seen |= _evaluated(inner, instance, beside)
    return seen


def _in_place(validator: Any, instance: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Schemas of the instance itself that hold for it, each with a validator that resolves references in it."""
    for resolved in _referred(validator, schema):
        yield validator.evolve(schema=resolved.contents, _resolver=resolved.resolver), resolved.contents
    for key, dependent in schema.get("dependentSchemas", {}).items():
        if key in instance:
            yield validator, dependent
    for branch in _branches(validator, instance, schema):
        yield validator, branch


def _referred(validator: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from referencing.jsonschema import lookup_recursive_ref

    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            yield validator._resolver.lookup(schema[keyword])
    if "$recursiveRef" in schema:
        yield lookup_recursive_ref(validator._resolver)


def _branches(validator: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    def holds(branch: Any) -> bool:
        return bool(validator.evolve(schema=branch).is_valid(instance))

    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from filter(holds, schema.get(keyword, []))
    if "if" in schema:
        if holds(schema["if"]):
            yield schema["if"]
            yield schema.get("then", True)
        else:
            yield schema.get("else", True)


def _unexpected(kind: str, keys: Iterable[str]) -> Any:
    names = sorted(keys)
    shown = ", ".join(repr(name[:_SHOWN]) for name in names)
    return _error(f"{kind} properties are not allowed ({shown} {'was' if len(names) == 1 else 'were'} unexpected)")


def _error(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)
