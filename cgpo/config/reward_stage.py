"""`cgpo reward`: the base model, its heads, what each learns from, and how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cgpo.config.base import Settings
from cgpo.config.stages import PairDataSettings, PairFormSettings, RowSourceSettings
from cgpo.errors import unknown_name

DEFAULT_HEAD = "reward"
"""Name of the head where the settings name none."""

SYNTHETIC_KINDS = ("judged", "shuffle", "swap", "loop", "empty", "truncate", "hostile")
"""Kinds of preference pairs that `cgpo reward` makes (`cgpo.pairs.synthetic`)."""


class RewardPairSettings(PairFormSettings):
    """How `cgpo reward` gets its preference pairs when it makes them itself."""

    path: str | None = None
    """File, folder or hub data set of preferences in one of the forms, as for `dpo_stage.data.path`. Unset: pairs are
    made from the strata's prompts."""
    prompt_column: str = "prompt"
    """Column of `path` with the prompt: a string or a list of messages."""
    bad_rows: Literal["stop", "drop"] = "stop"
    """A row of `path` that is no pair stops the stage, or is left out; the first ones are named."""
    model: str | None = None
    """Hub name or folder of the model whose responses are compared. Unset: `model.name`."""
    prompts_per_stratum: int = Field(default=40, ge=2)
    """Training prompts taken per stratum (all, if there are fewer)."""
    responses_per_prompt: int = Field(default=4, ge=1)
    """Responses sampled from the model per prompt."""
    temperature: float | None = Field(default=None, gt=0)
    """Sampling temperature of these responses. Unset: each stratum's own. A weak model's are better at a lower one."""
    corruptions_per_prompt: int = Field(default=2, ge=0, le=5)
    """Pairs per prompt of a response over a corruption of it (words shuffled, a loop, another prompt's response,
    an empty answer, cut off, a hostile sentence)."""
    kinds: list[str] = Field(default=[])
    """Kinds of pairs: `judged`, `shuffle`, `swap`, `loop`, `empty`, `truncate`, `hostile`. Empty: of those that are
    made, all but `hostile`; of `path`, all."""
    heldout_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the prompts whose pairs measure accuracy and are not trained on."""

    @model_validator(mode="after")
    def _known_kinds(self) -> RewardPairSettings:
        for kind in self.kinds if self.path is None else ():
            if kind not in SYNTHETIC_KINDS:
                raise ValueError(unknown_name("kind of pair", kind, SYNTHETIC_KINDS, "kinds"))
        return self

    def as_data(self) -> PairDataSettings:
        """The same as `cgpo dpo` has it, to read `path` with."""
        shared = {*PairFormSettings.model_fields, "path", "prompt_column", "bad_rows", "kinds", "heldout_share"}
        return PairDataSettings(**self.model_dump(include=shared))


class _HeadSettings(Settings):
    """What the heads of every objective have."""

    weight: float = Field(default=1.0, gt=0)
    """What the head's loss is multiplied by where a model has several."""


class PairwiseHeadSettings(_HeadSettings):
    """A head that learns which of two responses is better: Bradley–Terry."""

    objective: Literal["pairwise"]
    """`pairwise`."""
    pairs: RewardPairSettings | None = None
    """Where its preference pairs come from. Unset: as `reward_stage.pairs` says."""
    margin_column: str | None = None
    """Column of `pairs.path` with the margin of each pair: by how much the better response is better, 0 or more."""
    margin_scale: float = Field(default=0.0, ge=0)
    """What a pair's margin is multiplied by to be the difference of scores that is asked for. 0 = no margin."""
    centring: float = Field(default=0.0, ge=0)
    """Weight of (r(chosen) + r(rejected))², which keeps the scores around 0. Published: 0.01."""

    @model_validator(mode="after")
    def _margins_are_used(self) -> PairwiseHeadSettings:
        if self.margin_column is not None and self.margin_scale == 0:
            raise ValueError("`margin_column` names margins, but `margin_scale` is 0, so none would be used")
        return self


class _TextHeadSettings(_HeadSettings, RowSourceSettings):
    """A head that learns a value of single responses: `{"prompt", "response", …}` rows."""

    response_column: str = "response"
    """Column with the response."""
    heldout_path: str | None = None
    """A data set of its own to measure on. Unset: `heldout_share` of the prompts."""
    heldout_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts that are held out to measure on and never trained on."""


class PointwiseHeadSettings(_TextHeadSettings):
    """A head that learns a probability, such as P[Love]: binary cross-entropy."""

    objective: Literal["pointwise"]
    """`pointwise`."""
    feedback: str | None = None
    """Folder that `cgpo feedback prepare` wrote: rows, chronological split and true rate. Instead of `path`."""
    label_column: str = "label"
    """Column with the label: 1 or true for a positive response, 0 or false."""
    true_rate: float | None = Field(default=None, gt=0, lt=1)
    """p₀: the share of positives where the model will be used, when the training rows hold another share. Unset: that
    of the training rows. `feedback` brings its own."""

    @model_validator(mode="after")
    def _one_source(self) -> PointwiseHeadSettings:
        if (self.path is None) == (self.feedback is None):
            raise ValueError("set one of `path` (a data set) and `feedback` (a folder of `cgpo feedback prepare`)")
        decided = ("heldout_path", "heldout_share", "true_rate", "size", "bad_rows")
        changed = [key for key in decided if getattr(self, key) != type(self).model_fields[key].default]
        if self.feedback is not None and changed:
            names = ", ".join(f"`{key}`" for key in changed)
            raise ValueError(f"{names}: set beside `feedback`, whose folder decides that")
        return self


class RegressionHeadSettings(_TextHeadSettings):
    """A head that learns ratings."""

    objective: Literal["regression"]
    """`regression`."""
    rating_column: str = "rating"
    """Column with the rating, a number. Ratings are standardised for training; rewards have the column's unit again."""
    loss: Literal["squared", "huber"] = "squared"
    """Half the squared error, or Huber's loss, which grows linearly beyond `huber_delta`."""
    huber_delta: float = Field(default=1.0, gt=0)
    """Where Huber's loss turns linear, in standard deviations of the ratings."""

    @model_validator(mode="after")
    def _has_rows(self) -> RegressionHeadSettings:
        if self.path is None:
            raise ValueError("`path` is not set: name the data set with the ratings")
        return self


HeadSettings = PairwiseHeadSettings | PointwiseHeadSettings | RegressionHeadSettings


class EarlyStoppingSettings(Settings):
    """Stops where the loss on rows that are not trained on falls no more, and keeps the best weights."""

    every: int = Field(ge=1)
    """Steps between measurements; the last step is measured too."""
    patience: int = Field(default=3, ge=1)
    """Measurements in a row without improvement after which training stops."""
    min_improvement: float = Field(default=0.0, ge=0)
    """By how much the loss must fall below the best one to count as an improvement."""
    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training prompts kept for these measurements; they are neither trained on nor held-out rows."""


class RewardStageSettings(Settings):
    """`cgpo reward`: the stage that trains a reward model."""

    base: str = "minilm"
    """Hub name or folder of the model to start from, an encoder or a causal language model; `minilm` is the small
    encoder of the quickstart, `minilm_small` a smaller one for thousands of rows without a GPU."""
    heads: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Annotated[HeadSettings, Field(discriminator="objective")]
    ] = Field(default={})
    """Name → output of the model and what it learns. Unset: one pairwise head `reward` that learns from `pairs`."""
    pairs: RewardPairSettings = RewardPairSettings()
    """Where the preference pairs of pairwise heads come from that have no `pairs` of their own."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the rows."""
    batch_size: int = Field(default=16, ge=1)
    """Rows (pairs, or single responses) per optimiser step, over all ranks and heads."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """AdamW's learning rate; it falls linearly to 0."""
    max_length: int = Field(default=128, ge=8)
    """Most tokens of prompt + response."""
    trainable_layers: int | None = Field(default=None, ge=0)
    """Train only the last so many layers and the head; 0 = the head alone. Unset: everything."""
    micro_batch_tokens: int = Field(default=8192, ge=16)
    """Most padded tokens in one forward and backward pass on one rank."""
    save_every: int = Field(default=200, ge=0)
    """Steps between checkpoints, from which a killed stage goes on; 0 = none."""
    early_stopping: EarlyStoppingSettings | None = None
    """Stop when held-back rows say so. Unset: all steps are taken."""

    @model_validator(mode="after")
    def _margins_are_in_a_file(self) -> RewardStageSettings:
        for name, head in self.heads.items():
            if not isinstance(head, PairwiseHeadSettings) or head.margin_column is None:
                continue
            pairs = self.pairs_of(head)
            if pairs.path is None:
                raise ValueError(
                    f"heads.{name}.margin_column is a column of `pairs.path`, which is not set: made pairs have none"
                )
            if pairs.form != "pairs":
                raise ValueError(
                    f"heads.{name}.margin_column: the margins of form {pairs.form} are the differences of its grades"
                )
        return self

    def all_heads(self) -> dict[str, HeadSettings]:
        """The heads in the order of the model's outputs; where none is named, the one that learns from `pairs`."""
        return dict(self.heads) or {DEFAULT_HEAD: PairwiseHeadSettings(objective="pairwise")}

    def pairs_of(self, head: PairwiseHeadSettings) -> RewardPairSettings:
        """Where a head's pairs come from."""
        return self.pairs if head.pairs is None else head.pairs
