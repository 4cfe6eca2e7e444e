"""Evaluation on held-out prompts: generate, judge, reward, and compare with the reference.

Every evaluation of a run draws with the same seeds, so that evaluations pair prompt by prompt. π_ref's responses to the
same prompts, drawn with the same seeds too, are made once, while the engine can hold its weights, and kept in
`<run_dir>/reference/<key>/`; the key says how they were made, and `metadata.json` there what judges read beside them: a
row whose metadata was corrected since is answered and judged again. Before the first step the policy is the reference:
its evaluation takes them as they are.

KL(π_w ‖ π_ref) is estimated as the mean of log_ratio over responses sampled from π_w; greedy responses are no such
sample and give no estimate. The policy's log-probs are the engine's: the gap between them was measured before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.data.ids import metadata_hash
from cgpo.evaluation.file import EvaluationFile
from cgpo.evaluation.quantities import Yardstick, sides_of
from cgpo.evaluation.responses import heldout_requests, respond
from cgpo.evaluation.summary import by_stratum, evaluate_rows
from cgpo.responses.parts import ResponseParts
from cgpo.responses.probes import SAME_TEXT, Probes
from cgpo.responses.stratum import Stratum
from cgpo.statistics.evaluation import Evaluation
from cgpo.storage.disk import write_atomically
from cgpo.storage.file_names import REFERENCE_NAME
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter, read_rollouts
from cgpo.types import Progress, ResponseKey

METADATA_NAME = "metadata.json"


class Evaluator:
    """Evaluates the model that an engine holds, again and again in the course of a run.

    Args:
        parts: of the run.
        evaluations: where its evaluations are recorded.
        kl: estimate KL; impossible where the reference reads prompts in other tokens.
    """

    def __init__(self, parts: ResponseParts, evaluations: EvaluationFile, *, kl: bool = True) -> None:
        self._parts = parts
        self._evaluations = evaluations
        self._probes = Probes(parts.settings.eval, parts.runtime)
        self._kl = kl
        self._requests = heldout_requests(parts.settings, parts.strata)
        self._reference: dict[ResponseKey, RolloutRow] = {}

    def prepare(self, progress: Progress, check_stop: Callable[[], None]) -> None:
        """Makes what is missing of the reference's responses, while the engine holds the model the run started from.

        Every rank must call it, once, before the first evaluation.
        """
        parts, known = self._parts, self._known()
        missing = [r for r in self._requests if r.key not in known]
        if missing:
            with parts.engine_as_reference():
                responses = respond(parts, self._probes, missing, {}, progress, check_stop)
            known |= {row.key: row for row in responses}
            with distributed.together():
                if parts.writes:
                    RolloutsWriter(self._folder).write(0, list(known.values()))
                    # After the responses: a kill in between makes them anew.
                    text = json.dumps(self._read_metadata() | self._metadata())
                    write_atomically(self._folder / METADATA_NAME, text.encode(), "what the reference was judged with")
        self._reference = {r.key: known[r.key] for r in self._requests}

    def prepare_from_disk(self) -> int:
        """Instead of `prepare` where the engine cannot hold π_ref: leaves out requests it has not answered yet.

        Returns:
            How many requests are left out.
        """
        known, requested = self._known(), len(self._requests)
        self._requests = [r for r in self._requests if r.key in known]
        self._reference = {r.key: known[r.key] for r in self._requests}
        return requested - len(self._requests)

    @property
    def _folder(self) -> Path:
        return self._parts.run_dir / REFERENCE_NAME / reference_key(self._parts.settings)

    def _known(self) -> dict[ResponseKey, RolloutRow]:
        """What is on disk of the reference's responses, as rank 0 finds it, but for metadata that changed since."""
        return {row.key: row for row in distributed.on_first_rank(self._stored)}

    def _stored(self) -> list[RolloutRow]:
        if not self._folder.exists():
            return []
        then, now = self._read_metadata(), self._metadata()
        rows = read_rollouts(self._folder).get(0, [])
        keys = [f"{row.stratum}/{row.prompt_id}" for row in rows]
        return [row for row, key in zip(rows, keys, strict=True) if then.get(key) == now.get(key, then.get(key))]

    def _metadata(self) -> dict[str, str]:
        """`stratum/prompt id` → hash of the metadata the prompt's row has now."""
        return {f"{r.stratum}/{r.prompt.id}": metadata_hash(r.prompt) for r in self._requests}

    def _read_metadata(self) -> dict[str, str]:
        file = self._folder / METADATA_NAME
        hashes: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return hashes

    def reference_rows(self) -> list[RolloutRow]:
        """The reference's responses, in the order of the requests; its own log ratio is 0."""
        sampled = self._parts.settings.eval.temperature != 0
        tie = SAME_TEXT if self._probes.compares else None
        return [replace(row, log_ratio=0.0 if sampled else None, preference=tie) for row in self._reference.values()]

    def rows(self, step: int, progress: Progress, check_stop: Callable[[], None]) -> list[RolloutRow]:
        """The responses of the model the engine holds, every rank's; every rank must call it.

        Raises:
            LimitError: the preference judge left too many comparisons unknown.
        """
        if step == 0 and self._parts.settings.model.reference is None:
            return self.reference_rows()
        return respond(self._parts, self._probes, self._requests, self._reference, progress, check_stop, kl=self._kl)

    def evaluation(self, step: int, rows: list[RolloutRow], before: list[RolloutRow] | None) -> Evaluation:
        """The evaluation of these responses, compared with earlier ones."""
        confidence = self._parts.settings.eval.confidence
        earlier = None if before is None else by_stratum(before)
        return evaluate_rows(step, by_stratum(rows), self._yardsticks(), confidence, earlier)

    def record(self, step: int, rows: list[RolloutRow]) -> Evaluation:
        """Adds an evaluation to the run and returns it as it was recorded; every rank must call it.

        Raises:
            RunError: the disk is full, or a file cannot be written.
        """
        evaluations = self._evaluations
        with distributed.together():
            if self._parts.writes:
                evaluations.add(self.evaluation(step, rows, evaluations.first_responses(before=step)), rows)
            distributed.barrier()
            evaluations.reload()
            recorded = evaluations.at(step)
            assert recorded is not None
        return recorded

    def _yardsticks(self) -> dict[str, Yardstick]:
        return {
            name: Yardstick(
                weights=stratum.settings.rewards,
                reference={key[1:]: row for key, row in self._reference.items() if key[0] == name},
                sides=sides_of(stratum.mixture),
            )
            for name, stratum in self._parts.strata.items()
        }


def reference_key(settings: RunSettings) -> str:
    """Names how the reference's responses were made: other settings make other ones."""
    model = settings.model
    other_model = model.reference is not None
    made = {
        "seed": settings.seed,
        "model": [model.reference, model.reference_revision] if other_model else [model.name, model.revision],
        "temperature": settings.eval.temperature,
        "probes": [spec.as_config() for spec in settings.eval.probes],
        "independent_rewards": settings.watch.independent_rewards,
        "strata": {name: _made(stratum.model_dump(mode="json")) for name, stratum in settings.strata.items()},
        "rewards": {name: reward.model_dump(mode="json") for name, reward in settings.rewards.items()},
    }
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:12]


def _made(stratum: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("heldout", "sampling", "judges", "hide_reasoning", "rewards", "truncated")
    return {key: stratum[key] for key in keys}


def has_heldout(strata: Mapping[str, Stratum]) -> bool:
    """Whether there is anything to evaluate on."""
    return any(stratum.heldout for stratum in strata.values())
