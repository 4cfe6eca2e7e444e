"""What an evaluation on held-out prompts says: rates, means and changes, each with its interval and counts.

    evaluation.jsonl          {"schema": 1, "step", "strata": {name: summary}, "changes": {name: change}}, one line each
    evaluations/step-N.parquet        every response of that evaluation (`cgpo.tracking.rollouts`)

Rates are over known verdicts only; unknown ones are counted beside. Changes are against the run's first evaluation,
paired by prompt: the responses of that one are read from its Parquet file, so they survive a restart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cgpo.errors import RunError
from cgpo.evaluation.intervals import Interval, mean_change, mean_interval, rate_change, rate_interval
from cgpo.tracking.disk import write_atomically
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter, read_rollouts
from judges import Judgement, Outcome

SCHEMA = 1
FILE_NAME = "evaluation.jsonl"
FOLDER_NAME = "evaluations"

_KNOWN = {Outcome.SATISFIED: True, Outcome.VIOLATED: False}


def summarise(rows: Sequence[RolloutRow], confidence: float) -> dict[str, Any]:
    """The summary of one stratum.

    Args:
        rows: its responses, every rank's. A row has a `log_ratio` where its response was sampled from π_w at T > 0:
            only then is their mean an estimate of KL(π_w ‖ π_ref).
        confidence: level of the intervals, in (0, 1).

    Returns:
        `{"n", "satisfied": rate, "unknown", "judges": {name: rate}, "calibrated_reward": mean, "kl": mean,
        "response_tokens": mean}`; a rate is `{"count", "n", "rate", "low", "high"}`, a judge's also has `"unknown"`;
        a mean is `{"mean", "low", "high", "n"}`. `"kl"` (nats per response) is there only when a row has a log
        ratio. Estimates without data are null. The reward does not enter `satisfied`: a missing score is no verdict.
    """
    satisfied = [_satisfied(row) for row in rows]
    names = dict.fromkeys(name for row in rows for name, verdict in row.verdicts.items() if _counts(verdict.outcome))
    summary: dict[str, Any] = {
        "n": len(rows),
        "satisfied": _rate(satisfied, confidence),
        "unknown": satisfied.count(None),
        "judges": {name: _judge_rate(rows, name, confidence) for name in names},
        "calibrated_reward": _mean([row.calibrated_reward for row in rows], confidence),
    }
    if any(row.log_ratio is not None for row in rows):
        summary["kl"] = _mean([row.log_ratio for row in rows], confidence)
    summary["response_tokens"] = _mean([row.response_tokens for row in rows], confidence)
    return summary


def compare(before: Sequence[RolloutRow], after: Sequence[RolloutRow], confidence: float) -> dict[str, Any]:
    """What changed in a stratum, after − before, paired by prompt (and k) over those known in both.

    Returns:
        `{"satisfied": change, "judges": {name: change}, "calibrated_reward": change}` with a change
        `{"change", "low", "high", "n"}`; n is the number of prompts known in both.
    """
    later = {(row.prompt_id, row.index): row for row in after}
    pairs = [(row, later[row.prompt_id, row.index]) for row in before if (row.prompt_id, row.index) in later]
    names = dict.fromkeys(name for old, new in pairs for name in old.verdicts if name in new.verdicts)
    return {
        "satisfied": _rate_change([(_satisfied(old), _satisfied(new)) for old, new in pairs], confidence),
        "judges": {
            name: _rate_change([(_said(old, name), _said(new, name)) for old, new in pairs], confidence)
            for name in names
        },
        "calibrated_reward": _mean_change([(o.calibrated_reward, n.calibrated_reward) for o, n in pairs], confidence),
    }


class EvaluationFile:
    """The evaluations of a run: `evaluation.jsonl` with the numbers, `evaluations/` with the responses.

    One rank writes; the others `reload` afterwards.

    Args:
        run_dir: the run directory.

    Raises:
        RunError: the file is there but cannot be read, or is damaged.
    """

    def __init__(self, run_dir: Path) -> None:
        self._file = run_dir / FILE_NAME
        self._folder = run_dir / FOLDER_NAME
        self._lines: list[dict[str, Any]] = []
        self.reload()

    def done(self, step: int) -> bool:
        """Whether there is an evaluation after that many optimiser steps."""
        return any(line["step"] == step for line in self._lines)

    def read(self) -> list[dict[str, Any]]:
        """The lines, in the order of steps."""
        return list(self._lines)

    def add(self, step: int, rows: Sequence[RolloutRow], confidence: float) -> dict[str, Any]:
        """Adds an evaluation, instead of an earlier one of the same step, and returns its line.

        Args:
            step: optimiser steps done; 0 is before training.
            rows: the responses of all strata, every rank's.
            confidence: level of the intervals, in (0, 1).

        Raises:
            RunError: the disk is full, or a file cannot be written.
            DataError: the responses of the first evaluation cannot be read.
        """
        by_stratum = _by_stratum(rows)
        line: dict[str, Any] = {
            "schema": SCHEMA,
            "step": step,
            "strata": {name: summarise(mine, confidence) for name, mine in by_stratum.items()},
        }
        first = min((old["step"] for old in self._lines), default=step)
        if first < step:
            before = _by_stratum(read_rollouts(self._folder, [first]).get(first, []))
            line["changes"] = {
                name: compare(before[name], mine, confidence) for name, mine in by_stratum.items() if name in before
            }
        # The responses first: a line is there only when what later ones are compared with is there too.
        RolloutsWriter(self._folder).write(step, rows)
        self._write(sorted([*(old for old in self._lines if old["step"] != step), line], key=lambda each: each["step"]))
        return line

    def truncate_after(self, step: int) -> None:
        """Removes the evaluations of later steps: a run that goes on from a checkpoint makes them again.

        Raises:
            RunError: a file cannot be written.
        """
        kept = [line for line in self._lines if line["step"] <= step]
        if len(kept) < len(self._lines):
            self._write(kept)
        RolloutsWriter(self._folder).truncate_after(step)

    def reload(self) -> None:
        """Reads what another rank has written.

        Raises:
            RunError: as the constructor.
        """
        try:
            text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self._file} cannot be read: {error}") from error
        self._lines = [self._parse(number, line) for number, line in enumerate(text.splitlines(), start=1)]

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)
        write_atomically(self._file, text.encode(), "the evaluations")
        self._lines = lines

    def _parse(self, number: int, text: str) -> dict[str, Any]:
        try:
            line = json.loads(text)
            if line["schema"] != SCHEMA or not isinstance(line["step"], int):
                raise ValueError(f"schema {line['schema']}, step {line['step']}")
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._file} line {number} is damaged ({error})") from error
        return dict(line)


def _by_stratum(rows: Iterable[RolloutRow]) -> dict[str, list[RolloutRow]]:
    found: dict[str, list[RolloutRow]] = {}
    for row in rows:
        found.setdefault(row.stratum, []).append(row)
    return found


def _satisfied(row: RolloutRow) -> bool | None:
    return Judgement(dict(row.verdicts)).satisfied


def _said(row: RolloutRow, judge: str) -> bool | None:
    verdict = row.verdicts.get(judge)
    return _KNOWN.get(verdict.outcome) if verdict is not None else None


def _counts(outcome: Outcome) -> bool:
    """Neutral verdicts (not applicable, not judged) do not enter a judge's numbers at all."""
    return outcome in _KNOWN or outcome is Outcome.UNKNOWN


def _judge_rate(rows: Sequence[RolloutRow], judge: str, confidence: float) -> dict[str, Any]:
    said = [_said(row, judge) for row in rows if judge in row.verdicts and _counts(row.verdicts[judge].outcome)]
    return _rate(said, confidence) | {"unknown": said.count(None)}


def _rate(values: Sequence[bool | None], confidence: float) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    found = rate_interval(sum(known), len(known), confidence)
    return {"count": sum(known), "n": found.n, "rate": found.estimate, "low": found.low, "high": found.high}


def _mean(values: Iterable[float | None], confidence: float) -> dict[str, Any]:
    found = mean_interval([v for v in values if v is not None and math.isfinite(v)], confidence)
    return {"mean": found.estimate, "low": found.low, "high": found.high, "n": found.n}


def _rate_change(pairs: Iterable[tuple[bool | None, bool | None]], confidence: float) -> dict[str, Any]:
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    return _change(rate_change([old for old, _ in known], [new for _, new in known], confidence))


def _mean_change(pairs: Iterable[tuple[float | None, float | None]], confidence: float) -> dict[str, Any]:
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    return _change(mean_change([old for old, _ in known], [new for _, new in known], confidence))


def _change(found: Interval) -> dict[str, Any]:
    return {"change": found.estimate, "low": found.low, "high": found.high, "n": found.n}
