"""Preference pairs from any data set: which columns hold them, and the forms in which the public sets come.

{"prompt": text or messages, "chosen": text, "rejected": text}
{"prompt": text or messages, "chosen": messages, "rejected": messages}      the response alone, or behind the prompt
{"chosen": messages, "rejected": messages}            the prompt is what both begin with
{"chosen": transcript, "rejected": transcript}        "\\n\\nHuman: …\\n\\nAssistant: …", as in Anthropic's HH

Rated responses, and several with the best of them, make pairs too (`cgpo.pairs.graded_rows`). Pairs are cleaned
(`cgpo.pairs.cleaning`), and those whose prompt is one to measure with are left out (`cgpo.data.contamination`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cgpo.config import PairDataSettings
from cgpo.data.contamination import (
    Contaminated,
    HeldoutPrompt,
    contaminated_in_words,
    heldout_prompts,
    without_contaminated,
)
from cgpo.data.messages import content, last_text, message_list, messages_of
from cgpo.data.rows import RawRow, kind_of
from cgpo.data.stage_rows import column, parse_rows, stage_rows
from cgpo.errors import DataError, unknown_name
from cgpo.pairs.cleaning import clean_pairs
from cgpo.pairs.graded_rows import RowPairs, best_of_n_pairs, rating_pairs
from cgpo.pairs.pair import GIVEN, PreferencePair, checked_margin, prompt_key, split
from cgpo.types import Prompt
from judges import Message
from judges.messages import message_text

_WORDS = {
    "equal": "pairs were left out because their two sides are equal",
    "duplicates": "pairs were left out because they are there already",
    "contradictions": "pairs were left out because the same two responses are ranked both ways",
    "without_contrast": "prompts make no pair: their responses are graded alike, or there is only one",
}

_TURN = re.compile(r"\n\n(Human|Assistant):[ ]?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class PairData:
    """The preference pairs of a data set.

    Attributes:
        pairs: the usable ones, each either to train on or held out.
        sources: file and row of each.
        bad: a sentence for each row that was left out.
        left_out: why pairs were left out → how many: `equal` (the two sides are one text), `duplicates`,
            `contradictions` (ranked both ways), `contaminated` (the prompt is a held-out one), `without_contrast`
            (prompts whose graded responses make no pair).
        contaminated: the prompts that are held-out ones too.
    """

    pairs: list[PreferencePair]
    sources: list[str]
    bad: list[str]
    left_out: dict[str, int]
    contaminated: list[Contaminated]

    @property
    def equal(self) -> int:
        """Pairs left out because their two sides are the same text."""
        return self.left_out["equal"]

    def lines(self, where: str) -> list[str]:
        """The pairs that were left out in words, a line each.

        Args:
            where: the setting the pairs come from.
        """
        lines = [f"{where}: {self.left_out[key]} {text}" for key, text in _WORDS.items() if self.left_out[key]]
        if self.contaminated:
            lines.append(f"{where}: left out: {contaminated_in_words(self.contaminated)}")
        return lines


def read_preference_rows(
    settings: PairDataSettings,
    *,
    seed: int,
    where: str,
    margin_column: str | None = None,
    heldout: Sequence[HeldoutPrompt] = (),
) -> PairData:
    """All pairs of a stage, split by prompt. A data set with a `split` of its own, as `cgpo reward` writes, keeps it.

    Args:
        settings: where they come from.
        seed: of the split.
        where: the setting to name in errors, such as `dpo_stage.data`.
        margin_column: column with the margins. None: `margin`, of pairs that a stage wrote.
        heldout: prompts to measure with, besides those of the files in `contamination.heldout`.

    Raises:
        ConfigError: no data set is named.
        DataError: it cannot be read or has no usable pair; or a row is bad and `bad_rows` is `stop`.
    """
    rows, unreadable = stage_rows(settings, where)
    if settings.kinds:
        known = {str(row.values.get("kind", GIVEN)) for row in rows}
        for kind in settings.kinds:
            if kind not in known:
                raise DataError(unknown_name("kind of pair", kind, known, f"{where}.kinds"))
        rows = [row for row in rows if str(row.values.get("kind", GIVEN)) in settings.kinds]

    readers: dict[str, Callable[[Sequence[RawRow], PairDataSettings, str, Sequence[str]], RowPairs]] = {
        "pairs": partial(_given_pairs, margin_column=margin_column),
        "ratings": rating_pairs,
        "best_of_n": best_of_n_pairs,
    }
    read = readers[settings.form](rows, settings, where, unreadable)
    cleaned = clean_pairs(pair for pair, _ in read.pairs)
    clean, contaminated = _uncontaminated(cleaned.pairs, settings, heldout, where)
    left_out = cleaned.left_out | {
        "contaminated": len(cleaned.pairs) - len(clean),
        "without_contrast": read.without_contrast,
    }
    if not clean:
        reasons = ", ".join(f"{reason} {count}" for reason, count in left_out.items() if count)
        raise DataError(f"{where}: no pair is left of {len(read.pairs)} ({reasons})")
    pairs = [cleaned.pairs[i] for i in clean]
    if not any(pair.heldout for pair in pairs):
        try:
            pairs = split(pairs, settings.heldout_share, seed)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    sources = [read.pairs[cleaned.positions[i]][1] for i in clean]
    return PairData(pairs, sources, read.bad, left_out, contaminated)


def _uncontaminated(
    pairs: Sequence[PreferencePair], settings: PairDataSettings, heldout: Sequence[HeldoutPrompt], where: str
) -> tuple[list[int], list[Contaminated]]:
    """Positions of the pairs whose prompt is no held-out one, and the prompts that are."""
    check, setting = settings.contamination, f"{where}.contamination"
    measured = [*heldout, *heldout_prompts(check, {}, setting)] if check.action != "off" else []
    if not measured:
        return list(range(len(pairs))), []
    keys = [prompt_key(pair.prompt) for pair in pairs]
    prompts = {key: Prompt(key, pair.prompt) for key, pair in zip(keys, pairs, strict=True)}
    clean, contaminated = without_contaminated({"pairs": list(prompts.values())}, measured, check, setting)
    left = {prompt.id for prompt in clean["pairs"]}
    return [i for i, key in enumerate(keys) if key in left], contaminated


def _given_pairs(
    rows: Sequence[RawRow],
    settings: PairDataSettings,
    where: str,
    unreadable: Sequence[str],
    margin_column: str | None,
) -> RowPairs:
    """Rows that are pairs already."""

    def parse(row: RawRow) -> tuple[PreferencePair, str]:
        return _pair(row, settings, margin_column), row.where

    return RowPairs(*parse_rows(rows, parse, settings, where, unreadable))


def _pair(row: RawRow, settings: PairDataSettings, margin_column: str | None) -> PreferencePair:
    sides = [_side(row, settings.chosen_column), _side(row, settings.rejected_column)]
    prompt = row.values.get(settings.prompt_column)
    if prompt is not None:
        messages = messages_of(prompt, row.where)
        names = (settings.chosen_column, settings.rejected_column)
        chosen, rejected = (_response(side, messages, row.where, n) for side, n in zip(sides, names, strict=True))
    else:
        messages, chosen, rejected = _shared_prompt(sides, row.where, settings)
    return PreferencePair(
        prompt=messages,
        chosen=content(chosen, row.where, f"{settings.chosen_column!r}"),
        rejected=_text(rejected, row.where),
        kind=str(row.values.get("kind", GIVEN)),
        stratum=str(row.values.get("stratum") or ""),
        prompt_id=str(row.values.get("prompt_id") or ""),
        heldout=row.values.get("split") == "heldout",
        margin=_margin(row, margin_column),
    )


def _margin(row: RawRow, name: str | None) -> float:
    written = row.values.get("margin") if "schema" in row.values else None  # in another's file it may mean anything
    value: Any = column(row, name) if name is not None else written or 0.0
    if isinstance(value, str):  # as is every cell of a CSV file
        with contextlib.suppress(ValueError):
            value = float(value)
    return checked_margin(value, row.where)


def _side(row: RawRow, name: str) -> str | tuple[Message, ...]:
    value: Any = column(row, name)
    if value is None:
        raise DataError(f"{row.where}: {name!r} has no value: a pair needs both sides")
    if isinstance(value, str):
        return value
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{row.where}: {name!r} must be text or a list of messages, not {kind_of(value)}")
    return _ending_with_assistant(message_list(value, row.where, repr(name)), row.where, name)


def _response(side: str | tuple[Message, ...], prompt: tuple[Message, ...], where: str, name: str) -> str:
    """The response of a side to the prompt of its row, which messages may repeat before it.

    Raises:
        DataError: other messages stand before it: it answers something else than the prompt.
    """
    if isinstance(side, str):
        return side
    before, system = side[:-1], tuple(m for m in prompt if m["role"] == "system")
    if before and not any(_texts(before) == _texts(messages) for messages in (prompt, prompt[len(system) :])):
        raise DataError(
            f"{where}: the {len(before)} messages of {name!r} before its response are not those of the row's prompt, "
            f"which has {len(prompt)}: it answers something else. Leave the prompt's column out (name another with "
            "prompt_column) to take the messages as the prompt"
        )
    return last_text(side, where, repr(name))


def _texts(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(m["role"], message_text(m).strip()) for m in messages]


def _ending_with_assistant(messages: tuple[Message, ...], where: str, name: str) -> tuple[Message, ...]:
    if messages[-1]["role"] != "assistant":
        raise DataError(
            f"{where}: the last message of {name!r} must be the assistant's, not the {messages[-1]['role']}'s"
        )
    return messages


def _shared_prompt(
    sides: Sequence[str | tuple[Message, ...]], where: str, settings: PairDataSettings
) -> tuple[tuple[Message, ...], str, str]:
    """The messages both sides begin with, and the last message of each."""
    names = (settings.chosen_column, settings.rejected_column)
    conversations = []
    for side, name in zip(sides, names, strict=True):
        messages = _transcript(side) if isinstance(side, str) else side
        if not messages:
            raise DataError(
                f"{where}: there is no {settings.prompt_column!r}, and {name!r} is neither a list of messages nor a "
                'transcript of "Human:" and "Assistant:" turns that would hold one'
            )
        conversations.append(_ending_with_assistant(messages, where, name))
    chosen, rejected = conversations
    if chosen[:-1] != rejected[:-1]:
        raise DataError(f"{where}: {names[0]!r} and {names[1]!r} differ before their last message: not one prompt")
    texts = [last_text(side, where, repr(name)) for side, name in zip(conversations, names, strict=True)]
    return messages_of([dict(m) for m in chosen[:-1]], where), texts[0], texts[1]


def _transcript(text: str) -> tuple[Message, ...]:
    parts = _TURN.split(text)
    if len(parts) < 3 or parts[0].strip():
        return ()
    turns = zip(parts[1::2], parts[2::2], strict=True)
    return tuple({"role": _ROLES[speaker], "content": turn.strip()} for speaker, turn in turns)


def _text(value: str, where: str) -> str:
    """The worse response: it may be empty, but not be what no tokenizer takes."""
    return content(value, where, "the rejected response") if value.strip() else value
