"""`cgpo feedback prepare`."""

from __future__ import annotations

import argparse

from cgpo.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """Not there yet."""
    raise ConfigError("prepare is not written yet")
