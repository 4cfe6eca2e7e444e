"""What a head of a reward model will learn from, in words, for `--dry-run`. No torch."""

from __future__ import annotations

from cgpo.config import (
    HeadSettings,
    PairwiseHeadSettings,
    PointwiseHeadSettings,
    RegressionHeadSettings,
    RewardPairSettings,
    RunSettings,
)
from cgpo.errors import ConfigError
from cgpo.models.assets import check_model_name


def head_line(name: str, head: HeadSettings, settings: RunSettings) -> str:
    """`head love, pointwise: …`."""
    weight = f", weight {head.weight:g}" if head.weight != 1 else ""
    return f"head {name}, {head.objective}{weight}: {_described(head, settings)}"


def _described(head: HeadSettings, settings: RunSettings) -> str:
    if isinstance(head, PairwiseHeadSettings):
        return _pairs(settings.reward_stage.pairs_of(head), settings) + _extras(head)
    if isinstance(head, PointwiseHeadSettings) and head.feedback is not None:
        return f"on the feedback of {head.feedback}, split in time, probabilities at its true rate"
    column = head.rating_column if isinstance(head, RegressionHeadSettings) else head.label_column
    held = (
        f"measured on {head.heldout_path}" if head.heldout_path else f"{head.heldout_share:.0%} of the prompts held out"
    )
    return f"on {column!r} of {head.path}, {held}{_rate(head)}"


def _rate(head: HeadSettings) -> str:
    rate = head.true_rate if isinstance(head, PointwiseHeadSettings) else None
    return f", probabilities at the rate {rate:g}" if rate is not None else ""


def _pairs(pairs: RewardPairSettings, settings: RunSettings) -> str:
    if pairs.path is not None:
        return f"on the pairs of {pairs.path}"
    name = pairs.model or settings.model.name
    prompts = pairs.prompts_per_stratum
    at_most = len(settings.strata) * prompts
    return (
        f"on pairs made from responses of {name}{missing(name)}: {prompts} prompts of each stratum (at most {at_most}) "
        f"× {pairs.responses_per_prompt} responses, by {settings.rollout.engine}; {pairs.corruptions_per_prompt} "
        "corruptions a prompt and what the judges tell apart"
    )


def _extras(head: PairwiseHeadSettings) -> str:
    margin = f", margin {head.margin_scale:g} × {head.margin_column or 'the difference'}" if head.margin_scale else ""
    return margin + (f", centring {head.centring:g}" if head.centring else "")


def missing(name: str) -> str:
    """A note for a model that is not there, as long as its stage has not run."""
    try:
        check_model_name(name)
    except ConfigError:
        return " (not there yet)"
    return ""
