"""The parts that responses of a run are made, judged and scored with: one set for training and for `cgpo evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.policy.policy import Policy
from cgpo.policy.reference import AnyReference, Reference, make_reference
from cgpo.responses.judging import open_judges
from cgpo.responses.stratum import Stratum, build_strata
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward, create_reward
from cgpo.rewards.notes import ScoringNotes, missing_text, total_notes
from cgpo.rollout.engine import RolloutEngine, check_engine, start_engine
from cgpo.storage.file_names import BASELINES_NAME
from cgpo.tracking.display import Display
from judges.running.runtime import JudgeRuntime


@dataclass
class ResponseParts:
    """What every response of a run needs.

    Engine and reference are made when they are first used: an evaluation for which everything the reference said is
    known loads neither for it.

    Attributes:
        settings: the whole configuration.
        run_dir: where the run keeps its files.
        display: progress for the person.
        runtime: what judges run on.
        tokenizer: of the policy.
        context_length: most tokens of prompt + response.
        strata: the tasks, by name.
        rewards: reward models, by name.
        baselines: baseline responses and their rewards.
        policy: what is trained; None where nothing is.
        closing: takes the engine apart at the end.
    """

    settings: RunSettings
    run_dir: Path
    display: Display
    runtime: JudgeRuntime
    tokenizer: Any
    context_length: int
    strata: dict[str, Stratum]
    rewards: dict[str, Reward]
    baselines: BaselineStore
    policy: Policy | None
    closing: ExitStack

    @cached_property
    def engine(self) -> RolloutEngine:
        """The rollout engine. A new one holds the weights of `model.name`."""
        self.display.phase(f"starting the rollout engine ({self.settings.rollout.engine})")
        engine = start_engine(self.settings, self.context_length)
        self.closing.callback(engine.close)
        return engine

    @cached_property
    def reference(self) -> AnyReference:
        """π_ref: a model of its own, unless `load` made it beside a policy."""
        self.display.phase("loading the reference")
        return Reference(self.settings)

    def load(self, policy: Policy) -> None:
        """Takes in the policy that is trained, with its reference, and starts the engine now.

        What they lack shows before anything is generated.
        """
        self.policy = policy
        self.reference = make_reference(self.settings, policy)
        _ = self.engine

    @property
    def writes(self) -> bool:
        """True on the one rank that writes files."""
        return distributed.rank() == 0

    @contextmanager
    def engine_as_reference(self) -> Iterator[None]:
        """Inside, the engine generates as π_ref; afterwards as the policy, where there is one.

        After an error it still holds the reference: the run ends with it.
        """
        other_model = self.settings.model.reference is not None
        if other_model:
            self.engine.sync(self.reference.weights())
        yield
        if other_model and self.policy is not None:
            self.engine.sync(self.policy.weights())

    def scoring_notes(self, notes: Mapping[str, ScoringNotes], when: str) -> dict[str, ScoringNotes]:
        """The notes of all ranks together; missing scores are said in the display. Every rank must call it.

        Args:
            notes: of this rank's rewards, by name.
            when: for the message, e.g. `step 12`.
        """
        everywhere = total_notes(distributed.gather_objects(dict(notes)))
        for text in missing_text(everywhere):
            self.display.message(f"{when}: {text}")
        return everywhere


@contextmanager
def open_parts(settings: RunSettings, display: Display) -> Iterator[ResponseParts]:
    """Builds the parts in a claimed run directory, and takes them apart at the end.

    Raises:
        ConfigError: a model, reward or engine cannot be used.
        DataError: a data set cannot be used.
    """
    run_dir = Path(settings.run_dir)
    with ExitStack() as stack:
        with distributed.together():
            check_engine(settings.rollout.engine)
            display.phase("loading judges and prompts")
            runtime = stack.enter_context(open_judges(settings, run_dir))
            tokenizer = load_tokenizer(settings.model.name, settings.model)
            length = context_length(settings.model)
            strata = build_strata(settings, tokenizer, length, runtime)
            display.phase("loading reward models")
            used = sorted({name for stratum in strata.values() for name in stratum.scored})
            parts = ResponseParts(
                settings=settings,
                run_dir=run_dir,
                display=display,
                runtime=runtime,
                tokenizer=tokenizer,
                context_length=length,
                strata=strata,
                rewards={name: create_reward(name, settings.rewards[name], runtime) for name in used},
                baselines=BaselineStore(run_dir / BASELINES_NAME, writable=distributed.rank() == 0),
                policy=None,
                closing=stack,
            )
        yield parts
