"""A judge by name with its options: what configuration files, command lines and worker processes pass around."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from judges.errors import JudgesError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True, eq=False)
class JudgeSpec:
    """Names a judge and its options; nothing is loaded by making one.

    Attributes:
        name: the judge's name in the registry.
        options: plain data only (text, finite numbers, booleans, null, lists, mappings), so that a spec can be
            compared, sent to another process and written to a file.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise JudgesError(f"a judge's name must be text, not {self.name!r}")
        plain = {key: _plain(value, f"judge {self.name!r}, option {key!r}") for key, value in self.options.items()}
        object.__setattr__(self, "options", plain)

    @classmethod
    def parse(cls, value: Any) -> JudgeSpec:
        """A spec from `"math"`, from `{"name": "math", "option": …}`, or from a spec.

        Raises:
            JudgesError (a ValueError): `value` is none of these.
        """
        if isinstance(value, JudgeSpec):
            return value
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, Mapping):
            raise JudgesError(f"a judge is a name or a mapping {{name: …, option: …}}, not {value!r}")
        options = dict(value)
        if "name" not in options:
            raise JudgesError(f"this judge has no `name`: {value!r}")
        strange = [key for key in options if not isinstance(key, str)]
        if strange:
            raise JudgesError(f"names of judge options must be text, not {strange[0]!r}")
        return cls(options.pop("name"), options)

    def as_config(self) -> str | dict[str, Any]:
        """The plain form that `parse` reads back: the name alone, or a mapping when there are options."""
        return {"name": self.name, **self.options} if self.options else self.name

    @property
    def label(self) -> str:
        """The name of its verdicts in a mixture: that of the option `as`, or the judge's."""
        label = self.options.get("as")
        return label if isinstance(label, str) else self.name

    @property
    def key(self) -> str:
        """Canonical text: equal for specs that mean the same."""
        return json.dumps([self.name, self.options], sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, JudgeSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """Lets settings hold a spec: read by `parse`, dumped by `as_config`."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.as_config)
        )


def _plain(value: Any, where: str) -> Any:
    """A copy of `value` made of dict, list and scalars only."""
    if isinstance(value, float) and not math.isfinite(value):
        raise JudgesError(f"{where}: {value} is not a finite number")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise JudgesError(f"{where}: keys must be text, not {strange[0]!r}")
        return {key: _plain(item, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    raise JudgesError(f"{where}: {type(value).__name__} is not plain data (text, number, boolean, null, list, mapping)")
