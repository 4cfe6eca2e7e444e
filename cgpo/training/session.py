"""The session of a training run: its parts, built from the settings, and the state that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from cgpo import distributed
from cgpo.compose import to_plain
from cgpo.config import RunSettings
from cgpo.errors import ConfigError
from cgpo.optimizers.base import Need
from cgpo.overoptimisation.measures import IndependentJudges
from cgpo.overoptimisation.watch import OverOptimisationWatch
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.identity import check_model, describe_model
from cgpo.policy.policy import Policy
from cgpo.policy.universal import load_anywhere
from cgpo.responses.engine_probe import EngineProbe, gap_limits
from cgpo.responses.journal import Journal
from cgpo.responses.parts import ResponseParts, open_parts
from cgpo.responses.stratum import Stratum, shared_prompts
from cgpo.storage.environment import describe_environment
from cgpo.storage.file_names import CHECKPOINTS_NAME, JOURNAL_NAME
from cgpo.storage.run_config import adopt_configuration, read_config
from cgpo.tracking.display import Display
from cgpo.training.records import RunRecords
from cgpo.training.resume import changed_versions, check_pin, describe_surroundings, restore_strata, stratum_state
from cgpo.training.strata_watch import StrataWatch


@dataclass
class Session:
    """Everything a training run consists of.

    Attributes:
        parts: what responses are made, judged and scored with.
        policy: what is trained.
        value_outputs: which output of the policy's value head belongs to a stratum, where its optimiser has one.
        records: what the run writes down and shows.
        checkpoints: the run's checkpoints.
        journal: judges a step's responses and keeps their verdicts.
        identity: which model is trained, for recognising another one's checkpoint.
        strata_watch: which strata a step has, their weights, and what the last steps showed.
        overoptimisation: says when the policy games its reward.
        independent_judges: what measures training responses without constraining them.
        engine_probe: compares engine and policy after each sync.
    """

    parts: ResponseParts
    policy: Policy
    value_outputs: dict[str, int]
    records: RunRecords
    checkpoints: Checkpoints
    journal: Journal
    identity: dict[str, Any]
    strata_watch: StrataWatch
    overoptimisation: OverOptimisationWatch
    independent_judges: IndependentJudges
    engine_probe: EngineProbe

    @property
    def settings(self) -> RunSettings:
        """The whole configuration."""
        return self.parts.settings

    @property
    def strata(self) -> dict[str, Stratum]:
        """The tasks, by name."""
        return self.parts.strata

    @property
    def display(self) -> Display:
        """Progress for the person."""
        return self.parts.display

    def positions(self) -> dict[str, Any]:
        """Everything besides the policy that influences the next step, as plain data."""
        return {
            "ranks": distributed.world_size(),
            "zero_stage": self.settings.deepspeed.zero_stage,
            "totals": dict(self.records.totals),
            "watch": self.strata_watch.state_dict(),
            "overoptimisation": self.overoptimisation.state_dict(),
            "strata": {name: stratum_state(stratum) for name, stratum in self.strata.items()},
        }

    def save(self, step: int, positions: dict[str, Any]) -> None:
        """Writes a checkpoint after `step` steps, unless there is one; every rank must call it."""
        self.begin_saving(step, positions)
        self.finish_saving()

    def begin_saving(self, step: int, positions: dict[str, Any]) -> None:
        """Begins a checkpoint after `step` steps, unless there is one; every rank must call it.

        `finish_saving` has to come before the policy's next optimiser step.
        """
        if self.checkpoints.pending == step or distributed.on_first_rank(lambda: self.checkpoints.has(step)):
            return
        self.finish_saving()
        parts, surroundings = self.parts, {}
        with distributed.together():
            if parts.writes:
                surroundings = describe_surroundings(parts.run_dir, parts.baselines.file, self.settings.judging.cache)
        self.checkpoints.begin(step, self.policy.collect, {**positions, "model": self.identity, **surroundings})

    def finish_saving(self) -> None:
        """Waits for the checkpoint that was begun, if one was; every rank must call it."""
        if self.checkpoints.pending is None:
            return
        self.checkpoints.finish()
        with distributed.together():
            self.journal.forget_before(self.checkpoints.oldest_resumable())

    def restore(self) -> int:
        """Loads the newest whole checkpoint; returns how many steps are done (0 without one).

        Raises:
            RunError: no checkpoint is whole, it is one of another model, or its baselines have gone.
        """
        say = self.display.message
        with distributed.together():
            latest = self.checkpoints.newest_whole(say)
            if latest is None:
                return 0
            state = latest.read_state()
            check_model(state["model"], self.identity, latest.folder)
            check_pin(self.parts.baselines.file, state["baselines"], latest.folder)
            if changed := changed_versions(state["versions"], describe_environment()["versions"]):
                say(f"other versions than when {latest.folder.name} was written: {', '.join(changed)}")
        stage = self.settings.deepspeed.zero_stage
        load_anywhere(self.policy, latest.folder, state["ranks"], state["zero_stage"], stage, say)
        with distributed.together():
            restore_strata(self.strata, state["strata"], say)
            self.records.totals.update(state["totals"])
            self.strata_watch.load_state_dict(state["watch"])
            self.overoptimisation.load_state_dict(state["overoptimisation"])
            latest.restore_random_states()
        return latest.step

    def rewind_records(self, done: int) -> None:
        """Removes what was recorded after `done` steps, which will be done again, and opens the loggers.

        The state has been restored by now: settings that were allowed to change do fit it, and become the run's own.
        """
        with distributed.together():
            if self.parts.writes:
                run_dir = self.parts.run_dir
                adopt_configuration(run_dir, to_plain(self.settings))
                self.records.rewind(done)
                self.overoptimisation.rewind(done)
                # The stored configuration is the one without secrets.
                self.records.open_loggers(self.settings.tracking, done, read_config(run_dir))
        with distributed.together():
            self.records.evaluations.reload()


@contextmanager
def open_session(settings: RunSettings, display: Display) -> Iterator[Session]:
    """Builds the parts of a run in a claimed run directory, and takes them apart at the end.

    Raises:
        ConfigError: a model, reward or engine cannot be used, or a batch does not divide by the ranks.
        DataError: a data set cannot be used.
    """
    with ExitStack() as stack:
        distributed.init_distributed()
        stack.callback(distributed.close_distributed)
        check_batches(settings, distributed.world_size())
        parts = stack.enter_context(open_parts(settings, display))
        show_prompts(parts.strata, display)
        display.phase("loading policy and reference")
        with_values = [name for name, stratum in parts.strata.items() if Need.VALUES in stratum.optimizer.needs]
        policy = Policy(settings, len(with_values))
        parts.load(policy)
        identity = describe_model(policy.engine.module, parts.reference.weights(), parts.tokenizer, settings.model)
        with distributed.together():
            session = _session(parts, policy, with_values, identity)
        stack.callback(session.records.close)
        stack.callback(session.checkpoints.close)
        yield session


def _session(parts: ResponseParts, policy: Policy, with_values: Sequence[str], identity: dict[str, Any]) -> Session:
    settings, display = parts.settings, parts.display
    return Session(
        parts=parts,
        policy=policy,
        value_outputs={name: i for i, name in enumerate(with_values)},
        records=RunRecords(parts.run_dir, display),
        checkpoints=Checkpoints(parts.run_dir / CHECKPOINTS_NAME, settings.train.keep_checkpoints),
        journal=Journal(parts.run_dir / JOURNAL_NAME),
        identity=identity,
        strata_watch=StrataWatch(parts.strata, settings.weighting, display.message),
        overoptimisation=open_overoptimisation(parts),
        independent_judges=IndependentJudges(settings.watch, parts.runtime),
        engine_probe=EngineProbe(parts.strata, settings.rollout.probe_responses, gap_limits(settings)),
    )


def open_overoptimisation(parts: ResponseParts) -> OverOptimisationWatch:
    """The watch for over-optimisation over the run's strata."""
    strata = parts.strata
    return OverOptimisationWatch(
        parts.settings.watch,
        {name: stratum.independent_rewards for name, stratum in strata.items()},
        parts.run_dir,
        lambda name: strata[name].answered_by(parts.baselines.of_reference(name)),
        parts.display.message,
        writes=parts.writes,
    )


def show_prompts(strata: Mapping[str, Stratum], display: Display) -> None:
    """Says which prompts were dropped, and which are in two strata."""
    for stratum in strata.values():
        if any(stratum.dropped):
            train, heldout = stratum.dropped
            display.message(f"{stratum.name}: dropped as too long: {train} training, {heldout} held-out prompts")
    for text in shared_prompts(strata):
        display.message(f"warning: strata are meant to be disjoint, but {text}")


def check_batches(settings: RunSettings, world_size: int) -> None:
    """Every rank gets the same number of prompts of every stratum.

    Raises:
        ConfigError: a stratum's `prompts_per_step` does not divide by the number of ranks.
    """
    for name, stratum in settings.strata.items():
        if stratum.prompts_per_step % world_size:
            raise ConfigError(
                f"strata.{name}.prompts_per_step = {stratum.prompts_per_step} does not divide by the {world_size} "
                f"ranks; set a multiple of {world_size}"
            )
