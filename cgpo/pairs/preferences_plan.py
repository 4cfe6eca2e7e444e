"""The plan of `cgpo preferences`, printed by `--dry-run`. No torch."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from cgpo.compose import Composed
from cgpo.config import ContaminationSettings, RunSettings
from cgpo.models.assets import missing_note
from cgpo.pairs.configuration import COMMAND, preferences_configuration
from cgpo.storage.file_names import REPORT_NAME
from cgpo.storage.run_directory import claim_in_words
from judges.terminal import open_console


def print_preferences_plan(composed: Composed, *, fresh: bool) -> None:
    """Prints the plan."""
    console = open_console(highlight=True)
    settings = composed.settings
    existing = "done" if (Path(settings.run_dir) / REPORT_NAME).is_file() else "goes on"
    where = claim_in_words(settings.run_dir, preferences_configuration(settings), fresh=fresh, existing=existing)
    console.print(f"[bold]cgpo {COMMAND}[/bold]  experiment {composed.experiment}  →  {escape(where)}")
    for line in preferences_plan_lines(settings):
        console.print(f"  {escape(line)}")


def preferences_plan_lines(settings: RunSettings) -> list[str]:
    """The plan, a line each."""
    preferences = settings.preferences
    lines = [f"responses of {settings.model.name}{missing_note(settings.model.name)}, by {settings.rollout.engine}"]
    for name, stratum in settings.strata.items():
        size = stratum.prompts.size
        known = [n for n in (preferences.prompts_per_stratum, size) if n is not None]
        prompts = min(known) if known else None
        count = "all prompts" if prompts is None else f"{prompts} prompts"
        total = "" if prompts is None else f" = {prompts * preferences.responses_per_prompt} responses"
        temperature = preferences.temperature or stratum.sampling.temperature
        lines.append(
            f"{name}: {count} × {preferences.responses_per_prompt}{total} of at most {stratum.sampling.max_tokens} "
            f"tokens at temperature {temperature:g}; {_ranked(settings, name)}"
        )
    choices = {"best_worst": "the best over the worst", "best_random": "the best over a random one", "all": "all pairs"}
    most = "" if preferences.max_pairs_per_prompt is None else f", at most {preferences.max_pairs_per_prompt} a prompt"
    lines.append(f"kept: {choices[preferences.pairs_per_prompt]}{most}")
    lines.append(contamination_line(preferences.contamination))
    return lines


def _ranked(settings: RunSettings, name: str) -> str:
    stratum, preferences = settings.strata[name], settings.preferences
    judges = ", ".join(spec.label for spec in stratum.judges) or "no judges"
    rewards = " + ".join(f"{weight:g}·{reward}" for reward, weight in stratum.rewards.items() if weight)
    least = f" by at least {preferences.min_reward_difference:g}" if preferences.min_reward_difference else ""
    criteria = {"judges": f"judges ({judges})", "reward": f"reward ({rewards}{least})"}
    return "ranked by " + ", then ".join(criteria[criterion] for criterion in preferences.rank_by)


def contamination_line(settings: ContaminationSettings) -> str:
    """In words what is done with prompts that are held-out ones too."""
    if settings.action == "off":
        return "not compared with held-out prompts"
    files = f" and {len(settings.heldout)} file(s)" if settings.heldout else ""
    done = {"drop": "left out", "stop": "refused"}[settings.action]
    return (
        f"prompts with {settings.share:.0%} of the {settings.words}-grams of a held-out one (the strata's{files}) are "
        f"{done}"
    )
