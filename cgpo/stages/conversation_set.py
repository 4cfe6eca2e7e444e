"""The conversations of `cgpo sft` as tokens: those to train on, those held out, and how many were left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cgpo.config import SftStageSettings
from cgpo.data.conversations import Conversation, read_conversations
from cgpo.data.stage_rows import parse_rows
from cgpo.data.turns import TurnEncoder
from cgpo.errors import DataError
from cgpo.pairs.pair import choose_heldout, prompt_key
from cgpo.types import LearnedTokens

WHERE = "sft_stage.data"


@dataclass(frozen=True)
class ConversationSet:
    """Tokenized conversations.

    Attributes:
        train: to train on.
        heldout: to measure on; none has a prompt that is trained on.
        bad: a sentence for each row that was left out because it cannot be used.
        too_long: how many were left out as too long.
    """

    train: list[LearnedTokens]
    heldout: list[LearnedTokens]
    bad: list[str]
    too_long: int

    @property
    def learned_tokens(self) -> int:
        """Tokens learnt in one pass."""
        return sum(int(c.learned.sum()) for c in self.train)

    @property
    def fingerprint(self) -> str:
        """Changes with any conversation and with their order."""
        digest = hashlib.sha256()
        for talk in (*self.train, *self.heldout):
            digest.update(len(talk.ids).to_bytes(8) + talk.ids.tobytes() + talk.learned.tobytes())
        return f"{len(self.train)} {digest.hexdigest()[:16]}"


def load_conversations(stage: SftStageSettings, tokenizer: Any, max_length: int, seed: int) -> ConversationSet:
    """Reads, tokenizes and splits the conversations; the same on every rank.

    Args:
        stage: `sft_stage`.
        tokenizer: of the model.
        max_length: most tokens of a conversation.
        seed: of the split and of a generator.

    Raises:
        ConfigError: no source is named.
        DataError: it cannot be read; a row is bad or too long and that is to stop the stage; nothing is left.
    """
    encoder = TurnEncoder(tokenizer)
    rows, bad = read_conversations(stage.data, seed=seed, where=WHERE)

    def encode(row: Conversation) -> tuple[Conversation, list[LearnedTokens]]:
        return row, encoder.encode(row, stage.turns)

    encoded, refused = parse_rows(rows, encode, stage.data, WHERE)
    fitting = [(row, sequences) for row, sequences in encoded if max(map(len, sequences)) <= max_length]
    too_long = len(encoded) - len(fitting)
    if too_long and (stage.data.too_long == "stop" or not fitting):
        row, sequences = next((row, sequences) for row, sequences in encoded if max(map(len, sequences)) > max_length)
        raise DataError(
            f"{row.source}: the conversation has {max(map(len, sequences))} tokens, at most {max_length} are allowed "
            f"({too_long} of {len(encoded)} are too long). Raise sft_stage.max_length, or leave them out with "
            f"{WHERE}.too_long=drop"
        )
    heldout = choose_heldout((prompt_key(row.prompt) for row, _ in fitting), stage.data.heldout_share, seed)
    parts: dict[bool, list[LearnedTokens]] = {True: [], False: []}
    for row, sequences in fitting:
        parts[prompt_key(row.prompt) in heldout] += sequences
    return ConversationSet(parts[False], parts[True], [*bad, *refused], too_long)
