"""The plan of a run, printed by `--dry-run`: strata, judges, batch arithmetic, bounds on tokens, ranks. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.text import Text

from cgpo.compose import Composed
from cgpo.config import EvalSettings, PromptSettings, RunSettings, StratumSettings, TrainSettings
from cgpo.models.memory import memory_text
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.storage.run_directory import claim_in_words
from judges.terminal import open_console, print_beside


def print_run_plan(composed: Composed, *, fresh: bool = False, allow: Sequence[str] = ()) -> None:
    """Prints what the command would do, with the derived numbers."""
    settings = composed.settings
    console = open_console(highlight=True)
    console.print(f"[bold]cgpo train[/bold]  experiment {composed.experiment}  →  {_run_dir(composed, fresh, allow)}")
    console.print(
        f"policy {settings.model.name} ({_policy_text(settings)}), reference "
        f"{settings.model.reference or 'the policy before training'} ({settings.model.reference_mode}), "
        f"rollout engine {settings.rollout.engine}, ZeRO stage {settings.deepspeed.zero_stage}, {ranks()} rank(s)"
    )
    print_beside(console, _strata_rows(settings))
    console.print(batch_text(settings, ranks()))
    console.print(rows_text(settings.train))
    console.print(escape(memory_text(settings, ranks())))
    if text := _evaluation_text(settings.eval):
        console.print(escape(text))
    for warning in warnings(settings):
        console.print(f"[yellow]note:[/yellow] {escape(warning)}")


def _policy_text(settings: RunSettings) -> str:
    lora = settings.model.lora
    return settings.model.dtype + (f", LoRA of rank {lora.rank}" if lora else "")


def ranks() -> int:
    """How many processes this command would be one of."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_STEP_NUM_TASKS", "1")))


def warnings(settings: RunSettings) -> list[str]:
    """What would stop the run before its first step, as far as can be seen without loading anything."""
    sentences = []
    for name, reward in settings.rewards.items():
        if not isinstance(reward, ClassifierSettings):
            continue
        looks_local = reward.model.startswith((".", "/", "runs/")) or Path(reward.model).exists()
        if looks_local and not (Path(reward.model) / "config.json").is_file():
            sentences.append(
                f"rewards.{name}.model: {reward.model} does not exist yet; `cgpo reward` with the same experiment "
                "makes it"
            )
    size = ranks()
    for name, stratum in settings.strata.items():
        if stratum.prompts_per_step % size:
            sentences.append(
                f"strata.{name}.prompts_per_step = {stratum.prompts_per_step} does not divide by {size} ranks"
            )
    return sentences


def _run_dir(composed: Composed, fresh: bool, allow: Sequence[str]) -> str:
    existing = "exists: the run goes on"
    words = claim_in_words(composed.settings.run_dir, composed.as_dict(), fresh=fresh, allow=allow, existing=existing)
    return escape(words)


def _strata_rows(settings: RunSettings) -> list[tuple[Text, str]]:
    return [
        (Text(name, style="bold"), _stratum_text(stratum, settings.train.steps, _watched(settings, name)))
        for name, stratum in settings.strata.items()
    ]


def _watched(settings: RunSettings, stratum: str) -> list[str]:
    """What measures the stratum without training it, where something does."""
    names = [*settings.independent_rewards(stratum), *(spec.name for spec in settings.watch.independent_judges)]
    return [f"watched by {', '.join(names)}, which do not train it"] if names else []


def _stratum_text(stratum: StratumSettings, steps: int, watched: Sequence[str]) -> str:
    heldout = f"; held out: {_source(stratum.heldout)}" if stratum.heldout else "; nothing held out"
    sampling = stratum.sampling
    return "\n".join(
        [
            f"prompts {_source(stratum.prompts)}{heldout}",
            f"{stratum.prompts_per_step} prompts × {stratum.generations_per_prompt} responses a step, at most "
            f"{sampling.max_tokens} tokens each, temperature {sampling.temperature:g}",
            f"judges {', '.join(_judges(stratum)) or 'none: every response is feasible'}",
            f"rewards {', '.join(f'{w:g} × {k}' for k, w in stratum.rewards.items())}",
            f"optimiser {_optimizer(stratum)}, weight ρ = {stratum.weight:g}",
            *_schedule(stratum, steps),
            *watched,
        ]
    )


def _schedule(stratum: StratumSettings, steps: int) -> list[str]:
    """When the stratum takes part, and how its prompts are drawn, where either is not the usual."""
    lines = []
    schedule = stratum.schedule
    active = schedule.active_steps(0, steps)
    if active < steps:
        end = steps if schedule.end is None else min(schedule.end, steps)
        every = "every step" if schedule.every == 1 else f"every {schedule.every} steps"
        lines.append(
            f"takes part in {active} of {steps} steps: {every} from step {schedule.start} to {end - 1} (from 0)"
        )
    if stratum.informative_share is not None:
        lines.append(
            f"at least {stratum.informative_share:.0%} of a step's prompts with a contrast the last time (or new); "
            "which prompts come is not known beforehand, so a baseline response is made for every training prompt"
        )
    return lines


def _judges(stratum: StratumSettings) -> list[str]:
    return [
        spec.name + (f"({', '.join(f'{k}={v}' for k, v in spec.options.items())})" if spec.options else "")
        for spec in stratum.judges
    ]


def _optimizer(stratum: StratumSettings) -> str:
    """Its name and numbers; an option that is off, or a choice left at its default, is not worth a word."""
    settings = stratum.optimizer
    values = settings.model_dump(exclude={"name"}, exclude_none=True)
    fields = type(settings).model_fields
    shown = {k: v for k, v in values.items() if v != fields[k].default or (isinstance(v, float) and v)}
    ordered = sorted(shown, key=lambda key: key != "kl_max")
    return f"{settings.name}({', '.join(f'{key}={_shown(shown[key])}' for key in ordered)})"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _source(prompts: PromptSettings) -> str:
    if prompts.generator:
        return f"{prompts.size} from {prompts.generator} generator"
    where = f" where {', '.join(f'{column} = {value}' for column, value in prompts.where.items())}"
    size = f", first {prompts.size}" if prompts.size else ""
    return f"{prompts.path} [{prompts.split}]{where if prompts.where else ''}{size}"


def _evaluation_text(settings: EvalSettings) -> str:
    """When and how held-out prompts are answered; empty when they never are."""
    when = [text for text, wanted in {"before": settings.before, "after": settings.after}.items() if wanted]
    when += [f"every {settings.every} steps"] if settings.every else []
    if not when:
        return ""
    count = "1 response" if settings.responses_per_prompt == 1 else f"{settings.responses_per_prompt} responses"
    temperature = (
        "the stratum's temperature" if settings.temperature is None else f"temperature {settings.temperature:g}"
    )
    judge = f", compared by {settings.preference.label}" if settings.preference else ""
    return (
        f"evaluation {', '.join(when)}: {count} to each held-out prompt at {temperature}, against the "
        f"reference's{judge}; probes {', '.join(spec.label for spec in settings.probes) or 'none'}"
    )


def batch_text(settings: RunSettings, size: int) -> str:
    """The batch arithmetic of a run on `size` ranks, derived from the settings and never the other way round."""
    train = settings.train
    fullest = _fullest_step(settings)
    active = {n: s.schedule.active_steps(0, train.steps) for n, s in settings.strata.items()}
    responses = sum(active[n] * _responses(s) for n, s in settings.strata.items())
    tokens = sum(active[n] * _tokens(s) for n, s in settings.strata.items())
    which = "a step" if set(active.values()) == {train.steps} else "the fullest step"
    return (
        f"{which}: {_sum(fullest)}; {train.steps} steps: {responses} responses, at most {tokens} tokens\n"
        f"{_weighting(settings)}"
        f"{_rank_text(fullest, size)}"
        f"AdamW, learning rate {_rate_text(train)}, micro-batches of at most {train.micro_batch_tokens} tokens a "
        f"rank, gradient norm clipped at {train.max_grad_norm:g}; checkpoint every {train.save_every or '–'} steps"
    )


def rows_text(train: TrainSettings) -> str:
    """How sequences will be laid out, as far as it is known before the model is loaded, and whose log-probs count."""
    shared = "flash" if train.attention == "flash" and train.share_prompts == "auto" else train.share_prompts
    rows = {
        "flash": "whole sequences one behind the other, without padding, where the model's numbers stay the same",
        "auto": "the responses of a prompt share a row where the model's numbers stay the same and it costs less",
        True: "the responses of a prompt share a row, if the model's numbers stay the same",
        False: "a row for each sequence",
    }[shared]
    before = "; log-probs before learning are the engine's" if train.reuse_engine_logprobs else ""
    return f"{rows}; attention: {train.attention}{before}"


def _rank_text(strata: Sequence[StratumSettings], size: int) -> str:
    if size == 1 or any(s.prompts_per_step % size for s in strata):
        return ""
    parts = " + ".join(f"{s.prompts_per_step // size} × {s.generations_per_prompt}" for s in strata)
    return f"each of {size} ranks: {parts} = {sum(map(_responses, strata)) // size} responses\n"


def _rate_text(train: TrainSettings) -> str:
    warmup = f" after {train.warmup_steps} steps of warm-up" if train.warmup_steps else ""
    final = train.learning_rate * train.final_learning_rate_ratio
    falling = {
        "constant": "",
        "linear": f", falling linearly to {final:g}",
        "cosine": f", falling along a cosine to {final:g}",
    }
    return f"{train.learning_rate:g}{warmup}{falling[train.schedule]}"


def _responses(stratum: StratumSettings) -> int:
    return stratum.prompts_per_step * stratum.generations_per_prompt


def _tokens(stratum: StratumSettings) -> int:
    """Most response tokens of the stratum in a step it takes part in."""
    return _responses(stratum) * stratum.sampling.max_tokens


def _fullest_step(settings: RunSettings) -> list[StratumSettings]:
    """The strata of the step with the most response tokens."""
    strata = list(settings.strata.values())
    steps = settings.train.steps
    if all(s.schedule.active_steps(0, steps) == steps for s in strata):
        return strata
    together = {tuple(s.schedule.active(step) for s in strata) for step in range(steps)}
    chosen = max(together, key=lambda active: sum(_tokens(s) for s, on in zip(strata, active, strict=True) if on))
    return [s for s, on in zip(strata, chosen, strict=True) if on]


def _sum(strata: Sequence[StratumSettings]) -> str:
    parts = " + ".join(f"{s.prompts_per_step} × {s.generations_per_prompt}" for s in strata)
    responses, tokens = sum(map(_responses, strata)), sum(map(_tokens, strata))
    return f"{parts} = {responses} responses over all ranks, at most {tokens} response tokens"


def _weighting(settings: RunSettings) -> str:
    weighting = settings.weighting
    if weighting.method == "none":
        return ""
    return (
        f"automatic weights by {weighting.method}: each ρ × {weighting.min_factor:g} to {weighting.max_factor:g}, "
        "1 on average\n"
    )
