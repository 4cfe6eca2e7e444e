"""Responses that are nearly the same text, by MinHash (Broder 1997, "On the resemblance and containment of documents").

A text is the set of its runs of three words, after Unicode normalisation, lower case and without punctuation. Of 32
hash functions each keeps its smallest value over the set; two texts agree in a share of the 32 that estimates the
resemblance (Jaccard) of their sets, with a standard error of at most 0.09. Candidates are rows that agree in all four
values of one of eight bands; each is compared with the band's first row and joined to it at an estimate of 0.75 or
more. Joined rows, also over several steps, are one group.

Written here because it is some sixty lines over whole arrays: 32 × 4 bytes a row, no index in memory.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 32
BANDS = 8
RESEMBLANCE = 0.75
SHINGLE = 3

_WORD = re.compile(r"\w+")
_RANDOM = np.random.default_rng(20250514)
_FACTORS = _RANDOM.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_TERMS = _RANDOM.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)

Ints = npt.NDArray[np.int64]


def signature(text: str) -> npt.NDArray[np.uint32]:
    """The 32 smallest hash values of a text's word runs, [32]."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if len(words) < SHINGLE:
        # Too short for runs, or nothing but emojis: the text as a whole.
        shingles = {" ".join(words) or text.strip()}
    else:
        shingles = {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
    hashes = np.array([zlib.crc32(s.encode("utf-8", "surrogatepass")) for s in shingles], dtype=np.uint64)
    # Multiply-shift: the high half of a·x + b (mod 2⁶⁴), over x spread to 64 bits.
    spread = hashes * np.uint64(0x9E3779B97F4A7C15)
    values = (spread[:, None] * _FACTORS + _TERMS) >> np.uint64(32)
    smallest: npt.NDArray[np.uint32] = values.min(axis=0).astype(np.uint32)
    return smallest


def group(signatures: npt.NDArray[np.uint32]) -> Ints:
    """A number for each row, the same for rows with nearly the same text.

    Args:
        signatures: [N, 32].

    Returns:
        [N]: the place of the group's first row.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(signatures)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    rows, firsts = _links(signatures)
    graph: Any = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, firsts)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    first = np.full(component.max() + 1, count, dtype=np.int64)
    np.minimum.at(first, component, np.arange(count))
    groups: Ints = first[component]
    return groups


def _links(signatures: npt.NDArray[np.uint32]) -> tuple[Ints, Ints]:
    """Rows and the earlier row that each is nearly equal to."""
    rows: list[Ints] = []
    firsts: list[Ints] = []
    width = PERMUTATIONS // BANDS
    for band in range(BANDS):
        keys = _key(signatures[:, band * width : (band + 1) * width])
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        leader = first[inverse]
        others = np.flatnonzero(leader != np.arange(len(keys)))
        alike = (signatures[others] == signatures[leader[others]]).mean(axis=1) >= RESEMBLANCE
        rows.append(others[alike])
        firsts.append(leader[others[alike]])
    return np.concatenate(rows), np.concatenate(firsts)


def _key(part: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """One number for the values of a band: rows that differ get the same one about once in 2⁶⁴ pairs."""
    key = np.zeros(len(part), dtype=np.uint64)
    for column in part.T:
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
