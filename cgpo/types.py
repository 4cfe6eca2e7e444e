"""The small types that the rooms of cgpo share. No torch here: the command line imports this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cgpo.config import SamplingSettings
from judges import Judgement, Message, Outcome
from judges.messages import message_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a stratum.

    Attributes:
        id: unique within the stratum and the same in every run over the same data (seeds derive from it).
        messages: the conversation so far, oldest first; a plain string is one user message.
        metadata: what judges read (`answer`, `instruction_id_list`, …).
        baseline: the data set's own golden response, or None: then the reference generates one.
        source: where the row came from, for messages to people: `file.jsonl row 17`, `math generator item 3`.
    """

    id: str
    messages: tuple[Message, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    baseline: str | None = None
    source: str = ""

    @property
    def text(self) -> str:
        """The prompt for a person or an encoder to read: what the messages say, one a paragraph."""
        return "\n\n".join(map(message_text, self.messages))


@dataclass(frozen=True, slots=True)
class LearnedTokens:
    """Token ids of a conversation, some of which are to be learnt.

    Attributes:
        ids: int32 [T].
        learned: bool [T]; the first is False, because nothing predicts it.
    """

    ids: NDArray[np.int32]
    learned: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


ResponseKey = tuple[str, str, int]
"""Stratum, prompt id and index: which response of a step or an evaluation it is."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One response to be generated.

    Attributes:
        stratum: name of the stratum.
        prompt: the prompt.
        prompt_ids: its token ids, chat template applied, generation prompt added.
        index: k, which of the prompt's responses this is.
        seed: seed of this request alone, so that a sample does not depend on what else is in the batch.
        sampling: temperature and limits. Temperature 0 (greedy) is for evaluation only.
    """

    stratum: str
    prompt: Prompt
    prompt_ids: tuple[int, ...]
    index: int
    seed: int
    sampling: SamplingSettings

    @property
    def key(self) -> ResponseKey:
        """Which response is asked for; one of a step or an evaluation has it."""
        return self.stratum, self.prompt.id, self.index


@dataclass(frozen=True, slots=True)
class Rollout:
    """A finished response.

    Attributes:
        request: what was asked for.
        response: the text, special tokens removed.
        response_ids: its token ids, including the end token when the model ended the response itself.
        logprobs: the engine's log-probability of each response token at the sampling temperature, in nats.
        finish_reason: `stop` (the model ended it) or `length` (cut off at `max_tokens`).
    """

    request: GenerationRequest
    response: str
    response_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str


@dataclass(frozen=True, slots=True)
class JudgedRollout:
    """A response with its verdicts and rewards.

    Attributes:
        rollout: the response.
        judgement: the verdict of each judge.
        rewards: raw reward r(s, a) by reward name; None where scoring failed.
        baseline_rewards: r(s, ā) by reward name; None where scoring failed.
        calibrated_reward: R_calib in (0, 1), or None when any of its parts is missing or not finite.
    """

    rollout: Rollout
    judgement: Judgement
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    baseline_rewards: Mapping[str, float | None] = field(default_factory=dict)
    calibrated_reward: float | None = None

    @property
    def outcome(self) -> Outcome:
        """Feasibility with the reward in view: a feasible sample without a calibrated reward is UNKNOWN."""
        outcome = self.judgement.outcome
        if outcome is Outcome.SATISFIED and self.calibrated_reward is None:
            return Outcome.UNKNOWN
        return outcome
