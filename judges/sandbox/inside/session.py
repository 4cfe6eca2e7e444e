"""The tests' side of the talk with the candidate: proxies for its names, and what their every use becomes.

Every use of a proxy is a request to the candidate's box (`judges.sandbox.inside.candidate`); what comes back is plain
data rebuilt here, or a handle. The verdict is reported from here, over a pipe the candidate has not.
"""

from __future__ import annotations

import mmap
import os
import signal
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from judges.sandbox.inside.codec import (
    EXCEPTIONS,
    Channel,
    CodecError,
    EndOfChannelError,
    Reference,
    TooDeepError,
    decode,
    encode,
)

MODULE_NAME = "tests"
MAX_DEPTH = 50

_PLAIN_TYPES = (str, bytes, bytearray, list, tuple, dict, set, frozenset, int, float, complex, range)
_KEPT_METHODS = frozenset(
    ["add", "append", "clear", "discard", "extend", "get", "insert", "pop", "remove", "reverse", "sort", "update"]
)
METHODS_OF_DATA = (
    frozenset(name for kind in _PLAIN_TYPES for name in dir(kind) if not name.startswith("_"))
    | {"match", "fullmatch", "compare"}
) - _KEPT_METHODS
"""Methods of plain data that would hand an expected value to an object of the candidate, which could then agree.

Not those that change a container, which say nothing, and those that look up a key, which is what `[]` does.
"""

state = mmap.mmap(-1, 1)
"""Shared with the forked process: 1 while it waits for the candidate, 2 while the tests themselves run but have used
an answer of the candidate, 0 while they have used none."""


class NotSupportedError(BaseException):
    """The tests do what this sandbox cannot carry over to the candidate; no fault of the candidate."""


class Remote:
    """An object of the candidate. Uses of it are requests; it is never equal to plain data.

    Attributes:
        expected: whether the tests made it by calling a name that starts with a capital, so that an object is what
            they want. Only then may its operators see plain data of the tests: an object that is given where a
            number or a text is wanted must not learn what it is compared with.
        makes_expected: whether the tests wrote its name, with a capital, so that calling it makes such an object.
    """

    __slots__ = ("__weakref__", "_expected", "_kind", "_makes_expected", "_number", "_session")
    _expected: bool
    _kind: str
    _makes_expected: bool
    _number: int
    _session: Session

    def __init__(self, session: Session, number: int, kind: str, expected: bool, makes_expected: bool) -> None:
        put = object.__setattr__
        put(self, "_session", session)
        put(self, "_number", number)
        put(self, "_kind", kind)
        put(self, "_expected", expected)
        put(self, "_makes_expected", makes_expected)

    def _do(self, operation: str, *operands: Any) -> Any:
        return self._session.request("op", operation, (self, *operands))

    def _binary(self, operation: str, other: Any, swapped: bool = False) -> Any:
        if isinstance(other, Remote):
            operands = (other, self) if swapped else (self, other)
            return self._session.request("op", operation, operands)
        if not self._expected:
            raise TypeError(f"an object of the code where the tests want plain data (operation {operation!r})")
        operands = (other, self) if swapped else (self, other)
        return self._session.as_expected(self._session.request("op", operation, operands))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._session.call(self, args, kwargs)
        return self._session.as_expected(result) if self._makes_expected else result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__doc__", "__dict__", "__annotations__"):
            raise AttributeError(name)
        attribute = self._session.request("get", self, name)
        wanted = self._expected or (self._makes_expected and self._kind == "class")
        if wanted or name not in METHODS_OF_DATA or not callable(attribute):
            return attribute
        return self._without_data(name, attribute)

    def _without_data(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method that must not see plain data of the tests; other handles it may see."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if not all(isinstance(value, Remote) for value in (*args, *kwargs.values())):
                kind = "a class or function" if self._kind in ("class", "function") else "an object"
                self._session.violated(f"{kind} of the code where the tests want plain data (method {name!r})")
            return method(*args, **kwargs)

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        self._session.request("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._session.request("del", self, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remote):
            return False
        return bool(self._do("eq", other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._number)

    def __contains__(self, item: Any) -> bool:
        if self._expected or isinstance(item, Remote):
            return bool(self._do("contains", item))
        return any(element is item or element == item for element in self)

    def __iter__(self) -> Iterator[Any]:
        iterator = self._do("iter")
        if not isinstance(iterator, Remote):
            return iter(iterator)
        return iterator._items()

    def _items(self) -> Iterator[Any]:
        while True:
            more, item = self._do("pull")
            if not more:
                return
            yield item

    def __next__(self) -> Any:
        more, item = self._do("pull")
        if not more:
            raise StopIteration(item)
        return item

    def __len__(self) -> Any:
        return self._do("len")

    def __bool__(self) -> Any:
        return self._do("bool")

    def __str__(self) -> Any:
        return self._do("str")

    def __repr__(self) -> Any:
        return self._do("repr")

    def __format__(self, form: str) -> Any:
        return self._do("format", form)

    def __int__(self) -> Any:
        return self._do("int")

    def __float__(self) -> Any:
        return self._do("float")

    def __complex__(self) -> Any:
        return self._do("complex")

    def __index__(self) -> Any:
        return self._do("index")

    def __abs__(self) -> Any:
        return self._do("abs")

    def __round__(self, *digits: int) -> Any:
        return self._do("round", *digits)

    def __neg__(self) -> Any:
        return self._do("neg")

    def __pos__(self) -> Any:
        return self._do("pos")

    def __invert__(self) -> Any:
        return self._do("invert")

    def __reversed__(self) -> Any:
        return self._do("reversed")

    def __getitem__(self, key: Any) -> Any:
        return self._do("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._do("delitem", key)

    def __enter__(self) -> Any:
        return self._do("enter")

    def __exit__(self, *error: object) -> None:
        self._do("exit")

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and bool(self._session.request("op", "isinstance", (value, self)))

    def __subclasscheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and bool(self._session.request("op", "issubclass", (value, self)))

    def __mro_entries__(self, bases: Any) -> NoReturn:
        raise NotSupportedError("the tests derive a class from one of the code")


def _binary_operators() -> None:
    def forwards(operation: str) -> Callable[[Remote, Any], Any]:
        return lambda self, other: self._binary(operation, other)

    def backwards(operation: str) -> Callable[[Remote, Any], Any]:
        return lambda self, other: self._binary(operation, other, swapped=True)

    for name in ["lt", "le", "gt", "ge"]:
        setattr(Remote, f"__{name}__", forwards(name))
    for name in [
        "add",
        "sub",
        "mul",
        "matmul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]:
        setattr(Remote, f"__{name}__", forwards(name))
        setattr(Remote, f"__r{name}__", backwards(name))


_binary_operators()


class Session:
    """The tests of one candidate: the requests to it, what it was given, and the verdict."""

    def __init__(self, channel: Channel, report: int) -> None:
        self.channel, self.report = channel, report
        self.checks = 0
        self.used = False
        self.depth = 0
        self.given: list[Any] = []
        self.given_numbers: dict[int, int] = {}
        self.remotes: WeakValueDictionary[tuple[int, bool, bool], Remote] = WeakValueDictionary()
        self.mirrors: dict[tuple[str, str], type[Exception]] = {}
        self.mirror_numbers: dict[type, int] = {}
        self.raised: deque[BaseException] = deque(maxlen=100)

    # -- verdict ---------------------------------------------------------------------------------------------------

    def finish(self, outcome: str, reason: str, cause: str = "") -> NoReturn:
        """Reports and ends the process at once: nothing the tests or the candidate set up runs after this."""
        os.write(self.report, encode((outcome, reason[:2000], cause), self.export))
        os.killpg(0, signal.SIGKILL)  # processes that the tests started too
        os._exit(0)

    def violated(self, reason: str, cause: str = "") -> NoReturn:
        self.finish("violated", reason, cause)

    def unknown(self, reason: str) -> NoReturn:
        self.finish("unknown", reason)

    # -- requests --------------------------------------------------------------------------------------------------

    def request(self, operation: str, *operands: Any) -> Any:
        """Asks the candidate's box; returns the value or raises what the candidate raised."""
        answer = self.exchange(operation, *operands)
        return answer[0]

    def call(self, function: Remote, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a candidate's function; carries its changes of the arguments over to the tests' own objects."""
        value, changed, same = self.exchange("call", function, args, kwargs)
        self.merge((args, kwargs), changed)
        return args[value] if same else value

    def exchange(self, operation: str, *operands: Any) -> Any:
        if self.depth >= MAX_DEPTH:
            raise RecursionError("calls between the tests and the code are nested too deeply")
        self.used = True
        self.depth += 1
        state[0] = 1
        try:
            self.channel.send(self.encode((operation, *operands)))
            return self.receive(operands)
        except EndOfChannelError:
            self.violated("the program ended", "gone")
        except CodecError as error:
            self.violated(f"the answer cannot be read: {error}")
        finally:
            self.depth -= 1
            state[0] = 1 if self.depth else 2 * self.used

    def receive(self, operands: tuple[Any, ...]) -> Any:
        while True:
            message = decode(self.channel.receive(), self.resolve)
            if type(message) is not tuple or not message:
                raise CodecError("no message")
            kind, *content = message
            if kind == "ask" and len(content) == 2 and type(content[1]) is tuple:
                self.channel.send(self.answer(*content))
            elif kind == "ok" and len(content) == 2:
                return content[0], content[1], False
            elif kind == "same" and len(content) == 2 and self.is_argument(content[0], operands):
                return content[0], content[1], True
            elif kind == "raise" and len(content) == 5:
                name, base, args, text, changed = content
                if len(operands) == 3:
                    self.merge(operands[1:], changed)
                error = self.exception(name, base, args, text)
                self.raised.append(error)
                raise error
            elif kind == "exit":
                self.violated(f"the code ends the program: {content[0] if content else ''}")
            else:
                raise CodecError("no message")

    @staticmethod
    def is_argument(index: Any, operands: tuple[Any, ...]) -> bool:
        return type(index) is int and len(operands) == 3 and 0 <= index < len(operands[1])

    def merge(self, ours: Any, changed: Any) -> None:
        """Carries changed arguments over; the candidate's shape of them must be that of a call."""
        if changed is None:
            return
        shape = type(changed) is tuple and len(changed) == 2
        if not shape or type(changed[0]) is not tuple or len(changed[0]) != len(ours[0]):
            self.violated("the answer cannot be read: no changed arguments")
        if type(changed[1]) is not dict or changed[1].keys() != ours[1].keys():
            self.violated("the answer cannot be read: no changed arguments")
        for old, new in zip(ours[0], changed[0], strict=True):
            _merged(old, new)
        for name, old in ours[1].items():
            _merged(old, changed[1][name])

    def as_expected(self, value: Any) -> Any:
        """A handle as one that the tests want to be an object."""
        return self.remote(value._number, value._kind, expected=True) if isinstance(value, Remote) else value

    def named(self, name: str, value: Any) -> Any:
        """A candidate's value under a name that the tests wrote; a capital says that calling it makes an object."""
        if isinstance(value, Remote) and name[:1].isupper():
            return self.remote(value._number, value._kind, makes_expected=True)
        return value

    # -- values ----------------------------------------------------------------------------------------------------

    def encode(self, value: Any) -> bytes:
        try:
            return encode(value, self.export)
        except TooDeepError as error:  # what the tests nest that deep has come from the candidate
            self.violated(f"the tests would pass {error}")
        except CodecError as error:
            self.unknown(f"the tests pass what cannot be passed on: {error}")

    def export(self, value: Any) -> Reference:
        if isinstance(value, Remote):
            return Reference(False, value._number, "")
        if isinstance(value, type) and value in self.mirror_numbers:
            return Reference(False, self.mirror_numbers[value], "")
        if isinstance(value, types.CoroutineType) and value.cr_code is _coroutine.__code__:
            return self.coroutine_reference(value)
        if isinstance(value, BaseException) and any(value is error for error in self.raised):
            self.violated(f"the code raises {type(value).__name__} where the tests want a value")
        if not _may_be_given(value):
            raise CodecError(f"an object of type {type(value).__name__}")
        number = self.given_numbers.get(id(value))
        if number is None:
            number = self.given_numbers[id(value)] = len(self.given)
            self.given.append(value)
        return Reference(True, number, "")

    def coroutine_reference(self, coroutine: types.CoroutineType[Any, Any, Any]) -> Reference:
        """The candidate's own coroutine, back to it."""
        if coroutine.cr_frame is None:
            self.violated("the code gives a coroutine, which has ended, where the tests want a value")
        return Reference(False, coroutine.cr_frame.f_locals["remote"]._number, "")

    def resolve(self, reference: Reference) -> Any:
        if not reference.ours:
            if not 0 <= reference.number < len(self.given):
                raise CodecError("a reference to nothing")
            return self.given[reference.number]
        kind, _, rest = reference.kind.partition(":")
        remote = self.remote(reference.number, kind)
        if kind == "generator":
            return _generator(remote)
        if kind == "coroutine":
            return _coroutine(remote)
        if kind == "exception":
            name, _, base = rest.partition(":")
            mirror = self.mirror(name, base)
            self.mirror_numbers[mirror] = reference.number
            return mirror
        return remote

    def remote(self, number: int, kind: str, expected: bool = False, makes_expected: bool = False) -> Remote:
        """The handle; what the tests may do with it depends on how they came by it, not on which object it is."""
        key = (number, expected, makes_expected)
        handle = self.remotes.get(key)
        if handle is None:
            handle = self.remotes[key] = Remote(self, number, kind, expected, makes_expected)
        return handle

    def mirror(self, name: str, base: str) -> type[Exception]:
        """The tests' own class for an exception that the candidate defines, so that it can be caught by name."""
        if (name, base) not in self.mirrors:
            if not name.isidentifier() or base not in EXCEPTIONS or len(self.mirrors) >= 100:
                raise CodecError("no exception")
            self.mirrors[name, base] = type(name, (_MirroredError, EXCEPTIONS[base]), {"__module__": "solution"})
        return self.mirrors[name, base]

    def exception(self, name: Any, base: Any, args: Any, text: Any) -> Exception:
        if type(name) is not str or type(base) is not str or type(args) is not tuple or type(text) is not str:
            raise CodecError("no exception")
        if name == base and name in EXCEPTIONS:
            try:
                return EXCEPTIONS[name](*args)
            except TypeError:
                return _nearest_plain(EXCEPTIONS[name])(text)
        kind = self.mirror(name, base)
        error = kind.__new__(kind)
        error.args = args
        error.__dict__["text"] = text
        return error

    # -- what the candidate may ask of what it was given ---------------------------------------------------------------

    def answer(self, operation: Any, operands: tuple[Any, ...]) -> bytes:
        """Serves one question about an object the tests passed; anything else is refused."""
        if not operands or not any(operands[0] is item for item in self.given):
            raise CodecError("a question about what was not given")
        try:
            return encode(("answer", self.result_of(operation, *operands)), self.export)
        except Exception as error:  # noqa: BLE001 - the candidate sees what it would have seen in one process
            return encode(("refuse", type(error).__name__, text_of(error)), self.export)

    def result_of(self, operation: Any, subject: Any, *operands: Any) -> Any:
        if operation == "call" and callable(subject):
            args, kwargs = operands
            return subject(*args, **kwargs)
        if operation == "pull" and hasattr(subject, "__next__"):
            return _pull(subject)
        if operation == "iter" and hasattr(subject, "__iter__"):
            return iter(subject)
        if operation in ("eq", "str", "repr", "bool"):
            return _PLAIN_QUESTIONS[operation](subject, *operands)
        if not _of_tests(type(subject)):
            raise TypeError(f"not possible with this object: {operation}")
        if operation in ("get", "set"):
            name = operands[0]
            if type(name) is not str or name.startswith("_"):
                raise AttributeError(name)
            return getattr(subject, name) if operation == "get" else setattr(subject, name, operands[1])
        return _OBJECT_QUESTIONS[operation](subject, *operands)


class _MirroredError(Exception):
    def __str__(self) -> str:
        return str(self.__dict__.get("text", super().__str__()))


def _nearest_plain(kind: type[Exception]) -> type[Exception]:
    """The first base that can be made from a text (UnicodeDecodeError cannot)."""
    for parent in kind.__mro__:
        try:
            parent("")
        except TypeError:
            continue
        return parent
    return Exception


def _pull(iterator: Any) -> tuple[bool, Any]:
    try:
        return True, next(iterator)
    except StopIteration as stop:
        return False, stop.value


def _set_item(subject: Any, key: Any, value: Any) -> None:
    subject[key] = value


_PLAIN_QUESTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda a, b: bool(a == b),
    "str": str,
    "repr": repr,
    "bool": bool,
}
_OBJECT_QUESTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "getitem": lambda subject, key: subject[key],
    "setitem": _set_item,
    "lt": lambda a, b: bool(a < b),
}


def _of_tests(kind: type) -> bool:
    """Is this class defined by the tests?"""
    return kind.__module__ == MODULE_NAME


def _may_be_given(value: Any) -> bool:
    if isinstance(value, types.ModuleType):
        return False
    iterates = hasattr(value, "__next__") and type(value).__module__ in ("builtins", "itertools")  # no open files
    return _of_tests(type(value)) or callable(value) or iterates


def _generator(remote: Remote) -> Any:
    """A real generator that takes its items from the candidate's."""

    def generator() -> Any:
        more, item = remote._do("pull")
        while more:
            sent = yield item
            more, item = remote._do("pull") if sent is None else remote._do("feed", sent)
        return item

    return generator()


async def _coroutine(remote: Remote) -> Any:
    return remote._do("run")


def _merged(old: Any, new: Any) -> Any:
    """`old` with the content of `new`, where it can be changed in place and is of the same type; else `new`."""
    if old is new or type(old) is not type(new):
        return new
    if type(old) in (list, deque):
        content = [_merged(a, b) for a, b in zip(old, new, strict=False)] + list(new)[len(old) :]
        old.clear()
        old.extend(content)
    elif isinstance(old, dict):
        pairs = {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(pairs)
    elif type(old) is set:
        old.clear()
        old.update(new)
    elif type(old) is bytearray:
        old[:] = new
    elif type(old) is tuple and len(old) == len(new):
        return tuple(_merged(a, b) for a, b in zip(old, new, strict=True))
    else:
        return new
    return old


def text_of(error: Exception) -> str:
    """The exception's text, as far as it has one."""
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001 - an exception class of the tests whose text fails
        return ""
