"""The whole tree of a run's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SerializeAsAny, model_validator

from cgpo.config.base import Settings
from cgpo.config.evaluation import EvalSettings
from cgpo.config.judging import JudgingSettings
from cgpo.config.policy import DeepSpeedSettings, ModelSettings
from cgpo.config.preferences import PreferencesSettings
from cgpo.config.reward_stage import RewardStageSettings
from cgpo.config.rewards import RewardSettings
from cgpo.config.sampling import RolloutSettings
from cgpo.config.stages import DpoStageSettings, SftStageSettings
from cgpo.config.strata import StratumSettings, WeightingSettings
from cgpo.config.tracking import TrackingSettings
from cgpo.config.training import TrainSettings
from cgpo.config.watch import WatchSettings


class RunSettings(Settings):
    """The whole tree."""

    seed: int = Field(default=0, ge=0)
    """Everything random derives from it."""
    run_dir: str
    """The run's directory. Default: `run_base`, with `-sft`, `-reward` or `-dpo` behind it for the other stages; the
    same command goes on where it stopped."""
    run_base: str | None = None
    """What run directories begin with. Default: `runs/<experiment>`; experiments name the models of earlier stages
    by it (`${run_base}-sft/model`)."""
    model: ModelSettings
    """The policy and its reference."""
    strata: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], StratumSettings] = Field(default={})
    """Name → stratum. `cgpo sft`, `cgpo dpo` and `cgpo reward` with a file of pairs do without."""
    rewards: dict[str, SerializeAsAny[RewardSettings]] = Field(default={})
    """Name → reward that strata may use."""
    weighting: WeightingSettings = WeightingSettings()
    """Automatic weights of the strata."""
    judging: JudgingSettings = JudgingSettings()
    """What judges run on."""
    train: TrainSettings = TrainSettings()
    """The optimiser step and its schedule."""
    eval: EvalSettings = EvalSettings()
    """Held-out evaluation."""
    watch: WatchSettings = WatchSettings()
    """What watches for over-optimisation."""
    rollout: RolloutSettings = RolloutSettings()
    """The rollout engine."""
    deepspeed: DeepSpeedSettings = DeepSpeedSettings()
    """Sharding."""
    tracking: TrackingSettings = TrackingSettings()
    """Metrics, display and report."""
    reward_stage: RewardStageSettings = RewardStageSettings()
    """Settings of `cgpo reward`."""
    sft_stage: SftStageSettings = SftStageSettings()
    """Settings of `cgpo sft`."""
    dpo_stage: DpoStageSettings = DpoStageSettings()
    """Settings of `cgpo dpo`."""
    preferences: PreferencesSettings = PreferencesSettings()
    """Settings of `cgpo preferences`."""

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        if not self.strata:
            return self
        evaluates = self.eval.before or self.eval.after or self.eval.every
        if evaluates and not any(s.heldout for s in self.strata.values()):
            raise ValueError("`eval` asks for evaluations, but no stratum has `heldout` prompts")
        self._check_keep_best()
        if self.model.dtype != "float32" and self.deepspeed.zero_stage == 0:
            raise ValueError(
                f"`model.dtype` is {self.model.dtype} and `deepspeed.zero_stage` is 0, where DeepSpeed sums the "
                f"gradients of micro-batches in {self.model.dtype}: they would be rounded away. Set deepspeed=zero1 "
                "(on one rank it costs nothing), zero2 or zero3"
            )
        if self.train.attention == "flash" and self.model.dtype == "float32":
            raise ValueError(
                "`train.attention` is flash, which computes in 16-bit types only, and `model.dtype` is float32: set "
                "model.dtype=bfloat16, or attention to auto"
            )
        for name, stratum in self.strata.items():
            for reward in stratum.rewards:
                if reward not in self.rewards:
                    known = ", ".join(sorted(self.rewards)) or "(none)"
                    raise ValueError(f"strata.{name}.rewards: unknown reward {reward!r}. Allowed: {known}")
        self._check_independent_rewards()
        self._check_schedules()
        self._check_reused_logprobs()
        return self

    def independent_rewards(self, stratum: str) -> list[str]:
        """The rewards that score a stratum's responses without training it."""
        trained = self.strata[stratum].rewards
        return [name for name in self.watch.independent_rewards if not trained.get(name)]

    def _check_independent_rewards(self) -> None:
        for reward in self.watch.independent_rewards:
            if reward not in self.rewards:
                known = ", ".join(sorted(self.rewards)) or "(none)"
                raise ValueError(f"watch.independent_rewards: unknown reward {reward!r}. Allowed: {known}")
            if all(reward not in self.independent_rewards(name) for name in self.strata):
                raise ValueError(
                    f"watch.independent_rewards: every stratum is trained on {reward!r}, so it is independent of none; "
                    "name a reward that some stratum leaves out or weighs 0"
                )

    def _check_schedules(self) -> None:
        """Every stratum takes part in some step, and every step has a stratum."""
        steps = self.train.steps
        counts = {name: stratum.schedule.active_steps(0, steps) for name, stratum in self.strata.items()}
        for name, count in counts.items():
            if count == 0:
                start = self.strata[name].schedule.start
                raise ValueError(
                    f"strata.{name}.schedule.start is {start}, but the run has the steps 0 to {steps - 1} "
                    f"(train.steps = {steps}): the stratum would never take part"
                )
        if steps in counts.values():
            return
        schedules = [stratum.schedule for stratum in self.strata.values()]
        idle = [step for step in range(steps) if not any(schedule.active(step) for schedule in schedules)]
        if idle:
            raise ValueError(
                f"strata.*.schedule: in {len(idle)} of {steps} steps, the first of them step {idle[0]} (counted from "
                "0), no stratum takes part; change a `start`, `end` or `every`, or train.steps"
            )

    def _check_reused_logprobs(self) -> None:
        if not self.train.reuse_engine_logprobs:
            return
        for name, stratum in self.strata.items():
            if truncations := stratum.sampling.truncations:
                raise ValueError(
                    f"strata.{name}.sampling.{truncations[0]} makes the engine's log-probs those of another "
                    "distribution than the policy's: set `train.reuse_engine_logprobs` to false"
                )
            if getattr(stratum.optimizer, "importance_weight_max", None):
                raise ValueError(
                    f"strata.{name}.optimizer.importance_weight_max weighs tokens by how far engine and policy are "
                    "apart, and `train.reuse_engine_logprobs` takes the engine's log-probs for the policy's: set one "
                    "of them"
                )

    def _check_keep_best(self) -> None:
        if self.train.keep_best is not None and not (self.eval.every or self.eval.after):
            raise ValueError("`train.keep_best` chooses by evaluations: set `eval.every` (or `eval.after`)")
