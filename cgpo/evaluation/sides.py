"""Which judges of a mixture measure unsafe responses, and which refusals of harmless requests."""

from __future__ import annotations

from judges import registry
from judges.mixture import Mixture


def sides_of(mixture: Mixture) -> dict[str, str]:
    """Judge's name in the mixture → `safety` or `refusal`, for those that stand on a side (`judges.Judge.side`)."""
    found: dict[str, str] = {}
    for constraint in mixture.constraints:
        sides = {registry.load(member.name).side for member in constraint.members}
        if len(sides) == 1 and (side := sides.pop()) is not None:
            found[constraint.name] = side
    return found
