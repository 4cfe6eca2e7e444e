"""The parts of a training run, built from its settings, and what they keep on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.compose import to_plain
from cgpo.config import RunSettings
from cgpo.config.evaluation_metrics import evaluation_metrics
from cgpo.errors import ConfigError
from cgpo.evaluation.file import EvaluationFile
from cgpo.optimizers.base import Need
from cgpo.overoptimisation.independent import IndependentJudges
from cgpo.overoptimisation.watch import OverOptimisationWatch
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.identity import check_model, describe_model
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.policy.policy import Policy
from cgpo.policy.reference import AnyReference, make_reference
from cgpo.policy.universal import load_anywhere
from cgpo.responses.engine_probe import EngineProbe
from cgpo.responses.journal import FOLDER as JOURNAL_FOLDER
from cgpo.responses.journal import Journal
from cgpo.responses.judging import open_judges
from cgpo.responses.probes import Probes
from cgpo.responses.stratum import Stratum, build_strata, overlaps
from cgpo.rewards.baseline import FILE_NAME as BASELINES_NAME
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward, create_reward
from cgpo.rollout.engine import RolloutEngine, check_engine, start_engine
from cgpo.storage.environment import describe_environment
from cgpo.storage.run_config import adopt_configuration, read_config
from cgpo.tracking.display import Display
from cgpo.tracking.loggers import Logger, make_loggers
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.response_metrics import step_metrics
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter
from cgpo.training.resume import changed_versions, check_pin, describe_surroundings, restore_strata, stratum_state
from cgpo.training.watch import StrataWatch


@dataclass
class Session:
    """Everything a run consists of.

    Attributes:
        settings: the whole configuration.
        run_dir: where the run keeps its files.
        display: progress for the person.
        strata: the tasks, by name.
        policy: what is trained.
        reference: π_ref.
        tokenizer: of the policy.
        context_length: most tokens of prompt + response.
        value_outputs: which output of the policy's value head belongs to a stratum, where its optimiser has one.
        engine: generates responses; holds a copy of the policy's weights.
        rewards: reward models, by name.
        baselines: baseline responses and their rewards.
        evaluations: the held-out evaluations of the run.
        probes: what measures held-out responses without constraining them.
        checkpoints: the run's checkpoints.
        journal: judges a step's responses and keeps what was said.
        identity: which model is trained, for recognising another one's checkpoint.
        totals: what the run has consumed so far: metric name → count.
        watch: which strata a step has, their weights, and what the last steps showed.
        overoptimisation: says when the policy games its reward.
        independent_judges: what measures training responses without constraining them.
        engine_probe: compares engine and policy after each sync.
    """

    settings: RunSettings
    run_dir: Path
    display: Display
    strata: dict[str, Stratum]
    policy: Policy
    reference: AnyReference
    tokenizer: Any
    context_length: int
    value_outputs: dict[str, int]
    engine: RolloutEngine
    rewards: dict[str, Reward]
    baselines: BaselineStore
    evaluations: EvaluationFile
    probes: Probes
    checkpoints: Checkpoints
    journal: Journal
    identity: dict[str, Any]
    totals: dict[str, float]
    watch: StrataWatch
    overoptimisation: OverOptimisationWatch
    independent_judges: IndependentJudges
    engine_probe: EngineProbe
    metrics: MetricsFile
    rollouts: RolloutsWriter
    loggers: list[Logger]

    @property
    def writes(self) -> bool:
        """True on the one rank that writes files."""
        return distributed.rank() == 0

    def positions(self) -> dict[str, Any]:
        """Everything besides the policy that influences the next step, as plain data."""
        return {
            "ranks": distributed.world_size(),
            "zero_stage": self.settings.deepspeed.zero_stage,
            "totals": dict(self.totals),
            "watch": self.watch.state_dict(),
            "overoptimisation": self.overoptimisation.state_dict(),
            "strata": {name: stratum_state(stratum) for name, stratum in self.strata.items()},
        }

    def save(self, step: int, positions: dict[str, Any]) -> None:
        """Writes a checkpoint after `step` steps, unless there is one; every rank must call it."""
        if self.checkpoints.has(step):
            return
        file = self.baselines.file
        surroundings = describe_surroundings(self.run_dir, file, self.settings.judging.cache) if self.writes else {}
        self.checkpoints.save(step, self.policy.save, {**positions, "model": self.identity, **surroundings})
        self.journal.forget_before(self.checkpoints.oldest_resumable())

    def keep_best(self, done: int) -> None:
        """Marks the checkpoint after `done` steps as the best, if its evaluation says so; every rank must call it."""
        asked = self.settings.train.keep_best
        line = next((each for each in self.evaluations.read() if each["step"] == done), None)
        if asked is None or line is None or done == 0:
            return
        value = evaluation_metrics(line).get(asked.metric)
        if value is None:
            self.display.message(
                f"train.keep_best: no {asked.metric} after step {done}: nothing known to measure it on"
            )
            return
        # One rank compares: another might already see what it has written.
        if not distributed.any_rank(self.writes and self.checkpoints.is_better(value, asked.metric, asked.mode)):
            return
        self.save(done, self.positions())
        if self.writes:
            self.checkpoints.mark_best(done, asked.metric, asked.mode, value)
        self.display.message(f"step {done} is the best so far: {asked.metric} {value:g}")
        distributed.barrier()

    def restore(self) -> int:
        """Loads the newest whole checkpoint; returns how many steps are done (0 without one).

        Raises:
            RunError: no checkpoint is whole, it is one of another model, or its baselines have gone.
        """
        latest = self.checkpoints.newest_whole(self.display.message)
        if latest is None:
            return 0
        state = latest.read_state()
        check_model(state["model"], self.identity, latest.folder)
        check_pin(self.baselines.file, state["baselines"], latest.folder)
        if changed := changed_versions(state["versions"], describe_environment()["versions"]):
            self.display.message(f"other versions than when {latest.folder.name} was written: {', '.join(changed)}")
        stage = self.settings.deepspeed.zero_stage
        say = self.display.message
        load_anywhere(self.policy, latest.folder, state["ranks"], state["zero_stage"], stage, say)
        restore_strata(self.strata, state["strata"], say)
        self.totals.update(state["totals"])
        self.watch.load_state_dict(state["watch"])
        self.overoptimisation.load_state_dict(state["overoptimisation"])
        latest.restore_random_states()
        return latest.step

    def rewind_records(self, done: int) -> None:
        """Removes what was recorded after `done` steps, which will be done again, and opens the loggers.

        The state has been restored by now: settings that were allowed to change do fit it, and become the run's own.
        """
        if self.writes:
            adopt_configuration(self.run_dir, to_plain(self.settings))
            self.metrics.truncate_after(done)
            self.rollouts.truncate_after(done)
            self.evaluations.truncate_after(done)
            self.overoptimisation.rewind(done)
            config = read_config(self.run_dir)  # the one without secrets
            self.loggers += make_loggers(self.settings.tracking, self.run_dir, done + 1, config)
        distributed.barrier()
        self.evaluations.reload()

    def engine_holds_reference(self) -> None:
        """Makes the engine generate as π_ref. A new engine holds the model the policy started from."""
        if self.settings.model.reference is not None:
            self.engine.sync(self.reference.weights())

    def engine_holds_policy(self) -> None:
        """Undoes `engine_holds_reference`."""
        if self.settings.model.reference is not None:
            self.engine.sync(self.policy.weights())

    def step_metrics(self, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        """Metrics that follow from the recorded responses of a step, and how much the run has sampled so far."""
        found = step_metrics(rows)
        for name, count in (("responses/total", len(rows)), ("tokens/total", sum(r.response_tokens for r in rows))):
            self.totals[name] = found[name] = self.totals.get(name, 0) + count
        return found

    def show_evaluation(self, line: Mapping[str, Any]) -> None:
        """Sends an evaluation's numbers to the loggers, as `eval/<stratum>/<quantity>`; `evaluation.jsonl` has all."""
        metrics = {f"eval/{name}": value for name, value in evaluation_metrics(line).items()}
        for logger in self.loggers:
            logger.log(line["step"], metrics)

    def write_rollouts(self, step: int, rows: Sequence[RolloutRow]) -> None:
        """Records a step's responses, on one rank."""
        if self.writes:
            self.rollouts.write(step, rows)

    def record(self, step: int, metrics: dict[str, float | None]) -> None:
        """Records and shows a step's metrics, on one rank."""
        if self.writes:
            self.metrics.append(step, metrics)
            for logger in self.loggers:
                logger.log(step, metrics)
        self.display.step(step, metrics)


@contextmanager
def open_session(settings: RunSettings, display: Display) -> Iterator[Session]:
    """Builds the parts of a run in a claimed run directory, and takes them apart at the end.

    Raises:
        ConfigError: a model, reward or engine cannot be used, or a batch does not divide by the ranks.
        DataError: a data set cannot be used.
    """
    run_dir = Path(settings.run_dir)
    with ExitStack() as stack:
        distributed.init_distributed()
        stack.callback(distributed.close_distributed)
        check_engine(settings.rollout.engine)
        check_batches(settings, distributed.world_size())
        display.phase("loading judges and prompts")
        runtime = stack.enter_context(open_judges(settings, run_dir))
        tokenizer = load_tokenizer(settings.model.name, settings.model)
        length = context_length(settings.model)
        strata = build_strata(settings, tokenizer, length, runtime)
        for stratum in strata.values():
            if any(stratum.dropped):
                train, heldout = stratum.dropped
                display.message(f"{stratum.name}: dropped as too long: {train} training, {heldout} held-out prompts")
        for text in overlaps(strata):
            display.message(f"warning: strata are meant to be disjoint, but {text}")
        display.phase("loading reward models")
        used = {name for stratum in strata.values() for name in stratum.scored}
        rewards = {name: create_reward(name, settings.rewards[name], runtime) for name in sorted(used)}
        display.phase("loading policy and reference")
        with_values = [name for name, stratum in strata.items() if Need.VALUES in stratum.optimizer.needs]
        policy = Policy(settings, len(with_values))
        reference = make_reference(settings, policy)
        display.phase(f"starting the rollout engine ({settings.rollout.engine})")
        engine = start_engine(settings, length)
        stack.callback(engine.close)
        writes = distributed.rank() == 0
        loggers: list[Logger] = []
        stack.callback(_close_all, loggers)
        baselines = BaselineStore(run_dir / BASELINES_NAME, writable=writes)
        yield Session(
            settings=settings,
            run_dir=run_dir,
            display=display,
            strata=strata,
            policy=policy,
            reference=reference,
            tokenizer=tokenizer,
            context_length=length,
            value_outputs={name: i for i, name in enumerate(with_values)},
            engine=engine,
            rewards=rewards,
            baselines=baselines,
            evaluations=EvaluationFile(run_dir),
            probes=Probes(settings.eval, runtime),
            checkpoints=Checkpoints(run_dir / "checkpoints", settings.train.keep_checkpoints),
            journal=Journal(run_dir / JOURNAL_FOLDER),
            identity=describe_model(policy.engine.module, reference.weights(), tokenizer, settings.model),
            totals={},
            watch=StrataWatch(strata, settings.weighting, display.message),
            overoptimisation=OverOptimisationWatch(
                settings.watch,
                {name: stratum.independent_rewards for name, stratum in strata.items()},
                run_dir,
                lambda name: strata[name].answered_by(baselines.of_reference(name)),
                display.message,
                writes=writes,
            ),
            independent_judges=IndependentJudges(settings.watch, runtime),
            engine_probe=EngineProbe(strata, settings.rollout.probe_responses, settings.rollout.max_logprob_gap),
            metrics=MetricsFile(run_dir / "metrics.jsonl"),
            rollouts=RolloutsWriter(run_dir / "rollouts"),
            loggers=loggers,
        )


def _close_all(loggers: Sequence[Logger]) -> None:
    for logger in loggers:
        logger.close()


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
