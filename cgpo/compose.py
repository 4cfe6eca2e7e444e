"""From the command line to typed settings: Hydra composes, `cgpo.config` types, this module explains what is wrong.

Overrides of values are forced (`++key=value`) before Hydra sees them, because the YAML files do not list the
defaults; a misspelt key is then caught by the types, with the allowed names and the nearest match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cgpo import plugins
from cgpo.config import OptimizerSettings, RewardSettings, RunSettings
from cgpo.config.explain import explain
from cgpo.config.optimizer_choice import refuse_outvoted, replace_whole
from cgpo.errors import ConfigError, unknown_name
from cgpo.rewards.model import reward_class
from judges.spec import JudgeSpec

CONFIG_MODULE = "cgpo.conf"


@dataclass(frozen=True)
class Composed:
    """A valid configuration.

    Attributes:
        settings: the typed tree.
        experiment: the name chosen by `experiment=…`, or `default`.
    """

    settings: RunSettings
    experiment: str

    def as_dict(self) -> dict[str, Any]:
        """The resolved tree as plain data, every default written out: what `config.yaml` holds."""
        return to_plain(self.settings)


def compose(
    overrides: Sequence[str], *, config_dir: str | None = None, run_suffix: str = "", needs_strata: bool = True
) -> Composed:
    """Composes and validates a configuration.

    Args:
        overrides: Hydra overrides, `key=value` or `group=choice`.
        config_dir: a folder of the user's own YAML files, searched besides the built-in ones.
        run_suffix: added to `run_base` (by default `runs/<experiment>`) for the default run directory.
        needs_strata: refuse a configuration without strata.

    Raises:
        ConfigError: unknown keys, names or choices, wrong types, impossible numbers, bad syntax.
    """
    tree, choices = _hydra_tree(overrides, config_dir)
    experiment = choices.get("experiment") or "default"
    tree.setdefault("run_dir", f"{tree['run_base']}{run_suffix}")
    settings = validate(tree, extra_root_names=sorted(choices), needs_strata=needs_strata)
    check_names(settings)
    return Composed(settings, experiment)


def validate(tree: dict[str, Any], extra_root_names: Sequence[str] = (), *, needs_strata: bool = True) -> RunSettings:
    """Types a plain tree.

    Raises:
        ConfigError: every problem found, one a line.
    """
    problems: list[str] = []
    tree = dict(tree)
    strata = tree.get("strata")
    if needs_strata and not strata:
        raise ConfigError(
            "no strata: choose an experiment, e.g. experiment=quickstart, or name your own YAML with "
            "--config-dir DIR experiment=NAME"
        )
    if isinstance(strata, dict):
        _refuse_misspelt_strata(strata)
        typed: dict[str, Any] = {}
        for name, stratum in strata.items():
            typed[name] = stratum
            if isinstance(stratum, dict) and "optimizer" in stratum:
                optimizer, found = _typed_optimizer(stratum["optimizer"], f"strata.{name}.optimizer")
                problems += found
                typed[name] = {**stratum, "optimizer": optimizer}
        tree["strata"] = typed
    if isinstance(tree.get("rewards"), dict):
        named = {name: _typed_reward(value, f"rewards.{name}") for name, value in tree["rewards"].items()}
        tree["rewards"] = {name: typed for name, (typed, _) in named.items()}
        problems += [problem for _, found in named.values() for problem in found]
    settings: RunSettings | None = None
    try:
        settings = RunSettings.model_validate(tree)
    except ValidationError as error:
        problems += explain(error, RunSettings, extra_root_names=extra_root_names)
    if problems or settings is None:
        raise ConfigError("\n".join(problems))
    return settings


def _refuse_misspelt_strata(strata: Mapping[str, Any]) -> None:
    """A misspelt `strata.mth.weight=2` looks like a new stratum without prompts and optimiser."""
    whole = [name for name, s in strata.items() if not isinstance(s, dict) or "prompts" in s]
    for name in strata:
        if name not in whole:
            hint = "A new stratum needs at least `prompts`, `rewards` and `optimizer`."
            raise ConfigError(f"{unknown_name('stratum', name, whole, 'strata')}. {hint}")


def check_names(settings: RunSettings) -> None:
    """Checks every name that is looked up later: metrics, engines, generators, judges and their options.

    Raises:
        ConfigError: an unknown name or option, with the allowed ones and the nearest match.
    """
    from cgpo.data.generators import generator_names
    from cgpo.tracking.evaluation_metrics import evaluation_metric_names

    if (best := settings.train.keep_best) is not None and best.metric not in evaluation_metric_names(settings):
        allowed = evaluation_metric_names(settings)
        raise ConfigError(unknown_name("metric", best.metric, allowed, "train.keep_best.metric"))
    if settings.rollout.engine not in plugins.names("cgpo.rollout_engines"):
        allowed = plugins.names("cgpo.rollout_engines")
        raise ConfigError(unknown_name("rollout engine", settings.rollout.engine, allowed, "rollout.engine"))
    for name, stratum in settings.strata.items():
        for key, prompts in (("prompts", stratum.prompts), ("heldout", stratum.heldout)):
            if prompts and prompts.generator and prompts.generator not in generator_names():
                where = f"strata.{name}.{key}.generator"
                raise ConfigError(unknown_name("prompt generator", prompts.generator, generator_names(), where))
        _check_judges(stratum.judges, f"strata.{name}.judges")
    _check_judges(settings.eval.probes, "eval.probes")
    _check_judges(settings.watch.independent_judges, "watch.independent_judges")
    _check_judges([settings.eval.preference] if settings.eval.preference else [], "eval.preference")


def _check_judges(specs: Sequence[JudgeSpec], where: str) -> None:
    from judges.constraint import Constraint

    for spec in specs:
        try:
            Constraint.parse(spec)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error


def to_plain(settings: RunSettings) -> dict[str, Any]:
    """Settings as YAML-ready data, from which `validate` makes equal settings again."""
    tree = settings.model_dump(mode="python")
    for name, stratum in settings.strata.items():
        tree["strata"][name]["judges"] = [spec.as_config() for spec in stratum.judges]
    return tree


def _typed_optimizer(value: Any, where: str) -> tuple[OptimizerSettings | Any, list[str]]:
    """The settings object of a stratum's optimiser, or the value as it is and what is wrong with it."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return value, [f"{where}: must be a mapping with `name`, e.g. {{name: crpg, kl_max: 10}}; got {value!r}"]
    try:
        cls = plugins.load("cgpo.optimizers", "optimizer", value["name"], f"{where}.name").Settings
    except ConfigError as error:
        return OptimizerSettings(name=value["name"]), [str(error)]
    try:
        return cls.model_validate(value), []
    except ValidationError as error:
        return OptimizerSettings(name=value["name"]), explain(error, cls, prefix=where)


def _typed_reward(value: Any, where: str) -> tuple[RewardSettings | Any, list[str]]:
    """The settings object of a reward by its `type`, or what is wrong with it."""
    if not isinstance(value, Mapping):
        return RewardSettings(), [
            f"{where}: must be a mapping, e.g. {{model: NAME}} or {{type: length}}; got {value!r}"
        ]
    kind = value.get("type", RewardSettings().type)
    if not isinstance(kind, str):
        return RewardSettings(), [f"{where}.type: must be a name, not {kind!r}"]
    try:
        cls = reward_class(kind, where).Settings
        return cls.model_validate({**value, "type": kind}), []
    except ConfigError as error:
        return RewardSettings(), [str(error)]
    except ValidationError as error:
        return RewardSettings(), explain(error, cls, prefix=where)


def _hydra_tree(overrides: Sequence[str], config_dir: str | None) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Hydra's composition as plain data, and the choice made for each group."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            forced = force_values(replace_whole(overrides), config_dir)
            cfg = hydra.compose("config", forced, return_hydra_config=True)
            choices = {str(k): v for k, v in cfg.hydra.runtime.choices.items() if not str(k).startswith("hydra/")}
            with open_dict(cfg):
                del cfg["hydra"]
                if cfg.get("run_base") is None:  # before it is resolved in the names of other stages' models
                    cfg["run_base"] = f"runs/{choices.get('experiment') or 'default'}"
            found = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
            assert isinstance(found, dict)
            tree = {str(key): value for key, value in found.items()}
            refuse_outvoted(overrides, tree, [o for o in forced if o.startswith("hydra.searchpath=")])
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
