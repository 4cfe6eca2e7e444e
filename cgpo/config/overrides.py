"""Overrides as Hydra composes them with the YAML files of `conf/` into one plain tree.

Overrides of values are forced (`++key=value`) before Hydra sees them, because the YAML files do not list the defaults;
a misspelt key is then caught by the types, with the allowed names and the nearest match. A stratum's optimiser can be
replaced whole by one word, whatever its YAML says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, unknown_name

CONFIG_MODULE = "cgpo.conf"

_WORD = re.compile(r"(?:\+\+)?strata\.([^.=]+)\.optimizer=([A-Za-z]\w*)")
_CHOICE = re.compile(r"optimizer@strata\.([^.=]+)\.optimizer=([A-Za-z]\w*)")


def hydra_tree(overrides: Sequence[str], config_dir: str | None) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Composes a configuration as plain data.

    Args:
        overrides: `key=value` or `group=choice`.
        config_dir: a folder of the user's own YAML files, searched besides the built-in ones.

    Returns:
        The tree, and the choice made for each group.

    Raises:
        ConfigError: bad syntax, an unknown choice, or a value that is missing.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            forced = force_values(_replace_whole(overrides), config_dir)
            cfg = hydra.compose("config", forced, return_hydra_config=True)
            choices = {str(k): v for k, v in cfg.hydra.runtime.choices.items() if not str(k).startswith("hydra/")}
            with open_dict(cfg):
                del cfg["hydra"]
                if cfg.get("run_base") is None:  # before it is resolved in the names of other stages' models
                    cfg["run_base"] = f"runs/{choices.get('experiment') or 'default'}"
            container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
            assert isinstance(container, dict)
            tree = {str(key): value for key, value in container.items()}
            _refuse_outvoted(overrides, tree, [o for o in forced if o.startswith("hydra.searchpath=")])
    except HydraException as error:
        raise ConfigError(_explain_hydra(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"configuration: {error}") from error
    return tree, choices


def force_values(overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """Overrides as Hydra must see them: value overrides forced, the user's folder on the search path.

    Must run while Hydra is initialised.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.plugins import Plugins

    Plugins.instance()
    forced = []
    if config_dir is not None:
        folder = Path(config_dir).resolve()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {config_dir}: no such folder")
        forced.append(f"hydra.searchpath=[file://{folder}]")
    loader = GlobalHydra.instance().config_loader()
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        is_value = override.is_change() if hasattr(override, "is_change") else not text.startswith(("+", "~"))
        key = override.key_or_group
        is_group = override.package is not None or "/" in key or bool(loader.get_group_options(key))
        is_group = is_group or _group_in(config_dir, key)
        forced.append(f"++{text}" if is_value and not is_group and not key.startswith("hydra.") else text)
    return forced


def _group_in(config_dir: str | None, key: str) -> bool:
    return config_dir is not None and "." not in key and (Path(config_dir) / key).is_dir()


def _replace_whole(overrides: Sequence[str]) -> list[str]:
    """`strata.NAME.optimizer=WORD` as Hydra must see it: all of the old optimiser goes, then the new one is named.

    It comes first, so that settings given beside it belong to the new optimiser, in whatever order they stand.
    """
    first: list[str] = []
    rest: list[str] = []
    for text in overrides:
        word = _WORD.fullmatch(text)
        if word and word[2] != "null":
            where = f"strata.{word[1]}.optimizer"
            first += [f"{where}=null", f"{where}.name={word[2]}"]
        else:
            rest.append(text)
    return first + rest


def _refuse_outvoted(overrides: Sequence[str], tree: Mapping[str, Any], searchpath: Sequence[str]) -> None:
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
        choice = _CHOICE.fullmatch(text)
        if not choice:
            continue
        chosen = hydra.compose(f"optimizer/{choice[2]}", list(searchpath)).optimizer.get("name")
        optimizer = tree["strata"][choice[1]]["optimizer"]
        got = optimizer.get("name") if isinstance(optimizer, dict) else optimizer
        if got != chosen:
            raise ConfigError(
                f"{text} changes nothing: the YAML itself, or another override, sets "
                f"strata.{choice[1]}.optimizer.name to {got}. strata.{choice[1]}.optimizer={chosen} replaces it"
            )


def _explain_hydra(error: Exception) -> str:
    """One line or two of what Hydra says in several, with the nearest match for an unknown choice."""
    from hydra.errors import MissingConfigException

    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return unknown_name(group or "configuration", choice, error.options)
    text = str(error).split("\nSet the environment variable")[0].split("\nTo append to your default list")[0].strip()
    if "override 'optimizer" in text:
        text += "\nstrata.NAME.optimizer=WORD replaces its optimiser, whatever its YAML says (docs/optimizers.md)"
    return f"override: {text}"
