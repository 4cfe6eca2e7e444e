"""What `cgpo evaluate` runs on: engine, judges and rewards of a run, without DeepSpeed and its optimiser.

A checkpoint's weights are read into a plain model and pushed to the rollout engine; another model is what the engine
starts from. What the reference has to say (its responses to held-out prompts, baseline responses) is taken from the run
directory, and made where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.data.tokenize import encode_response
from cgpo.evaluation.file import EvaluationFile
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.policy import ScoringModel
from cgpo.policy.reference import Reference
from cgpo.policy.weights import ModuleWeights
from cgpo.responses.collection import Progress, add_baselines
from cgpo.responses.engine_probe import EngineProbe
from cgpo.responses.judging import open_judges
from cgpo.responses.probes import Probes
from cgpo.responses.stratum import BASELINE_STEP, Stratum, build_strata, share_of_rank
from cgpo.rewards.baseline import FILE_NAME as BASELINES_NAME
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward, create_reward
from cgpo.rollout.engine import RolloutEngine, check_engine, start_engine
from cgpo.tracking.display import Display


@dataclass
class EvaluationSession:
    """The parts of a run that an evaluation needs (`cgpo.evaluation.responses.Evaluated`).

    The engine and the reference are made when they are first asked for: where everything the reference said is known
    already, neither is loaded for it.

    Attributes:
        settings: the run's, `model.name` being what the engine starts from.
        own_kl: False leaves out KL: the reference reads prompts in other tokens.
    """

    settings: RunSettings
    run_dir: Path
    display: Display
    strata: dict[str, Stratum]
    tokenizer: Any
    rewards: dict[str, Reward]
    baselines: BaselineStore
    evaluations: EvaluationFile
    probes: Probes
    own_kl: bool
    _stack: ExitStack

    @cached_property
    def engine(self) -> RolloutEngine:
        """Starts the rollout engine."""
        self.display.phase(f"starting the rollout engine ({self.settings.rollout.engine})")
        engine = start_engine(self.settings, context_length(self.settings.model))
        self._stack.callback(engine.close)
        return engine

    @cached_property
    def reference(self) -> ScoringModel | None:
        """Loads π_ref, for log ratios."""
        return self._own_reference if self.own_kl and self.settings.eval.temperature != 0 else None

    @cached_property
    def _own_reference(self) -> Reference:
        self.display.phase("loading the reference")
        return Reference(self.settings)

    @property
    def writes(self) -> bool:
        """True on the one rank that writes files."""
        return distributed.rank() == 0

    def engine_holds_reference(self) -> None:
        """Makes the engine generate as π_ref. A new engine holds `model.name`."""
        if self.settings.model.reference is not None:
            self.engine.sync(self._own_reference.weights())

    def engine_holds_policy(self) -> None:
        """Nothing to undo: the policy's weights are pushed after all the reference's responses are there."""

    def push(self, causal_lm: Any) -> None:
        """Brings the engine to a checkpoint's weights, and measures that they arrived.

        Raises:
            RunError: the gap in log-probs is above `rollout.max_logprob_gap`.
        """
        self.display.phase("pushing the checkpoint to the engine")
        self.engine.sync(ModuleWeights(causal_lm))
        model = causal_lm.to(distributed.device()).requires_grad_(False).eval()
        scoring = ScoringModel(LogProbModel(model, self.settings.train.logit_chunk_tokens), self.settings)
        rollout = self.settings.rollout
        probe = EngineProbe(self.strata, rollout.probe_responses, rollout.max_logprob_gap)
        probe.check(self.engine, scoring, "after the checkpoint was pushed to the rollout engine")

    def make_baselines(self, progress: Progress, check_stop: Callable[[], None]) -> None:
        """Baseline responses of held-out prompts that have none yet, while the engine holds the reference."""
        wanted = [
            stratum.request(prompt, BASELINE_STEP, 0, self.settings.seed)
            for name, stratum in self.strata.items()
            for prompt in self.baselines.missing(name, [p for p, _ in stratum.heldout.values()], self.rewards_of(name))
        ]
        if not wanted:
            return
        self.engine_holds_reference()
        mine = share_of_rank(wanted, distributed.rank(), distributed.world_size())
        encode = partial(encode_response, self.tokenizer)
        add_baselines(
            self.engine, self.strata, self.rewards, self.baselines, mine, self.settings, encode, progress, check_stop
        )

    def rewards_of(self, stratum: str) -> list[str]:
        """Names of the rewards that score a stratum."""
        return self.strata[stratum].scored


@contextmanager
def open_evaluation(settings: RunSettings, display: Display, *, own_kl: bool = True) -> Iterator[EvaluationSession]:
    """Builds the parts of an evaluation in a claimed run directory, and takes them apart at the end.

    Raises:
        ConfigError: a model, reward or engine cannot be used.
        DataError: a data set cannot be used.
    """
    run_dir = Path(settings.run_dir)
    with ExitStack() as stack:
        check_engine(settings.rollout.engine)
        display.phase("loading judges and prompts")
        runtime = stack.enter_context(open_judges(settings, run_dir))
        tokenizer = load_tokenizer(settings.model.name, settings.model)
        strata = build_strata(settings, tokenizer, context_length(settings.model), runtime)
        display.phase("loading reward models")
        used = sorted({name for stratum in strata.values() for name in stratum.scored})
        yield EvaluationSession(
            settings=settings,
            run_dir=run_dir,
            display=display,
            strata=strata,
            tokenizer=tokenizer,
            rewards={name: create_reward(name, settings.rewards[name], runtime) for name in used},
            baselines=BaselineStore(run_dir / BASELINES_NAME, writable=distributed.rank() == 0),
            evaluations=EvaluationFile(run_dir),
            probes=Probes(settings.eval, runtime),
            own_kl=own_kl,
            _stack=stack,
        )
