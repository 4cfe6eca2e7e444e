"""Null fields of Arrow structs, as Parquet files and `datasets` have them.

A struct has the same fields in every row, so that a row's object gets a null for each key that only other rows have.
Such a null is none of the row's: fields that are null are left out, at every depth. What JSON text or a list holds is
left as it is. Only where leaving out may change what a JSON schema says (`const: null`) the row is refused.
"""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from judges.errors import JudgesError

_SCHEMA_KEY = "json_schema"
_VALUES = ("const", "enum")
"""Keywords of JSON Schema whose values are compared with: a null in them is meant."""

Part = Literal["", "schema", "value"]
"""Where in a JSON schema a field is: outside, among keywords, in a value that is compared with."""


def as_given(value: Any, kind: pa.DataType, name: str = "") -> Any:
    """A value of a row without the fields that the row did not have.

    Args:
        value: as `to_pylist` or `datasets` give it.
        kind: its Arrow type.
        name: of the column.

    Raises:
        JudgesError: a JSON schema may have had a null that an Arrow struct cannot tell from nothing.
    """
    return _as_given(value, kind, name, "schema" if name == _SCHEMA_KEY else "")


def has_struct(kind: pa.DataType) -> bool:
    """Whether a type has a struct in it, in lists too."""
    return bool(pa.types.is_struct(kind) or (_is_list(kind) and has_struct(kind.value_type)))


def _as_given(value: Any, kind: pa.DataType, place: str, part: Part) -> Any:
    if value is None or not has_struct(kind):
        return value
    if _is_list(kind):
        return [_as_given(item, kind.value_type, place, part) for item in value]
    return {
        field.name: _as_given(value[field.name], field.type, f"{place}.{field.name}", _part(field.name, part))
        for field in kind
        if not _is_absent(value.get(field.name), field, place, part)
    }


def _is_absent(value: Any, field: pa.Field, place: str, part: Part) -> bool:
    """Whether the row did not have a field. A field of no type but null is there because some row has a null in it."""
    if value is not None:
        return False
    if pa.types.is_null(field.type) and (part == "value" or (part == "schema" and field.name == "const")):
        raise JudgesError(
            f"`{place}.{field.name}` is null in an Arrow struct, which cannot tell `{field.name}: null` from no "
            f"`{field.name}`: keep `{_SCHEMA_KEY}` as JSON text"
        )
    return True


def _part(name: str, part: Part) -> Part:
    if not part:
        return "schema" if name == _SCHEMA_KEY else ""
    return "value" if part == "value" or name in _VALUES else "schema"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
