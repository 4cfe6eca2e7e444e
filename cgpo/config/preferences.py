"""`cgpo preferences`: preference pairs from a model's own responses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cgpo.config.base import Settings


class ContaminationSettings(Settings):
    """Whether prompts to train on are prompts to measure with.

    A prompt is taken for a held-out one when it has the same words, or when it holds at least `share` of the n-grams
    of words of a held-out one. n = 8 and 0.7 are those of PaLM (arXiv 2204.02311, section 8); n-grams that many
    prompts share, such as a fixed request for a format, say nothing and are not counted.
    """

    heldout: list[str] = Field(default=[])
    """Files with prompts to measure with, besides the strata's own `heldout`: JSONL, Parquet or CSV with a column
    `prompt`."""
    action: Literal["drop", "stop", "off"] = "drop"
    """What is done with a prompt that is also a held-out one: leave it out (counted and listed), stop with an error,
    or do not look."""
    words: int = Field(default=8, ge=2)
    """n: words in an n-gram. Shorter held-out prompts are compared as a whole."""
    share: float = Field(default=0.7, gt=0, le=1)
    """Share of a held-out prompt's n-grams from which on it counts as contained."""
    common: int = Field(default=10, ge=1)
    """n-grams that stand in more than so many of the prompts to train on, or of the held-out ones, are not counted (as
    in GPT-3's check, arXiv 2005.14165, appendix C); nor, among few prompts, those in more than a fifth of them."""


class PreferencesSettings(Settings):
    """`cgpo preferences`: samples responses to the strata's training prompts, ranks them and writes pairs."""

    model: str | None = None
    """Hub name or folder of the model whose responses are compared. Unset: `model.name`."""
    strata: list[str] = Field(default=[])
    """Names of the strata to take prompts from. Empty: all."""
    prompts_per_stratum: int | None = Field(default=None, ge=1)
    """Training prompts taken per stratum, drawn at random (all, if there are fewer). Unset: all."""
    responses_per_prompt: int = Field(default=8, ge=2)
    """Responses sampled per prompt."""
    temperature: float | None = Field(default=None, gt=0)
    """Sampling temperature of these responses. Unset: each stratum's own."""
    rank_by: list[Literal["judges", "reward"]] = Field(default=["judges", "reward"], min_length=1)
    """What decides between two responses, the first one that can. `judges`: satisfied over violated (an unknown
    outcome makes no pair). `reward`: the higher of the stratum's weighted rewards (a missing score makes no pair)."""
    min_reward_difference: float = Field(default=0.0, ge=0)
    """The reward decides only from this difference on, in units of the stratum's weighted sum; a smaller one is a
    tie."""
    chosen_must_satisfy: bool = True
    """Where judges rank, no response that one found violated is ever chosen. Switch off to rank violated ones by
    reward too."""
    pairs_per_prompt: Literal["best_worst", "best_random", "all"] = "best_worst"
    """The best response over the worst; over a random one that is decided against it; or every pair that is
    decided."""
    max_pairs_per_prompt: int | None = Field(default=None, ge=1)
    """With `all`: keep only so many pairs of a prompt, the most decided first. Unset: all."""
    contamination: ContaminationSettings = ContaminationSettings()
    """Training prompts that are held-out prompts too."""
    chunk: int = Field(default=256, ge=1)
    """Responses per rank that are generated, judged and written at once; a killed command loses no more."""

    @model_validator(mode="after")
    def _consistent(self) -> PreferencesSettings:
        if len(set(self.rank_by)) < len(self.rank_by):
            raise ValueError(f"`rank_by` names something twice: {', '.join(self.rank_by)}")
        if self.max_pairs_per_prompt is not None and self.pairs_per_prompt != "all":
            raise ValueError(
                f"`max_pairs_per_prompt` belongs to pairs_per_prompt: all; {self.pairs_per_prompt} makes one pair"
            )
        if self.min_reward_difference and "reward" not in self.rank_by:
            raise ValueError("`min_reward_difference` is set, but `rank_by` does not name `reward`")
        return self
