"""Values as bytes: what may travel between a candidate's box and the tests' box.

The reader of these bytes rebuilds plain data of exactly the types below, and nothing else: no class of the other side,
no code, no pickle. So whatever a candidate answers, on the tests' side it is an `int`, a `str`, a `list`, … whose
`==` is Python's own, or a handle (`Reference`) that only the two protocol programs can interpret.

A value is a tag byte and its content; lengths are four bytes, most significant first. Depth and size are bounded on
both sides. `decode` raises `CodecError` on every malformed input, and only that.
"""

from __future__ import annotations

import builtins
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, Protocol

MAX_DEPTH = 150
MAX_FRAME_BYTES = 64 * 2**20
_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct(">d")

FUNCTIONS = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytes",
        "bytearray",
        "callable",
        "chr",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "hash",
        "hex",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "oct",
        "ord",
        "pow",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
        "object",
    ]
)
"""Built-in functions and types that travel by name: each side uses its own."""

EXCEPTIONS: dict[str, type[Exception]] = {
    name: item
    for name, item in vars(builtins).items()
    if isinstance(item, type) and issubclass(item, Exception) and item.__name__ == name
}
"""Exceptions that travel by name. `SystemExit` and `KeyboardInterrupt` are not among them."""

_DICT_VIEWS = {type({}.keys()): b"K", type({}.values()): b"V", type({}.items()): b"I"}


class CodecError(Exception):
    """What cannot be encoded, or bytes that are no encoding."""


class TooDeepError(CodecError):
    """Data nested deeper than `MAX_DEPTH`."""


class Reference:
    """An object that stays where it is; the other side gets its number.

    Attributes:
        ours: whether the object lives on the side that encoded it.
        number: its number there.
        kind: what the other side may expect of it, e.g. `object`, `function`, `generator`.
    """

    __slots__ = ("kind", "number", "ours")

    def __init__(self, ours: bool, number: int, kind: str) -> None:
        self.ours, self.number, self.kind = ours, number, kind


class Export(Protocol):
    """Makes a reference for an object that is no plain data, or raises CodecError."""

    def __call__(self, value: Any) -> Reference: ...


class Resolve(Protocol):
    """The object a received reference stands for, or raises CodecError."""

    def __call__(self, reference: Reference) -> Any: ...


def encode(value: Any, export: Export) -> bytes:
    """`value` as bytes. Raises CodecError when it is too deep or holds what `export` refuses."""
    out = bytearray()
    _Writer(out, export).write(value, 0)
    return bytes(out)


def decode(data: bytes, resolve: Resolve) -> Any:
    """The value of `encode`. Raises CodecError when `data` is not exactly one encoded value."""
    reader = _Reader(data, resolve)
    try:
        value = reader.read(0)
    except CodecError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes may fail anywhere: one name for it
        raise CodecError(f"malformed data ({type(error).__name__})") from None
    if reader.at != len(data):
        raise CodecError("malformed data (trailing bytes)")
    return value


class _Writer:
    def __init__(self, out: bytearray, export: Export) -> None:
        self.out, self.export = out, export

    def write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooDeepError(f"data nested deeper than {MAX_DEPTH}")
        write = _WRITERS.get(type(value))
        if write is not None:
            write(self, value, depth + 1)
        else:
            self.other(value, depth + 1)

    def block(self, tag: bytes, data: bytes) -> None:
        self.out += tag
        self.out += _LENGTH.pack(len(data))
        self.out += data

    def integer(self, value: int) -> None:
        self.block(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))

    def text(self, value: str) -> None:
        self.block(b"s", value.encode("utf-8", "surrogatepass"))

    def items(self, tag: bytes, values: Iterable[Any], count: int, depth: int) -> None:
        self.out += tag
        self.out += _LENGTH.pack(count)
        for value in values:
            self.write(value, depth)

    def pairs(self, tag: bytes, values: Any, depth: int) -> None:
        self.items(tag, (part for pair in values.items() for part in pair), len(values), depth)

    def tuple_after(self, tag: bytes, values: tuple[Any, ...], depth: int) -> None:
        """A tag whose content is a tuple of plain data."""
        self.out += tag
        self.items(b"t", values, len(values), depth)

    def other(self, value: Any, depth: int) -> None:
        kind = type(value)
        name = getattr(value, "__name__", None) if isinstance(value, (type, _BUILTIN)) else None
        if isinstance(name, str) and (name in FUNCTIONS or name in EXCEPTIONS) and getattr(builtins, name) is value:
            self.block(b"y", name.encode())
        elif kind in _DICT_VIEWS:
            self.items(_DICT_VIEWS[kind], (list(value),), 1, depth)
        elif _is_namedtuple(value):
            self.tuple_after(b"m", (kind.__name__, kind._fields, tuple(value)), depth)
        elif kind.__module__ in _LIBRARY_MODULES and _library_parts(value) is not None:
            self.tuple_after(b"p", (f"{kind.__module__}.{kind.__name__}", *(_library_parts(value) or ())), depth)
        else:
            reference = self.export(value)
            self.tuple_after(b"h", (reference.ours, reference.number, reference.kind), depth)


_BUILTIN = type(len)
_LIBRARY_MODULES = frozenset({"decimal", "fractions", "datetime"})


def _is_namedtuple(value: Any) -> bool:
    kind = type(value)
    fields = getattr(kind, "_fields", None)
    return kind.__bases__ == (tuple,) and type(fields) is tuple and all(type(name) is str for name in fields)


def _library_parts(value: Any) -> tuple[Any, ...] | None:
    """What rebuilds a number or a date of the standard library; None for what is none of these."""
    name = f"{type(value).__module__}.{type(value).__name__}"
    if type(value) is not getattr(sys.modules.get(type(value).__module__), type(value).__name__, None):
        return None
    if name == "decimal.Decimal":
        return (str(value),)
    if name == "fractions.Fraction":
        return (value.numerator, value.denominator)
    if name == "datetime.timedelta":
        return (value.days, value.seconds, value.microseconds)
    if name == "datetime.timezone":
        return (value.utcoffset(None),)
    if name == "datetime.date":
        return (value.year, value.month, value.day)
    if name == "datetime.time":
        return (value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
    if name == "datetime.datetime":
        day = (value.year, value.month, value.day)
        return (*day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
    return None


_WRITERS: dict[type, Callable[[_Writer, Any, int], None]] = {
    type(None): lambda w, v, d: w.out.extend(b"N"),
    bool: lambda w, v, d: w.out.extend(b"T" if v else b"F"),
    type(...): lambda w, v, d: w.out.extend(b"e"),
    type(NotImplemented): lambda w, v, d: w.out.extend(b"n"),
    int: lambda w, v, d: w.integer(v),
    float: lambda w, v, d: w.out.extend(b"f" + _FLOAT.pack(v)),
    complex: lambda w, v, d: w.out.extend(b"c" + _FLOAT.pack(v.real) + _FLOAT.pack(v.imag)),
    str: lambda w, v, d: w.text(v),
    bytes: lambda w, v, d: w.block(b"b", v),
    bytearray: lambda w, v, d: w.block(b"B", bytes(v)),
    list: lambda w, v, d: w.items(b"l", v, len(v), d),
    tuple: lambda w, v, d: w.items(b"t", v, len(v), d),
    set: lambda w, v, d: w.items(b"S", v, len(v), d),
    frozenset: lambda w, v, d: w.items(b"Z", v, len(v), d),
    dict: lambda w, v, d: w.pairs(b"d", v, d),
    Counter: lambda w, v, d: w.pairs(b"C", v, d),
    OrderedDict: lambda w, v, d: w.pairs(b"O", v, d),
    range: lambda w, v, d: w.tuple_after(b"r", (v.start, v.stop, v.step), d),
    slice: lambda w, v, d: w.tuple_after(b"u", (v.start, v.stop, v.step), d),
}


def _write_defaultdict(writer: _Writer, value: Any, depth: int) -> None:
    writer.out += b"D"
    writer.write(value.default_factory if value.default_factory in _FACTORIES else None, depth)
    writer.pairs(b"d", value, depth)


def _write_deque(writer: _Writer, value: Any, depth: int) -> None:
    writer.tuple_after(b"q", (value.maxlen, list(value)), depth)


_FACTORIES = (int, float, str, list, dict, set, tuple, bool)
_WRITERS[defaultdict] = _write_defaultdict
_WRITERS[deque] = _write_deque


class _Reader:
    def __init__(self, data: bytes, resolve: Resolve) -> None:
        self.data, self.resolve, self.at = data, resolve, 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise CodecError("malformed data (cut off)")
        part, self.at = self.data[self.at : end], end
        return part

    def length(self) -> int:
        (count,) = _LENGTH.unpack(self.take(4))
        if count > len(self.data) - self.at:  # every item takes at least a byte
            raise CodecError("malformed data (length)")
        return int(count)

    def read(self, depth: int) -> Any:
        if depth > MAX_DEPTH + 1:
            raise TooDeepError(f"data nested deeper than {MAX_DEPTH}")
        read = _READERS.get(self.take(1))
        if read is None:
            raise CodecError("malformed data (tag)")
        return read(self, depth + 1)

    def block(self) -> bytes:
        return self.take(self.length())

    def items(self, depth: int) -> list[Any]:
        return [self.read(depth) for _ in range(self.length())]

    def pairs(self, depth: int) -> dict[Any, Any]:
        result = {}
        for _ in range(self.length()):
            key = self.read(depth)
            result[key] = self.read(depth)
        return result

    def tuple(self, depth: int) -> tuple[Any, ...]:
        value = self.read(depth)
        if type(value) is not tuple:
            raise CodecError("malformed data (tuple)")
        return value

    def float(self) -> float:
        return float(_FLOAT.unpack(self.take(8))[0])


def _read_builtin(reader: _Reader, depth: int) -> Any:
    name = reader.block().decode("ascii")
    if name not in FUNCTIONS and name not in EXCEPTIONS:
        raise CodecError("malformed data (name)")
    return getattr(builtins, name)


def _read_range(reader: _Reader, depth: int) -> range:
    start, stop, step = reader.tuple(depth)
    return range(start, stop, step)


def _read_defaultdict(reader: _Reader, depth: int) -> Any:
    factory = reader.read(depth)
    content = reader.read(depth)
    if type(content) is not dict or (factory is not None and factory not in _FACTORIES):
        raise CodecError("malformed data (defaultdict)")
    return defaultdict(factory, content)


def _read_deque(reader: _Reader, depth: int) -> Any:
    maxlen, content = reader.tuple(depth)
    return deque(content, maxlen)


_NAMEDTUPLES: dict[tuple[str, tuple[str, ...]], Any] = {}


def _read_namedtuple(reader: _Reader, depth: int) -> Any:
    name, fields, values = reader.tuple(depth)
    key = (name, fields)
    if key not in _NAMEDTUPLES:
        strange = type(name) is not str or any(type(field) is not str for field in fields)
        if strange or len(fields) > 200 or len(_NAMEDTUPLES) >= 100:  # each class costs time to make
            raise CodecError("malformed data (named tuple)")
        _NAMEDTUPLES[key] = namedtuple(name, fields)  # it checks both
    return _NAMEDTUPLES[key]._make(values)


def _read_reference(reader: _Reader, depth: int) -> Any:
    ours, number, kind = reader.tuple(depth)
    if type(ours) is not bool or type(number) is not int or type(kind) is not str:
        raise CodecError("malformed data (reference)")
    return reader.resolve(Reference(ours, number, kind))


def _read_library(reader: _Reader, depth: int) -> Any:
    name, *parts = reader.tuple(depth)
    module, _, kind = name.partition(".")
    if module not in _LIBRARY_MODULES or kind not in _LIBRARY_TYPES:
        raise CodecError("malformed data (type)")
    return getattr(__import__(module), kind)(*parts)


_LIBRARY_TYPES = frozenset({"Decimal", "Fraction", "timedelta", "timezone", "date", "time", "datetime"})

_READERS: dict[bytes, Callable[[_Reader, int], Any]] = {
    b"N": lambda r, d: None,
    b"T": lambda r, d: True,
    b"F": lambda r, d: False,
    b"e": lambda r, d: ...,
    b"n": lambda r, d: NotImplemented,
    b"i": lambda r, d: int.from_bytes(r.block(), "big", signed=True),
    b"f": lambda r, d: r.float(),
    b"c": lambda r, d: complex(r.float(), r.float()),
    b"s": lambda r, d: r.block().decode("utf-8", "surrogatepass"),
    b"b": lambda r, d: r.block(),
    b"B": lambda r, d: bytearray(r.block()),
    b"l": lambda r, d: r.items(d),
    b"t": lambda r, d: tuple(r.items(d)),
    b"S": lambda r, d: set(r.items(d)),
    b"Z": lambda r, d: frozenset(r.items(d)),
    b"d": lambda r, d: r.pairs(d),
    b"C": lambda r, d: Counter(r.pairs(d)),
    b"O": lambda r, d: OrderedDict(r.pairs(d)),
    b"D": _read_defaultdict,
    b"q": _read_deque,
    b"r": _read_range,
    b"u": lambda r, d: slice(*r.tuple(d)),
    b"K": lambda r, d: dict.fromkeys(r.items(d)[0]).keys(),
    b"V": lambda r, d: dict(enumerate(r.items(d)[0])).values(),
    b"I": lambda r, d: dict(r.items(d)[0]).items(),
    b"m": _read_namedtuple,
    b"y": _read_builtin,
    b"p": _read_library,
    b"h": _read_reference,
}


class EndOfChannelError(Exception):
    """The other side is gone."""


class Channel:
    """Frames over a stream socket: four bytes of length, then the data.

    Args:
        connection: a connected stream socket.
        budget: bytes that may be received in all; more is a CodecError. None: no bound but that of a frame.
    """

    def __init__(self, connection: Any, budget: int | None = None) -> None:
        self.connection, self.budget = connection, budget

    def send(self, data: bytes) -> None:
        try:
            self.connection.sendall(_LENGTH.pack(len(data)) + data)
        except (BrokenPipeError, ConnectionError):
            raise EndOfChannelError from None

    def receive(self) -> bytes:
        (length,) = _LENGTH.unpack(self._exactly(4))
        if length > MAX_FRAME_BYTES or (self.budget is not None and length > self.budget):
            raise CodecError("more data than allowed")
        if self.budget is not None:
            self.budget -= length
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            try:
                part = self.connection.recv(min(count, 2**20))
            except ConnectionError:
                raise EndOfChannelError from None
            if not part:
                raise EndOfChannelError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
