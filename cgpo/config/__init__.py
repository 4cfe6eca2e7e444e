"""Every setting of a run: typed, each with its meaning, unit and allowed values under it.

Hydra composes YAML files and command-line overrides into one tree (`overrides.py`); this package gives the tree its
types, a file for each part of it. A default lives here and nowhere else; the files in `conf/` only say what differs
from it. Types are strict: `train.steps=true` or `train.steps=1.5` is an error, never a silent conversion. No torch.
"""

from cgpo.config.base import Settings
from cgpo.config.evaluation import EvalSettings
from cgpo.config.judging import JudgingSettings
from cgpo.config.policy import DeepSpeedSettings, LoraSettings, ModelSettings
from cgpo.config.preferences import ContaminationSettings, PreferencesSettings
from cgpo.config.reward_stage import (
    EarlyStoppingSettings,
    HeadSettings,
    PairwiseHeadSettings,
    PointwiseHeadSettings,
    RegressionHeadSettings,
    RewardPairSettings,
    RewardStageSettings,
)
from cgpo.config.rewards import RewardSettings
from cgpo.config.run import RunSettings
from cgpo.config.sampling import RolloutSettings, SamplingSettings, VllmSettings
from cgpo.config.stages import (
    ConversationDataSettings,
    DpoStageSettings,
    PairDataSettings,
    PolicyStageSettings,
    RowSourceSettings,
    SftStageSettings,
    StageDataSettings,
)
from cgpo.config.strata import (
    TRUNCATION,
    JudgeEntry,
    OptimizerSettings,
    Prompts,
    PromptSettings,
    StratumScheduleSettings,
    StratumSettings,
    WeightingSettings,
)
from cgpo.config.tracking import TrackingSettings
from cgpo.config.training import KeepBestSettings, ScheduleSettings, TrainSettings
from cgpo.config.watch import PhraseSettings, WatchSettings

__all__ = [
    "TRUNCATION",
    "ContaminationSettings",
    "ConversationDataSettings",
    "DeepSpeedSettings",
    "DpoStageSettings",
    "EarlyStoppingSettings",
    "EvalSettings",
    "HeadSettings",
    "JudgeEntry",
    "JudgingSettings",
    "KeepBestSettings",
    "LoraSettings",
    "ModelSettings",
    "OptimizerSettings",
    "PairDataSettings",
    "PairwiseHeadSettings",
    "PhraseSettings",
    "PointwiseHeadSettings",
    "PolicyStageSettings",
    "PreferencesSettings",
    "PromptSettings",
    "Prompts",
    "RegressionHeadSettings",
    "RewardPairSettings",
    "RewardSettings",
    "RewardStageSettings",
    "RolloutSettings",
    "RowSourceSettings",
    "RunSettings",
    "SamplingSettings",
    "ScheduleSettings",
    "Settings",
    "SftStageSettings",
    "StageDataSettings",
    "StratumScheduleSettings",
    "StratumSettings",
    "TrackingSettings",
    "TrainSettings",
    "VllmSettings",
    "WatchSettings",
    "WeightingSettings",
]
