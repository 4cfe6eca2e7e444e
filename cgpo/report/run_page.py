"""`report.html`: one file, no network, made from the run directory alone, so that a killed run has one too.

The page's own policy forbids every script but its own and every request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.config import TrackingSettings
from cgpo.errors import RunError
from cgpo.report.changes import SIDE_TITLES, Changes, change_text, interval_text, measure_text
from cgpo.report.charts import Chart
from cgpo.report.line_chart import Series, line_chart
from cgpo.report.overoptimisation import OverOptimisation, phrase_cells, read_overoptimisation
from cgpo.report.run_files import dig, read_changes, read_mapping
from cgpo.report.run_notes import describe_stratum, history_notes, settings_facts, signal_notes
from cgpo.report.samples import Pair, Sample, heldout_pairs, training_samples
from cgpo.report.templates import render
from cgpo.storage.disk import write_atomically
from cgpo.storage.file_names import CONFIG_NAME, ENVIRONMENT_NAME, METRICS_NAME, PAGE_NAME
from cgpo.tracking.lines import duration, number
from cgpo.tracking.metrics import scan_metrics

Steps = Mapping[int, Mapping[str, float | None]]

LONGEST_REASON = 500
"""Characters of a judge's reason that are shown."""

MAIN_CURVES = {
    "satisfied_rate": "satisfied, of known verdicts",
    "calibrated_reward": "calibrated reward",
    "log_ratio": "log_ratio, nats per response",
    "unknown_rate": "unknown, of all verdicts",
    "response_tokens": "response length, tokens",
    "kl_factor_largest": "largest KL factor",
}
"""Quantities every stratum's section opens with; the others follow folded away."""

COUNTS = frozenset({"responses", "satisfied", "violated", "unknown"})
"""Quantities that are in the rates already."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Where the time went: seconds over the whole run, share of it, mean seconds a step."""

    name: str
    seconds: float
    share: float
    mean: float


@dataclass(frozen=True, slots=True)
class StratumSection:
    """Curves and samples of one stratum."""

    name: str
    description: str
    charts: tuple[Chart, ...]
    more_charts: tuple[Chart, ...]
    samples: tuple[Sample, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the template is filled with."""

    title: str
    status: str
    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    changes: Changes
    strata: tuple[StratumSection, ...]
    phases: tuple[Phase, ...]
    run_charts: tuple[Chart, ...]
    overoptimisation: OverOptimisation


def write_report(run_dir: Path) -> Path:
    """Makes or renews `<run_dir>/report.html` and returns its path.

    Raises:
        RunError: there is no such directory, or the file cannot be written.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir} is not a run directory: no such folder")
    page = render_report(collect(run_dir))
    path = run_dir / PAGE_NAME
    write_atomically(path, page.encode("utf-8", "backslashreplace"), "the report")
    return path


def render_report(report: Report) -> str:
    """The page."""
    from markupsafe import Markup

    script = render("run_page.js.j2")
    return render(
        "run_page.html.j2",
        report=report,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        duration=duration,
        number=number,
        measure_text=measure_text,
        interval_text=interval_text,
        change_text=change_text,
        phrase_cells=phrase_cells,
        longest_reason=LONGEST_REASON,
        side_titles=SIDE_TITLES,
    )


def collect(run_dir: Path) -> Report:
    """Reads the run directory. What is missing or damaged is named in `problems` or left out, never an error."""
    problems: list[str] = []
    config = _read_config(run_dir, problems)
    steps, damaged = scan_metrics(run_dir / METRICS_NAME)
    problems += damaged
    problems += signal_notes(steps, config)
    problems += history_notes(run_dir)
    environment = read_mapping(run_dir / ENVIRONMENT_NAME, problems)
    facts = _facts(run_dir, config, steps, environment, problems)
    changes = read_changes(run_dir, config, problems)
    wanted = dig(config, "tracking", "report_samples")
    count = wanted if isinstance(wanted, int) else TrackingSettings().report_samples
    samples = training_samples(run_dir, count, problems)
    pairs = heldout_pairs(run_dir, (count + 1) // 2, problems)
    names = _stratum_names(config, steps, [*samples, *pairs, *(change.stratum for change in changes.strata)])
    overoptimisation = read_overoptimisation(run_dir, steps, names, problems)
    problems += overoptimisation.notes
    return Report(
        title=run_dir.absolute().name,
        status=_status(config, steps),
        facts=tuple(facts),
        problems=tuple(problems),
        changes=changes,
        strata=tuple(
            StratumSection(
                name,
                describe_stratum(dig(config, "strata", name)),
                *_stratum_charts(name, steps),
                tuple(samples.get(name, ())),
                tuple(pairs.get(name, ())),
            )
            for name in names
        ),
        phases=tuple(_phases(steps)),
        run_charts=tuple(_run_charts(names, steps)),
        overoptimisation=overoptimisation,
    )


def _read_config(run_dir: Path, problems: list[str]) -> dict[str, Any]:
    path = run_dir / CONFIG_NAME
    if not path.exists():
        problems.append(f"{path} is missing: model, seed and settings are not known.")
    return read_mapping(path, problems)


def _status(config: Any, steps: Steps) -> str:
    total = dig(config, "train", "steps")
    if not steps:
        return "No step has been recorded yet."
    done = max(steps)
    if not isinstance(total, int):
        return f"{done} steps recorded."
    if done >= total:
        return f"All {total} steps are done."
    return f"Not finished: {done} of {total} steps are recorded. The same command goes on from the last checkpoint."


def _facts(run_dir: Path, config: Any, steps: Steps, environment: Any, problems: list[str]) -> list[tuple[str, str]]:
    versions = dig(environment, "versions") or {}
    facts = {
        "run directory": str(run_dir),
        **settings_facts(run_dir, config, problems),
        "steps": f"{max(steps)} of {dig(config, 'train', 'steps') or '?'}" if steps else None,
        "seed": dig(config, "seed"),
        "rollout engine": dig(config, "rollout", "engine"),
        "ZeRO stage": dig(config, "deepspeed", "zero_stage"),
        "ranks": dig(environment, "ranks"),
        "time in steps": duration(_total_seconds(steps)) if steps else None,
        "machine": _machine(dig(environment, "machine")),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return [(label, str(value)) for label, value in facts.items() if value not in (None, "")]


def _machine(machine: Any) -> str:
    gpus = dig(machine, "gpus") or []
    memory = dig(machine, "memory_gib")
    parts = [
        dig(machine, "processor"),
        f"{dig(machine, 'cores')} cores" if dig(machine, "cores") else "",
        f"{memory} GiB memory" if memory else "",
        ", ".join(f"{gpus.count(name)} × {name}" for name in dict.fromkeys(gpus)),
    ]
    return ", ".join(part for part in parts if part)


def _stratum_names(config: Any, steps: Steps, recorded: Sequence[str]) -> list[str]:
    configured = dig(config, "strata")
    names = list(configured) if isinstance(configured, Mapping) else []
    rates = [name for name in _metric_names(steps) if name.endswith("/satisfied_rate")]
    measured = [name.partition("/")[0] for name in rates]
    return list(dict.fromkeys([*names, *recorded, *measured]))


def _stratum_charts(stratum: str, steps: Steps) -> tuple[tuple[Chart, ...], tuple[Chart, ...]]:
    quantities: dict[str, list[str]] = {}
    for metric in _metric_names(steps):
        owner, _, rest = metric.partition("/")
        if owner == stratum and rest:
            quantity, _, judge = rest.partition("/")
            quantities.setdefault(quantity, []).append(judge)
    main = [_quantity_chart(stratum, name, quantities.get(name, []), steps) for name in MAIN_CURVES]
    others = sorted(set(quantities) - set(MAIN_CURVES) - COUNTS)
    more = [_quantity_chart(stratum, name, quantities[name], steps) for name in others]
    return tuple(chart for chart in main if chart), tuple(chart for chart in more if chart)


def _quantity_chart(stratum: str, quantity: str, parts: Sequence[str], steps: Steps) -> Chart | None:
    """A quantity as one chart: the whole first, then each judge (or reward) where there are several."""
    judges = sorted(part for part in parts if part)
    series = [_series("all judges", f"{stratum}/{quantity}", steps)] if "" in parts else []
    if len(judges) > 1 or not series:
        series += [_series(judge, f"{stratum}/{quantity}/{judge}", steps) for judge in judges]
    title = MAIN_CURVES.get(quantity, quantity.replace("_", " "))
    return line_chart(title, series, rate=quantity.endswith("_rate")) if series else None


def _run_charts(strata: Sequence[str], steps: Steps) -> list[Chart]:
    """Numbers of the whole run: loss, gradient norm, log-prob gap, tokens."""
    owners = {*strata, "time"}
    names = [name for name in _metric_names(steps) if name.partition("/")[0] not in owners]
    charts = [
        line_chart(name.replace("_", " "), [_series(name, name, steps)], rate=name.endswith("_rate")) for name in names
    ]
    return [chart for chart in charts if chart]


def _phases(steps: Steps) -> list[Phase]:
    totals: dict[str, float] = {}
    for metrics in steps.values():
        for name, value in metrics.items():
            if name.startswith("time/") and name != "time/step" and value is not None:
                totals[name.removeprefix("time/")] = totals.get(name.removeprefix("time/"), 0.0) + value
    whole = max(_total_seconds(steps), sum(totals.values()))
    rest = whole - sum(totals.values())
    if totals and rest > 0.005 * whole:
        totals["anything else"] = rest
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    return [Phase(name, seconds, seconds / whole, seconds / len(steps)) for name, seconds in ordered if whole > 0]


def _total_seconds(steps: Steps) -> float:
    """Of each step `time/step` where it was recorded, else the sum of its phases."""
    total = 0.0
    for metrics in steps.values():
        whole = metrics.get("time/step")
        total += sum(v for k, v in metrics.items() if k.startswith("time/") and v) if whole is None else whole
    return total


def _series(label: str, metric: str, steps: Steps) -> Series:
    # A step that a stratum took no part in is no gap in its curve; a value that is not known is one.
    return Series(label, [(step, metrics[metric]) for step, metrics in steps.items() if metric in metrics])


def _metric_names(steps: Steps) -> list[str]:
    return list(dict.fromkeys(name for metrics in steps.values() for name in metrics))
