"""The program of the tests' box: a server that forks one process for every verdict and runs the tests in it.

The tests never share a process with the code under test. They see proxies of the names that code defines
(`judges.sandbox.inside.session`), and whether they passed is decided here.
"""

from __future__ import annotations

import _socket
import ast
import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import types
from functools import lru_cache
from typing import Any, NoReturn

from judges.sandbox.inside import names, shims
from judges.sandbox.inside.codec import Channel, CodecError, Reference, decode
from judges.sandbox.inside.control import order
from judges.sandbox.inside.session import MODULE_NAME, Remote, Session, state, text_of

_ASSERT = "__assert_and_count__"


class _CountAsserts(ast.NodeTransformer):
    """Turns `assert test` into a call that counts what held and ends the tests at what did not."""

    def __init__(self) -> None:
        self.tests: list[ast.expr] = []
        self.asserting = False

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.asserting = self.asserting or node.attr.startswith("assert") or node.attr == "raises"
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.generic_visit(node)
        self.tests.append(node.test)
        self.asserting = self.asserting or not isinstance(node.test, ast.Constant)
        call = ast.Call(ast.Name(_ASSERT, ast.Load()), [node.test, ast.Constant(len(self.tests) - 1)], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))


class Compiled:
    """Tests, compiled; done before the fork, which then copies less.

    Args:
        texts: Python source, run in order in one namespace.

    Attributes:
        problem: why they cannot be compiled; empty when they can.
        codes: of each text.
        needed: the names that they take from the candidate.
        counter: their assertions.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.problem = ""
        self.codes: list[types.CodeType] = []
        self.counter = _CountAsserts()
        try:
            self.needed = names.needed(texts)
            trees = [self.counter.visit(ast.parse(text)) for text in texts]
            self.codes = [compile(tree, "<tests>", "exec") for tree in trees]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.problem = f"the tests cannot be compiled: {type(error).__name__}: {error}"


_compiled = lru_cache(maxsize=8)(Compiled)  # the responses of a prompt have the same tests


class Tests:
    """The tests of one job.

    Args:
        session: the candidate's session.
        compiled: the tests.
        entry_point: the function that `check(candidate)` is called with, or empty.
    """

    def __init__(self, session: Session, compiled: Compiled, entry_point: str) -> None:
        self.session, self.compiled, self.entry_point = session, compiled, entry_point
        self.counter = compiled.counter
        self.namespace: dict[str, Any] = {"__name__": MODULE_NAME, _ASSERT: self.check}

    def run(self, source: str) -> NoReturn:
        """Runs everything and reports."""
        if self.compiled.problem:
            self.session.unknown(self.compiled.problem)
        missing = self.load(source, self.compiled.needed)
        try:
            for code in self.compiled.codes:
                exec(code, self.namespace)
            self.run_functions()
            self.run_test_cases()
        except NameError as error:
            if error.name in missing:
                self.session.violated(f"the code does not define {error.name!r}")
            self.session.violated(self.failure(error))
        except ImportError as error:
            if (error.name or "").partition(".")[0] in ("solution", ""):
                self.session.violated(self.failure(error))
            self.session.unknown(f"the tests cannot be run here: {error}")
        except Exception as error:  # noqa: BLE001 - a test that raises has failed
            self.session.violated(self.failure(error))
        except BaseException as error:  # noqa: BLE001 - exit in the tests, or what cannot be carried over
            self.session.unknown(f"the tests cannot be run: {type(error).__name__}: {error}")
        if not self.session.checks and self.session.used and self.counter.asserting:
            self.session.violated("no assertion ran in the tests, although they used the code")
        if not self.session.checks:
            self.session.unknown("no assertion ran in the tests")
        if not self.session.used:
            self.session.unknown("the tests do not use the code")
        self.session.finish("satisfied", f"{self.session.checks} assertions hold")

    def load(self, source: str, needed: names.Names) -> frozenset[str]:
        """Has the candidate's module run; puts proxies where the tests look. Returns what it does not define."""
        head = self.entry_point.partition(".")[0].removesuffix("()")
        if needed.ambiguous and not head:
            self.session.unknown("the tests use nothing but built-ins; metadata `entry_point` must name what they test")
        wanted = needed.of_candidate(head)
        try:
            answer = self.session.request("load", source, sorted(wanted))
        except Exception as error:  # noqa: BLE001 - whatever the candidate's module raises
            self.session.violated(f"the code fails when it is run: {type(error).__name__}: {error}")
        self.session.used = False
        values, public, module = self.session_values(answer)
        self.namespace |= _modules(needed.modules)
        for name, value in values.items():
            if name in wanted and (name not in needed.builtin or not needed.checks):  # `check` gets it as an argument
                self.namespace[name] = self.session.named(name, value)
            self.session.used = self.session.used or not isinstance(value, (Remote, type))
        state[0] = 2 * self.session.used
        # `import *` brings only names that the tests leave open, or a candidate could replace their `abs` or `math`.
        offered = [name for name in public if name in needed.free]
        sys.modules["solution"] = shims.solution(lambda name: self.attribute(module, name), offered)
        sys.modules["pytest"] = shims.pytest(self.count, self.session.violated)
        if self.entry_point:
            self.namespace.setdefault("candidate", self.entry(head, values))
        return frozenset(wanted - values.keys())

    def attribute(self, module: Remote, name: str) -> Any:
        """What `solution.name` is."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.session.named(name, self.session.request("get", module, name))

    def session_values(self, answer: Any) -> tuple[dict[str, Any], list[str], Any]:
        if type(answer) is not tuple or len(answer) != 3 or type(answer[0]) is not dict or type(answer[1]) is not list:
            self.session.violated("the answer cannot be read: no names")
        if not all(type(name) is str for name in (*answer[0], *answer[1])) or not isinstance(answer[2], Remote):
            self.session.violated("the answer cannot be read: no names")
        return answer

    def entry(self, head: str, values: dict[str, Any]) -> Any:
        """The object `entry_point` names: `f`, `Solution().f` or `Class.f`."""
        if head not in values:
            self.session.violated(f"the code does not define {head!r}")
        target = self.session.named(head, values[head])
        try:
            for n, part in enumerate(self.entry_point.split(".")):
                target = target if n == 0 else getattr(target, part.removesuffix("()"))
                target = target() if part.endswith("()") else target
        except Exception as error:  # noqa: BLE001 - the candidate's constructor or a missing method
            self.session.violated(f"the code has no {self.entry_point}: {type(error).__name__}: {error}")
        return target

    def run_functions(self) -> None:
        """Calls `check(candidate)` and every `test…()` without parameters."""
        check = self.namespace.get("check")
        if self.entry_point and isinstance(check, types.FunctionType) and check.__code__.co_argcount == 1:
            check(self.namespace["candidate"])
        for name, function in list(self.namespace.items()):
            if (name == "test" or name.startswith("test_")) and isinstance(function, types.FunctionType):
                shims.run(function)
        for name, kind in list(self.namespace.items()):
            if name.startswith("Test") and isinstance(kind, type) and not shims.is_test_case(kind):
                for method in [key for key in vars(kind) if key.startswith("test_")]:
                    shims.run(getattr(kind(), method))

    def run_test_cases(self) -> None:
        """Runs classes of unittest."""
        for kind in list(self.namespace.values()):
            if isinstance(kind, type) and shims.is_test_case(kind):
                failed = shims.run_test_case(kind, self.count)
                if failed:
                    self.session.violated(failed)

    def count(self) -> None:
        self.session.checks += 1

    def check(self, holds: Any, number: int) -> None:
        """What every `assert` of the tests became."""
        test = self.counter.tests[number]
        if not holds:
            self.session.violated(f"assertion fails: {_source(test)}")
        if not isinstance(test, ast.Constant):  # `assert True` checks nothing
            self.session.checks += 1

    def failure(self, error: Exception) -> str:
        """The exception and the line of the tests at which it came."""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<tests>":
                line = trace.tb_lineno
            trace = trace.tb_next
        return f"{type(error).__name__}: {text_of(error)} (line {line} of the tests)"


def _modules(wanted: frozenset[str]) -> dict[str, Any]:
    """Modules that the tests use without importing them."""
    modules = {}
    for name in wanted:
        with contextlib.suppress(ImportError):  # the tests then say which name they miss
            modules[name] = importlib.import_module(name)
    return modules


def _source(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 200 else text[:199] + "…"


def main(channel: Channel) -> None:
    """The server: forks for every job. Orders: `j` with the candidate's channel and the pipe for the report, and the
    job behind it; `s` asks what the running tests do, and ends them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    sys.setrecursionlimit(5000)
    gc.collect()
    gc.freeze()  # what a fork does not look through, it does not copy
    child = 0
    while True:
        command, descriptors = order(channel.connection)
        if child:
            _kill(child)  # also what the last tests may have left
            child = 0
        if command == b"s":
            channel.send(bytes(state[:1]))
            continue
        job = decode(channel.receive(), _no_reference)
        compiled = _compiled(tuple(job["tests"]))
        state[0] = 0
        child = os.fork()
        if not child:
            os.setsid()
            channel.connection.close()
            _run_job(job, compiled, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _kill(child: int) -> None:
    """Ends a job with all that it started (but for what went into a session of its own)."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _run_job(job: dict[str, Any], compiled: Compiled, candidate: int, report: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (job["cpu"], job["cpu"] + 1))
        session = Session(Channel(_socket.socket(fileno=candidate), job["budget"]), report)
        Tests(session, compiled, job["entry_point"]).run(job["source"])
    finally:
        os._exit(1)


def _no_reference(reference: Reference) -> Any:
    raise CodecError("a reference where there is none")
