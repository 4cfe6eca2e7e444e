"""Trains a reward model's heads on pairs and single responses; the loss of a step is in `losses.py`.

AdamW under DeepSpeed, gradient clipped to norm 1, learning rate falling linearly to 0. Rows are counted over all ranks,
so a step is the same however many processes share it and however it is split into micro-batches. The seed of dropout
derives from the step: a stage that goes on from a checkpoint repeats what an uninterrupted one would have done.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import RewardStageSettings, RunSettings
from cgpo.errors import RunError
from cgpo.policy.deepspeed_config import deepspeed_config
from cgpo.policy.saving import save_engine
from cgpo.policy.schedule import learning_rate
from cgpo.policy.universal import load_from_elsewhere
from cgpo.rewards.encoding import Encoded, collate
from cgpo.stages.batches import EpochBatches
from cgpo.stages.reward_model.losses import HeadLoss, Sums, TrainingRow, count_rows, part_of_loss

MAX_GRAD_NORM = 1.0


class RewardTrainer:
    """Trains `model` under DeepSpeed. Every rank makes one and calls its methods together with the others.

    Args:
        model: a sequence classifier with an output for each head.
        texts: what rows show, as tokens; the same on every rank.
        rows: the rows to train on.
        heads: the losses, by output.
        settings: the run's settings; `reward_stage`, `deepspeed` and `seed` are used.
        pad_id: token to pad with.
    """

    def __init__(
        self,
        model: Any,
        texts: Sequence[Encoded],
        rows: Sequence[TrainingRow],
        heads: Sequence[HeadLoss],
        settings: RunSettings,
        pad_id: int,
    ) -> None:
        import deepspeed

        self._texts = texts
        self._heads = heads
        # A row that counts several times stands in an epoch as often, not in one batch with a larger weight: divided
        # by its own sum of weights, a batch without positives would pull the share of positives below q.
        self._rows = [row for row in rows for _ in range(row.copies)]
        self._stage: RewardStageSettings = settings.reward_stage
        self._batches = EpochBatches(len(self._rows), self._stage.batch_size, settings.seed, "pairs")
        self._seed = settings.seed
        self._pad_id = pad_id
        freeze_lower_layers(model, self._stage.trainable_layers)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self._stage.learning_rate, weight_decay=0.0)
        config = deepspeed_config(settings) | {"bf16": {"enabled": False}, "gradient_clipping": MAX_GRAD_NORM}
        self.engine, *_ = deepspeed.initialize(
            model=model.to(distributed.device()), model_parameters=trained, optimizer=optimizer, config=config
        )

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self._batches.per_epoch * self._stage.epochs

    @property
    def data(self) -> str:
        """Changes with the tokens and targets of any row and with their order."""
        digest = hashlib.sha256()
        for item in (*self._texts, *self._rows):
            digest.update(repr(item).encode())
        return digest.hexdigest()[:16]

    def step(self, step: int) -> dict[str, float | None]:
        """Does step 0, 1, …; returns losses and accuracies over all ranks, before the update and under dropout."""
        self.engine.train()
        torch.manual_seed(hash_of(self._seed, step, distributed.rank()))
        batch = [self._rows[i] for i in self._batches.at(step)]
        rate = learning_rate(step, peak=self._stage.learning_rate, steps=self.steps, schedule="linear")
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        counts = count_rows(batch, len(self._heads))
        sums = Sums.zero(len(self._heads))
        micro_batches = self._micro_batches(batch[distributed.rank() :: distributed.world_size()])
        # Unequal counts of forward passes would hang ZeRO-3: who has fewer repeats a row without weight.
        rounds = int(distributed.all_max(float(len(micro_batches))))
        for i in range(rounds):
            idle = i >= len(micro_batches)
            rows = batch[:1] if idle else micro_batches[i]
            outputs = self._outputs(rows)
            part = outputs.sum() * 0.0 if idle else part_of_loss(outputs, rows, self._heads, counts, sums)
            self.engine.set_gradient_accumulation_boundary(i == rounds - 1)
            # DeepSpeed averages over ranks; the loss is a mean over all ranks' rows.
            self.engine.backward(part * distributed.world_size())
        metrics = self._metrics(sums, "train")
        if not math.isfinite(float(metrics["train/loss"] or 0.0)):
            raise RunError(
                f"step {step + 1}: the loss of the reward model is not finite: it has diverged. Lower "
                "reward_stage.learning_rate and start anew with --fresh"
            )
        self.engine.step()
        return metrics | {"train/learning_rate": rate}

    @torch.no_grad()
    def measure(self, rows: Sequence[TrainingRow]) -> dict[str, float | None]:
        """The loss on rows that are not trained on, without dropout; every rank calls it."""
        self.engine.eval()
        sums = Sums.zero(len(self._heads))
        micro_batches = self._micro_batches(rows[distributed.rank() :: distributed.world_size()])
        rounds = int(distributed.all_max(float(len(micro_batches))))
        for i in range(rounds):
            idle = i >= len(micro_batches)
            batch = rows[:1] if idle else micro_batches[i]
            outputs = self._outputs(batch)
            if not idle:
                copies = [row.copies for row in batch]
                part_of_loss(outputs, batch, self._heads, [1.0] * len(self._heads), sums, copies)
        return self._metrics(sums, "validation")

    def save(self, folder: str) -> None:
        """Writes weights and optimiser state under `folder`; every rank must call it."""
        save_engine(self.engine, folder)

    def load_from_elsewhere(self, folder: str, zero_stage: int) -> None:
        """Restores what `save` wrote on another number of ranks, or with another ZeRO stage."""
        load_from_elsewhere(self.engine, Path(folder), zero_stage)

    def load(self, folder: str) -> None:
        """Reads what `save` wrote."""
        self.engine.load_checkpoint(folder, tag="state")

    def _metrics(self, sums: Sums, group: str) -> dict[str, float | None]:
        """Sums of this rank → means over all ranks' rows; None for a head without a row."""
        n = len(self._heads)
        totals = distributed.all_sum([*sums.loss, *sums.right, *sums.rows])
        loss = 0.0
        of_heads: dict[str, float | None] = {}
        for i, head in enumerate(self._heads):
            rows = totals[2 * n + i]
            mean = totals[i] / rows if rows else None
            loss += head.weight * (mean or 0.0)
            of_heads[f"{group}/loss/{head.name}"] = mean
            if head.ordered:
                of_heads[f"{group}/accuracy/{head.name}"] = totals[n + i] / rows if rows else None
        return {f"{group}/loss": loss, **of_heads}

    def _micro_batches(self, rows: Sequence[TrainingRow]) -> list[list[TrainingRow]]:
        """Rows of similar length, all texts of a micro-batch padded to its longest, shortest first."""
        longest = [max(len(self._texts[text]) for text in row.texts) for row in rows]
        batches: list[list[TrainingRow]] = []
        count = 0
        for i in sorted(range(len(rows)), key=lambda i: longest[i]):
            count += len(rows[i].texts)
            if not batches or count * longest[i] > self._stage.micro_batch_tokens:
                batches.append([])
                count = len(rows[i].texts)
            batches[-1].append(rows[i])
        return batches

    def _outputs(self, rows: Sequence[TrainingRow]) -> Tensor:
        """float [M, H]: the outputs of the rows' texts, one after the other."""
        texts = [self._texts[text] for row in rows for text in row.texts]
        outputs: Tensor = self.engine(**collate(texts, self._pad_id, distributed.device())).logits.float()
        return outputs


def freeze_lower_layers(model: Any, trainable_layers: int | None) -> None:
    """Leaves gradients only to the last `trainable_layers` transformer layers and what comes after them.

    Args:
        model: a Hugging Face sequence classifier.
        trainable_layers: None changes nothing; 0 leaves only what is not in the base model, the head.
    """
    if trainable_layers is None:
        return
    base = model.base_model
    lists = [module for module in base.modules() if isinstance(module, torch.nn.ModuleList)]
    layers: list[Any] = list(max(lists, key=len, default=[]))
    base.requires_grad_(False)
    if not trainable_layers:
        return
    # Registration order is the order of the forward pass: embeddings, layers, final norm or pooler.
    trained = {id(p) for layer in layers[-trainable_layers:] for p in layer.parameters()}
    reached = False
    for parameter in base.parameters():
        reached = reached or id(parameter) in trained
        parameter.requires_grad_(reached)


def full_state_dict(engine: Any) -> dict[str, Tensor] | None:
    """The whole weights on rank 0 (None on the others), gathered from ZeRO-3 shards; every rank must call it."""
    module = engine.module
    sharded = [p for p in module.parameters() if hasattr(p, "ds_id")]
    if not sharded:
        return _copy(module) if distributed.rank() == 0 else None
    import deepspeed

    with deepspeed.zero.GatheredParameters(sharded):
        return _copy(module) if distributed.rank() == 0 else None


def _copy(module: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def hash_of(*parts: int) -> int:
    """A seed that depends on all parts."""
    return random.Random(repr(parts)).getrandbits(63)
