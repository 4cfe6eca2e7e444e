"""Reward models of a second to make: BERT with two layers of random weights, and MiniLM's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo.types import Prompt


def prompt(text: str, **metadata: Any) -> Prompt:
    return Prompt(text, ({"role": "user", "content": text},), metadata)


def small_model(folder: Path, labels: Sequence[str], seed: int = 0, **settings: Any) -> str:
    """A sequence classifier with these outputs in a folder."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    torch.manual_seed(seed)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        **settings,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve_model("minilm")).save_pretrained(folder)
    return str(folder)


def plain_outputs(folder: str, text: str, response: str) -> list[float]:
    """What the model says of a text pair, by transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        found = model(**AutoTokenizer.from_pretrained(folder)(text, response, return_tensors="pt"))
    return [float(value) for value in found.logits[0]]
