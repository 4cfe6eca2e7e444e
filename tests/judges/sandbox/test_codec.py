"""What travels between the boxes: it comes back equal and of the same type; hostile bytes make one error only."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.sandbox.inside.codec import (
    MAX_DEPTH,
    Channel,
    CodecError,
    EndOfChannelError,
    Reference,
    decode,
    encode,
)


def no_export(value: Any) -> Reference:
    raise CodecError(type(value).__name__)


def no_resolve(reference: Reference) -> Any:
    raise CodecError("reference")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes()
    | st.timedeltas()
)
keys = st.integers() | st.text() | st.booleans()
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner) | st.frozensets(keys),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    """Equal, and of equal types all the way down (True == 1 == 1.0)."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, (list, tuple)):
        return all(map(same, a, b))
    if isinstance(a, dict):
        return all(map(same, a, b)) and all(map(same, a.values(), b.values()))
    return True


@given(data)
def test_data_comes_back(value: Any) -> None:
    assert same(decode(encode(value, no_export), no_resolve), value)


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_an_error(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data, no_resolve)


@given(data, st.data())
def test_damaged_data_is_data_or_an_error(value: Any, choose: st.DataObject) -> None:
    encoded = bytearray(encode(value, no_export))
    for _ in range(choose.draw(st.integers(1, 4))):
        at = choose.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = choose.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        decode(bytes(encoded), no_resolve)


def test_nan_and_signs_survive() -> None:
    nan, zero = decode(encode([math.nan, -0.0], no_export), no_resolve)
    assert math.isnan(nan)
    assert math.copysign(1, zero) == -1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_on_both_sides() -> None:
    assert decode(encode(nested(MAX_DEPTH), no_export), no_resolve) == nested(MAX_DEPTH)
    with pytest.raises(CodecError, match="deeper"):
        encode(nested(MAX_DEPTH + 1), no_export)
    bomb = b"l\0\0\0\1" * 100_000 + b"N"
    with pytest.raises(CodecError, match="deeper"):
        decode(bomb, no_resolve)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"NN",  # something after the value
        b"i\xff\xff\xff\xff1",  # a length beyond the data
        b"l\x7f\xff\xff\xff",
        b"d\0\0\0\1l\0\0\0\0N",  # a list as a key
        b"y\0\0\0\4eval",  # a built-in that is not offered
        b"y\0\0\0\x0a__import__",
        b"y\0\0\0\x0aSystemExit",
        b"s\0\0\0\1\xff",  # no UTF-8
        b"pt\0\0\0\2s\0\0\0\x09os.systems\0\0\0\2ls",  # a function of another module
        b"mt\0\0\0\3s\0\0\0\1Pt\0\0\0\1s\0\0\0\6__eq__t\0\0\0\1N",  # a named tuple with a special method
    ],
)
def test_malformed_data_is_an_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, no_resolve)


class Agrees(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def test_an_object_of_another_class_is_no_data() -> None:
    for value in (Agrees(3), object(), lambda: None, Agrees):
        with pytest.raises(CodecError):
            encode([value], no_export)


class Bytes:
    """A connection that gives what it was made with, two bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def recv(self, count: int) -> bytes:
        part, self.data = self.data[: min(count, 2)], self.data[min(count, 2) :]
        return part


def test_frames_are_put_together_and_bounded() -> None:
    channel = Channel(Bytes(b"\0\0\0\5hello\0\0\0\1x"), budget=6)
    assert channel.receive() == b"hello"
    assert channel.receive() == b"x"
    with pytest.raises(EndOfChannelError):
        channel.receive()
    with pytest.raises(CodecError, match="more data"):
        Channel(Bytes(b"\0\0\0\7too much"), budget=6).receive()
    with pytest.raises(CodecError, match="more data"):
        Channel(Bytes(b"\xff\xff\xff\xff")).receive()
