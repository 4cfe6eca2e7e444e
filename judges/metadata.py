"""How judges read metadata of rows: alike, whether a table had lists and numbers or only texts.

In a CSV every cell is text. A list or an object stands there as JSON text (`["one", "two"]`), a number as its digits,
and what is missing is an empty cell. All judges read their metadata through these functions, so that the same row gets
the same verdict from JSON Lines, Parquet and CSV. Python's way of writing lists (`['one']`) is no JSON and stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]{1,300}(?:\.0*)?")


def value_of(metadata: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """What the row says under `key`; `default` where it says nothing: no such key, null, or an empty cell."""
    value = metadata.get(key)
    return default if value is None or (isinstance(value, str) and not value.strip()) else value


def structure(value: Any) -> Any:
    """`value`, and where it is the JSON text of a list or an object, that list or object."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def texts(value: Any) -> Any:
    """`value`, and where it is the JSON text of a list with a text in it, or of an empty list, that list.

    For what may be a text of its own: `[1, 2]` may be an interval and `[0-9]` a pattern, so that other lists stay text.
    """
    read = structure(value)
    return read if isinstance(read, list) and (not read or any(isinstance(item, str) for item in read)) else value


def whole_number(value: Any) -> Any:
    """`value`, and where it is a whole number written `2.0` or as text, that number."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def kind_of(value: Any) -> str:
    """What `value` is, for a message that says what it should have been."""
    return "str (not JSON text of one)" if isinstance(value, str) else type(value).__name__
