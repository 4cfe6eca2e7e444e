"""`reference.jsonl`: log π_ref of both sides of every pair, computed once, before the first step.

    {"schema": 1, "model": …, "revision": …, "dtype": …, "pairs": fingerprint}        the first line: of what
    {"schema": 1, "pair": 12, "chosen": −34.1, "rejected": −29.0}                      a line a pair, in nats

The reference is the model the stage starts from, so it is the policy itself before its first step that computes them:
no second model is in memory. A stage that goes on computes the first few again with the model it has loaded, so that a
model whose files have changed under the same name is found out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import ModelSettings
from cgpo.errors import RunError
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import ScoringModel
from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.jsonl import SCHEMA, read_jsonl
from cgpo.tracking.progress import StageProgress

REFERENCE_NAME = "reference.jsonl"
AT_ONCE = 256
"""Pairs computed and written at once, over all ranks: a kill loses no more."""

PROBE = 4
"""Pairs that are computed again."""

MAX_GAP = {"float32": 1e-3}
"""Largest difference between what is stored and what is computed again, in nats per token."""
OTHER_MAX_GAP = 0.1


class ReferenceFile:
    """The stored log-probs of one stage.

    Args:
        run_dir: the run directory.
        model: the model the stage starts from.
        fingerprint: of the pairs.
    """

    def __init__(self, run_dir: Path, model: ModelSettings, fingerprint: str) -> None:
        self._path = run_dir / REFERENCE_NAME
        self._dtype = model.dtype
        self._header = {
            "schema": SCHEMA,
            "model": model.name,
            "revision": model.revision,
            "dtype": model.dtype,
            "pairs": fingerprint,
        }

    def complete(self, reference: ScoringModel, sequences: Sequence[TokenSequence], progress: StageProgress) -> Tensor:
        """float32 [pairs, 2]: what is stored, after computing what is missing. Every rank must call it.

        Args:
            reference: π_ref; the policy before it has learnt anything.
            sequences: pair i has 2i (chosen) and 2i + 1 (rejected).
            progress: shows how far it is.

        Raises:
            RunError: the file belongs to other pairs or another model, is damaged, or cannot be written.
        """
        pairs = len(sequences) // 2
        stored = self._open()
        self._check_model(reference, sequences, stored)
        missing = [i for i in range(pairs) if i not in stored]
        with progress.task("reference log-probs", pairs, len(stored)) as update:
            for start in range(0, len(missing), AT_ONCE):
                part = missing[start : start + AT_ONCE]
                computed = _sums(reference, sequences, part)
                with distributed.together():
                    self._append(computed)
                stored |= computed
                update(len(stored), "")
        return torch.tensor([stored[i] for i in range(pairs)], dtype=torch.float32)

    def _open(self) -> dict[int, tuple[float, float]]:
        """The stored log-probs by pair, the same on every rank; begins the file where there is none."""
        return distributed.on_first_rank(self._read)

    def _read(self) -> dict[int, tuple[float, float]]:
        lines = read_jsonl(self._path)
        if lines.problems:
            raise RunError(f"{lines.problems[0]}. Remove the file; it is computed anew")
        records: list[dict[str, Any]] = list(lines.records)
        if records and records[0] != self._header:
            changed = ", ".join(k for k in self._header if records[0].get(k) != self._header[k])
            raise RunError(
                f"{self._path} was computed for something else: {changed} changed since. Restore the data set and the "
                "model, or start anew with --fresh"
            )
        # Written whole, so that a line cut off by a kill does not stay in the middle.
        text = "".join(f"{json.dumps(record)}\n" for record in records or [self._header])
        write_atomically(self._path, text.encode(), "the reference log-probs")
        return {record["pair"]: (record["chosen"], record["rejected"]) for record in records[1:]}

    def _append(self, computed: dict[int, tuple[float, float]]) -> None:
        if distributed.rank() == 0:
            lines = [
                json.dumps({"schema": SCHEMA, "pair": i, "chosen": chosen, "rejected": rejected}, allow_nan=False)
                for i, (chosen, rejected) in sorted(computed.items())
            ]
            append_line(self._path, "\n".join(lines), "the reference log-probs")

    def _check_model(
        self, reference: ScoringModel, sequences: Sequence[TokenSequence], stored: dict[int, tuple[float, float]]
    ) -> None:
        probe = sorted(stored)[:PROBE]
        if not probe:
            return
        now = _sums(reference, sequences, probe)
        tokens = sum(len(sequences[2 * i + side].response_ids) for i in probe for side in (0, 1))
        gap = sum(abs(a - b) for i in probe for a, b in zip(now[i], stored[i], strict=True)) / tokens
        if not gap <= MAX_GAP.get(self._dtype, OTHER_MAX_GAP):
            raise RunError(
                f"{self._path} was computed with another model than {self._header['model']} is now: the log-probs of "
                f"its first {len(probe)} pairs differ by {gap:.3g} nats per token. Restore the model, or start anew "
                "with --fresh"
            )


def _sums(
    reference: ScoringModel, sequences: Sequence[TokenSequence], pairs: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Pair → its two log-probs, on every rank; each computes its share."""
    share = pairs[distributed.rank() :: distributed.world_size()]
    sides = [sequences[2 * i + side] for i in share for side in (0, 1)]
    sums = [float(logprobs.double().sum()) for logprobs in reference.token_logprobs(sides, 1.0)]
    of_share = {i: (sums[2 * k], sums[2 * k + 1]) for k, i in enumerate(share)}
    return {i: both for part in distributed.gather_objects(of_share) for i, both in part.items()}
