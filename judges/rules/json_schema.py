"""JSON schema: is the response JSON, and valid against a schema?

Validation is jsonschema's, for all drafts from 4 on. What is stricter or safer here: an object with the same key twice,
NaN and infinities are no JSON; `$ref` is resolved within the schema and the published meta-schemas only, nothing is
fetched; multiples are exact, and patterns, which are ECMAScript's, run under a time limit
(judges/rules/schema_keywords.py). What still takes too long ends with the worker process: unknown.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import regex

from judges.judge import Judge, Row
from judges.metadata import value_of
from judges.rules.blocks import fenced_blocks
from judges.rules.schema_keywords import KEYWORDS, ExactFloat, is_pattern
from judges.verdict import Outcome, Verdict

Where = Literal["either", "response", "only_block", "first_block"]

_SHOWN = 200


class NoJsonError(ValueError):
    """The text is no JSON, and why."""


class JsonSchemaJudge(Judge):
    """The response is JSON and valid against the schema in metadata `json_schema`, or in the option `schema`.

    Args:
        schema: the schema for rows whose metadata has none.
        where: what must be JSON: the whole `response`; the `only_block` or the `first_block` in fences, with any text
            around it; or `either` the whole response or its only fenced block.
    """

    version = "2"
    examples = (
        (Row("One?", '{"n": 1}', {"json_schema": {"required": ["n"]}}), Outcome.SATISFIED),
        (Row("One?", "Here:\n```json\n[1]\n```", {"json_schema": {"type": "array"}}), Outcome.SATISFIED),
        (Row("One?", '{"n": "1"}', {"json_schema": {"properties": {"n": {"type": "number"}}}}), Outcome.VIOLATED),
        (Row("One?", "n = 1", {"json_schema": {}}), Outcome.VIOLATED),
        (Row("One?", "{}", {"json_schema": {"type": "thing"}}), Outcome.UNKNOWN),
        (Row("One?", "{}"), Outcome.UNKNOWN),
    )

    def __init__(self, schema: dict[str, Any] | bool | None = None, where: Where = "either") -> None:
        self.where = where
        self.schema = schema
        if schema is None:
            self.requires = frozenset({"json_schema"})
        if schema is not None:
            problem = _schema_problem(json.dumps(schema))
            if problem:
                raise ValueError(f"`schema` is no JSON schema: {problem}")

    def prepare(self) -> None:
        _validator("{}")

    def judge(self, row: Row) -> Verdict:
        schema = _schema_text(value_of(row.metadata, "json_schema", self.schema))
        if isinstance(schema, Verdict):
            return schema
        problem = _schema_problem(schema)
        if problem:
            return Verdict.unknown(f"the schema is wrong: {problem}")
        try:
            value = read_json(_extract(row.response, self.where))
        except NoJsonError as error:
            return Verdict.violated(f"no JSON: {error}")
        return _validated(value, schema)


def read_json(text: str) -> Any:
    """The value that `text` is in JSON, strictly. Raises NoJsonError."""
    if not text.strip():
        raise NoJsonError("empty")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise NoJsonError("nested too deeply") from None
    except NoJsonError:
        raise
    except ValueError as error:
        raise NoJsonError(str(error)[:_SHOWN]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise NoJsonError(f"the key {twice[:_SHOWN]!r} stands twice in one object")
    return made


def _no_constant(name: str) -> Any:
    raise NoJsonError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    value = ExactFloat.of(digits)
    if math.isinf(value):
        raise NoJsonError(f"the number {digits[:40]} is too large")
    return value


def _extract(response: str, where: Where) -> str:
    """The part of the response that must be JSON. Raises NoJsonError when there is no such part."""
    if where == "response":
        return response
    blocks = fenced_blocks(response)
    if where == "either":
        return blocks[0].code if len(blocks) == 1 and response.strip()[:1] not in ("{", "[", '"') else response
    if not blocks:
        raise NoJsonError("the response has no code block in fences")
    if where == "only_block" and len(blocks) > 1:
        raise NoJsonError(f"the response has {len(blocks)} code blocks instead of one")
    return blocks[0].code


def _schema_text(schema: Any) -> str | Verdict:
    """The schema as JSON text, by which the validator is cached; or `unknown`."""
    if schema is None:
        return Verdict.unknown("missing metadata: json_schema (nor is there an option `schema`)")
    if isinstance(schema, str):
        return schema
    if not isinstance(schema, (Mapping, bool)):
        return Verdict.unknown(f"metadata `json_schema` must be an object, not {type(schema).__name__}")
    try:
        return json.dumps(schema)
    except (TypeError, ValueError) as error:
        return Verdict.unknown(f"metadata `json_schema` is not JSON: {error}")


@lru_cache(maxsize=256)
def _schema_problem(schema: str) -> str:
    """What is wrong with a schema; empty when it can be used."""
    from jsonschema.exceptions import SchemaError

    try:
        parsed = json.loads(schema)
        if not isinstance(parsed, (dict, bool)):
            return f"it must be an object, not {type(parsed).__name__}"
        _class(parsed).check_schema(parsed, _formats(parsed))
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"[:_SHOWN]
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"[:_SHOWN]
    return ""


def _class(schema: Any) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


def _formats(schema: Any) -> Any:
    """What a meta-schema asks of texts, with patterns as ECMAScript has them."""
    from jsonschema import FormatChecker

    formats = FormatChecker(formats=())
    formats.checkers = {**_class(schema).FORMAT_CHECKER.checkers, "regex": (is_pattern, regex.error)}
    return formats


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema.validators import extend
    from jsonschema_specifications import REGISTRY

    parsed = json.loads(schema, parse_float=ExactFloat.of)
    draft = _class(parsed)
    exact = extend(draft, {name: keyword for name, keyword in KEYWORDS.items() if name in draft.VALIDATORS})
    # A registry of one's own is what keeps jsonschema from fetching references over the network.
    return exact(parsed, registry=REGISTRY)


def _validated(value: Any, schema: str) -> Verdict:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_validator(schema).iter_errors(value))
    except Unresolvable as missing:
        return Verdict.unknown(f"the schema refers to what is not in it: {missing}"[:_SHOWN])
    except RecursionError:
        return Verdict.unknown("validation does not end: the schema or the response is nested too deeply")
    except (TimeoutError, regex.error) as error:
        return Verdict.unknown(f"a pattern of the schema: {error}"[:_SHOWN])
    if error is None:
        return Verdict.satisfied("valid against the schema")
    return Verdict.violated(f"at {error.json_path}: {error.message}"[: 2 * _SHOWN])
