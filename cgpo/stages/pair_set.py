"""The preference pairs of `cgpo dpo` as tokens, and how they are laid out: both sides of a pair in one pass."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cgpo.config import DpoStageSettings
from cgpo.data.contamination import HeldoutPrompt
from cgpo.data.conversations import Conversation
from cgpo.data.stage_rows import parse_rows
from cgpo.data.turns import TurnEncoder
from cgpo.errors import DataError
from cgpo.pairs.pair import PreferencePair
from cgpo.pairs.rows import read_preference_rows
from cgpo.policy.layout import Layout, MicroBatch, TokenSequence, micro_batches

WHERE = "dpo_stage.data"

TokenPair = tuple[TokenSequence, TokenSequence]
"""(chosen, rejected)."""


@dataclass(frozen=True)
class PairSet:
    """Tokenized pairs.

    Attributes:
        pairs: those to train on, then those held out.
        train: how many of them are to train on.
        bad: a sentence for each row that was left out because it cannot be used.
        left_out: pairs left out, by reason (`cgpo.pairs.rows`).
        lines: the same in words, a line each.
        too_long: pairs left out as too long.
    """

    pairs: list[TokenPair]
    train: int
    bad: list[str]
    left_out: dict[str, int]
    lines: list[str]
    too_long: int

    @property
    def fingerprint(self) -> str:
        """Changes with the tokens of any pair and with their order."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(repr([(s.prompt_ids, s.response_ids) for s in pair]).encode())
        return digest.hexdigest()[:16]

    @property
    def sequences(self) -> list[TokenSequence]:
        """All sides: pair i has 2i (chosen) and 2i + 1 (rejected)."""
        return [side for pair in self.pairs for side in pair]


def load_pairs(
    stage: DpoStageSettings, tokenizer: Any, max_length: int, seed: int, heldout: Sequence[HeldoutPrompt] = ()
) -> PairSet:
    """Reads, tokenizes and splits the pairs, without those of `heldout` prompts; the same on every rank.

    Raises:
        ConfigError: no data set is named.
        DataError: it cannot be read; a row is bad or too long and that is to stop the stage; nothing is left.
    """
    encoder = TurnEncoder(tokenizer)
    data = read_preference_rows(stage.data, seed=seed, where=WHERE, heldout=heldout)
    rows = list(zip(data.pairs, data.sources, strict=True))

    def encode(row: tuple[PreferencePair, str]) -> tuple[PreferencePair, str, TokenPair]:
        pair, source = row
        return (
            pair,
            source,
            (_tokens(encoder, pair, pair.chosen, source), _tokens(encoder, pair, pair.rejected, source)),
        )

    encoded, refused = parse_rows(rows, encode, stage.data, WHERE)
    fitting = [(pair, tokens) for pair, _, tokens in encoded if _longest(tokens) <= max_length]
    too_long = len(encoded) - len(fitting)
    if too_long and (stage.data.too_long == "stop" or not fitting):
        source, tokens = next((source, tokens) for _, source, tokens in encoded if _longest(tokens) > max_length)
        raise DataError(
            f"{source}: prompt and response have {_longest(tokens)} tokens, at most {max_length} are allowed "
            f"({too_long} of {len(encoded)} pairs are too long). Raise dpo_stage.max_length, or leave them out with "
            f"{WHERE}.too_long=drop"
        )
    train = [tokens for pair, tokens in fitting if not pair.heldout]
    measured = [tokens for pair, tokens in fitting if pair.heldout]
    if not train or not measured:
        raise DataError(
            f"{WHERE}: {len(train)} training and {len(measured)} held-out pairs: at least one of each is needed"
        )
    return PairSet([*train, *measured], len(train), [*data.bad, *refused], data.left_out, data.lines(WHERE), too_long)


def _tokens(encoder: TurnEncoder, pair: PreferencePair, response: str, source: str) -> TokenSequence:
    messages = (*pair.prompt, {"role": "assistant", "content": response})
    (tokens,) = encoder.encode(Conversation(tuple(messages), source), "last")
    learned = tokens.learned.nonzero()[0]
    first, end = int(learned[0]), int(learned[-1]) + 1
    ids = tokens.ids.tolist()
    return TokenSequence(tuple(ids[:first]), tuple(ids[first:end]))


def _longest(pair: TokenPair) -> int:
    return max(len(s.prompt_ids) + len(s.response_ids) for s in pair)


@dataclass
class _Group:
    cost: int
    prompts: set[tuple[int, ...]] = field(default_factory=set)
    pairs: list[int] = field(default_factory=list)


def pair_micro_batches(
    sequences: Sequence[TokenSequence], pairs: Sequence[int], max_tokens: int, layout: Layout
) -> list[MicroBatch]:
    """Lays pairs out in passes of at most `max_tokens` padded tokens, the two sides of a pair always in one pass.

    Args:
        sequences: pair i has 2i and 2i + 1; `MicroBatch.sample` indexes them.
        pairs: which pairs.
        max_tokens: budget of a pass. A pair that alone is longer gets its way.
        layout: where several sequences may stand in a row, the two sides always do.
    """
    layout = replace(layout, cell_cost=0.0)

    def cost(i: int) -> int:
        chosen, rejected = sequences[2 * i], sequences[2 * i + 1]
        prompt = len(chosen.prompt_ids)
        lengths = (len(chosen.response_ids) - 1, len(rejected.response_ids) - 1)
        if not layout.shares:
            return 2 * (prompt + max(lengths))
        return (prompt if layout.masked else 2 * prompt) + sum(lengths)

    groups: list[_Group] = []
    for i in sorted(pairs, key=lambda i: (-cost(i), i)):  # so that the first of a group is its longest
        prompt = sequences[2 * i].prompt_ids
        # Two pairs of one prompt would share a row, and make it longer than reckoned.
        fits = (g for g in groups if prompt not in g.prompts and g.cost * (len(g.pairs) + 1) <= max_tokens)
        group = next(fits, None)
        if group is None:
            groups.append(group := _Group(cost(i)))
        group.prompts.add(prompt)
        group.pairs.append(i)
    sides = ([side for i in group.pairs for side in (2 * i, 2 * i + 1)] for group in groups)
    return [batch for indices in sides for batch in micro_batches(sequences, indices, sys.maxsize, layout)]
