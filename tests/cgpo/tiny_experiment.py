"""The experiment `tiny`: two strata, a random policy and a random reward model; for what trains whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROWS = 12


def write_inputs(folder: Path, model: str) -> None:
    """An experiment of two strata on JSONL prompts whose judge a random model satisfies about half of the time."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    def row(i: int) -> dict[str, Any]:
        kwargs = [{"letter": "e", "let_frequency": 4, "let_relation": "at least"}]
        metadata = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": kwargs}
        return {"prompt": f"Write number {i} with many letters e.", "metadata": metadata}

    for name, rows in {"train": range(ROWS), "heldout": range(ROWS, ROWS + 4)}.items():
        text = "".join(json.dumps(row(i)) + "\n" for i in rows)
        (folder / f"{name}.jsonl").write_text(text)
    torch.manual_seed(3)
    encoder = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(encoder), num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder / "reward")
    encoder.save_pretrained(folder / "reward")
    (folder / "experiment").mkdir()
    stratum = (
        "{prompts: train.jsonl, heldout: heldout.jsonl, prompts_per_step: 2, generations_per_prompt: 4, "
        "sampling: {max_tokens: 12}, judges: [instruction_following], rewards: {any: 1.0}, "
        "optimizer: {name: crpg, kl_max: 5.0}}"
    )
    (folder / "experiment" / "tiny.yaml").write_text(
        f"""# @package _global_
model: {{name: {model}, context_length: 256}}
rewards: {{any: {{model: {folder / "reward"}}}}}
strata: {{one: {stratum}, two: {stratum}}}
train: {{steps: 2, learning_rate: 1.0e-3, save_every: 1}}
eval: {{before: true, after: true}}
rollout: {{max_logprob_gap: 0.001, vllm: {{enforce_eager: true}}}}
"""
    )
