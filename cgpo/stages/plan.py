"""The plan of a supervised stage, printed by `--dry-run`: from which model, on what, how many steps. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cgpo.compose import Composed, compose
from cgpo.config import ConversationDataSettings, PolicyStageSettings, RunSettings, StageDataSettings
from cgpo.data.generators.golden import GOLDEN
from cgpo.errors import CgpoError, ConfigError, unknown_name
from cgpo.stages.configuration import made_pairs, stage_configuration
from cgpo.stages.reward_model.plan import head_line, missing
from cgpo.storage.run_directory import stage_is_done, would_go_on

POLICY_STAGES = ("sft", "dpo")


def compose_stage(command: str, overrides: Sequence[str], config_dir: str | None) -> Composed:
    """The configuration of `cgpo sft`, `cgpo reward` or `cgpo dpo`, with what the stage alone needs checked.

    Raises:
        ConfigError: as `compose`; or the stage has no data.
    """
    composed = compose(overrides, config_dir=config_dir, run_suffix=f"-{command}", needs_strata=False)
    settings = composed.settings
    if command == "reward" and made_pairs(settings.reward_stage) and not settings.strata:
        raise ConfigError(
            "cgpo reward: reward_stage.pairs.path is not set, and there are no strata whose prompts pairs could be "
            "made from: name a file of pairs, or choose an experiment, e.g. experiment=quickstart"
        )
    if command in POLICY_STAGES:
        _check_source(_stage_settings(command, settings)[1], f"{command}_stage.data")
    return composed


def _stage_settings(command: str, settings: RunSettings) -> tuple[PolicyStageSettings, StageDataSettings]:
    if command == "sft":
        return settings.sft_stage, settings.sft_stage.data
    return settings.dpo_stage, settings.dpo_stage.data


def _check_source(data: StageDataSettings, where: str) -> None:
    generator = data.generator if isinstance(data, ConversationDataSettings) else None
    if generator is not None and generator not in GOLDEN:
        raise ConfigError(unknown_name("generator with golden responses", generator, GOLDEN, f"{where}.generator"))
    if generator is None and data.path is None:
        raise ConfigError(f"{where}.path is not set: name a JSONL or Parquet file, or a data set on the hub")


def print_stage_plan(command: str, composed: Composed, *, fresh: bool = False) -> None:
    """Prints what the command would do."""
    console = Console(soft_wrap=True)
    console.print(
        f"[bold]cgpo {command}[/bold]  experiment {composed.experiment}  →  {state(command, composed, fresh)}"
    )
    for line in plan_lines(command, composed.settings):
        console.print(f"  {escape(line)}")


def state(command: str, composed: Composed, fresh: bool) -> str:
    """The run directory, and whether the stage would begin, go on, or is done."""
    run_dir = composed.settings.run_dir
    try:
        goes_on = would_go_on(run_dir, stage_configuration(command, composed.settings), fresh=fresh)
    except CgpoError as error:
        return f"{escape(run_dir)} (would be refused: {escape(str(error).splitlines()[0])})"
    if not goes_on:
        return f"{escape(run_dir)} (new)"
    return f"{escape(run_dir)} ({'done' if stage_is_done(Path(run_dir)) else 'goes on'})"


def plan_lines(command: str, settings: RunSettings) -> list[str]:
    """What the stage would do, a line each."""
    return _policy_lines(command, settings) if command in POLICY_STAGES else _reward_lines(settings)


def _policy_lines(command: str, settings: RunSettings) -> list[str]:
    stage, data = _stage_settings(command, settings)
    name = stage.model or settings.model.name
    lengths = {
        "sft": f"{settings.sft_stage.epochs} epochs, batches of {stage.batch_size}, "
        f"{'packed' if settings.sft_stage.packing else 'not packed'}, learning {settings.sft_stage.turns} turns",
        "dpo": f"{settings.dpo_stage.steps} steps of {stage.batch_size} pairs, β = {settings.dpo_stage.beta:g}",
    }
    fall = "" if stage.schedule == "constant" else f" to {stage.final_learning_rate_ratio:g} of it"
    return [
        f"from {name}{missing(name)}, {settings.model.dtype}, ZeRO stage {settings.deepspeed.zero_stage}",
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
        *(head_line(name, head, settings) for name, head in stage.all_heads().items()),
        f"{stage.epochs} epochs, batches of {stage.batch_size} rows of all heads; at most {stage.max_length} tokens a "
        f"text, {stage.micro_batch_tokens} in a pass",
        f"learning rate {stage.learning_rate:g} to 0{early}",
    ]


def _source(data: StageDataSettings) -> str:
    if isinstance(data, ConversationDataSettings) and data.generator is not None:
        return f"{data.size} conversations of the {data.generator} generator"
    kinds = getattr(data, "kinds", [])
    return (
        f"{data.path}"
        + (f", first {data.size} rows" if data.size else "")
        + (f" ({', '.join(kinds)})" if kinds else "")
    )
