"""`minilm_small`: an encoder for more rows than MiniLM can be trained on without a GPU.

A BERT of one layer, 64 wide, with MiniLM's tokenizer. Its words are the first 64 principal components of MiniLM's word
embeddings, so that alike words start alike; everything else is random, from a fixed seed, and has to be trained. It
learns several hundred short texts a second on one core, where MiniLM learns about ten, and knows what words mean but
nothing of sentences: thousands of rows for it, not hundreds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 64
LAYERS = 1
HEADS = 2
WORD_SPREAD = 0.5
"""Standard deviation of the word embeddings; the random ones of positions have 1/8."""

SEED = 0


def build_small_encoder(minilm: str, folder: Path) -> None:
    """Writes the encoder and its tokenizer.

    Args:
        minilm: MiniLM's folder.
        folder: an empty folder.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

    from cgpo.rewards.loading import quiet_transformers

    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        tokenizer = AutoTokenizer.from_pretrained(minilm)
        known = AutoModel.from_pretrained(minilm).embeddings.word_embeddings.weight.detach()  # [V, 384]
        model = BertModel(
            BertConfig(
                vocab_size=len(known),
                hidden_size=WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                intermediate_size=4 * WIDTH,
                initializer_range=WIDTH**-0.5,  # BERT's 0.02 is for its width; here nothing would pass between words
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        model.embeddings.word_embeddings.weight.data = principal_components(known, WIDTH) * WORD_SPREAD
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def principal_components(rows: Tensor, count: int) -> Tensor:
    """The first principal components of rows [N, D], together of standard deviation 1: [N, count]."""
    import torch

    centred = rows - rows.mean(dim=0)
    found: Tensor = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -count:]
    return found.div(found.std())
