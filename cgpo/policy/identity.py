"""Which model a run trains, in a few hashes: a checkpoint of another one is refused in words, not by a stack trace.

Names and folders are compared by `run_config`; here is what they hold. A folder may be overwritten and a hub branch
may move between two starts: then the name is the same and the model another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from cgpo.config import ModelSettings
from cgpo.errors import RunError

_SAMPLED = 16
"""Elements of each of the reference's tensors that enter its hash: enough to tell two models, cheap for a large one."""


def describe_model(module: Any, reference: Any, tokenizer: Any, settings: ModelSettings) -> dict[str, Any]:
    """JSON-ready identity of what is trained and of π_ref. A collective where weights are sharded.

    Args:
        module: the policy's module, adapters and heads included.
        reference: iterates over (name, tensor) of π_ref.
        tokenizer: the policy's.
        settings: of the model.
    """
    shapes = [(n, tuple(getattr(p, "ds_shape", p.shape)), p.requires_grad) for n, p in module.named_parameters()]
    vocabulary = sorted(tokenizer.get_vocab().items())
    return {
        "architecture": type(module.causal_lm).__name__,
        "parameters": sum(torch.Size(shape).numel() for _, shape, _ in shapes),
        "trained_parameters": sum(torch.Size(shape).numel() for _, shape, trained in shapes if trained),
        "parameter_names": _hash(repr(shapes)),
        "vocabulary": len(vocabulary),
        "tokens": _hash(repr(vocabulary)),
        "reference": settings.reference or settings.name,
        "reference_revision": settings.reference_revision if settings.reference else settings.revision,
        "reference_dtype": settings.dtype,
        "reference_weights": _hash_weights(reference),
    }


def check_model(saved: Mapping[str, Any], now: Mapping[str, Any], folder: object) -> None:
    """Compares a checkpoint's model with this run's.

    Raises:
        RunError: the policy has another architecture, other parameters or another vocabulary, or the reference holds
            other weights under the same name.
    """
    for keys, what in (
        (("architecture", "parameters", "trained_parameters", "parameter_names"), "another model"),
        (("vocabulary", "tokens"), "a model with another vocabulary"),
    ):
        if any(saved[key] != now[key] for key in keys):
            raise RunError(
                f"{folder} is a checkpoint of {what}: {_in_words(saved)}; this run trains {_in_words(now)}. "
                "Restore the settings of `model` to what they were, or start anew with --fresh"
            )
    same_name = all(saved[key] == now[key] for key in ("reference", "reference_revision", "reference_dtype"))
    if same_name and saved["reference_weights"] != now["reference_weights"]:
        raise RunError(
            f"{folder} was made with other reference weights under the same name {now['reference']!r}: log ratios and "
            "baseline responses would no longer fit together. Restore that model, or start anew with --fresh"
        )


def _in_words(model: Mapping[str, Any]) -> str:
    trained = "" if model["trained_parameters"] == model["parameters"] else f", {model['trained_parameters']:,} trained"
    return (
        f"{model['architecture']} with {model['parameters']:,} parameters{trained} (names and shapes "
        f"{model['parameter_names']}) and {model['vocabulary']:,} tokens ({model['tokens']})"
    )


def _hash_weights(weights: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in weights:
        head = tensor.detach().flatten()[:_SAMPLED].to("cpu", torch.float32)
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + head.numpy().tobytes())
    return digest.hexdigest()[:12]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
