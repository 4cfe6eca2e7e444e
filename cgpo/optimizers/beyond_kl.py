"""The report of CRPG and CRRAFT on samples beyond the limit on KL: their share, and a note when nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgpo.optimizers.base import Ranks

if TYPE_CHECKING:
    from torch import Tensor


def beyond_kl_max(
    log_ratio: Tensor, feasible: Tensor, beyond: Tensor, kl_max: float, ranks: Ranks
) -> tuple[dict[str, float], str]:
    """The metric `beyond_kl_max` (share of feasible samples beyond the limit), and a note if that is all of them.

    Args:
        log_ratio: [N], nats per response.
        feasible: bool [N], satisfied and known.
        beyond: bool [N], what the limit leaves nothing of. At the limit itself CRPG's factor is 0; CRRAFT keeps it.
        kl_max: the limit, in nats per response.
        ranks: reductions.
    """
    ratios = log_ratio[feasible]
    none = float("-inf")
    count, over, total = ranks.sum([float(ratios.numel()), float(beyond[feasible].sum()), float(ratios.sum())])
    largest = ranks.max(float(ratios.max()) if ratios.numel() else none)
    smallest = -ranks.max(float(-ratios.min()) if ratios.numel() else none)
    if not count:
        return {}, ""
    note = (
        f"all {count:.0f} feasible responses lie beyond kl_max = {kl_max:g} nats (log_ratio from {smallest:.1f} to "
        f"{largest:.1f}, mean {total / count:.1f}), so none is reinforced: raise kl_max or lower the learning rate"
    )
    return {"beyond_kl_max": over / count}, note if over == count else ""
