"""Things that are chosen by name: entry points of installed packages, this one's own among them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from cgpo.errors import ConfigError, unknown_name
from judges.installed import points_of


def _group(group: str) -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in points_of(group):
        other = points.get(point.name)
        if other is not None and other.value != point.value:
            raise ConfigError(
                f"{group}: the name {point.name!r} is claimed by two packages: {_owner(other)} ({other.value}) and "
                f"{_owner(point)} ({point.value}). Uninstall one of them."
            )
        points[point.name] = point
    return points


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed distribution"


def names(group: str) -> list[str]:
    """The names installed in an entry-point group, sorted; loads nothing."""
    return sorted(_group(group))


def load(group: str, what: str, name: str, where: str = "") -> Any:
    """The object registered under `name`.

    Raises:
        ConfigError: no such name (with the allowed ones and the nearest), or its module cannot be imported.
    """
    points = _group(group)
    if name not in points:
        raise ConfigError(unknown_name(what, name, points, where))
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{what} {name!r} ({points[name].value} of {_owner(points[name])}): {error}") from error
