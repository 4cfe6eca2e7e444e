"""`responses.jsonl`: every response that `cgpo preferences` has sampled, with its verdicts and rewards.

    {"schema": 1, "stratum", "prompt_id", "prompt": messages, "index", "seed", "response", "tokens", "finish_reason",
     "outcome", "verdicts": {judge: {"verdict", "reason", "score"}}, "rewards": {name: number or null},
     "reward": the stratum's weighted sum or null}

The file only grows while the command runs; a command that was killed goes on with what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import RunError
from cgpo.responses.stratum import Stratum
from cgpo.rewards.calibration import finite
from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.jsonl import SCHEMA, read_jsonl
from cgpo.types import JudgedRollout, ResponseKey
from judges import Message, Outcome

RESPONSES_NAME = "responses.jsonl"


@dataclass(frozen=True, slots=True)
class SampledResponse:
    """A response with what is known about it.

    Attributes:
        stratum: name of the stratum.
        prompt_id: the prompt's id within it.
        prompt: its messages.
        index: k, which of the prompt's responses it is.
        seed: it was sampled with.
        response: the text.
        tokens: its length in tokens.
        finish_reason: `stop`, or `length` where it was cut off.
        outcome: what the judges together made of it, and the stratum's rule for responses that are cut off.
        verdicts: of each judge, in the form of files.
        rewards: raw score by reward name; None where scoring failed.
        reward: their weighted sum; None where a part is missing, or no reward was asked.
    """

    stratum: str
    prompt_id: str
    prompt: tuple[Message, ...]
    index: int
    seed: int
    response: str
    tokens: int
    finish_reason: str
    outcome: Outcome
    verdicts: Mapping[str, Mapping[str, Any]]
    rewards: Mapping[str, float | None]
    reward: float | None

    @property
    def complete(self) -> bool:
        """The model ended it itself; it was not cut off at the token limit."""
        return self.finish_reason == "stop"

    @property
    def key(self) -> ResponseKey:
        """The response's place among all: one of the file has it."""
        return self.stratum, self.prompt_id, self.index


def sampled_response(judged: JudgedRollout, stratum: Stratum, *, scored: bool) -> SampledResponse:
    """The record of a judged response; without `scored` no reward was asked."""
    rollout = judged.rollout
    request = rollout.request
    return SampledResponse(
        stratum=request.stratum,
        prompt_id=request.prompt.id,
        prompt=tuple(request.prompt.messages),
        index=request.index,
        seed=request.seed,
        response=rollout.response,
        tokens=len(rollout.response_ids),
        finish_reason=rollout.finish_reason,
        outcome=judged.judgement.outcome,
        verdicts=judged.judgement.as_json(),
        rewards={name: finite(score) for name, score in judged.rewards.items()},
        reward=stratum.ranking(judged) if scored else None,
    )


def read_responses(file: Path) -> list[SampledResponse]:
    """The responses on disk; a half-written last line is dropped, from the file too.

    Raises:
        RunError: a line is damaged.
    """
    lines = read_jsonl(file)
    try:
        if lines.problems:
            raise ValueError(lines.problems[0])
        responses = [_from_row(row) for row in lines.records]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error}. Start anew with --fresh") from error
    if file.exists():
        write_atomically(file, "".join(f"{_line(r)}\n" for r in responses).encode(), "the sampled responses")
    return responses


def append_responses(file: Path, responses: Iterable[SampledResponse]) -> None:
    """Adds responses, on disk when this returns.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    lines = [_line(response) for response in responses]
    if lines:
        append_line(file, "\n".join(lines), "the sampled responses")


def _line(response: SampledResponse) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(response)}, allow_nan=False)


def _from_row(row: Mapping[str, Any]) -> SampledResponse:
    values = {key: value for key, value in row.items() if key != "schema"}
    values["prompt"] = tuple(values["prompt"])
    return SampledResponse(**{**values, "outcome": Outcome(values["outcome"])})
