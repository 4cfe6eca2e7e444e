"""By embeddings, zero-shot: the stratum whose description or examples are nearest to the prompt.

    score_l = (cos(prompt, description_l) + cos(prompt, centre of examples_l)) / 2        or the one there is

The prompt goes to the stratum with the highest score when it is `margin` ahead of the second. Sentence vectors are the
mean of the encoder's last hidden states over the tokens, normalised, as the MiniLM sentence encoders were trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cgpo.errors import ConfigError
from cgpo.models.assets import resolve_model
from cgpo.models.quiet import hidden_progress_bars
from cgpo.stratify.assignment import Assignment, Item, best
from cgpo.stratify.definitions import Definition
from judges.llm.template import transcript

if TYPE_CHECKING:
    from torch import Tensor

MAX_TOKENS = 256
"""Of a prompt; what is longer loses its end."""

BATCH_TOKENS = 8192


class Encoder:
    """A sentence encoder of transformers.

    Args:
        name: `minilm`, a hub name or a folder.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        try:
            path = resolve_model(name)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
            with hidden_progress_bars():
                model: Any = AutoModel.from_pretrained(path, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--encoder {name!r} cannot be loaded: {str(error).splitlines()[0]}") from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def encode(self, texts: Sequence[str]) -> Tensor:
        """[N, D] one vector of length 1 for each text."""
        import torch

        from cgpo.rewards.encoding import batches_by_length

        ids = self._tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        vectors: dict[int, Tensor] = {}
        for batch in batches_by_length([len(tokens) for tokens in ids], BATCH_TOKENS):
            padded = self._tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            padded = padded.to(self._model.device)
            with torch.inference_mode():
                hidden = self._model(**padded).last_hidden_state  # [n, T, D]
            mask = padded["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors |= dict(zip(batch, torch.nn.functional.normalize(mean, dim=-1).cpu(), strict=True))
        return torch.stack([vectors[i] for i in range(len(texts))])


class ByEmbeddings:
    """Assigns prompts to the nearest stratum.

    Args:
        definitions: the strata, name → description and examples.
        encoder: makes vectors of texts.
        margin: least difference in cosine similarity between the best and the second stratum.
    """

    batch_size = 256

    def __init__(self, definitions: Mapping[str, Definition], encoder: Encoder, margin: float) -> None:
        self._encoder = encoder
        self._margin = margin
        self._kinds = {name: self._vectors(definition) for name, definition in definitions.items()}

    def assign(self, items: Sequence[Item]) -> list[Assignment]:
        """The nearest strata."""
        vectors = self._encoder.encode([transcript(item.messages) for item in items])
        scores = {name: (vectors @ kind.T).mean(1).tolist() for name, kind in self._kinds.items()}
        return [best({name: of_items[i] for name, of_items in scores.items()}, self._margin) for i in range(len(items))]

    def close(self) -> None: ...

    def _vectors(self, definition: Definition) -> Tensor:
        """[1 or 2, D]: the description, and the centre of the examples."""
        import torch

        parts = [self._encoder.encode([definition.description])] if definition.description.strip() else []
        if definition.examples:
            centre = self._encoder.encode(definition.examples).mean(0, keepdim=True)
            parts.append(torch.nn.functional.normalize(centre, dim=-1))
        return torch.cat(parts)
