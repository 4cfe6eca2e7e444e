"""Shares the samples of a step over the ranks so that each has about as many tokens to learn from.

A rank generates and judges its own prompts; which of the responses carry gradient, and how long they are, comes out
unevenly (CODPO learns from two responses of a prompt, CRRAFT from one or none), and the slowest rank is what a step
waits for. The gradient is a sum over samples, so it does not matter which rank adds which: only the rounding differs.

The partition is greedy (longest first, each to the rank with least so far: at most 4/3 − 1/(3 ranks) of the best
possible maximum, R. L. Graham 1969), computed alike on every rank. The responses of one prompt stay together, because
the prompt is computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cgpo import distributed
from cgpo.policy.layout import TokenSequence


@dataclass(frozen=True)
class EngineLogprobs:
    """The rollout engine's log-probs of a response that the policy has not computed yet.

    Attributes:
        stratum: of the response.
        logprobs: float [T], in nats.
    """

    stratum: str
    logprobs: Tensor


@dataclass(frozen=True)
class LearningSample:
    """One response to learn from.

    Attributes:
        sequence: its T tokens and its prompt's.
        coefficient: float [T], stands before ∇ log π of each token.
        value_coefficient: float [T, value outputs], stands before the gradient of each value.
        temperature: at which log π is taken.
        unmeasured: where the policy's log-probs were taken from the rollout engine, those that are to be compared.
    """

    sequence: TokenSequence
    coefficient: Tensor
    value_coefficient: Tensor
    temperature: float
    unmeasured: EngineLogprobs | None = None


def balance_over_ranks(samples: Sequence[LearningSample]) -> list[LearningSample]:
    """This rank's part of all ranks' samples. Every rank must call it."""
    groups = [group for part in distributed.gather_objects(prompt_groups(samples)) for group in part]
    share = partition([cost(group) for group in groups], distributed.world_size())[distributed.rank()]
    return [sample for i in share for sample in groups[i]]


def prompt_groups(samples: Sequence[LearningSample]) -> list[list[LearningSample]]:
    """The samples that can share a prompt's computation, in order of appearance."""
    groups: dict[tuple[tuple[int, ...], float], list[LearningSample]] = {}
    for sample in samples:
        groups.setdefault((sample.sequence.prompt_ids, sample.temperature), []).append(sample)
    return list(groups.values())


def cost(group: Sequence[LearningSample]) -> int:
    """Tokens of the row that holds the group: the prompt once, and the responses without their last tokens."""
    return len(group[0].sequence.prompt_ids) + sum(len(s.sequence.response_ids) - 1 for s in group)


def partition(costs: Sequence[int], parts: int) -> list[list[int]]:
    """Splits indices into `parts` lists of about equal cost; ties go to the lower index and the lower part."""
    loads = [0] * parts
    shares: list[list[int]] = [[] for _ in range(parts)]
    for i in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        part = min(range(parts), key=lambda p: (loads[p], p))
        shares[part].append(i)
        loads[part] += costs[i]
    return [sorted(part) for part in shares]
