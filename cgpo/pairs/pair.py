"""Preference pairs: their form on disk, and the split by prompt into those to train on and those held out.

{"prompt": str or messages, "chosen": str, "rejected": str}                       a user's file, one a line
{"schema": 1, …, "kind", "stratum", "prompt_id", "split": "train" or "heldout", "margin"}      what a stage adds
{…, "provenance": {…}}                                                            what `cgpo preferences` adds to that
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cgpo.data.ids import identity
from cgpo.errors import DataError, nearest
from cgpo.storage.disk import write_atomically
from cgpo.storage.jsonl import SCHEMA
from cgpo.types import Prompt
from judges import Message

GIVEN = "given"
"""Kind of the pairs that come from a user's file."""

JUDGED = "judged"
"""Kind of the pairs that the judges' verdicts decided."""


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two responses to one prompt, of which one is better.

    Attributes:
        prompt: the conversation so far, oldest first.
        chosen: the better response.
        rejected: the worse one.
        kind: why it is worse: `judged`, a corruption's name, or `given`.
        stratum: where the prompt comes from; empty in a user's file.
        prompt_id: the prompt's id within the stratum; empty in a user's file.
        heldout: measures accuracy and is not trained on.
        margin: by how much the better response is better, in the unit of the data; 0 where nobody says.
        provenance: where the two responses come from and what decided; empty in a user's file.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    kind: str = GIVEN
    stratum: str = ""
    prompt_id: str = ""
    heldout: bool = False
    margin: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def as_prompt(self) -> Prompt:
        """The prompt as reward models take it."""
        return Prompt(self.prompt_id, self.prompt)


def prompt_key(prompt: Sequence[Message]) -> str:
    """The same for prompts with the same text, whatever their ids: a split by it cannot leak."""
    return json.dumps([identity(message) for message in prompt])


def choose_heldout(keys: Iterable[str], share: float, seed: int) -> set[str]:
    """Which prompts (by `prompt_key`) are held out: about `share` of them, at least one, never all.

    Raises:
        DataError: there are fewer than two prompts.
    """
    distinct = sorted(set(keys))
    if len(distinct) < 2:
        raise DataError(f"{len(distinct)} different prompt(s): at least 2 are needed, one to be held out")
    count = min(max(1, round(share * len(distinct))), len(distinct) - 1)
    return set(random.Random(f"heldout:{seed}").sample(distinct, count))


def split(pairs: Sequence[PreferencePair], share: float, seed: int) -> list[PreferencePair]:
    """The pairs with `heldout` set by prompt.

    Raises:
        DataError: as `choose_heldout`.
    """
    heldout = choose_heldout((prompt_key(pair.prompt) for pair in pairs), share, seed)
    return [replace(pair, heldout=prompt_key(pair.prompt) in heldout) for pair in pairs]


def counts_by_kind(pairs: Iterable[PreferencePair]) -> Mapping[str, int]:
    """Kind → number of pairs, in the order of the kinds' names."""
    return dict(sorted(Counter(pair.kind for pair in pairs).items()))


def write_pairs(file: Path, pairs: Iterable[PreferencePair]) -> None:
    """Writes the pairs, all or none.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    lines = [json.dumps(_as_row(pair)) for pair in pairs]
    write_atomically(file, "".join(f"{line}\n" for line in lines).encode(), "the preference pairs")


def read_pairs(file: Path) -> list[PreferencePair]:
    """Reads a user's pairs or those a stage wrote.

    Raises:
        DataError: no such file, nothing in it, or a line that is no pair (file, line and what is wrong).
    """
    if not file.is_file():
        names = [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else []
        close = nearest(file.name, names)
        raise DataError(f"preference pairs: no such file {file}" + (f". Did you mean {close!r}?" if close else ""))
    pairs = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    pairs.append(_from_line(line, f"{file} line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"preference pairs: {file} cannot be read: {error}") from error
    if not pairs:
        raise DataError(f"preference pairs: {file} has none")
    return pairs


def _as_row(pair: PreferencePair) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "prompt": [dict(message) for message in pair.prompt],
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "kind": pair.kind,
        "stratum": pair.stratum,
        "prompt_id": pair.prompt_id,
        "split": "heldout" if pair.heldout else "train",
        "margin": pair.margin,
        **({"provenance": dict(pair.provenance)} if pair.provenance else {}),
    }


def _from_line(line: str, where: str) -> PreferencePair:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f'{where}: must be an object {{"prompt", "chosen", "rejected"}}')
    for key in ("chosen", "rejected"):
        if not isinstance(row.get(key), str):
            close = nearest(key, row)
            meant = f" (it has {close!r})" if close and close != key else ""
            raise DataError(f"{where}: {key!r} must be a string, got {row.get(key)!r}{meant}")
    return PreferencePair(
        prompt=_messages(row.get("prompt"), where),
        chosen=row["chosen"],
        rejected=row["rejected"],
        kind=str(row.get("kind", GIVEN)),
        stratum=str(row.get("stratum", "")),
        prompt_id=str(row.get("prompt_id", "")),
        heldout=row.get("split") == "heldout",
        margin=checked_margin(row.get("margin", 0.0), where),
        provenance=row.get("provenance") or {},
    )


def checked_margin(value: Any, where: str) -> float:
    """A margin as it stands in a row.

    Raises:
        DataError: it is no number that is finite and at least 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
        raise DataError(f"{where}: the margin must be a number, finite and at least 0; got {value!r}")
    return float(value)


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    if isinstance(value, str) and value:
        return ({"role": "user", "content": value},)
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return tuple(value)
    raise DataError(
        f'{where}: \'prompt\' must be a string or a list of messages {{"role", "content"}}, not empty; got {value!r}'
    )


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str) or "content" not in value:
        return False
    return isinstance(value["content"], str) or (value["content"] is None and bool(value.get("tool_calls")))
