"""Writes a policy as a Hugging Face folder, from its weights in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from cgpo import distributed
from cgpo.config import ModelSettings
from cgpo.errors import RunError
from cgpo.policy.model import load_causal_lm
from cgpo.policy.policy import Policy


def full_weights(policy: Policy) -> dict[str, Tensor] | None:
    """The whole weights under transformers' names on rank 0's CPU (None on the others); every rank must call it."""
    first = distributed.rank() == 0
    found = {}
    for name, tensor in policy.weights():
        if first:
            found[name] = tensor.detach().cpu().clone()
    return found if first else None


def write_model(weights: dict[str, Tensor], model: ModelSettings, tokenizer: Any, folder: Path) -> None:
    """Writes model and tokenizer into `folder`, which transformers and vLLM load.

    Args:
        weights: all of them, by transformers' names.
        model: the settings the policy was loaded with; its files give everything but the weights.
        tokenizer: of the policy.
        folder: where to.

    Raises:
        RunError: the weights are not those of such a model.
    """
    causal_lm = load_causal_lm(model.name, model)
    found = causal_lm.load_state_dict(weights, strict=False)
    tied = set(getattr(causal_lm, "all_tied_weights_keys", None) or ())
    if found.unexpected_keys or set(found.missing_keys) - tied:
        raise RunError(f"these are not the weights of {model.name}: {found}")
    causal_lm.tie_weights()
    causal_lm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
