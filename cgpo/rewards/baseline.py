"""Baseline responses ā and their rewards r(s, ā): made once before training and kept on disk.

    baselines.jsonl    {"schema": 1, "stratum", "prompt_id", "golden", "response", "rewards": {name: number or null}}

The file is appended to and forced to the disk, so a run that is killed and started again generates only what is
missing: later it could not, because π_ref generates the baselines while the engine still holds its weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import RunError
from cgpo.rewards.calibration import finite
from cgpo.tracking.disk import append_line
from cgpo.types import Prompt

SCHEMA = 1
FILE_NAME = "baselines.jsonl"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline of one prompt.

    Attributes:
        response: ā.
        rewards: r(s, ā) by reward name; None where scoring failed.
        golden: ā is the data set's own response, not the reference's.
    """

    response: str
    rewards: Mapping[str, float | None]
    golden: bool = False


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

    def missing(self, stratum: str, prompts: Iterable[Prompt], rewards: Iterable[str]) -> list[Prompt]:
        """The prompts, each once and in order, that have no baseline yet or lack one of the rewards' entries.

        A golden response that is no longer the data set's counts as missing.
        """
        names = set(rewards)
        distinct = {prompt.id: prompt for prompt in prompts}
        return [prompt for prompt in distinct.values() if not self._complete(stratum, prompt, names)]

    def add(
        self,
        stratum: str,
        prompts: Sequence[Prompt],
        responses: Sequence[str],
        rewards: Mapping[str, Sequence[float | None]],
    ) -> None:
        """Keeps baselines, on disk when this returns.

        Args:
            stratum: name of the stratum.
            prompts: the prompts.
            responses: ā of each.
            rewards: reward name → r(s, ā) of each (`cgpo.rewards.model.score_all`).

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        lines = []
        for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            scores = {name: finite(column[i]) for name, column in rewards.items()}
            baseline = Baseline(response, scores, golden=prompt.baseline is not None)
            self._baselines[stratum, prompt.id] = baseline
            lines.append(json.dumps(_row(stratum, prompt.id, baseline), allow_nan=False))
        if lines and self._writable:
            append_line(self._file, "\n".join(lines), f"the baselines of stratum {stratum}")

    def get(self, stratum: str, prompt_id: str) -> Baseline:
        """The baseline of a prompt.

        Raises:
            KeyError: it has none: baselines are made for all prompts of the run before the first update.
        """
        return self._baselines[stratum, prompt_id]

    def _complete(self, stratum: str, prompt: Prompt, rewards: set[str]) -> bool:
        found = self._baselines.get((stratum, prompt.id))
        if found is None or any(found.rewards.get(name) is None for name in rewards):
            return False
        return prompt.baseline == found.response if prompt.baseline is not None else not found.golden

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
                self._keep(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self._file} line {number} is damaged ({error}). Start anew with --fresh") from error

    def _keep(self, row: dict[str, Any]) -> None:
        if row["schema"] != SCHEMA:
            raise ValueError(f"schema {row['schema']} instead of {SCHEMA}")
        self._baselines[row["stratum"], row["prompt_id"]] = Baseline(row["response"], row["rewards"], row["golden"])


def _row(stratum: str, prompt_id: str, baseline: Baseline) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "stratum": stratum,
        "prompt_id": prompt_id,
        "golden": baseline.golden,
        "response": baseline.response,
        "rewards": dict(baseline.rewards),
    }
