"""Strata in words, for a classifier: a description, and perhaps example prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, unknown_name

NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
"""The form of a stratum's name (`RunSettings.strata`), of a length that a file's name can have."""

UNASSIGNED = "unassigned"
"""Name of the file for rows without a stratum; no stratum can have it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A stratum in words.

    Attributes:
        description: what belongs there, in a sentence; may be empty where there are examples.
        examples: prompts that belong there.
    """

    description: str
    examples: tuple[str, ...] = ()


def read_definitions(file: Path) -> dict[str, Definition]:
    """The strata of a YAML file: `name: description` or `name: {description: …, examples: […]}`.

    Raises:
        ConfigError: it cannot be read, or has another form.
    """
    import yaml

    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--strata {file} cannot be read: {error}") from error
    if not isinstance(tree, Mapping):
        raise ConfigError(f"--strata {file}: must be a mapping of names, e.g. `math: Arithmetic and word problems.`")
    return check_definitions({str(name): _definition(value, f"{file}: {name}") for name, value in tree.items()})


def experiment_definitions(descriptions: Mapping[str, str | None]) -> dict[str, Definition]:
    """The strata of an experiment by their `strata.<name>.description`.

    Raises:
        ConfigError: one has none.
    """
    for name, description in descriptions.items():
        if not description:
            raise ConfigError(
                f"strata.{name}.description is not set: a classifier needs a sentence on what belongs there. Set it, "
                "or give --strata FILE.yaml"
            )
    return check_definitions({name: Definition(text) for name, text in descriptions.items() if text})


def check_definitions(definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Raises ConfigError unless there are two strata or more, with usable names."""
    for name in definitions:
        check_name(name)
    if len(definitions) < 2:
        raise ConfigError(
            f"a classifier chooses between strata: define two or more (found: {', '.join(definitions) or 'none'})"
        )
    return dict(definitions)


def check_name(name: str) -> None:
    """Raises ConfigError when a stratum cannot be called that."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a stratum: small letters, digits and _, a letter first. Use --map")
    if name == UNASSIGNED:
        raise ConfigError(f"a stratum cannot be called {UNASSIGNED!r}: that is where rows without one go")


def read_map(entries: Sequence[str]) -> dict[str, str]:
    """`VALUE=STRATUM` entries as value → stratum.

    Raises:
        ConfigError: an entry of another form, or one value twice.
    """
    strata: dict[str, str] = {}
    for entry in entries:
        value, equals, name = entry.rpartition("=")
        if not equals or not name:
            raise ConfigError(f"--map {entry!r}: write it as VALUE=STRATUM, e.g. --map maths=math")
        check_name(name)
        if strata.setdefault(value, name) != name:
            raise ConfigError(f"--map: {value!r} is mapped to both {strata[value]} and {name}")
    return strata


def _definition(value: Any, where: str) -> Definition:
    if isinstance(value, str) and value.strip():
        return Definition(value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"--strata {where}: must be a description, or {{description: …, examples: […]}}")
    for key in value:
        if key not in ("description", "examples"):
            raise ConfigError(f"--strata {unknown_name('key', str(key), ['description', 'examples'], where)}")
    description, examples = value.get("description") or "", value.get("examples") or []
    if not isinstance(description, str) or not isinstance(examples, list):
        raise ConfigError(f"--strata {where}: `description` must be text and `examples` a list of prompts")
    if not all(isinstance(example, str) and example.strip() for example in examples):
        raise ConfigError(f"--strata {where}: every example must be a prompt, as text")
    if not description.strip() and not examples:
        raise ConfigError(f"--strata {where}: needs a description or examples")
    return Definition(description, tuple(examples))
