"""A log as columns, 230 bytes a row or so, so that a million rows fit; its texts lie in a file beside it (`Spill`).

Rows are in order of time; rows of one time in the order of a hash of what they hold. So the order in the log's files
changes nothing that is done with the table.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cgpo.feedback.logs.near_duplicates import PERMUTATIONS, signature
from cgpo.feedback.logs.rows import LogRow
from judges.messages import message_text

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

WRITTEN_AT_ONCE = 1 << 20
READ_AT_ONCE = 1 << 13


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of N rows.

    Attributes:
        time: Unix seconds, [N].
        label: 0 or 1, [N].
        user: number of the user, −1 where unknown, [N].
        policy: number of the policy, −1 where unknown, [N].
        conversation: hash of the conversation's id, 0 where unknown, [N].
        whole: hash of prompt and response, [N].
        row_hash: hash of all a row holds, [N].
        prefixes: hashes of the prompt up to each message of the assistant, row after row.
        prefix_rows: the row of each of `prefixes`.
        signature: of the response, for near-duplicates, [N, 32].
        place: byte in the file of texts, [N].
        users: name of each user.
        user_keys: hash of each user's id, whatever the names show.
        policies: name of each policy.
    """

    time: npt.NDArray[np.float64]
    label: Ints
    user: Ints
    policy: Ints
    conversation: Hashes
    whole: Hashes
    row_hash: Hashes
    prefixes: Hashes
    prefix_rows: Ints
    signature: npt.NDArray[np.uint32]
    place: Ints
    users: Sequence[str]
    user_keys: Hashes
    policies: Sequence[str]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def positives(self) -> int:
        return int(self.label.sum())

    @property
    def rate(self) -> float:
        """The share of positive reactions; of no rows, 0."""
        return self.positives / len(self) if len(self) else 0.0

    def user_counts(self) -> tuple[Ints, Ints]:
        """Rows and positive reactions of each user, [U]."""
        known = self.user >= 0
        rows = np.bincount(self.user[known], minlength=len(self.users))
        positives = np.bincount(self.user[known], weights=self.label[known], minlength=len(self.users))
        return rows, positives.astype(np.int64)

    def rows_of(self, user: int) -> Ints:
        """Places of the rows of a user."""
        return np.flatnonzero(self.user == user)

    def present_users(self) -> set[str]:
        """Names of the users who have rows."""
        return {self.users[user] for user in np.unique(self.user[self.user >= 0])}

    def take(self, rows: Mask | Ints) -> Table:
        """The table of these rows, in this order."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        new_place = np.full(len(self), -1, dtype=np.int64)
        new_place[chosen] = np.arange(len(chosen))
        stays = new_place[self.prefix_rows] >= 0
        taken = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name in _ROW_COLUMNS}
        return replace(self, **taken, prefixes=self.prefixes[stays], prefix_rows=new_place[self.prefix_rows[stays]])


_ROW_COLUMNS = frozenset(["time", "label", "user", "policy", "conversation", "whole", "row_hash", "signature", "place"])


class TableBuilder:
    """Collects rows in the order of the log.

    Args:
        salt: user names are replaced by hashes keyed with it; None leaves them.
    """

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = salt
        self._time, self._label = array("d"), array("b")
        self._user, self._policy = array("l"), array("l")
        self._conversation, self._whole, self._row_hash = array("Q"), array("Q"), array("Q")
        self._prefixes, self._prefix_rows = array("Q"), array("l")
        self._signature = bytearray()
        self._place = array("q")
        self._users: dict[str, int] = {}
        self._policies: dict[str, int] = {}

    def add(self, row: LogRow, place: int) -> None:
        """Adds a row whose texts begin at byte `place` of the file of texts."""
        number = len(self._time)
        chain = 0
        for message in row.prompt:
            chain = _hash(str(chain), message["role"], message_text(message))
            if message["role"] == "assistant":
                self._prefixes.append(chain)
                self._prefix_rows.append(number)
        whole = _hash(str(chain), "assistant", row.response)
        self._time.append(row.time)
        self._label.append(row.label)
        self._user.append(_number(self._users, row.user))
        self._policy.append(_number(self._policies, row.policy))
        self._conversation.append(0 if row.conversation is None else _hash(row.conversation))
        self._whole.append(whole)
        identity = (repr(row.time), str(row.label), repr(row.user), repr(row.policy), repr(row.conversation))
        self._row_hash.append(_hash(str(whole), *identity))
        self._signature += signature(row.response).tobytes()
        self._place.append(place)

    def table(self) -> Table:
        """The collected rows in the table's order, users and policies numbered in it."""
        row_hash = np.array(self._row_hash, dtype=np.uint64)
        time = np.array(self._time, dtype=np.float64)
        unordered = Table(
            time=time,
            label=np.array(self._label, dtype=np.int64),
            user=np.array(self._user, dtype=np.int64),
            policy=np.array(self._policy, dtype=np.int64),
            conversation=np.array(self._conversation, dtype=np.uint64),
            whole=np.array(self._whole, dtype=np.uint64),
            row_hash=row_hash,
            prefixes=np.array(self._prefixes, dtype=np.uint64),
            prefix_rows=np.array(self._prefix_rows, dtype=np.int64),
            signature=np.frombuffer(bytes(self._signature), dtype=np.uint32).reshape(-1, PERMUTATIONS),
            place=np.array(self._place, dtype=np.int64),
            users=(),
            user_keys=np.zeros(0, dtype=np.uint64),
            policies=(),
        )
        ordered = unordered.take(np.lexsort((row_hash, time)))
        user, names = _renumber(ordered.user, list(self._users))
        policy, policies = _renumber(ordered.policy, list(self._policies))
        keys = np.array([_hash("user", name) for name in names], dtype=np.uint64)
        return replace(
            ordered,
            user=user,
            users=[self._shown(name) for name in names],
            user_keys=keys,
            policy=policy,
            policies=policies,
        )

    def _shown(self, user: str) -> str:
        if self._salt is None:
            return user
        return blake2b(user.encode(), digest_size=8, key=self._salt).hexdigest()


def priority(hashes: Hashes, seed: int, purpose: str) -> Hashes:
    """A random number for each row that depends on the row, the seed and the purpose alone (SplitMix64), [N]."""
    with np.errstate(over="ignore"):
        z = hashes + np.uint64(_hash(str(seed), purpose))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _hash(*parts: str) -> int:
    text = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1


def _number(numbers: dict[str, int], name: str | None) -> int:
    return -1 if name is None else numbers.setdefault(name, len(numbers))


def _renumber(codes: Ints, names: list[str]) -> tuple[Ints, list[str]]:
    """Numbers by first appearance in the table's order."""
    known = codes >= 0
    _, first = np.unique(codes[known], return_index=True)
    order = codes[known][np.sort(first)]
    new = np.full(len(names), -1, dtype=np.int64)
    new[order] = np.arange(len(order))
    return np.where(known, new[codes], -1) if len(names) else codes, [names[code] for code in order]


class Spill:
    """A file of one JSON object a row: `prompt`, `response`, `where`.

    Args:
        path: the file; made anew, and removed at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=WRITTEN_AT_ONCE)
        self._end = 0

    def add(self, row: LogRow) -> int:
        """Appends a row and returns its place."""
        place = self._end
        texts = {"prompt": row.prompt, "response": row.response, "where": row.where}
        line = json.dumps(texts, ensure_ascii=False).encode() + b"\n"
        self._file.write(line)
        self._end += len(line)
        return place

    def read(self, places: Ints | Iterable[int]) -> Iterator[dict[str, Any]]:
        """The rows at these places, in this order."""
        self._file.flush()
        with self._path.open("rb", buffering=READ_AT_ONCE) as file:
            for place in places:
                file.seek(int(place))
                yield json.loads(file.readline())

    def responses(self, places: Ints) -> list[str]:
        """The responses at these places, read in the file's order and returned in that of `places`."""
        responses = [""] * len(places)
        order = np.argsort(places, kind="stable")
        for number, texts in zip(order, self.read(places[order]), strict=True):
            responses[number] = texts["response"]
        return responses

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):  # what a full disk left unwritten: the error was raised where it was met
            self._file.close()
        self._path.unlink(missing_ok=True)
