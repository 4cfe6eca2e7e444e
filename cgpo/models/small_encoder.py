"""`minilm_small`: an encoder for more rows than MiniLM can be trained on without a GPU.

A ModernBERT of one layer, 64 wide, with MiniLM's tokenizer; a classifier on it reads the mean of its tokens. Its words
are the first 64 principal components of MiniLM's word embeddings, so that alike words start alike; everything else is
random, from a fixed seed, and has to be trained. It learns several hundred short texts a second on one core, where
MiniLM learns about ten, and knows what words mean but nothing of sentences: thousands of rows for it, not hundreds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 64
LAYERS = 1
HEADS = 2
WORD_SPREAD = 0.5
"""Standard deviation of the word embeddings."""

LONGEST = 512
"""Tokens."""

SEED = 0


def build_small_encoder(minilm: str, folder: Path) -> None:
    """Writes the encoder and its tokenizer.

    Args:
        minilm: MiniLM's folder.
        folder: an empty folder.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer, ModernBertConfig, ModernBertModel

    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        tokenizer = AutoTokenizer.from_pretrained(minilm)
        known = AutoModel.from_pretrained(minilm).embeddings.word_embeddings.weight.detach()  # [V, 384]
        model = ModernBertModel(
            ModernBertConfig(
                vocab_size=len(known),
                hidden_size=WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                intermediate_size=2 * WIDTH,
                max_position_embeddings=LONGEST,
                global_attn_every_n_layers=1,
                classifier_pooling="mean",
                # The default of 0.02 is for wide models; here nothing would pass between words.
                initializer_range=WIDTH**-0.5,
                pad_token_id=tokenizer.pad_token_id,
                cls_token_id=tokenizer.cls_token_id,
                sep_token_id=tokenizer.sep_token_id,
                bos_token_id=tokenizer.cls_token_id,
                eos_token_id=tokenizer.sep_token_id,
            )
        )
        model.embeddings.tok_embeddings.weight.data = principal_components(known, WIDTH) * WORD_SPREAD
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def principal_components(rows: Tensor, count: int) -> Tensor:
    """The first principal components of rows [N, D], together of standard deviation 1: [N, count]."""
    import torch

    centred = rows - rows.mean(dim=0)
    components: Tensor = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -count:]
    return components.div(components.std())
