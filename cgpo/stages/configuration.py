"""The configuration of a supervised stage, and the part of it that its result depends on: others may change without
doing it anew. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cgpo.compose import Composed, compose, to_plain
from cgpo.config import (
    ConversationDataSettings,
    PairwiseHeadSettings,
    PolicyStageSettings,
    RewardPairSettings,
    RewardStageSettings,
    RunSettings,
    StageDataSettings,
)
from cgpo.data.generators.golden import GOLDEN
from cgpo.errors import ConfigError, unknown_name

ADAMW = ("betas", "weight_decay", "max_grad_norm", "logit_chunk_tokens")
"""Settings of `train` that hold for every stage that trains the policy."""

POLICY_STAGES = ("sft", "dpo")


def compose_stage(command: str, overrides: Sequence[str], config_dir: str | None) -> Composed:
    """The configuration of `cgpo sft`, `cgpo reward` or `cgpo dpo`, with what the stage alone needs checked.

    Raises:
        ConfigError: as `compose`; or the stage has no data.
    """
    composed = compose(overrides, config_dir=config_dir, run_suffix=f"-{command}", needs_strata=False)
    settings = composed.settings
    if command == "reward" and synthetic_pair_settings(settings.reward_stage) and not settings.strata:
        raise ConfigError(
            "cgpo reward: reward_stage.pairs.path is not set, and there are no strata whose prompts pairs could be "
            "made from: name a file of pairs, or choose an experiment, e.g. experiment=quickstart"
        )
    if command in POLICY_STAGES:
        _check_source(policy_stage_settings(command, settings)[1], f"{command}_stage.data")
    return composed


def policy_stage_settings(command: str, settings: RunSettings) -> tuple[PolicyStageSettings, StageDataSettings]:
    """The settings of a stage that trains the policy, and those of its data."""
    if command == "sft":
        return settings.sft_stage, settings.sft_stage.data
    return settings.dpo_stage, settings.dpo_stage.data


def _check_source(data: StageDataSettings, where: str) -> None:
    generator = data.generator if isinstance(data, ConversationDataSettings) else None
    if generator is not None and generator not in GOLDEN:
        raise ConfigError(unknown_name("generator with golden responses", generator, GOLDEN, f"{where}.generator"))
    if generator is None and data.path is None:
        raise ConfigError(f"{where}.path is not set: name a JSONL or Parquet file, or a data set on the hub")


def stage_configuration(command: str, settings: RunSettings) -> dict[str, Any]:
    """The part of the settings that a stage's result follows from, as plain data for its `config.yaml`.

    Args:
        command: `sft`, `reward` or `dpo`.
        settings: the whole tree.
    """
    tree = to_plain(settings)
    common = {"command": command, "seed": tree["seed"], "run_dir": tree["run_dir"], "deepspeed": tree["deepspeed"]}
    return common | (_reward(settings, tree) if command == "reward" else _policy_stage(command, tree))


def _policy_stage(command: str, tree: dict[str, Any]) -> dict[str, Any]:
    key = f"{command}_stage"
    model = {name: value for name, value in tree["model"].items() if not name.startswith("reference")}
    used: dict[str, Any] = {"model": model, key: tree[key]}
    if tree[key]["model"] is not None:
        used["model"]["name"] = tree[key]["model"]
        used["model"]["revision"] = None
    names = (*ADAMW, "share_prompts") if command == "dpo" else ADAMW
    return used | {"train": {name: tree["train"][name] for name in names}}


def _reward(settings: RunSettings, tree: dict[str, Any]) -> dict[str, Any]:
    used: dict[str, Any] = {}
    if synthetic := synthetic_pair_settings(settings.reward_stage):
        sampling = ("prompts", "sampling", "judges", "truncated")
        used["model"] = dict(tree["model"])
        names = {pairs.model for pairs in synthetic}
        if None not in names:
            used["model"] |= {"name": ", ".join(sorted(map(str, names))), "revision": None}
        used["rollout"] = {"engine": tree["rollout"]["engine"]}
        used["strata"] = {name: {key: s[key] for key in sampling} for name, s in tree["strata"].items()}
    return used | {"reward_stage": tree["reward_stage"]}


def synthetic_pair_settings(stage: RewardStageSettings) -> list[RewardPairSettings]:
    """The settings of those pairs that are made from the strata's prompts, head by head."""
    heads = [head for head in stage.all_heads().values() if isinstance(head, PairwiseHeadSettings)]
    return [pairs for pairs in map(stage.pairs_of, heads) if pairs.path is None]


def started_from(settings: RunSettings, name: str | None) -> RunSettings:
    """The settings with another model in the place of `model.name`; unchanged for None."""
    if name is None:
        return settings
    model = settings.model.model_copy(update={"name": name, "revision": None})
    return settings.model_copy(update={"model": model})


def policy_settings(
    settings: RunSettings, stage: PolicyStageSettings, *, share_prompts: bool | Literal["auto"]
) -> RunSettings:
    """The settings as the policy of a stage sees them: the stage's model, learning rate and token budget."""
    of_stage = {
        "learning_rate": stage.learning_rate,
        "micro_batch_tokens": stage.micro_batch_tokens,
        "share_prompts": share_prompts,
    }
    return started_from(settings, stage.model).model_copy(update={"train": settings.train.model_copy(update=of_stage)})
