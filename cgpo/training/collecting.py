"""The collecting half of a step: responses with verdicts and rewards, within the limits on what may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cgpo import distributed
from cgpo.errors import LimitError
from cgpo.overoptimisation.measures import PendingVerdicts
from cgpo.responses.collection import generate_and_judge, judged_rollouts, open_scoring, wait_for_verdicts
from cgpo.responses.limits import check_limits
from cgpo.responses.stratum import Stratum, share_of_rank
from cgpo.rewards.notes import ScoringNotes
from cgpo.training.phases import Phases
from cgpo.training.session import Session
from cgpo.types import GenerationRequest, JudgedRollout


@dataclass(frozen=True)
class CollectedStep:
    """The responses of a step.

    Attributes:
        judged: stratum name → this rank's responses, with verdicts and rewards.
        notes: what the rewards of all ranks noted, by name.
        independent: verdicts of judges that measure without constraining, when they are there.
    """

    judged: Mapping[str, Sequence[JudgedRollout]]
    notes: Mapping[str, ScoringNotes]
    independent: PendingVerdicts


def collect_step(
    session: Session, step: int, strata: Mapping[str, Stratum], phases: Phases, check_stop: Callable[[], None]
) -> CollectedStep:
    """Generates, judges and scores the responses of step 0, 1, …, all three at once. Every rank must call it.

    Args:
        session: the run; its engine is awake, with the current weights.
        step: index of the step.
        strata: those that take part in it.
        phases: shows and times the phases.
        check_stop: may raise to break off.

    Raises:
        LimitError: too much is unknown.
    """
    parts, journal, when = session.parts, session.journal, f"step {step + 1}"
    requests = requests_of_rank(strata, step, session.settings.seed)
    with open_scoring(requests, strata, parts.rewards, session.settings, journal.scores_of(step)) as scoring:
        with phases.phase("rollout"):
            submit = scoring.beside(partial(journal.submit, step, strata))
            judging = generate_and_judge(parts.engine, submit, requests, phases.progress("rollout"), check_stop)
        with phases.phase("rewards"):  # what generating did not hide
            scores = scoring.finish(check_stop)
    with phases.phase("judging"):  # what generating and scoring did not hide
        wait_for_verdicts(judging, phases.progress("judging"), check_stop)
    journal.flush()
    judged = judged_rollouts(judging, strata, scores, parts.baselines)
    notes = parts.scoring_notes(scoring.notes(), when)
    try:
        check_limits(judged, session.settings, when, notes)
    except LimitError:
        journal.discard(step)  # kept, what is unknown would stop the run again at once
        parts.baselines.discard_unknown()
        raise
    parts.engine.sleep()
    return CollectedStep(judged, notes, session.independent_judges.submit(step, strata, judged))


def requests_of_rank(strata: Mapping[str, Stratum], step: int, seed: int) -> list[GenerationRequest]:
    """This rank's requests: its share of every stratum's prompts."""
    rank, size = distributed.rank(), distributed.world_size()
    return [
        request
        for stratum in strata.values()
        for request in share_of_rank(stratum.sample_requests(step, seed), rank, size)
    ]
