"""What `cgpo feedback evaluate` and `correlate` wrote, for whoever goes on with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError


def read_result(path: Path, name: str, schema: int, keys: Sequence[str], what: str, where: str) -> dict[str, Any]:
    """A result as it was written.

    Args:
        path: the file, or the folder it lies in.
        name: of the file in its folder.
        schema: its version.
        keys: what it must hold.
        what: what it is, for messages: `evaluation of cgpo feedback evaluate`.
        where: the option that named it.

    Raises:
        ConfigError: it cannot be read, is none, or of another version.
    """
    try:
        found = json.loads((path / name if path.is_dir() else path).read_text(encoding="utf-8"))
        if found["schema"] != schema or any(key not in found for key in keys):
            raise ValueError(f"schema {found['schema']} with the keys {', '.join(found)}")
    except OSError as error:
        raise ConfigError(f"{where} {path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{where} {path}: no {what}: {error}") from error
    return dict(found)
