"""The plan of a supervised stage, printed by `--dry-run`: from which model, on what, how many steps. No torch."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from cgpo.compose import Composed
from cgpo.config import (
    ConversationDataSettings,
    HeadSettings,
    PairwiseHeadSettings,
    PointwiseHeadSettings,
    RegressionHeadSettings,
    RewardPairSettings,
    RunSettings,
    StageDataSettings,
)
from cgpo.models.assets import missing_note
from cgpo.stages.configuration import POLICY_STAGES, policy_stage_settings, stage_configuration
from cgpo.storage.run_directory import claim_in_words, stage_is_done
from judges.terminal import open_console


def print_stage_plan(command: str, composed: Composed, *, fresh: bool = False) -> None:
    """Prints what the command would do."""
    console = open_console(highlight=True)
    console.print(
        f"[bold]cgpo {command}[/bold]  experiment {composed.experiment}  →  {_run_dir(command, composed, fresh)}"
    )
    for line in stage_plan_lines(command, composed.settings):
        console.print(f"  {escape(line)}")


def _run_dir(command: str, composed: Composed, fresh: bool) -> str:
    """The run directory, and whether the stage would begin, go on, or is done."""
    settings = composed.settings
    existing = "done" if stage_is_done(Path(settings.run_dir)) else "goes on"
    configuration = stage_configuration(command, settings)
    return escape(claim_in_words(settings.run_dir, configuration, fresh=fresh, existing=existing))


def stage_plan_lines(command: str, settings: RunSettings) -> list[str]:
    """The plan, a line each."""
    return _policy_lines(command, settings) if command in POLICY_STAGES else _reward_lines(settings)


def _policy_lines(command: str, settings: RunSettings) -> list[str]:
    stage, data = policy_stage_settings(command, settings)
    name = stage.model or settings.model.name
    lengths = {
        "sft": f"{settings.sft_stage.epochs} epochs, batches of {stage.batch_size}, "
        f"{'packed' if settings.sft_stage.packing else 'not packed'}, learning {settings.sft_stage.turns} turns",
        "dpo": f"{settings.dpo_stage.steps} steps of {stage.batch_size} pairs, β = {settings.dpo_stage.beta:g}",
    }
    fall = "" if stage.schedule == "constant" else f" to {stage.final_learning_rate_ratio:g} of it"
    return [
        f"from {name}{missing_note(name)}, {settings.model.dtype}, ZeRO stage {settings.deepspeed.zero_stage}",
        f"on {_source(data)}, {data.heldout_share:.0%} of the prompts held out",
        f"{lengths[command]}; at most {stage.micro_batch_tokens} tokens in a pass",
        f"learning rate {stage.learning_rate:g}, {stage.schedule}{fall}, {stage.warmup_steps} warm-up steps",
    ]


def _reward_lines(settings: RunSettings) -> list[str]:
    stage = settings.reward_stage
    stopping = stage.early_stopping
    early = ""
    if stopping is not None:
        early = (
            f"; measured every {stopping.every} steps on {stopping.share:.0%} of the training prompts, stops after "
            f"{stopping.patience} measurements without improvement"
        )
    return [
        f"from {stage.base}",
        *(_head_line(name, head, settings) for name, head in stage.all_heads().items()),
        f"{stage.epochs} epochs, batches of {stage.batch_size} rows of all heads; at most {stage.max_length} tokens a "
        f"text, {stage.micro_batch_tokens} in a pass",
        f"learning rate {stage.learning_rate:g} to 0{early}",
    ]


def _head_line(name: str, head: HeadSettings, settings: RunSettings) -> str:
    """`head love, pointwise: …`."""
    weight = f", weight {head.weight:g}" if head.weight != 1 else ""
    return f"head {name}, {head.objective}{weight}: {_head_words(head, settings)}"


def _head_words(head: HeadSettings, settings: RunSettings) -> str:
    if isinstance(head, PairwiseHeadSettings):
        return _pairs_words(settings.reward_stage.pairs_of(head), settings) + _extras(head)
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


def _pairs_words(pairs: RewardPairSettings, settings: RunSettings) -> str:
    if pairs.path is not None:
        return f"on the pairs of {pairs.path}"
    name = pairs.model or settings.model.name
    prompts = pairs.prompts_per_stratum
    at_most = len(settings.strata) * prompts
    return (
        f"on pairs made from responses of {name}{missing_note(name)}: {prompts} prompts of each stratum (at most "
        f"{at_most}) × {pairs.responses_per_prompt} responses, by {settings.rollout.engine}; "
        f"{pairs.corruptions_per_prompt} corruptions a prompt and what the judges tell apart"
    )


def _extras(head: PairwiseHeadSettings) -> str:
    margin = f", margin {head.margin_scale:g} × {head.margin_column or 'the difference'}" if head.margin_scale else ""
    return margin + (f", centring {head.centring:g}" if head.centring else "")


def _source(data: StageDataSettings) -> str:
    if isinstance(data, ConversationDataSettings) and data.generator is not None:
        return f"{data.size} conversations of the {data.generator} generator"
    kinds = getattr(data, "kinds", [])
    return (
        f"{data.path}"
        + (f", first {data.size} rows" if data.size else "")
        + (f" ({', '.join(kinds)})" if kinds else "")
    )
