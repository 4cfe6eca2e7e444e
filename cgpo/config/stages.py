"""The supervised stages: SFT and DPO, and the data of all three."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cgpo.config.base import Settings
from cgpo.config.preferences import ContaminationSettings
from cgpo.config.training import ScheduleSettings


class PairFormSettings(Settings):
    """The form of a data set of preference pairs, and which of its rows are left out."""

    form: Literal["pairs", "ratings", "best_of_n"] = "pairs"
    """`pairs`: `chosen` and `rejected`, or transcripts. `ratings`: rows of one response and its rating, those of one
    prompt compared. `best_of_n`: rows of several responses with `scores`, `ranks` (1 is the best) or `best` (the
    position of the best, from 0)."""
    chosen_column: str = "chosen"
    """Column with the better response: text, or a list of messages that ends with it."""
    rejected_column: str = "rejected"
    """Column with the worse one."""
    response_column: str = "response"
    """`ratings`: column with the response."""
    rating_column: str = "rating"
    """`ratings`: column with its rating, a number; higher is better."""
    responses_column: str = "responses"
    """`best_of_n`: column with the list of responses."""
    scores_column: str = "scores"
    """`best_of_n`: column with their scores; higher is better."""
    ranks_column: str = "ranks"
    """`best_of_n`: column with their ranks; 1 is the best, equal ranks make no pair."""
    best_column: str = "best"
    """`best_of_n`: column with the position of the best one, from 0."""
    min_rating_difference: float = Field(default=0.0, ge=0)
    """`ratings` and `best_of_n`: a pair needs at least this difference of ratings, scores or ranks; equal ones never
    make one. The difference of ratings or scores becomes the pair's margin."""
    pairs_per_prompt: int | None = Field(default=None, ge=1)
    """`ratings` and `best_of_n`: keep only so many pairs of a prompt, those with the largest differences. Unset:
    all."""
    contamination: ContaminationSettings = ContaminationSettings()
    """Pairs whose prompt is a held-out prompt too."""

    @model_validator(mode="after")
    def _belongs_to_the_form(self) -> Self:
        if self.form == "pairs" and (self.min_rating_difference or self.pairs_per_prompt is not None):
            raise ValueError(
                "`min_rating_difference` and `pairs_per_prompt` are for rated responses (form: ratings or best_of_n), "
                "but `form` is pairs"
            )
        return self


class RowSourceSettings(Settings):
    """A data set of rows, and what is done with those that cannot be used."""

    path: str | None = None
    """JSONL, JSON, Parquet or CSV file, a glob, a folder, or the name of a data set on the Hugging Face hub."""
    name: str | None = None
    """Configuration (subset) of the hub data set."""
    split: str = "train"
    """Split of the data set."""
    size: int | None = Field(default=None, ge=2)
    """Take only the first so many rows. Unset: all."""
    prompt_column: str = "prompt"
    """Column with the prompt: a string or a list of messages."""
    bad_rows: Literal["stop", "drop"] = "stop"
    """A row that cannot be used stops the stage, or is left out. Either way they are counted, the first ones named."""


class StageDataSettings(RowSourceSettings):
    """Where the rows of a stage that trains the policy come from."""

    too_long: Literal["drop", "stop"] = "drop"
    """What to do with a row of more than `max_length` tokens: leave it out (counted) or stop with an error."""
    heldout_share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the prompts that are held out to measure on and never trained on."""


class ConversationDataSettings(StageDataSettings):
    """Conversations to imitate: `{"prompt", "response"}` or `{"messages"}` rows, or a generator's own."""

    generator: str | None = None
    """Name of a built-in prompt generator that knows golden responses: `math`. Needs `size`."""
    options: dict[str, Any] = Field(default={})
    """Options of the generator."""
    response_column: str = "response"
    """Column with the response to the prompt."""
    messages_column: str = "messages"
    """Column with a whole conversation, the last message the assistant's; used where a row has it."""

    @model_validator(mode="after")
    def _at_most_one_source(self) -> ConversationDataSettings:
        if self.generator is not None and self.path is not None:
            raise ValueError("set only one of `generator` and `path`")
        if self.generator is not None and self.size is None:
            raise ValueError("a generator needs `size`, the number of conversations to make")
        if self.generator is None and self.options:
            raise ValueError("`options` belongs to a generator; this is a data set")
        return self


class PairDataSettings(StageDataSettings, PairFormSettings):
    """Preference pairs, in one of the forms."""

    kinds: list[str] = Field(default=[])
    """Take only pairs of these kinds (`judged`, `shuffle`, …), where the rows have a `kind` as those of `cgpo reward`
    do. Empty: all."""


class PolicyStageSettings(ScheduleSettings):
    """What the stages that train the policy with labelled data have in common.

    AdamW's other settings (`train.betas`, `train.weight_decay`, `train.max_grad_norm`), `model.dtype` and `deepspeed`
    are those of the run.
    """

    model: str | None = None
    """Hub name or folder of the model to start from. Unset: `model.name`."""
    batch_size: int = Field(default=128, ge=1)
    """Rows per optimiser step, over all ranks. An epoch's last batch holds what is left."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """AdamW's highest learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """After the warm-up the learning rate stays, or falls linearly or along half a cosine, over the steps left."""
    final_learning_rate_ratio: float = Field(default=0.1, ge=0, le=1)
    """Learning rate of the last step as a share of the highest, for `linear` and `cosine`. 0: it would be 0 one step
    later, so that the last step is not without effect."""
    warmup_steps: int = Field(default=200, ge=0)
    """Steps over which the learning rate rises linearly to its value."""
    max_length: int | None = Field(default=None, ge=2)
    """Most tokens of prompt + response. Unset: `model.context_length`."""
    micro_batch_tokens: int = Field(default=4096, ge=16)
    """Most padded tokens in one forward and backward pass on one rank."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between measurements on the held-out rows; 0 = only at the end (and, for `sft`, at the start)."""
    save_every: int = Field(default=200, ge=0)
    """Steps between checkpoints, from which a killed stage goes on; 0 = only when interrupted."""


class SftStageSettings(PolicyStageSettings):
    """`cgpo sft`: imitates given responses. The defaults are those of the CGPO paper (2 epochs, batch 128, learning
    rate 1e-5, 200 warm-up steps, cosine to 0.1)."""

    data: ConversationDataSettings = ConversationDataSettings()
    """The conversations."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the conversations."""
    turns: Literal["all", "last"] = "all"
    """Learn every turn of the assistant in a conversation, or only the last one."""
    packing: bool = True
    """Lay several conversations in one row, none seeing another. Switch off for models that do not take a
    four-dimensional attention mask; the loss is the same."""


class DpoStageSettings(PolicyStageSettings):
    """`cgpo dpo`: a warm-up on preference pairs. Published: 3,000 steps; the rest is our choice."""

    data: PairDataSettings = PairDataSettings()
    """The pairs."""
    steps: int = Field(default=3000, ge=1)
    """Optimiser steps; the pairs are passed over as often as that takes."""
    batch_size: int = Field(default=64, ge=1)
    """Pairs per optimiser step, over all ranks. An epoch's last batch holds what is left."""
    learning_rate: float = Field(default=5e-7, gt=0)
    """AdamW's highest learning rate."""
    beta: float = Field(default=0.1, gt=0)
    """β: how much of a log-ratio counts; a larger one keeps the policy closer to the reference."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """ε: the share of pairs taken to be labelled the wrong way round."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen response's loss per token, added so that its likelihood does not fall along."""
