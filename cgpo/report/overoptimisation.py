"""Reads the records of the over-optimisation watch in a run directory, for the page and the run's last words.

Files (written by `cgpo.overoptimisation.watch`): `warnings.jsonl`, a line for each warning; `phrases.jsonl`, a line for
each look at a stratum's phrases. They are read tolerantly: a killed run has them too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.report.charts import Chart
from cgpo.report.line_chart import Series, line_chart
from cgpo.storage.file_names import PHRASES_NAME, WARNINGS_NAME
from cgpo.storage.jsonl import read_jsonl
from cgpo.storage.text import percent
from judges.printing import showable

Steps = Mapping[int, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, perhaps given several times: `first` and `last` are the steps, `text` is that of the last time."""

    stratum: str
    kind: str
    subject: str
    text: str
    first: int
    last: int
    began: int | None

    @property
    def line(self) -> str:
        """For a person."""
        again = f", last in step {self.last}" if self.last > self.first else ""
        return f"over-optimisation, first seen in step {self.first}{again}: {self.text}."


@dataclass(frozen=True, slots=True)
class PhraseLook:
    """The last look at a stratum's phrases; `rows` as `cgpo.overoptimisation.spread.Spread` has them."""

    stratum: str
    step: int
    responses: int
    reference_responses: int
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class OverOptimisation:
    """The records of the watch.

    Attributes:
        warnings: each once, in the order in which they came.
        charts: (stratum, its trained reward beside the independent measures).
        looks: the last look at the phrases of each stratum.
    """

    warnings: tuple[Warned, ...] = ()
    charts: tuple[tuple[str, Chart], ...] = ()
    looks: tuple[PhraseLook, ...] = ()

    @property
    def notes(self) -> list[str]:
        """A sentence for each warning."""
        return [warned.line for warned in self.warnings]


def read_overoptimisation(run_dir: Path, steps: Steps, strata: Sequence[str], problems: list[str]) -> OverOptimisation:
    """Reads what is there; what is damaged is named in `problems`."""
    warnings, looks = read_jsonl(run_dir / WARNINGS_NAME), read_jsonl(run_dir / PHRASES_NAME)
    problems += [*warnings.problems, *looks.problems]
    try:
        warned = _warned(warnings.records)
        last = {str(line["stratum"]): _look(line) for line in looks.records}
    except (KeyError, TypeError, ValueError) as error:
        problems.append(f"{run_dir}: {WARNINGS_NAME} or {PHRASES_NAME} has a line of an unexpected form: {error!r}")
        return OverOptimisation()
    charts = [(name, chart) for name in strata if (chart := _chart(name, steps, warned)) is not None]
    return OverOptimisation(tuple(warned), tuple(charts), tuple(last.values()))


def phrase_cells(row: Mapping[str, Any]) -> list[str]:
    """Phrase, place, rate now, rate of the reference, factor, z, as text."""
    return [
        showable(str(row["phrase"])),
        str(row["place"]),
        percent(row["rate"], 1),
        percent(row["reference_rate"], 1),
        f"{row['factor']:.1f}",
        f"{row['z']:.1f}",
    ]


def _warned(lines: Sequence[Mapping[str, Any]]) -> list[Warned]:
    warned: dict[tuple[str, str, str], Warned] = {}
    for line in lines:
        key = (str(line["stratum"]), str(line["kind"]), str(line["subject"]))
        step, began = int(line["step"]), line.get("began")
        before = warned.get(key)
        if before is not None:  # the first time says best when it began
            warned[key] = Warned(*key, str(line["text"]), before.first, step, before.began)
        else:
            warned[key] = Warned(*key, str(line["text"]), step, step, began if isinstance(began, int) else None)
    return list(warned.values())


def _look(line: Mapping[str, Any]) -> PhraseLook:
    rows = tuple(dict(row) for row in line["phrases"])
    for row in rows:
        phrase_cells(row)  # a row that cannot be shown fails here, where it can be named
    return PhraseLook(
        str(line["stratum"]), int(line["step"]), int(line["responses"]), int(line["reference_responses"]), rows
    )


def _chart(stratum: str, steps: Steps, warned: Sequence[Warned]) -> Chart | None:
    """The trained reward beside what is independent of it, where there is any such."""
    prefix = f"{stratum}/independent/"
    names = dict.fromkeys(name for metrics in steps.values() for name in metrics if name.startswith(prefix))
    divergences = [w for w in warned if w.stratum == stratum and w.kind == "divergence" and w.began is not None]
    curves = {"trained reward": f"{stratum}/calibrated_reward"}
    curves |= {name.removeprefix(prefix): name for name in names}
    if not names and not divergences:
        return None
    if not names or any(w.subject == "satisfied rate" for w in divergences):
        curves["satisfied rate"] = f"{stratum}/satisfied_rate"
    series = [Series(label, [(s, m[name]) for s, m in steps.items() if name in m]) for label, name in curves.items()]
    marks = [(w.began, f"{w.subject} began to fall") for w in divergences if w.began is not None]
    return line_chart("trained reward and independent measures, in [0, 1]", series, marks=marks)
