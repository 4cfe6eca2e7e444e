"""Means and spreads over the samples of a prompt (its group) or of the whole stratum, on all ranks.

Each function takes `among`, the samples that count; the others do no harm, even where they are NaN. Where all values
are equal the mean is exactly that value, so that what is measured against it is exactly 0 and gives no signal; without
this, rounding would leave some 1e-17 to learn from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgpo.optimizers.base import Ranks

if TYPE_CHECKING:
    from torch import Tensor

SPREAD_FLOOR = 1e-4
"""Added to every standard deviation that is divided by: rewards that differ by rounding alone are no signal."""


def group_mean(values: Tensor, prompt: Tensor, among: Tensor, *, leave_one_out: bool = False) -> Tensor:
    """[N] the mean of each sample's prompt.

    Args:
        values: [N].
        prompt: int [N].
        among: bool [N], the samples that count.
        leave_one_out: the mean of the *other* samples of the prompt; a sample alone gets its own value, so that what
            is measured against the mean is 0.
    """
    used = values.where(among, values.new_zeros(()))
    if len(values) == 0:
        return used
    count, total = _group_sum(among.to(used.dtype), prompt), _group_sum(used, prompt)
    first = used.new_zeros(int(prompt.max()) + 1).index_copy(0, prompt[among], used[among])[prompt]
    equal = _group_sum((among & (values != first)).to(used.dtype), prompt) == 0
    if not leave_one_out:
        return first.where(equal, total / count.clamp(min=1))
    others = (total - used) / (count - 1).clamp(min=1)
    return used.where(equal, others)


def group_spread(values: Tensor, prompt: Tensor, among: Tensor) -> Tensor:
    """[N] the sample standard deviation (n − 1) of each sample's prompt; 0 for a sample alone."""
    centred = (values - group_mean(values, prompt, among)).where(among, values.new_zeros(()))
    count = _group_sum(among.to(centred.dtype), prompt)
    return (_group_sum(centred.square(), prompt) / (count - 1).clamp(min=1)).sqrt()


def group_zscore(values: Tensor, prompt: Tensor, among: Tensor) -> Tensor:
    """[N] how many standard deviations a sample lies above the mean of its prompt; 0 without spread."""
    centred = values - group_mean(values, prompt, among)
    return (centred / (group_spread(values, prompt, among) + SPREAD_FLOOR)).where(among, values.new_zeros(()))


def stratum_moments(values: Tensor, among: Tensor, ranks: Ranks) -> tuple[float, float]:
    """Mean and sample standard deviation over all ranks; 0 where there are not enough values.

    Args:
        values: any shape.
        among: bool, the same shape.
        ranks: reductions.
    """
    used = values[among]
    none = float("-inf")
    largest = ranks.max(float(used.max()) if used.numel() else none)
    smallest = -ranks.max(float(-used.min()) if used.numel() else none)
    n, total = ranks.sum([float(used.numel()), float(used.sum())])
    mean = 0.0 if n == 0 else largest if largest == smallest else total / n
    squares = ranks.sum([float((used - mean).square().sum())])[0]
    return mean, (squares / (n - 1)) ** 0.5 if n > 1 else 0.0


def stratum_zscore(values: Tensor, among: Tensor, ranks: Ranks) -> Tensor:
    """How many standard deviations a value lies above the stratum's mean over all ranks; 0 without spread."""
    mean, spread = stratum_moments(values, among, ranks)
    return ((values - mean) / (spread + SPREAD_FLOOR)).where(among, values.new_zeros(()))


def _group_sum(values: Tensor, prompt: Tensor) -> Tensor:
    """[N] the sum of each sample's prompt."""
    if len(values) == 0:
        return values
    return values.new_zeros(int(prompt.max()) + 1).index_add(0, prompt, values)[prompt]
