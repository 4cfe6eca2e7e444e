"""One Parquet file a step with every response: `rollouts/step-000012.parquet`, `evaluations/step-000012.parquet`.

Columns: `step`, `stratum`, `prompt_id`, `prompt` (text), `messages` (JSON), `index`, `seed`, `response`,
`finish_reason`, `response_tokens`, `satisfied` (null when unknown), `outcome`, `verdicts` (JSON: judge →
`{"verdict", "reason", "score"}`), `reward` and `baseline_reward` (JSON: reward name → number, null where scoring
failed; strata have different rewards, so that a column each could not tell "failed" from "not this stratum's"),
`calibrated_reward`, `log_ratio` (nats per response), `weight`, `logprob_gap` (nats per token), `probes` (JSON, as
`verdicts`) and `preference` (JSON). `docs/report.md` describes them for users.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgpo.errors import DataError
from cgpo.storage.disk import remove_temporaries, write_atomically
from cgpo.storage.file_names import step_name
from cgpo.storage.step_files import remove_step_files_after, step_files
from cgpo.storage.text import storable
from cgpo.types import JudgedRollout, ResponseKey
from judges import Judgement, Message, Outcome, Verdict

SCHEMA_KEY = b"cgpo.rollouts.schema"
SCHEMA = b"1"

_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """What is recorded of one response.

    Attributes:
        stratum: its stratum.
        prompt_id: `Prompt.id`.
        prompt: the prompt's text, for people.
        messages: the prompt's messages.
        index: k, which of the prompt's responses this is.
        seed: the seed of the request.
        response: the text.
        finish_reason: `stop` or `length`.
        response_tokens: its length in tokens.
        outcome: feasibility with the reward in view (`JudgedRollout.outcome`).
        verdicts: judge → verdict.
        rewards: reward name → r(s, a); None where scoring failed.
        baseline_rewards: reward name → r(s, ā); None where scoring failed.
        calibrated_reward: R_calib in (0, 1), or None.
        log_ratio: log π_w(a|s) − log π_ref(a|s) in nats per response, or None where it was not computed.
        weight: the factor the optimiser put before ∇ log π_w(a|s), or None where it was not in the sum.
        logprob_gap: mean |engine − policy| log-probability per token in nats, or None where it was not measured.
        probes: judge → verdict of those that measure but constrain nothing.
        preference: the verdict of the judge that compared it with the reference's response, or None.
    """

    stratum: str
    prompt_id: str
    prompt: str
    messages: tuple[Message, ...]
    index: int
    seed: int
    response: str
    finish_reason: str
    response_tokens: int
    outcome: Outcome
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    baseline_rewards: Mapping[str, float | None] = field(default_factory=dict)
    calibrated_reward: float | None = None
    log_ratio: float | None = None
    weight: float | None = None
    logprob_gap: float | None = None
    probes: Mapping[str, Verdict] = field(default_factory=dict)
    preference: Verdict | None = None

    @property
    def key(self) -> ResponseKey:
        """Which response of its step or evaluation it is."""
        return self.stratum, self.prompt_id, self.index

    @property
    def satisfied(self) -> bool | None:
        """True, False, or None when unknown."""
        return {Outcome.SATISFIED: True, Outcome.VIOLATED: False}.get(self.outcome)

    @classmethod
    def of(
        cls,
        judged: JudgedRollout,
        *,
        log_ratio: float | None = None,
        weight: float | None = None,
        logprob_gap: float | None = None,
        probes: Mapping[str, Verdict] | None = None,
    ) -> RolloutRow:
        """The row of a judged response; what only the learning knows is given beside it."""
        request = judged.rollout.request
        return cls(
            stratum=request.stratum,
            prompt_id=request.prompt.id,
            prompt=request.prompt.text,
            messages=request.prompt.messages,
            index=request.index,
            seed=request.seed,
            response=judged.rollout.response,
            finish_reason=judged.rollout.finish_reason,
            response_tokens=len(judged.rollout.response_ids),
            outcome=judged.outcome,
            verdicts=judged.judgement.verdicts,
            rewards=judged.rewards,
            baseline_rewards=judged.baseline_rewards,
            calibrated_reward=judged.calibrated_reward,
            log_ratio=log_ratio,
            weight=weight,
            logprob_gap=logprob_gap,
            probes=probes or {},
        )


class RolloutsWriter:
    """Writes one file a step into a folder, each as a whole or not at all. Only one process may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        remove_temporaries(folder)

    def write(self, step: int, rows: Sequence[RolloutRow]) -> Path:
        """Writes the responses of one step, in the order given, and returns the file.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(_table(step, rows), buffer, compression="zstd")
        path = self.folder / f"{step_name(step)}{_SUFFIX}"
        write_atomically(path, buffer.getvalue(), f"the responses of step {step}")
        return path

    def truncate_after(self, step: int) -> None:
        """Deletes the files of later steps, which a resumed run makes again."""
        remove_step_files_after(self.folder, _SUFFIX, step)


def rollout_files(folder: Path) -> dict[int, Path]:
    """Step → file, in the order of steps."""
    return step_files(folder, _SUFFIX)


def read_rollouts(folder: Path, steps: Collection[int] | None = None) -> dict[int, list[RolloutRow]]:
    """Step → responses in the order they were written; `steps` limits which are read.

    Raises:
        DataError: a file is damaged, or written in another schema version.
    """
    files = rollout_files(folder)
    return {step: _read(path) for step, path in files.items() if steps is None or step in steps}


def _table(step: int, rows: Sequence[RolloutRow]) -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    columns: dict[str, tuple[Any, list[Any]]] = {
        "step": (whole, [step] * len(rows)),
        "stratum": (text, [row.stratum for row in rows]),
        "prompt_id": (text, [storable(row.prompt_id) for row in rows]),
        "prompt": (text, [storable(row.prompt) for row in rows]),
        # JSON's own \\u escapes keep even lone surrogates exactly.
        "messages": (text, [json.dumps([dict(message) for message in row.messages]) for row in rows]),
        "index": (whole, [row.index for row in rows]),
        "seed": (whole, [row.seed for row in rows]),
        "response": (text, [storable(row.response) for row in rows]),
        "finish_reason": (text, [row.finish_reason for row in rows]),
        "response_tokens": (whole, [row.response_tokens for row in rows]),
        "satisfied": (pa.bool_(), [row.satisfied for row in rows]),
        "outcome": (text, [row.outcome.value for row in rows]),
        "verdicts": (text, [_verdicts_as_json(row.verdicts) for row in rows]),
        "reward": (text, [_rewards_as_json(row.rewards) for row in rows]),
        "baseline_reward": (text, [_rewards_as_json(row.baseline_rewards) for row in rows]),
        "calibrated_reward": (real, [_finite(row.calibrated_reward) for row in rows]),
        "log_ratio": (real, [_finite(row.log_ratio) for row in rows]),
        "weight": (real, [_finite(row.weight) for row in rows]),
        "logprob_gap": (real, [_finite(row.logprob_gap) for row in rows]),
        "probes": (text, [_verdicts_as_json(row.probes) for row in rows]),
        "preference": (text, [row.preference and _verdicts_as_json({"": row.preference}) for row in rows]),
    }
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata={SCHEMA_KEY: SCHEMA})
    return pa.table([pa.array(values, kind) for kind, values in columns.values()], schema=schema)


def _read(path: Path) -> list[RolloutRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    schema = (table.schema.metadata or {}).get(SCHEMA_KEY)
    if schema != SCHEMA:
        version = "no schema version" if schema is None else f"schema {schema.decode(errors='replace')}"
        raise DataError(f"{path} has {version}; this version of cgpo reads schema {SCHEMA.decode()}")
    return [_row(record) for record in table.to_pylist()]


def _row(record: Mapping[str, Any]) -> RolloutRow:
    return RolloutRow(
        stratum=record["stratum"],
        prompt_id=record["prompt_id"],
        prompt=record["prompt"],
        messages=tuple(json.loads(record["messages"])),
        index=record["index"],
        seed=record["seed"],
        response=record["response"],
        finish_reason=record["finish_reason"],
        response_tokens=record["response_tokens"],
        outcome=Outcome(record["outcome"]),
        verdicts=_verdicts_from_json(record["verdicts"]),
        rewards=json.loads(record["reward"]),
        baseline_rewards=json.loads(record["baseline_reward"]),
        calibrated_reward=record["calibrated_reward"],
        log_ratio=record["log_ratio"],
        weight=record["weight"],
        logprob_gap=record["logprob_gap"],
        probes=_verdicts_from_json(record["probes"]),
        preference=_verdicts_from_json(record["preference"])[""] if record["preference"] else None,
    )


def _verdicts_as_json(verdicts: Mapping[str, Verdict]) -> str:
    plain = {name: verdict.as_json() | {"score": _finite(verdict.score)} for name, verdict in verdicts.items()}
    return json.dumps(plain)


def _verdicts_from_json(text: str) -> dict[str, Verdict]:
    return Judgement.from_json(json.loads(text)).verdicts


def _rewards_as_json(rewards: Mapping[str, float | None]) -> str:
    return json.dumps({name: _finite(value) for name, value in rewards.items()})


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
