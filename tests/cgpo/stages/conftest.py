"""Data files, and a process group that does not outlive its test. Test folders are not packages: hence the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo import distributed

sys.path.insert(0, str(Path(__file__).parent))

from stage_data import conversations, pairs, write_rows


@pytest.fixture(autouse=True)
def _leave_no_process_group() -> Iterator[None]:
    yield
    distributed.close_distributed()


@pytest.fixture(scope="session")
def conversations_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "talks.jsonl", conversations())


@pytest.fixture(scope="session")
def preferences_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "preferences.jsonl", pairs())


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random two-layer BERT with MiniLM's tokenizer, without dropout: then a step is a function of its seed."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from cgpo.models.assets import resolve_model

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
