"""The settings that each supervised stage depends on: others may change without doing it anew. No torch here."""

from __future__ import annotations

from typing import Any

from cgpo.compose import to_plain
from cgpo.config import (
    PairwiseHeadSettings,
    PolicyStageSettings,
    RewardPairSettings,
    RewardStageSettings,
    RunSettings,
)

ADAMW = ("betas", "weight_decay", "max_grad_norm", "logit_chunk_tokens")
"""Settings of `train` that hold for every stage that trains the policy."""


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
    if made := made_pairs(settings.reward_stage):
        sampling = ("prompts", "sampling", "judges", "truncated")
        used["model"] = dict(tree["model"])
        names = {pairs.model for pairs in made}
        if None not in names:
            used["model"] |= {"name": ", ".join(sorted(map(str, names))), "revision": None}
        used["rollout"] = {"engine": tree["rollout"]["engine"]}
        used["strata"] = {name: {key: s[key] for key in sampling} for name, s in tree["strata"].items()}
    return used | {"reward_stage": tree["reward_stage"]}


def made_pairs(stage: RewardStageSettings) -> list[RewardPairSettings]:
    """The settings of those pairs that are made from the strata's prompts, head by head."""
    heads = [head for head in stage.all_heads().values() if isinstance(head, PairwiseHeadSettings)]
    return [pairs for pairs in map(stage.pairs_of, heads) if pairs.path is None]


def started_from(settings: RunSettings, name: str | None) -> RunSettings:
    """The settings with another model in the place of `model.name`; unchanged for None."""
    if name is None:
        return settings
    model = settings.model.model_copy(update={"name": name, "revision": None})
    return settings.model_copy(update={"model": model})


def policy_settings(settings: RunSettings, stage: PolicyStageSettings, *, share_prompts: bool) -> RunSettings:
    """The settings as the policy of a stage sees them: the stage's model, learning rate and token budget."""
    of_stage = {
        "learning_rate": stage.learning_rate,
        "micro_batch_tokens": stage.micro_batch_tokens,
        "share_prompts": share_prompts,
    }
    return started_from(settings, stage.model).model_copy(update={"train": settings.train.model_copy(update=of_stage)})
