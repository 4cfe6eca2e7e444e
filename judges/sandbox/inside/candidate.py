"""The program of a candidate's box: runs the code under test and answers calls to it.

Nothing here is trusted by the other side once the candidate's code runs: that code may rewrite all of this. What it
can reach is its own end of one channel, on which it can do no more than answer the calls made to it.

Requests and answers are encoded tuples (`judges.sandbox.inside.codec`):

    ("load", source, names)              → the values of those names, all public names, the module
    ("call", object, args, kwargs)       → the result; with the arguments when they were changed in place
    ("get" | "set" | "del", object, name[, value]);  ("op", operation, operands)
    ("program", source, stdin, limit)    → exit status and what was printed, run in a process of its own

An answer is ("ok", value, changed), ("raise", name, base, args, text, changed) or ("exit", text). While the candidate
works on a call it may ask back for what a test passed to it: ("ask", operation, operands).
"""

from __future__ import annotations

import builtins
import contextlib
import operator
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from judges.sandbox.inside.codec import Channel, CodecError, EndOfChannelError, Reference, decode, encode

MODULE_NAME = "solution"
FILE = "/tmp/solution.py"
"""`__file__` of the program. There is no such file."""
_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, range, type)


def _pull(iterator: Any) -> tuple[bool, Any]:
    """The next item: `(True, item)`, or `(False, what a generator returned)`."""
    try:
        return True, next(iterator)
    except StopIteration as stop:
        return False, stop.value


def _feed(generator: Any, value: Any) -> tuple[bool, Any]:
    try:
        return True, generator.send(value)
    except StopIteration as stop:
        return False, stop.value


OPERATIONS: dict[str, Callable[..., Any]] = {
    "pull": _pull,
    "feed": _feed,
    "close": lambda value: value.close(),
    "iter": iter,
    "len": len,
    "str": str,
    "repr": repr,
    "format": format,
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "abs": abs,
    "round": round,
    "hash": hash,
    "isinstance": isinstance,
    "issubclass": issubclass,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "contains": operator.contains,
    "reversed": reversed,
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value: type(value).__exit__(value, None, None, None),
    "run": lambda value: _run_coroutine(value),
}
for _name in [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
]:
    OPERATIONS[_name.strip("_")] = getattr(operator, _name)


def _run_coroutine(value: Any) -> Any:
    import asyncio

    return asyncio.run(value)


class FromTests:
    """What a test passed to the candidate and is no plain data: every use of it is a question to the tests."""

    __slots__ = ("_ask", "_number")

    def __init__(self, ask: Callable[..., Any], number: int) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        return self._ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("call", self, args, kwargs)

    def __iter__(self) -> Any:
        return self._ask("iter", self)

    def __next__(self) -> Any:
        more, item = self._ask("pull", self)
        if not more:
            raise StopIteration
        return item

    def __len__(self) -> Any:
        return self._ask("len", self)

    def __getitem__(self, key: Any) -> Any:
        return self._ask("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("setitem", self, key, value)

    def __eq__(self, other: object) -> Any:
        return self is other or self._ask("eq", self, other)

    def __lt__(self, other: Any) -> Any:
        return self._ask("lt", self, other)

    def __hash__(self) -> int:
        return hash(self._number)

    def __bool__(self) -> Any:
        return self._ask("bool", self)

    def __str__(self) -> Any:
        return self._ask("str", self)

    def __repr__(self) -> Any:
        return self._ask("repr", self)


class Server:
    """Answers requests until the other side is gone."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.from_tests: dict[int, FromTests] = {}
        self.module = types.ModuleType(MODULE_NAME)
        self.module.__file__ = FILE
        self.requests: dict[str, Callable[..., Any]] = {
            "load": self.load,
            "get": getattr,
            "set": setattr,
            "del": delattr,
            "op": lambda name, operands: OPERATIONS[name](*operands),
        }

    def serve(self) -> None:
        while True:
            self.answer(self.channel.receive())

    def answer(self, message: bytes) -> None:
        """Carries out one request and sends the answer."""
        operation, *operands = self.decode(message)
        try:
            if operation == "call":
                answer = self.call(*operands)
            elif operation == "program":
                answer = run_program(*operands)
            else:
                answer = self.encode(("ok", self.requests[operation](*operands), None))
        except EndOfChannelError:
            raise
        except Exception as error:  # noqa: BLE001 - the tests decide what an exception means
            answer = self.failure(error, None)
        except BaseException as error:  # noqa: BLE001 - exit, quit(), KeyboardInterrupt
            answer = self.encode(("exit", f"{type(error).__name__}: {error}"[:200]))
        self.channel.send(answer)

    def load(self, source: str, names: list[str]) -> tuple[dict[str, Any], list[str], Any]:
        """Runs the module. Only names that it defines itself count, not those of the interpreter."""
        sys.modules[MODULE_NAME] = self.module
        namespace = vars(self.module)
        exec(compile(source, f"<{MODULE_NAME}>", "exec"), namespace)
        public = [name for name in namespace if type(name) is str and not name.startswith("_")]
        return {name: namespace[name] for name in names if name in namespace}, public, self.module

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Calls; and says what became of arguments that can be changed in place."""
        given = (args, kwargs)
        changeable = not all(isinstance(item, _IMMUTABLE) for item in (*args, *kwargs.values()))
        before = self.encode(given) if changeable else b""
        try:
            value = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the tests decide what an exception means
            return self.failure(error, given if changeable and self.encode(given) != before else None)
        changed = given if changeable and self.encode(given) != before else None
        same = [n for n, item in enumerate(args) if item is value and not isinstance(item, _IMMUTABLE)]
        return self.encode(("same", same[0], changed) if same else ("ok", value, changed))

    def failure(self, error: Exception, changed: Any) -> bytes:
        kind = type(error)
        base = next(parent.__name__ for parent in kind.__mro__ if vars(builtins).get(parent.__name__) is parent)
        try:
            text = str(error)
            return self.encode(("raise", kind.__name__, base, error.args, text, changed))
        except Exception:  # noqa: BLE001 - arguments that are no data, or a failing __str__
            return self.encode(("raise", str(kind.__name__), base, (), "", None))

    def ask(self, operation: str, *operands: Any) -> Any:
        """Asks the tests about something they passed; serves their calls until the answer comes."""
        self.channel.send(self.encode(("ask", operation, operands)))
        while True:
            message = self.channel.receive()
            kind, *content = self.decode(message)
            if kind == "answer":
                return content[0]
            if kind == "refuse":
                raise EXCEPTION_TYPES.get(content[0], RuntimeError)(content[1])
            self.answer(message)

    def encode(self, value: Any) -> bytes:
        return encode(value, self.export)

    def decode(self, data: bytes) -> Any:
        return decode(data, self.resolve)

    def export(self, value: Any) -> Reference:
        if type(value) is FromTests:
            return Reference(False, object.__getattribute__(value, "_number"), "")
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return Reference(True, number, kind_of(value))

    def resolve(self, reference: Reference) -> Any:
        if not reference.ours:
            return self.objects[reference.number]
        if reference.number not in self.from_tests:
            self.from_tests[reference.number] = FromTests(self.ask, reference.number)
        return self.from_tests[reference.number]


EXCEPTION_TYPES = {
    name: item for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, Exception)
}


def kind_of(value: Any) -> str:
    """What the tests' side makes of a handle."""
    if isinstance(value, types.GeneratorType):
        return "generator"
    if isinstance(value, types.CoroutineType):
        return "coroutine"
    if isinstance(value, type) and issubclass(value, Exception):
        base = next(parent.__name__ for parent in value.__mro__ if vars(builtins).get(parent.__name__) is parent)
        return f"exception:{value.__name__}:{base}"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return "function"
    return "class" if isinstance(value, type) else "object"


def run_program(source: str, stdin: str, limit: int) -> bytes:
    """Runs a program that reads standard input, in a child process; what it printed, cut at `limit` bytes."""
    with open("stdin", "wb") as file:
        file.write(stdin.encode("utf-8", "surrogatepass"))
    with open("stdout", "wb"):
        pass
    child = os.fork()
    if not child:
        _become_program(source)
    _, status = os.waitpid(child, 0)
    with open("stdout", "rb") as file:
        printed = file.read(limit + 1)
    error = ""
    if os.path.exists("error"):
        with open("error", encoding="utf-8", errors="replace") as file:
            error = file.read(300)
        os.unlink("error")
    return encode(("ran", os.waitstatus_to_exitcode(status), printed, error), _no_export)


def _no_export(value: Any) -> Reference:
    raise CodecError(f"{type(value).__name__} is no plain data")


def _become_program(source: str) -> NoReturn:
    """In the child: runs the source as a script and exits as the interpreter would."""
    status = 1
    try:
        for path, flags, target in (("stdin", os.O_RDONLY, 0), ("stdout", os.O_WRONLY | os.O_TRUNC, 1)):
            descriptor = os.open(path, flags)
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.closerange(3, 64)  # the channel too: a script has nothing to say on it
        sys.stdin = open(0, encoding="utf-8", errors="surrogatepass", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogatepass", closefd=False)  # noqa: SIM115
        vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout)
        sys.argv = ["solution.py"]
        module = types.ModuleType("__main__")
        module.__file__ = FILE
        sys.modules["__main__"] = module
        status = _exit_status(source, vars(module))
        _finish_threads()
        _flush_all()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - whatever it was, it becomes the exit status and a line of text
        status = status or 1
        with open("error", "w", encoding="utf-8", errors="replace") as file:
            file.write(f"{type(error).__name__}: {error}"[:300])
    finally:
        os._exit(status & 255)


def _finish_threads() -> None:
    """What the interpreter does at its end: waits for threads, calls functions registered with atexit."""
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()


def _flush_all() -> None:
    """What the interpreter does by destroying objects: writes out what is still in a buffer, texts' before bytes'."""
    import gc
    import io

    objects = gc.get_objects()
    for kind in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
        for item in objects:
            if type(item) is kind:
                with contextlib.suppress(OSError, ValueError):  # closed, or for reading only
                    item.flush()


def _exit_status(source: str, namespace: dict[str, Any]) -> int:
    try:
        exec(compile(source, "<solution>", "exec"), namespace)
    except SystemExit as stop:
        if stop.code is None:
            return 0
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def main(channel: Channel) -> None:
    """Serves one candidate."""
    try:
        Server(channel).serve()
    except EndOfChannelError:
        return
