"""The plan of a run, printed by `--dry-run`: strata, judges, batch arithmetic, bounds on tokens, ranks. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cgpo.compose import Composed
from cgpo.config import PromptSettings, RunSettings, StratumSettings
from cgpo.errors import CgpoError
from cgpo.run_directory import would_go_on


def print_plan(composed: Composed, *, fresh: bool = False) -> None:
    """Prints what the command would do, with the derived numbers."""
    settings = composed.settings
    console = Console()
    console.print(f"[bold]cgpo train[/bold]  experiment {composed.experiment}  →  {_run_dir(composed, fresh)}")
    console.print(
        f"policy {settings.model.name} ({settings.model.dtype}), reference "
        f"{settings.model.reference or 'the policy before training'}, rollout engine {settings.rollout.engine}, "
        f"ZeRO stage {settings.deepspeed.zero_stage}, {ranks()} rank(s)"
    )
    console.print(_strata_table(settings))
    console.print(_batch_text(settings))
    for warning in warnings(settings):
        console.print(f"[yellow]note:[/yellow] {escape(warning)}")


def ranks() -> int:
    """How many processes this command would be one of."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_STEP_NUM_TASKS", "1")))


def warnings(settings: RunSettings) -> list[str]:
    """What would stop the run before its first step, as far as can be seen without loading anything."""
    found = []
    for name, reward in settings.rewards.items():
        looks_local = reward.model.startswith((".", "/", "runs/")) or Path(reward.model).exists()
        if looks_local and not (Path(reward.model) / "config.json").is_file():
            found.append(
                f"rewards.{name}.model: {reward.model} does not exist yet; `cgpo reward` with the same experiment "
                "makes it"
            )
    size = ranks()
    for name, stratum in settings.strata.items():
        if stratum.prompts_per_step % size:
            found.append(f"strata.{name}.prompts_per_step = {stratum.prompts_per_step} does not divide by {size} ranks")
    return found


def _run_dir(composed: Composed, fresh: bool) -> str:
    run_dir = composed.settings.run_dir
    try:
        goes_on = would_go_on(run_dir, composed.as_dict(), fresh=fresh)
    except CgpoError as error:
        return f"{escape(run_dir)} (would be refused: {escape(str(error).splitlines()[0])})"
    return f"{escape(run_dir)} ({'exists: the run goes on' if goes_on else 'new'})"


def _strata_table(settings: RunSettings) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, stratum in settings.strata.items():
        table.add_row(name, escape(_stratum_text(stratum)))
    return table


def _stratum_text(stratum: StratumSettings) -> str:
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
        ]
    )


def _judges(stratum: StratumSettings) -> list[str]:
    return [
        spec.name + (f"({', '.join(f'{k}={v}' for k, v in spec.options.items())})" if spec.options else "")
        for spec in stratum.judges
    ]


def _optimizer(stratum: StratumSettings) -> str:
    values = stratum.optimizer.model_dump(exclude={"name"}, exclude_none=True)
    return f"{stratum.optimizer.name}({', '.join(f'{k}={_shown(v)}' for k, v in values.items())})"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _source(prompts: PromptSettings) -> str:
    if prompts.generator:
        return f"{prompts.size} from {prompts.generator} generator"
    return f"{prompts.path} [{prompts.split}]" + (f", first {prompts.size}" if prompts.size else "")


def _batch_text(settings: RunSettings) -> str:
    train = settings.train
    responses = {n: s.prompts_per_step * s.generations_per_prompt for n, s in settings.strata.items()}
    most = sum(responses[n] * s.sampling.max_tokens for n, s in settings.strata.items())
    sums = " + ".join(f"{s.prompts_per_step} × {s.generations_per_prompt}" for s in settings.strata.values())
    return (
        f"a step: {sums} = {sum(responses.values())} responses over all ranks, at most {most} response tokens; "
        f"{settings.train.steps} steps: {settings.train.steps * sum(responses.values())} responses, at most "
        f"{settings.train.steps * most} tokens\n"
        f"AdamW, learning rate {train.learning_rate:g}, micro-batches of at most {train.micro_batch_tokens} tokens a "
        f"rank, gradient norm clipped at {train.max_grad_norm:g}; checkpoint every {train.save_every or '–'} steps"
    )
