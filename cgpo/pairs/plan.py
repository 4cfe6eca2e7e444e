"""What `cgpo preferences` would do, printed by `--dry-run`. No torch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cgpo.compose import Composed
from cgpo.config import ContaminationSettings, RunSettings
from cgpo.errors import CgpoError, ConfigError
from cgpo.models.assets import check_model_name
from cgpo.pairs.configuration import COMMAND, preferences_configuration
from cgpo.storage.run_directory import REPORT_NAME, would_go_on


def print_preferences_plan(composed: Composed, *, fresh: bool) -> None:
    """Prints the plan."""
    console = Console(soft_wrap=True)
    where = _state(composed.settings, fresh=fresh)
    console.print(f"[bold]cgpo {COMMAND}[/bold]  experiment {composed.experiment}  →  {escape(where)}")
    for line in plan_lines(composed.settings):
        console.print(f"  {escape(line)}")


def _state(settings: RunSettings, *, fresh: bool) -> str:
    run_dir = settings.run_dir
    try:
        goes_on = would_go_on(run_dir, preferences_configuration(settings), fresh=fresh)
    except CgpoError as error:
        return f"{run_dir} (would be refused: {str(error).splitlines()[0]})"
    if not goes_on:
        return f"{run_dir} (new)"
    return f"{run_dir} ({'done' if (Path(run_dir) / REPORT_NAME).is_file() else 'goes on'})"


def plan_lines(settings: RunSettings) -> list[str]:
    """The plan, a line each."""
    asked = settings.preferences
    lines = [f"responses of {settings.model.name}{_missing(settings.model.name)}, by {settings.rollout.engine}"]
    for name, stratum in settings.strata.items():
        size = stratum.prompts.size
        known = [n for n in (asked.prompts_per_stratum, size) if n is not None]
        prompts = min(known) if known else None
        count = "all prompts" if prompts is None else f"{prompts} prompts"
        total = "" if prompts is None else f" = {prompts * asked.responses_per_prompt} responses"
        temperature = asked.temperature or stratum.sampling.temperature
        lines.append(
            f"{name}: {count} × {asked.responses_per_prompt}{total} of at most {stratum.sampling.max_tokens} tokens at "
            f"temperature {temperature:g}; {_ranked(settings, name)}"
        )
    kept = {"best_worst": "the best over the worst", "best_random": "the best over a random one", "all": "all pairs"}
    most = "" if asked.max_pairs_per_prompt is None else f", at most {asked.max_pairs_per_prompt} a prompt"
    lines.append(f"kept: {kept[asked.pairs_per_prompt]}{most}")
    lines.append(contamination_line(asked.contamination))
    return lines


def _ranked(settings: RunSettings, name: str) -> str:
    stratum, asked = settings.strata[name], settings.preferences
    judges = ", ".join(spec.label for spec in stratum.judges) or "no judges"
    rewards = " + ".join(f"{weight:g}·{reward}" for reward, weight in stratum.rewards.items() if weight)
    least = f" by at least {asked.min_reward_difference:g}" if asked.min_reward_difference else ""
    said = {"judges": f"judges ({judges})", "reward": f"reward ({rewards}{least})"}
    return "ranked by " + ", then ".join(said[criterion] for criterion in asked.rank_by)


def contamination_line(settings: ContaminationSettings) -> str:
    """What is done with prompts that are held-out ones too."""
    if settings.action == "off":
        return "not compared with held-out prompts"
    files = f" and {len(settings.heldout)} file(s)" if settings.heldout else ""
    done = {"drop": "left out", "stop": "refused"}[settings.action]
    return (
        f"prompts with {settings.share:.0%} of the {settings.words}-grams of a held-out one (the strata's{files}) are "
        f"{done}"
    )


def _missing(name: str) -> str:
    try:
        check_model_name(name)
    except ConfigError:
        return " (not there yet)"
    return ""
