"""Baseline responses ā and their rewards r(s, ā): made once before training and kept on disk.

    baselines.jsonl    {"schema": 2, "stratum", "prompt_id", "golden", "response", "response_ids", "finish_reason",
                        "rewards": {name: number or null}, "verdicts": {judge: verdict}}

                       {"schema": 2, "stratum", "prompt_id", "discarded": true}

Verdicts are there for strata whose optimiser learns from baseline responses (CRRAFT), else null.

A score that failed and a verdict that is unknown stay as they are when a run goes on: made again they might come out
otherwise, and the run would part from one that was never stopped. Only where they stopped the run are they discarded,
or it could never get past them.

The file is appended to and forced to the disk, so a run that is killed and started again generates only what is
missing: later it could not, because π_ref generates the baselines while the engine still holds its weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import RunError
from cgpo.rewards.calibration import finite
from cgpo.storage.disk import append_line
from cgpo.types import Prompt
from judges import Judgement, Outcome

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline of one prompt.

    Attributes:
        response: ā.
        response_ids: its token ids, including the end token when it was ended.
        rewards: r(s, ā) by reward name; None where scoring failed.
        golden: ā is the data set's own response, not the reference's.
        finish_reason: `stop`, or `length` where the reference's response was cut off.
        judgement: the judges' verdicts, or None where nobody asked for them.
    """

    response: str
    response_ids: tuple[int, ...]
    rewards: Mapping[str, float | None]
    golden: bool = False
    finish_reason: str = "stop"
    judgement: Judgement | None = None


class BaselineStore:
    """The baselines of a run, by stratum and prompt id.

    Args:
        file: `<run_dir>/baselines.jsonl`; read if it is there. A half-written last line is dropped.
        writable: False on every rank but one: then `add` only remembers.

    Raises:
        RunError: the file cannot be read, or a line in its middle is damaged.
    """

    def __init__(self, file: Path, *, writable: bool = True) -> None:
        self._file = file
        self._writable = writable
        self._baselines: dict[tuple[str, str], Baseline] = {}
        if file.exists():
            self._load()

    def __len__(self) -> int:
        return len(self._baselines)

    @property
    def file(self) -> Path:
        """Where they are kept. The file only grows."""
        return self._file

    def missing(
        self, stratum: str, prompts: Iterable[Prompt], rewards: Iterable[str], *, judged: bool = False
    ) -> list[Prompt]:
        """The prompts, each once and in order, that have no baseline yet or lack one of the rewards' entries.

        A golden response that is no longer the data set's counts as missing; where verdicts are wanted (`judged`), so
        does one without them.
        """
        names = set(rewards)
        distinct = {prompt.id: prompt for prompt in prompts}
        return [prompt for prompt in distinct.values() if not self._complete(stratum, prompt, names, judged)]

    def add(self, stratum: str, baselines: Iterable[tuple[str, Baseline]]) -> None:
        """Keeps baselines, on disk when this returns.

        Args:
            stratum: name of the stratum.
            baselines: prompt ids with their baselines.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        lines = []
        for prompt_id, baseline in baselines:
            self._baselines[stratum, prompt_id] = baseline
            lines.append(json.dumps(_row(stratum, prompt_id, baseline), allow_nan=False))
        if lines and self._writable:
            append_line(self._file, "\n".join(lines), f"the baselines of stratum {stratum}")

    def discard_unknown(self) -> None:
        """Drops every baseline with a missing score or an unknown outcome: the next start makes it anew.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        unknown = [key for key, baseline in self._baselines.items() if _is_unknown(baseline)]
        for key in unknown:
            del self._baselines[key]
        if unknown and self._writable:
            rows = [{"schema": SCHEMA, "stratum": s, "prompt_id": p, "discarded": True} for s, p in unknown]
            append_line(self._file, "\n".join(map(json.dumps, rows)), "which baselines are made anew")

    def get(self, stratum: str, prompt_id: str) -> Baseline:
        """The baseline of a prompt.

        Raises:
            KeyError: it has none: baselines are made for all prompts of the run before the first update.
        """
        return self._baselines[stratum, prompt_id]

    def of_reference(self, stratum: str) -> dict[str, str]:
        """Prompt id → response of π_ref; golden responses are the data set's and are left out."""
        return {
            prompt_id: baseline.response
            for (name, prompt_id), baseline in self._baselines.items()
            if name == stratum and not baseline.golden
        }

    def _complete(self, stratum: str, prompt: Prompt, rewards: set[str], judged: bool) -> bool:
        baseline = self._baselines.get((stratum, prompt.id))
        if baseline is None or not rewards <= baseline.rewards.keys():
            return False
        if judged and baseline.judgement is None:
            return False
        return prompt.baseline == baseline.response if prompt.baseline is not None else not baseline.golden

    def _load(self) -> None:
        try:
            raw = self._file.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if self._writable and len(whole) < len(raw):
                os.truncate(self._file, len(whole))
        except OSError as error:
            raise RunError(f"{self._file} cannot be read: {error.strerror or error}") from error
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._read_row(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self._file} line {number} is damaged ({error}). Start anew with --fresh") from error

    def _read_row(self, row: dict[str, Any]) -> None:
        if row["schema"] != SCHEMA:
            raise ValueError(f"schema {row['schema']} instead of {SCHEMA}")
        if row.get("discarded"):
            self._baselines.pop((row["stratum"], row["prompt_id"]), None)
            return
        verdicts = row["verdicts"]
        self._baselines[row["stratum"], row["prompt_id"]] = Baseline(
            row["response"],
            tuple(row["response_ids"]),
            row["rewards"],
            row["golden"],
            row["finish_reason"],
            None if verdicts is None else Judgement.from_json(verdicts),
        )


def _is_unknown(baseline: Baseline) -> bool:
    judged = baseline.judgement is not None and baseline.judgement.outcome is Outcome.UNKNOWN
    return judged or any(finite(score) is None for score in baseline.rewards.values())


def _row(stratum: str, prompt_id: str, baseline: Baseline) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "stratum": stratum,
        "prompt_id": prompt_id,
        "golden": baseline.golden,
        "response": baseline.response,
        "response_ids": list(baseline.response_ids),
        "finish_reason": baseline.finish_reason,
        "rewards": {name: finite(score) for name, score in baseline.rewards.items()},
        "verdicts": None if baseline.judgement is None else baseline.judgement.as_json(),
    }
