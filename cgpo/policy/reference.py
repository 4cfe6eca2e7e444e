"""π_ref, the frozen model RL starts from, kept in one of three ways (`model.reference_mode`).

copy          a second model on the device
adapter_off   the policy with its LoRA adapter switched off: no second model
offload       a second model in the host's memory, moved to the device for each pass
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.policy.layout import TokenSequence
from cgpo.policy.layout_choice import choose_layout
from cgpo.policy.loading import load_reference
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.lora import adapter_off
from cgpo.policy.policy import Policy, ScoringModel, no_progress
from cgpo.policy.weights import ModuleWeights
from cgpo.types import Progress


class Reference(ScoringModel):
    """A frozen model of its own: that of `model.reference`, or the one the policy starts from.

    Raises:
        ConfigError: the model cannot be loaded, or its log-probs cannot be computed in the chosen layout.
    """

    def __init__(self, settings: RunSettings) -> None:
        causal_lm = load_reference(settings.model, settings.train.attention)
        causal_lm.to(distributed.device()).requires_grad_(False).eval()
        train = settings.train
        model = LogProbModel(causal_lm, train.logit_chunk_tokens, float32_logits=train.float32_logits)
        name = settings.model.reference or settings.model.name
        super().__init__(model, settings, choose_layout(model, settings, name))

    def weights(self) -> ModuleWeights:
        """Its weights, for generating baseline responses."""
        return ModuleWeights(self.module.causal_lm)


class OffloadedReference(Reference):
    """A `Reference` that is on the device only while it computes."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__(settings)
        self.module.to("cpu")

    def token_outputs(
        self, sequences: Sequence[TokenSequence], temperature: float, progress: Progress = no_progress
    ) -> list[tuple[Tensor, Tensor]]:
        """See `ScoringModel.token_outputs`."""
        self.module.to(distributed.device())
        try:
            return super().token_outputs(sequences, temperature, progress)
        finally:
            self.module.to("cpu")


class AdapterOffReference(ScoringModel):
    """The policy without its adapter: the same as a copy, for no memory at all.

    Args:
        policy: a policy with an adapter.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.module, policy.settings, policy.layout)
        self._causal_lm = policy.causal_lm

    def token_outputs(
        self, sequences: Sequence[TokenSequence], temperature: float, progress: Progress = no_progress
    ) -> list[tuple[Tensor, Tensor]]:
        """See `ScoringModel.token_outputs`."""
        with adapter_off(self._causal_lm):
            return super().token_outputs(sequences, temperature, progress)

    def weights(self) -> ModuleWeights:
        """The policy's weights without the adapter."""
        return ModuleWeights(self._causal_lm, adapter=False)


AnyReference = Reference | AdapterOffReference

_MODES: dict[str, Callable[[RunSettings, Policy], AnyReference]] = {
    "copy": lambda settings, policy: Reference(settings),
    "adapter_off": lambda settings, policy: AdapterOffReference(policy),
    "offload": lambda settings, policy: OffloadedReference(settings),
}


def make_reference(settings: RunSettings, policy: Policy) -> AnyReference:
    """π_ref as `model.reference_mode` says.

    Raises:
        ConfigError: as `Reference`.
    """
    return _MODES[settings.model.reference_mode](settings, policy)
