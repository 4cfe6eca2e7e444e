"""Which optimiser a stratum gets from the command line: by one word, whatever its YAML says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.errors import ConfigError

_WORD = re.compile(r"(?:\+\+)?strata\.([^.=]+)\.optimizer=([A-Za-z]\w*)")
_CHOICE = re.compile(r"optimizer@strata\.([^.=]+)\.optimizer=([A-Za-z]\w*)")


def replace_whole(overrides: Sequence[str]) -> list[str]:
    """`strata.NAME.optimizer=WORD` as Hydra must see it: all of the old optimiser goes, then the new one is named.

    It comes first, so that settings given beside it belong to the new optimiser, in whatever order they stand.
    """
    first: list[str] = []
    rest: list[str] = []
    for text in overrides:
        found = _WORD.fullmatch(text)
        if found and found[2] != "null":
            where = f"strata.{found[1]}.optimizer"
            first += [f"{where}=null", f"{where}.name={found[2]}"]
        else:
            rest.append(text)
    return first + rest


def refuse_outvoted(overrides: Sequence[str], tree: Mapping[str, Any], searchpath: Sequence[str]) -> None:
    """Refuses a chosen file of `conf/optimizer/` whose optimiser is not the one that came out.

    A YAML that writes the stratum's optimiser out stands above the files of its defaults list, chosen ones included: a
    comparison would compare a run with itself. Must run while Hydra is initialised.

    Args:
        overrides: as given.
        tree: what Hydra made of them.
        searchpath: the override that names the user's folder, if any.

    Raises:
        ConfigError: with what to write instead.
    """
    import hydra

    for text in overrides:
        found = _CHOICE.fullmatch(text)
        if not found:
            continue
        chosen = hydra.compose(f"optimizer/{found[2]}", list(searchpath)).optimizer.get("name")
        optimizer = tree["strata"][found[1]]["optimizer"]
        got = optimizer.get("name") if isinstance(optimizer, dict) else optimizer
        if got != chosen:
            raise ConfigError(
                f"{text} changes nothing: the YAML itself, or another override, sets "
                f"strata.{found[1]}.optimizer.name to {got}. strata.{found[1]}.optimizer={chosen} replaces it"
            )
