"""Scores many responses with one head of a reward model, with progress; missing scores are counted and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, LimitError
from cgpo.rewards.classifier import ClassifierSettings, SequenceClassifierReward
from cgpo.rewards.heads import Head
from cgpo.storage.file_names import CONFIG_NAME
from cgpo.tracking.progress import StageProgress
from cgpo.types import Prompt
from judges import Message

CHUNK = 512
"""Texts between two updates of the progress; batches are made by length within a chunk."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of some responses.

    Attributes:
        values: r(s, a), in order; None: missing.
        truncated: how many texts were longer than the model was given.
    """

    values: list[float | None]
    truncated: int

    @property
    def missing(self) -> int:
        return sum(value is None for value in self.values)


class HeadScorer:
    """One head of a reward model.

    Args:
        model: folder or hub name.
        head: which of its heads; None: its only one.
        max_length: most tokens of prompt and response; None: as in training, else that of the reward's settings.
        batch_tokens: padded tokens scored at once; None: that of the reward's settings.
        max_missing_rate: largest share of responses without a finite score.

    Raises:
        ConfigError: there is no such model or head.
    """

    def __init__(
        self,
        model: str,
        head: str | None = None,
        *,
        max_length: int | None = None,
        batch_tokens: int | None = None,
        max_missing_rate: float,
    ) -> None:
        self.training = training_settings(model)
        options: dict[str, Any] = {"model": model, "head": head, "batch_tokens": batch_tokens}
        options["max_length"] = max_length or self.training.get("max_length")
        self.settings = ClassifierSettings(**{key: value for key, value in options.items() if value is not None})
        self._limit = max_missing_rate
        self._reward = _load(self.settings)
        outputs = self._reward.source.outputs
        self.name: str = head or outputs.names[0]
        heads = {described.name: described for described in outputs.heads or ()}
        self.head: Head | None = heads.get(self.name)

    @property
    def is_probability(self) -> bool:
        """Whether a score is the logit of a probability at the true rate."""
        return self.head is not None and self.head.objective == "pointwise"

    def score(self, prompts: Sequence[Sequence[Message]], responses: Sequence[str]) -> Scores:
        """r(s, a) of each response.

        Raises:
            LimitError: more are missing than `--max-missing-rate` allows.
        """
        values: list[float | None] = []
        truncated = 0
        numbered = [Prompt(str(i), tuple(messages)) for i, messages in enumerate(prompts)]
        with StageProgress().task("scoring", len(numbered)) as update:
            for start in range(0, len(numbered), CHUNK):
                chunk = slice(start, start + CHUNK)
                values += self._reward.score(numbered[chunk], list(responses[chunk]))
                truncated += self._reward.source.truncated
                update(len(values), "")
        scores = Scores(values, truncated)
        if values and scores.missing / len(values) > self._limit:
            raise LimitError(
                f"the model gave no finite score for {scores.missing} of {len(values)} responses "
                f"({100 * scores.missing / len(values):.1f} %; --max-missing-rate is {100 * self._limit:g} %). NaN or "
                f"infinite outputs: check the model {self.settings.model}"
            )
        return scores


def _load(settings: ClassifierSettings) -> SequenceClassifierReward:
    """The model as a reward; what is wrong with it is said in the words of the options, for there are no settings."""
    name = "model"
    try:
        return SequenceClassifierReward(settings, name)
    except ConfigError as error:
        message = str(error).partition(f", or several with weights as rewards.{name}.heads")[0]
        raise ConfigError(
            message.replace(f"rewards.{name}.max_length", "--max-length").replace(f"rewards.{name}.", "--")
        ) from error


def training_settings(model: str) -> dict[str, Any]:
    """`reward_stage` of the run that made the model, where its folder lies in one; else nothing.

    Raises:
        ConfigError: its config.yaml cannot be read.
    """
    from cgpo.storage.run_config import read_config

    folder = Path(model).expanduser()
    if not (folder.is_dir() and (folder.parent / CONFIG_NAME).is_file()):
        return {}
    stage = read_config(folder.parent).get("reward_stage")
    return dict(stage) if isinstance(stage, dict) else {}
