"""The settings of `cgpo preferences` as they are used, and those that its result follows from. No torch: plans ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgpo.compose import Composed, compose, to_plain
from cgpo.config import RunSettings
from cgpo.errors import ConfigError, unknown_name

COMMAND = "preferences"

_STRATUM = ("prompts", "heldout", "sampling", "judges", "hide_reasoning", "truncated", "rewards")
"""Settings of a stratum that its pairs follow from."""


def compose_preferences(overrides: Sequence[str], config_dir: str | None, heldout: Sequence[str] = ()) -> Composed:
    """The configuration of `cgpo preferences`: the model to sample from, and the strata that are named.

    Args:
        overrides: Hydra overrides.
        config_dir: a folder of the user's own YAML files.
        heldout: more files with prompts to measure with.

    Raises:
        ConfigError: as `compose`; or a stratum that is named does not exist.
    """
    composed = compose(overrides, config_dir=config_dir, run_suffix=f"-{COMMAND}")
    settings = composed.settings
    preferences = settings.preferences
    for name in preferences.strata:
        if name not in settings.strata:
            raise ConfigError(unknown_name("stratum", name, settings.strata, "preferences.strata"))
    if heldout:
        check = preferences.contamination.model_copy(update={"heldout": [*preferences.contamination.heldout, *heldout]})
        preferences = preferences.model_copy(update={"contamination": check})
    model = settings.model
    if preferences.model is not None:
        model = model.model_copy(update={"name": preferences.model, "revision": None})
    strata = {n: s for n, s in settings.strata.items() if not preferences.strata or n in preferences.strata}
    used = settings.model_copy(update={"preferences": preferences, "model": model, "strata": strata})
    return Composed(used, composed.experiment)


def preferences_configuration(settings: RunSettings) -> dict[str, Any]:
    """The settings that the pairs follow from, as plain data for `config.yaml`."""
    tree = to_plain(settings)
    relevant = {key: value for key, value in tree["preferences"].items() if key not in ("model", "strata", "chunk")}
    configuration: dict[str, Any] = {
        "command": COMMAND,
        "seed": tree["seed"],
        "run_dir": tree["run_dir"],
        "model": {key: value for key, value in tree["model"].items() if not key.startswith("reference")},
        "rollout": {"engine": tree["rollout"]["engine"]},
        "judging": {"llm": tree["judging"]["llm"]},
        "strata": {name: {key: s[key] for key in _STRATUM} for name, s in tree["strata"].items()},
        "preferences": relevant,
    }
    if "reward" in settings.preferences.rank_by:
        used = {name for stratum in settings.strata.values() for name in stratum.rewards}
        configuration["rewards"] = {name: tree["rewards"][name] for name in sorted(used)}
    return configuration
