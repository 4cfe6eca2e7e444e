"""The policy: a causal language model under DeepSpeed, seen through its log-probs and its optimiser step.

One optimiser step is made of as many weighted micro-batches as the samples need. DeepSpeed is told which one is the
last (`set_gradient_accumulation_boundary`) and averages gradients over ranks; we want their sum, so each loss is
multiplied by the number of ranks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import RunError
from cgpo.policy.deepspeed_config import deepspeed_config
from cgpo.policy.layout import Layout, MicroBatch, TokenSequence, idle_micro_batch, micro_batches
from cgpo.policy.layout_choice import choose_layout, layout_text
from cgpo.policy.loading import check_precision, load_causal_lm
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.lora import add_adapter, leave_frozen_out
from cgpo.policy.saving import Write, collect_engine
from cgpo.policy.universal import load_from_elsewhere
from cgpo.policy.weights import ModuleWeights
from cgpo.types import Progress

_log = logging.getLogger(__name__)

_PREFIX = "causal_lm."


def no_progress(done: int, total: int) -> None:
    """Tells nobody."""


class ScoringModel:
    """A model that gives log-probs of responses, without gradient.

    Args:
        module: called as `module(micro_batch, temperature)`; a `LogProbModel` or DeepSpeed's engine around one.
        settings: the run's settings.
        layout: which rows its sequences stand in.
    """

    def __init__(self, module: Any, settings: RunSettings, layout: Layout) -> None:
        self.module = module
        self.settings = settings
        self.layout = layout

    def lay_out(self, sequences: Sequence[TokenSequence], indices: Sequence[int]) -> list[MicroBatch]:
        """Micro-batches of the chosen sequences, under the run's token budget."""
        return micro_batches(sequences, indices, self.settings.train.micro_batch_tokens, self.layout)

    def token_logprobs(
        self, sequences: Sequence[TokenSequence], temperature: float, progress: Progress = no_progress
    ) -> list[Tensor]:
        """float32 [response length] for each sequence, on the CPU. Every rank must call it.

        Args:
            sequences: prompts with responses.
            temperature: that of the distribution.
            progress: told how many of the sequences are done.
        """
        return [logprobs for logprobs, _ in self.token_outputs(sequences, temperature, progress)]

    @torch.no_grad()
    def token_outputs(
        self, sequences: Sequence[TokenSequence], temperature: float, progress: Progress = no_progress
    ) -> list[tuple[Tensor, Tensor]]:
        """(log-probs float32 [response length], values float32 [response length, value outputs]) for each sequence.

        On the CPU. Every rank must call it.
        """
        with distributed.together():
            batches = self.lay_out(sequences, range(len(sequences)))
            batches = pad_to_all_ranks(batches)
        outputs: dict[int, tuple[Tensor, Tensor]] = {}
        for batch in batches:
            batch = batch.to(distributed.device())
            logprobs, values = (output.cpu() for output in self.module(batch, temperature))
            if not sequences:
                continue
            sample = batch.sample.cpu()
            for index in set(sample.tolist()):
                outputs.setdefault(index, (logprobs[sample == index], values[sample == index]))
            progress(len(outputs), len(sequences))
        return [outputs[i] for i in range(len(sequences))]


@dataclass(frozen=True)
class GradientPass:
    """What a micro-batch's forward and backward pass computed on the way.

    Attributes:
        loss: the micro-batch's.
        logprobs: float [M], of its response tokens, before the optimiser step.
    """

    loss: float
    logprobs: Tensor


class Policy(ScoringModel):
    """The model that is trained, with AdamW, under DeepSpeed.

    Args:
        settings: the run's settings.
        value_outputs: outputs of its value head; 0 makes none.

    Raises:
        ConfigError: the model cannot be loaded, or its log-probs cannot be computed in the chosen layout.
    """

    def __init__(self, settings: RunSettings, value_outputs: int = 0) -> None:
        import deepspeed

        check_precision(settings.model.dtype)
        causal_lm = load_causal_lm(settings.model.name, settings.model, settings.train.attention)
        causal_lm.to(distributed.device())
        lora = settings.model.lora
        self.adapter = None if lora is None else add_adapter(causal_lm, lora, settings.seed)
        if settings.model.gradient_checkpointing:
            causal_lm.train()  # transformers recomputes in training mode only; dropout is off in either
            causal_lm.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        train = settings.train
        model = LogProbModel(causal_lm, train.logit_chunk_tokens, value_outputs, float32_logits=train.float32_logits)
        if lora is not None:
            model.register_state_dict_post_hook(leave_frozen_out)  # type: ignore[no-untyped-call]
        layout = choose_layout(model, settings, settings.model.name)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=train.learning_rate,
            betas=(train.betas[0], train.betas[1]),
            weight_decay=train.weight_decay,
            fused=True if steps_on_host(settings) else None,
        )
        for parameter in model.head.shared_parameters:
            deepspeed.zero.register_external_parameter(model.head, parameter)
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=deepspeed_config(settings))
        plain = settings.deepspeed.zero_stage == 0 and settings.model.dtype == "float32"
        self._reduces = distributed.world_size() > 1 or not plain
        self.engine.enable_backward_allreduce = self._reduces  # of one rank: a copy of all gradients, and back
        super().__init__(self.engine, settings, layout)
        self.layout_text = layout_text(layout, causal_lm.config._attn_implementation)
        _log.info(self.layout_text)
        self.causal_lm = causal_lm
        self.value_outputs = value_outputs
        self.overflows = 0
        self.zero_stage = settings.deepspeed.zero_stage

    def accumulate(
        self, batch: MicroBatch, coefficient: Tensor, value_coefficient: Tensor, temperature: float, *, last: bool
    ) -> GradientPass:
        """Adds the gradient of  Σ_m ( value_coefficient_m · V_m − coefficient_m · log π_m )  over M response tokens.

        Args:
            batch: the tokens.
            coefficient: float [M].
            value_coefficient: float [M, value outputs].
            temperature: at which log π is taken.
            last: no further micro-batch comes before `step`, on any rank.
        """
        batch = batch.to(distributed.device())
        self.engine.set_gradient_accumulation_boundary(last)
        logprobs, values = self.engine(batch, temperature)
        on_device = {"device": logprobs.device, "dtype": torch.float32}
        loss = (values * value_coefficient.to(**on_device)).sum() - (logprobs * coefficient.to(**on_device)).sum()
        self.engine.backward(loss * distributed.world_size())
        return GradientPass(float(loss.detach()), logprobs.detach())

    def step(self, learning_rate: float) -> float | None:
        """One AdamW step on the accumulated gradient.

        Returns:
            The gradient's norm before it was scaled down to `train.max_grad_norm`. None where a float16 gradient
            overflowed (`overflows` counts them): the weights stay, and the next losses are scaled less.

        Raises:
            RunError: a gradient is not finite (the weights stay), or overflows even at the smallest loss scale.
        """
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        if not self._reduces:
            self._fill_gradients()
        norm = self._plain_grad_norm() if self.zero_stage == 0 else None
        self._check_finite(norm is None or math.isfinite(norm), learning_rate)
        try:
            self.engine.step()
        except Exception as error:  # DeepSpeed raises no class of its own for it
            if "loss scale already at minimum" in str(error):
                raise RunError(
                    "train: float16 gradients overflow even at the smallest loss scale: the losses are too large or "
                    "not finite. Use model.dtype=bfloat16, or a smaller learning rate"
                ) from error
            raise
        if getattr(self.engine.optimizer, "overflow", False):
            # ZeRO skips such a step in every type; only float16 scales its losses less and tries again.
            self._check_finite(self.settings.model.dtype == "float16", learning_rate)
            self.overflows += 1
            return None
        norm = float(self.engine.get_global_grad_norm() if norm is None else norm)
        self._check_finite(math.isfinite(norm), learning_rate)
        return norm

    def _fill_gradients(self) -> None:
        """Zeros where no token reached a parameter (an expert of a mixture), as where gradients are reduced."""
        for parameter in self.engine.module.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def _check_finite(self, finite: bool, learning_rate: float) -> None:
        if not finite:
            raise RunError(
                f"train: a gradient is not finite (NaN or infinite) at learning rate {learning_rate:g}: the policy has "
                "diverged. The step was not taken and nothing of it is saved. Lower train.learning_rate (or the "
                "stage's), set train.warmup_steps, or go on from an older checkpoint by removing the newest ones"
            )

    def _plain_grad_norm(self) -> float:
        """DeepSpeed keeps no norm without ZeRO; gradients are whole and already averaged on every rank.

        Summed in float64, as DeepSpeed's: in float32 the squares of a large embedding's gradient lose 1e-5 of the norm.
        """
        grads = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(grad, dtype=torch.float64) for grad in grads]
        return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else float("nan")

    def weights(self) -> ModuleWeights:
        """The current weights, an adapter merged into them, for the rollout engine."""
        return ModuleWeights(self.causal_lm)

    def collect(self, folder: str) -> Write:
        """Collects what is trained (all weights, or the adapter) and optimiser state; every rank must call it.

        Returns:
            Writes it under `folder`; to be done before the next `step`.
        """
        frozen = self.adapter is not None  # the base model is where it came from
        return collect_engine(self.engine, folder, exclude_frozen_parameters=frozen)

    def save(self, folder: str) -> None:
        """Writes what `collect` collects; every rank must call it."""
        write = self.collect(folder)
        with distributed.together():
            write()

    def load_from_elsewhere(self, folder: str, zero_stage: int) -> None:
        """Restores what `save` wrote with another ZeRO stage or on another number of ranks.

        Raises:
            RunError: the checkpoint is one of another model, or the disk is full.
        """
        load_from_elsewhere(self.engine, Path(folder), zero_stage)

    def load(self, folder: str) -> None:
        """Restores what `save` wrote, on as many ranks with the same ZeRO stage.

        Raises:
            RunError: DeepSpeed finds no whole checkpoint there.
        """
        path, _ = self.engine.load_checkpoint(folder, tag="state", load_module_strict=self.adapter is None)
        if path is None:
            raise RunError(
                f"{folder}: DeepSpeed finds no whole checkpoint; remove the folder to go on from an older one"
            )


def model_is_16_bit(settings: RunSettings) -> bool:
    """Whether weights and gradients have 16 bits."""
    return settings.model.dtype != "float32"


def steps_on_host(settings: RunSettings) -> bool:
    """Whether the optimiser's step is taken on a CPU, where torch's fused AdamW reads each number once."""
    return distributed.device().type == "cpu" or settings.deepspeed.offload_optimizer == "cpu"


def pad_to_all_ranks(batches: list[MicroBatch]) -> list[MicroBatch]:
    """Appends idle micro-batches until every rank has as many: unequal counts hang ZeRO-2 and ZeRO-3."""
    count = int(distributed.all_max(float(len(batches))))
    return batches + [idle_micro_batch()] * (count - len(batches))


def language_model_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The language model in a `LogProbModel`'s state dict, under its own names; a value head is left out."""
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
