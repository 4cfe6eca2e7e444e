"""Trains a reward model on preference pairs.

    loss = − 1/n Σ log sigmoid(r(s, chosen) − r(s, rejected))            Bradley–Terry; n = the pairs of one step

AdamW under DeepSpeed, gradient clipped to norm 1, learning rate falling linearly to 0. n counts the pairs of all ranks,
so a step is the same however many processes share it. The seed of dropout derives from the step: a stage that goes on
from a checkpoint repeats what an uninterrupted one would have done.
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
from cgpo.policy.schedule import learning_rate
from cgpo.policy.universal import load_from_elsewhere
from cgpo.rewards.encoding import Encoded, batches_by_length, collate
from cgpo.stages.batches import EpochBatches

MAX_GRAD_NORM = 1.0

EncodedPair = tuple[Encoded, Encoded]
"""(chosen, rejected) as tokens."""


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """− log sigmoid(chosen − rejected), stable for any difference.

    Args:
        chosen: float [N], scores of the better responses.
        rejected: float [N], scores of the worse ones.

    Returns:
        float [N].
    """
    return torch.nn.functional.softplus(rejected - chosen)


class PairTrainer:
    """Trains `model` under DeepSpeed. Every rank makes one and calls its methods together with the others.

    Args:
        model: a sequence classifier with one output.
        pairs: the training pairs, the same on every rank.
        settings: the run's settings; `reward_stage`, `deepspeed` and `seed` are used.
        pad_id: token to pad with.
    """

    def __init__(self, model: Any, pairs: Sequence[EncodedPair], settings: RunSettings, pad_id: int) -> None:
        import deepspeed

        self._pairs = pairs
        self._batches = EpochBatches(len(pairs), settings.reward_stage.batch_size, settings.seed, "pairs")
        self._stage: RewardStageSettings = settings.reward_stage
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
        """Changes with the tokens of any pair and with their order."""
        return hashlib.sha256(repr(self._pairs).encode()).hexdigest()[:16]

    def step(self, step: int) -> dict[str, float]:
        """Does step 0, 1, …; returns loss and accuracy over all ranks, before the update and under dropout."""
        self.engine.train()
        batch = self._batches.at(step)
        rate = learning_rate(step, peak=self._stage.learning_rate, steps=self.steps + 1, schedule="linear")
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        loss, correct = self._step(step, batch)
        values = {"loss": loss / len(batch), "accuracy": correct / len(batch), "learning_rate": rate}
        return {f"train/{name}": value for name, value in values.items()}

    def save(self, folder: str) -> None:
        """Writes weights and optimiser state under `folder`; every rank must call it."""
        self.engine.save_checkpoint(folder, tag="state", save_latest=False)

    def load_from_elsewhere(self, folder: str, zero_stage: int) -> None:
        """Restores what `save` wrote on another number of ranks, or with another ZeRO stage."""
        load_from_elsewhere(self.engine, Path(folder), zero_stage)

    def load(self, folder: str) -> None:
        """Reads what `save` wrote."""
        self.engine.load_checkpoint(folder, tag="state")

    def _step(self, step: int, batch: Sequence[int]) -> tuple[float, float]:
        """One optimiser step; returns the sums over all ranks of losses and of correctly ordered pairs."""
        torch.manual_seed(hash_of(self._seed, step, distributed.rank()))
        micro_batches = self._micro_batches(batch[distributed.rank() :: distributed.world_size()])
        # Unequal counts of forward passes would hang ZeRO-3: who has fewer repeats a pair with weight 0.
        rounds = int(distributed.all_max(float(len(micro_batches))))
        loss_sum = correct = 0.0
        for i in range(rounds):
            idle = i >= len(micro_batches)
            pairs = [self._pairs[j] for j in (batch[:1] if idle else micro_batches[i])]
            chosen, rejected = self._scores(pairs)
            losses = bradley_terry(chosen, rejected)
            weight = 0.0 if idle else 1.0 / len(batch)
            self.engine.set_gradient_accumulation_boundary(i == rounds - 1)
            # DeepSpeed averages over ranks; the loss is a mean over all ranks' pairs.
            self.engine.backward(losses.sum() * weight * distributed.world_size())
            if not idle:
                loss_sum += float(losses.detach().sum())
                correct += float((chosen > rejected).sum())
        total, right = distributed.all_sum([loss_sum, correct])
        if not math.isfinite(total):
            raise RunError(
                f"step {step + 1}: the loss of the reward model is not finite: it has diverged. Lower "
                "reward_stage.learning_rate and start anew with --fresh"
            )
        self.engine.step()
        return total, right

    def _micro_batches(self, batch: Sequence[int]) -> list[list[int]]:
        # A pair is two texts, each padded to the longest of the micro-batch.
        lengths = [max(len(self._pairs[j][0]), len(self._pairs[j][1])) for j in batch]
        budget = self._stage.micro_batch_tokens // 2
        return [[batch[i] for i in part] for part in batches_by_length(lengths, budget)]

    def _scores(self, pairs: Sequence[EncodedPair]) -> tuple[Tensor, Tensor]:
        texts = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
        scores = self.engine(**collate(texts, self._pad_id, distributed.device())).logits[:, 0].float()  # [2N]
        return scores[: len(pairs)], scores[len(pairs) :]


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
