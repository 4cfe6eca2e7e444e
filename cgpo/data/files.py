"""Help for a path that leads nowhere."""

from __future__ import annotations

from pathlib import Path

from cgpo.errors import nearest


def similar_file(path: Path) -> str:
    """A sentence with the closest name in the folder of a file that is missing, or what is there instead."""
    folder = path.parent
    if not folder.is_dir():
        return f" The folder {str(folder)!r} does not exist."
    names = sorted(entry.name for entry in folder.iterdir())
    close = nearest(path.name, names)
    return f" Did you mean {str(folder / close)!r}?" if close else ""
