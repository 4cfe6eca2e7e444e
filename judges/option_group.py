"""A group of options of a judge, typed and checked like settings of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from judges.errors import unknown_name


@dataclass(frozen=True, slots=True)
class GroupOf:
    """Marks a parameter that takes plain data as a group of options: `Annotated[dict[str, Any], GroupOf(Model)]`."""

    model: type[BaseModel]


class OptionGroup(BaseModel):
    """Base of groups of options: unknown names, wrong types, NaN and infinity are errors; values never change later."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for name in value:
                if name not in cls.model_fields:
                    raise ValueError(unknown_name("option", str(name), cls.model_fields))
        return value
