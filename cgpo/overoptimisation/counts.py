"""The share of responses in which a phrase stands, and whether it has grown: counted by prompts, not by responses.

Several responses to one prompt are about the same thing: "Eiffel Tower" in eight of them is one prompt's doing. With
s_i the share of prompt i's responses that contain a phrase, over n prompts,

    rate     p = Σ s_i / n
    count    c = (Σ s_i)² / Σ s_i²        how many independent occurrences that is (Kish's effective number): m where m
                                          prompts have equal shares, whether each once in eight or always
    trials   c / p, so that rate = count / trials. Where the reference never has the phrase: its responses, as far as
             they are independent in the window (trials / responses there), and at least n

Two rates are compared by the likelihood ratio of two binomials against one (Dunning 1993, Computational Linguistics 19,
61-74), which holds for rare phrases, where a normal approximation or the z of log-odds does not:

    z = ± √(2 Σ over both sides of [ c ln(p / p₀) + (n − c) ln((1 − p) / (1 − p₀)) ])         p₀ of both together

positive where the phrase has become more frequent. Log-odds with an informative Dirichlet prior (Monroe, Colaresi,
Quinn 2008) were tried and left: for a phrase the reference never used – "Bye! Sending love!" in the first place – its z
grows with the prior's variance only and stays near 3, whether the phrase now stands in 2 % of the responses or in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cgpo.overoptimisation.tokens import Hashes

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Document:
    """A response.

    Attributes:
        prompt_id: of its prompt.
        text: the response.
        phrases: hashes of its phrases, distinct and sorted, those of its prompt left out.
    """

    prompt_id: str
    text: str
    phrases: Hashes


@dataclass(frozen=True, slots=True)
class Counts:
    """Phrases of a set of responses, [N] each, in the order of their hashes.

    Attributes:
        hashes: the phrases, sorted.
        sums: Σ_i s_i over the prompts.
        squares: Σ_i s_i².
        prompts: n.
        responses: how many responses there are.
        holders: numbers of the responses that contain each phrase, one phrase after the other.
        starts: where in `holders` each phrase's begin, [N + 1].
    """

    hashes: Hashes
    sums: Numbers
    squares: Numbers
    prompts: int
    responses: int
    holders: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Counts:
        """Counts a set of responses."""
        order = sorted(range(len(documents)), key=lambda i: documents[i].prompt_id)
        ids = [documents[i].prompt_id for i in order]
        _, prompt, size = np.unique(ids, return_inverse=True, return_counts=True)
        lengths = [len(documents[i].phrases) for i in order]
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *(documents[i].phrases for i in order)])
        of_prompt, holders = np.repeat(prompt, lengths), np.repeat(np.asarray(order, dtype=np.int64), lengths)
        # A stable sort keeps the prompts' order within a phrase: equal (phrase, prompt) stand side by side.
        by_phrase = np.argsort(hashes, kind="stable")
        hashes, of_prompt, holders = hashes[by_phrase], of_prompt[by_phrase], holders[by_phrase]
        new_phrase = _changes(hashes)
        cells = np.flatnonzero(new_phrase | _changes(of_prompt))
        shares = np.diff(np.append(cells, len(hashes))) / size[of_prompt[cells]]
        starts = np.flatnonzero(new_phrase[cells])
        sums, squares = (np.add.reduceat(v, starts) if len(starts) else np.zeros(0) for v in (shares, shares**2))
        begins = np.append(np.flatnonzero(new_phrase), len(hashes))
        return cls(hashes[cells][starts], sums, squares, len(size), len(documents), holders, begins)

    def without_holders(self) -> Counts:
        """The same without saying which responses they are: a third of the memory."""
        none = np.zeros(0, dtype=np.int64)
        return replace(self, holders=none, starts=none)

    def held_by(self, i: int) -> list[int]:
        """Numbers of the responses that contain phrase i, ascending."""
        return sorted(self.holders[self.starts[i] : self.starts[i + 1]].tolist())

    def at(self, hashes: Hashes) -> tuple[Numbers, Numbers]:
        """Σ s and Σ s² of these phrases; 0 for those that never occur."""
        if not len(self.hashes):
            return np.zeros(len(hashes)), np.zeros(len(hashes))
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        there = self.hashes[places] == hashes
        return np.where(there, self.sums[places], 0.0), np.where(there, self.squares[places], 0.0)


def effective(sums: Numbers, squares: Numbers, prompts: int) -> tuple[Numbers, Numbers]:
    """Count c and trials of phrases with these Σ s and Σ s² over so many prompts."""
    occurs = sums > 0
    count = np.divide(sums**2, squares, out=np.zeros_like(sums), where=occurs)
    trials = np.divide(count * prompts, sums, out=np.full_like(sums, float(prompts)), where=occurs)
    return count, trials


def growth_z(count: Numbers, trials: Numbers, reference: Numbers, reference_trials: Numbers) -> Numbers:
    """Signed root of the likelihood ratio of two rates against one, [N]; above 0 where `count` is relatively larger."""
    together = (count + reference) / (trials + reference_trials)
    ratio = _log_likelihood(count, trials, together) + _log_likelihood(reference, reference_trials, together)
    sign = np.sign(count / trials - reference / reference_trials)
    z: Numbers = sign * np.sqrt(np.maximum(2 * ratio, 0.0))
    return z


def growth_factor(rate: float, reference_rate: float, reference_trials: float) -> float:
    """How many times the reference's rate a rate is; a phrase the reference never used is taken as half an occurrence.

    Args:
        rate: now, in (0, 1].
        reference_rate: of the reference, in [0, 1].
        reference_trials: its responses, or prompts where the phrase never occurred.
    """
    return rate / max(reference_rate, 0.5 / max(reference_trials, 1.0)) if math.isfinite(rate) else math.nan


def _log_likelihood(count: Numbers, trials: Numbers, p: Numbers) -> Numbers:
    """Σ of count · ln(own rate / p) and its complement's; 0 · ln 0 is 0."""
    return _part(count, trials * p) + _part(trials - count, trials * (1 - p))


def _part(observed: Numbers, expected: Numbers) -> Numbers:
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=(observed > 0) & (expected > 0))
    part: Numbers = np.maximum(observed, 0.0) * np.log(ratio)
    return part


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Whether each value differs from the one before it; the first does."""
    changed = np.ones(len(values), dtype=bool)
    changed[1:] = values[1:] != values[:-1]
    return changed
