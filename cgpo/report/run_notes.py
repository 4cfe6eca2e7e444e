"""Words on a run: settings, a line for each stratum, changes of settings, and strata that taught nothing for long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgpo.config import StratumSettings
from cgpo.report.run_files import dig, read_mapping
from cgpo.storage.file_names import BEST_NAME, CHECKPOINTS_NAME, HISTORY_NAME
from cgpo.storage.jsonl import read_jsonl

MOST_CHANGES = 4
"""Changed settings that are written out; of more, the rest are counted."""

DEFAULT_STEPS_WITHOUT_SIGNAL: int = StratumSettings.model_fields["warn_after_steps_without_signal"].default
"""Steps in a row that are worth a word when the configuration cannot be read."""


def settings_facts(run_dir: Path, config: Any, problems: list[str]) -> dict[str, Any]:
    """Label → value; None or empty where there is nothing to say.

    Args:
        run_dir: the run directory.
        config: its configuration.
        problems: what cannot be read is added here.
    """
    return {
        "model": _model(config),
        "reference": dig(config, "model", "reference"),
        "learning rate": _learning_rate(dig(config, "train") or {}),
        "automatic weights": _weighting(dig(config, "weighting")),
        "best checkpoint": _best(run_dir, problems),
    }


def history_notes(run_dir: Path) -> list[str]:
    """A sentence for each time that the run went on with other settings: its curves are of more than one setting."""
    history = read_jsonl(run_dir / HISTORY_NAME)
    return [*history.problems, *(_change(run_dir, line) for line in history.records)]


def signal_notes(steps: Mapping[int, Mapping[str, float | None]], config: Any) -> list[str]:
    """A sentence for each stratum that went long without a signal, or never had one.

    Args:
        steps: step → metrics, of which `<stratum>/no_signal` is read.
        config: the run's configuration, for `strata.<name>.warn_after_steps_without_signal`.
    """
    notes = []
    names = dict.fromkeys(n.removesuffix("/no_signal") for m in steps.values() for n in m if n.endswith("/no_signal"))
    for name in names:
        silent = {step: bool(m[f"{name}/no_signal"]) for step, m in sorted(steps.items()) if f"{name}/no_signal" in m}
        set_steps = dig(config, "strata", name, "warn_after_steps_without_signal")
        worth = set_steps if isinstance(set_steps, int) else DEFAULT_STEPS_WITHOUT_SIGNAL
        longest, last = _longest(silent)
        steps_without, all_steps = sum(silent.values()), len(silent)
        if steps_without == all_steps > 1:
            notes.append(
                f"stratum {name} gave no signal in any of its {all_steps} steps: it taught the policy nothing."
            )
        elif longest >= worth:
            notes.append(
                f"stratum {name} gave no signal in {steps_without} of its {all_steps} steps, {longest} of them in a "
                f"row, up to step {last}."
            )
    return notes


def describe_stratum(stratum: Any) -> str:
    """One line on a stratum's settings: judges, rewards, optimiser, responses per step, when it takes part."""
    if not isinstance(stratum, Mapping):
        return ""
    judges = [dig(entry, "name") or str(entry) for entry in stratum.get("judges") or []]
    optimizer = {key: value for key, value in (stratum.get("optimizer") or {}).items() if value not in (None, {})}
    settings = ", ".join(f"{key} {value}" for key, value in optimizer.items() if key != "name")
    parts = [
        f"judges: {', '.join(judges)}" if judges else "no judges",
        f"rewards: {', '.join(f'{name} × {weight}' for name, weight in (stratum.get('rewards') or {}).items())}",
        f"optimiser: {optimizer.get('name', '?')}" + (f" ({settings})" if settings else ""),
        f"{dig(stratum, 'prompts_per_step')} prompts × {dig(stratum, 'generations_per_prompt')} responses a step",
        f"weight {stratum.get('weight', 1)}",
        *_takes_part(stratum.get("schedule")),
    ]
    return " · ".join(part for part in parts if part != "rewards: ")


def _takes_part(schedule: Any) -> list[str]:
    start, end, every = (dig(schedule, key) for key in ("start", "end", "every"))
    if not start and end is None and every in (None, 1):
        return []
    first = f"from step {(start or 0) + 1}"  # as steps are shown, counted from 1
    last = f" to {end}" if end is not None else ""
    return [first + last + (f", every {every} steps" if every not in (None, 1) else "")]


def _model(config: Any) -> str | None:
    name, dtype, rank = (dig(config, "model", *keys) for keys in (("name",), ("dtype",), ("lora", "rank")))
    details = ", ".join(part for part in (dtype, f"LoRA of rank {rank}" if rank else None) if part)
    return f"{name} ({details})" if name and details else name


def _learning_rate(train: Any) -> str | None:
    rate, schedule, warmup = (dig(train, key) for key in ("learning_rate", "schedule", "warmup_steps"))
    if rate is None:
        return None
    parts = [str(rate)]
    if schedule not in (None, "constant"):
        parts.append(f"{schedule} to {dig(train, 'final_learning_rate_ratio') or 0} of it")
    if warmup:
        parts.append(f"{warmup} warm-up steps")
    return ", ".join(parts)


def _weighting(weighting: Any) -> str | None:
    method = dig(weighting, "method")
    if method in (None, "none"):
        return None
    return f"by {method}, each ρ × {dig(weighting, 'min_factor')} to {dig(weighting, 'max_factor')}"


def _best(run_dir: Path, problems: list[str]) -> str | None:
    best = read_mapping(run_dir / CHECKPOINTS_NAME / BEST_NAME, problems)
    return f"step {best['step']}: {best.get('metric')} {best.get('value')}" if "step" in best else None


def _change(run_dir: Path, line: Mapping[str, Any]) -> str:
    changes = line.get("changes")
    changes = changes if isinstance(changes, Mapping) else {}
    # What a choice is called says more than what follows from it.
    keys = sorted(changes, key=lambda key: (not key.endswith(".name"), key))
    told = [f"{key} {dig(changes[key], 'old')} → {dig(changes[key], 'new')}" for key in keys[:MOST_CHANGES]]
    more = f", and {len(keys) - MOST_CHANGES} more ({run_dir / HISTORY_NAME})" if len(keys) > MOST_CHANGES else ""
    return f"After step {line.get('step', '?')} the run went on with other settings: {', '.join(told)}{more}."


def _longest(no_signal: Mapping[int, bool]) -> tuple[int, int | None]:
    """The longest stretch without a signal and its last step; the later one of two that are equally long."""
    longest, last, run = 0, None, 0
    for step, none in no_signal.items():
        run = run + 1 if none else 0
        if run and run >= longest:
            longest, last = run, step
    return longest, last
