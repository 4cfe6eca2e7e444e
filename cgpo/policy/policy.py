"""The policy: a causal language model under DeepSpeed, seen through its log-probs and its optimiser step.

One optimiser step is made of as many weighted micro-batches as the samples need. DeepSpeed is told which one is the
last (`set_gradient_accumulation_boundary`) and averages gradients over ranks; we want their sum, so each loss is
multiplied by the number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import RunError
from cgpo.policy.deepspeed_config import deepspeed_config
from cgpo.policy.layout import MicroBatch, TokenSequence, idle_micro_batch, micro_batches
from cgpo.policy.logprobs import LogProbModel, check_head, sequence_sums
from cgpo.policy.model import load_causal_lm, load_reference

_PREFIX = "causal_lm."


class ScoringModel:
    """A model that gives log-probs of responses, without gradient.

    Args:
        module: called as `module(micro_batch, temperature)`; a `LogProbModel` or DeepSpeed's engine around one.
        settings: the run's settings.
    """

    def __init__(self, module: Any, settings: RunSettings) -> None:
        self.module = module
        self.settings = settings

    def lay_out(self, sequences: Sequence[TokenSequence], indices: Sequence[int]) -> list[MicroBatch]:
        """Micro-batches of the chosen sequences, under the run's token budget."""
        train = self.settings.train
        return micro_batches(sequences, indices, train.micro_batch_tokens, train.share_prompts)

    @torch.no_grad()
    def token_logprobs(self, sequences: Sequence[TokenSequence], temperature: float) -> list[Tensor]:
        """float32 [response length] for each sequence, on the CPU. Every rank must call it."""
        batches = self.lay_out(sequences, range(len(sequences)))
        found: dict[int, Tensor] = {}
        for batch in pad_to_all_ranks(batches, self.settings.train.share_prompts):
            batch = batch.to(distributed.device())
            logprobs = self.module(batch, temperature).cpu()
            if not sequences:
                continue
            sample = batch.sample.cpu()
            for index in set(sample.tolist()):
                found.setdefault(index, logprobs[sample == index])
        return [found[i] for i in range(len(sequences))]


class Policy(ScoringModel):
    """The model that is trained, with AdamW, under DeepSpeed.

    Raises:
        ConfigError: the model cannot be loaded, or its log-probs cannot be computed in the chosen layout.
    """

    def __init__(self, settings: RunSettings) -> None:
        import deepspeed

        causal_lm = load_causal_lm(settings.model.name, settings.model).to(distributed.device())
        if settings.model.gradient_checkpointing:
            causal_lm.train()  # transformers recomputes in training mode only; dropout is off in either
            causal_lm.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        train = settings.train
        model = LogProbModel(causal_lm, train.logit_chunk_tokens)
        check_head(model, causal_lm.config.get_text_config().vocab_size, train.share_prompts)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=train.learning_rate,
            betas=(train.betas[0], train.betas[1]),
            weight_decay=train.weight_decay,
        )
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=deepspeed_config(settings))
        super().__init__(self.engine, settings)
        self.zero_stage = settings.deepspeed.zero_stage

    def accumulate(self, batch: MicroBatch, coefficient: Tensor, temperature: float, *, last: bool) -> float:
        """Adds the gradient of  − Σ_i coefficient_i · log π_w(a_i|s_i)  over the samples of one micro-batch.

        Args:
            batch: the tokens.
            coefficient: float [N], indexed by `batch.sample`.
            temperature: at which log π is taken.
            last: no further micro-batch comes before `step`, on any rank.

        Returns:
            The micro-batch's loss.
        """
        batch = batch.to(distributed.device())
        self.engine.set_gradient_accumulation_boundary(last)
        token_logprobs = self.engine(batch, temperature)
        weight = coefficient.to(token_logprobs.device, torch.float32)
        loss = -(sequence_sums(token_logprobs, batch.sample, len(weight)) * weight).sum()
        self.engine.backward(loss * distributed.world_size())
        return float(loss.detach())

    def step(self, learning_rate: float) -> float:
        """One AdamW step on the accumulated gradient.

        Returns:
            The gradient's norm before it was scaled down to `train.max_grad_norm`.
        """
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        norm = self._plain_grad_norm() if self.zero_stage == 0 else None
        self.engine.step()
        return float(self.engine.get_global_grad_norm() if norm is None else norm)

    def _plain_grad_norm(self) -> float:
        """DeepSpeed keeps no norm without ZeRO; gradients are whole and already averaged on every rank."""
        grads = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(grads)) if grads else float("nan")

    def weights(self) -> ModuleWeights:
        """The current weights, for the rollout engine."""
        return ModuleWeights(self.engine.module.causal_lm)

    def save(self, folder: str) -> None:
        """Writes weights and optimiser state under `folder`; every rank must call it."""
        self.engine.save_checkpoint(folder, tag="state", save_latest=False)

    def load(self, folder: str) -> None:
        """Restores what `save` wrote, on as many ranks with the same ZeRO stage.

        Raises:
            RunError: DeepSpeed finds no whole checkpoint there.
        """
        path, _ = self.engine.load_checkpoint(folder, tag="state")
        if path is None:
            raise RunError(
                f"{folder}: DeepSpeed finds no whole checkpoint; remove the folder to go on from an older one"
            )


class Reference(ScoringModel):
    """π_ref: the frozen model RL starts from, or the one named by `model.reference`."""

    def __init__(self, settings: RunSettings) -> None:
        causal_lm = load_reference(settings.model).to(distributed.device()).requires_grad_(False)
        causal_lm.eval()
        model = LogProbModel(causal_lm, settings.train.logit_chunk_tokens)
        check_head(model, causal_lm.config.get_text_config().vocab_size, settings.train.share_prompts)
        super().__init__(model, settings)

    def weights(self) -> ModuleWeights:
        """Its weights, for generating baseline responses."""
        return ModuleWeights(self.module.causal_lm)


class ModuleWeights:
    """A re-iterable stream of a model's full weights under their transformers names (`rollout.WeightStream`).

    ZeRO-3 shards are gathered one parameter at a time; iterating is then a collective.
    """

    def __init__(self, causal_lm: Any) -> None:
        self._causal_lm = causal_lm

    def metadata(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, type and full shape of each parameter, without gathering."""
        named = self._causal_lm.named_parameters()
        return [(name, p.dtype, tuple(getattr(p, "ds_shape", p.shape))) for name, p in named]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._causal_lm.named_parameters():
            if hasattr(parameter, "ds_id"):
                import deepspeed

                with deepspeed.zero.GatheredParameters([parameter]):
                    yield name, parameter.detach()
            else:
                yield name, parameter.detach()


def pad_to_all_ranks(batches: list[MicroBatch], share_prompts: bool) -> list[MicroBatch]:
    """Appends idle micro-batches until every rank has as many: unequal counts hang ZeRO-2 and ZeRO-3."""
    count = int(distributed.all_max(float(len(batches))))
    return batches + [idle_micro_batch(share_prompts)] * (count - len(batches))


def without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A `LogProbModel`'s state dict under transformers' names."""
    return {name.removeprefix(_PREFIX): value for name, value in state.items()}
