"""The sides of a mixture: judges that measure unsafe responses, and judges that measure false refusals."""

from __future__ import annotations

from judges import registry
from judges.mixture import Mixture


def sides_of(mixture: Mixture) -> dict[str, str]:
    """Judge's name in the mixture → `safety` or `refusal`, for those that stand on a side (`judges.Judge.side`)."""
    sides_by_judge: dict[str, str] = {}
    for constraint in mixture.constraints:
        sides = {registry.load(member.name).side for member in constraint.members}
        if len(sides) == 1 and (side := sides.pop()) is not None:
            sides_by_judge[constraint.name] = side
    return sides_by_judge
