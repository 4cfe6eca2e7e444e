"""The configuration of a run: Hydra composes it (`cgpo.config.overrides`), `cgpo.config` types it, and every name in it
is checked before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cgpo import plugins
from cgpo.config import OptimizerSettings, RewardSettings, RunSettings
from cgpo.config.explain import explain
from cgpo.config.overrides import hydra_tree
from cgpo.errors import ConfigError, unknown_name
from cgpo.rewards.model import reward_class
from judges.spec import JudgeSpec


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
    tree, choices = hydra_tree(overrides, config_dir)
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
    tree = dict(tree)
    strata, rewards = tree.get("strata"), tree.get("rewards")
    if needs_strata and not strata:
        raise ConfigError(
            "no strata: choose an experiment, e.g. experiment=quickstart, or name your own YAML with "
            "--config-dir DIR experiment=NAME"
        )
    problems: list[str] = []
    if isinstance(strata, dict):
        _refuse_misspelt_strata(strata)
        tree["strata"] = {name: _with_typed_optimizer(name, stratum, problems) for name, stratum in strata.items()}
    if isinstance(rewards, dict):
        tree["rewards"] = {name: _typed_reward(value, f"rewards.{name}", problems) for name, value in rewards.items()}
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


def _with_typed_optimizer(name: str, stratum: Any, problems: list[str]) -> Any:
    """A stratum's plain tree with the settings object of its optimiser; what is wrong is added to the problems."""
    if not isinstance(stratum, dict) or "optimizer" not in stratum:
        return stratum
    return {**stratum, "optimizer": _typed_optimizer(stratum["optimizer"], f"strata.{name}.optimizer", problems)}


def _typed_optimizer(value: Any, where: str, problems: list[str]) -> OptimizerSettings | Any:
    """The settings object of an optimiser by its `name`, or a stand-in and what is wrong."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        problems.append(f"{where}: must be a mapping with `name`, e.g. {{name: crpg, kl_max: 10}}; got {value!r}")
        return value
    try:
        cls = plugins.load("cgpo.optimizers", "optimizer", value["name"], f"{where}.name").Settings
        return cls.model_validate(value)
    except ConfigError as error:
        problems.append(str(error))
    except ValidationError as error:
        problems += explain(error, cls, prefix=where)
    return OptimizerSettings(name=value["name"])


def _typed_reward(value: Any, where: str, problems: list[str]) -> RewardSettings:
    """The settings object of a reward by its `type`, or a stand-in and what is wrong."""
    if not isinstance(value, Mapping):
        problems.append(f"{where}: must be a mapping, e.g. {{model: NAME}} or {{type: length}}; got {value!r}")
        return RewardSettings()
    kind = value.get("type", RewardSettings().type)
    if not isinstance(kind, str):
        problems.append(f"{where}.type: must be a name, not {kind!r}")
        return RewardSettings()
    try:
        cls = reward_class(kind, where).Settings
        typed: RewardSettings = cls.model_validate({**value, "type": kind})
        return typed
    except ConfigError as error:
        problems.append(str(error))
    except ValidationError as error:
        problems += explain(error, cls, prefix=where)
    return RewardSettings()
