"""Judges that wait for something outside – a model's server, mostly – and what runs many of them side by side.

They share one event loop in a thread of its own, so that a generation that blocks the caller's thread holds up no
judge, and hundreds of verdicts can be under way without a process or thread each.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self, TypeVar

from judges import registry
from judges.errors import JudgesError
from judges.judge import Expense, Judge, Row
from judges.running.boundary import failed, normalised, readable
from judges.spec import JudgeSpec
from judges.verdict import Cost, Verdict

_CLOSED = "not judged: the judges were closed"
_CLOSING_SECONDS = 10.0
_UNWINDING_SECONDS = 2.0
"""Time a judge has for what it does when it is cancelled, before it is left to itself."""
_PATIENCE_SECONDS = 4.0
"""Time beyond the longest limit for which the event loop may stand still."""
_BEAT_SECONDS = 0.5


class AsyncJudge(Judge):
    """A judge that awaits its verdict. Runs in the event loop of `AsyncJudges`; must not block it."""

    kind: ClassVar[str] = "llm"
    expense: ClassVar[Expense] = Expense.COSTLY
    timeout_seconds = 60.0
    max_concurrency: int = 32
    """Rows judged side by side; a row's time limit starts when it is its turn."""

    @abstractmethod
    async def judge_async(self, row: Row) -> Verdict:
        """Judges one row whose required metadata is present. An exception becomes `unknown` with its text."""

    async def open(self, shared: Shared) -> None:
        """Opens connections or loads models, once, in the event loop; does not count as time of a verdict.

        Args:
            shared: holds what several judges use together, and closes it after the last of them.
        """

    async def close(self) -> None:
        """Undoes `open`."""

    async def judge_within(self, row: Row, seconds: float) -> Verdict:
        """`judge_async` with a time limit."""
        try:
            async with asyncio.timeout(seconds):
                return await self.judge_async(row)
        except TimeoutError:
            return Verdict.unknown(f"timed out after {seconds:g} s")

    def judge(self, row: Row) -> Verdict:
        """One verdict, for a caller without an event loop; opens and closes the judge around it."""

        async def once() -> Verdict:
            shared = Shared()
            await self.open(shared)
            try:
                return await self.judge_within(row, self.timeout_seconds)
            finally:
                await self.close()
                await shared.close()

        return asyncio.run(once())


class Closable(Protocol):
    """Something with an end."""

    async def close(self) -> None:
        """Ends it."""


C = TypeVar("C", bound=Closable)


class Shared:
    """What the judges of one event loop use together: connections, models. Made once for each key."""

    def __init__(self) -> None:
        self._made: dict[str, asyncio.Task[Any]] = {}

    async def get(self, key: str, make: Callable[[], C]) -> C:
        """The thing of that key; `make` is called in a thread, because it may load a model."""
        if key not in self._made:
            self._made[key] = asyncio.create_task(asyncio.to_thread(make))
        made: C = await asyncio.shield(self._made[key])
        return made

    async def close(self) -> None:
        """Closes everything that was made."""
        made = [task.result() for task in self._made.values() if task.done() and not task.exception()]
        await asyncio.gather(*(thing.close() for thing in made), return_exceptions=True)


class AsyncJudges:
    """Runs asynchronous judges. Use it as a context manager; leaving it ends what is under way.

    A judge that blocks the event loop, against its contract, holds up all others. Once the loop has stood still for
    longer than the longest time limit, what waits gets `unknown`, and later rows a loop of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Loop | None = None
        self._longest = 0.0
        self._waiting: set[Future[Verdict]] = set()
        self._closed = False

    def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
        """Judges one row. The future never holds an exception: every failure is an `unknown` verdict.

        Raises:
            RuntimeError: closed.
        """
        future: Future[Verdict] = Future()
        try:
            seconds = registry.timeout(spec)
        except JudgesError as error:
            future.set_result(Verdict.unknown(readable(str(error))))
            return future
        with self._lock:
            if self._closed:
                raise RuntimeError("these judges are closed")
            self._longest = max(self._longest, seconds)
            if self._running is None:
                self._running = _Loop(self._answer)
                watch = threading.Thread(target=self._watch, args=(self._running,), name="judge-watch", daemon=True)
                watch.start()
            self._waiting.add(future)
            self._running.begin(spec, row, future)
        return future

    def close(self) -> None:
        """Ends all judges now. Rows not judged yet get `unknown`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            running = self._running
        if running is not None:
            running.close()
        self._answer_all(Verdict.unknown(_CLOSED))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _answer(self, future: Future[Verdict], verdict: Verdict) -> None:
        with self._lock:
            unanswered = future in self._waiting
            self._waiting.discard(future)
        if unanswered:  # whoever takes it out of the waiting ones answers it
            future.set_result(verdict)

    def _answer_all(self, verdict: Verdict) -> None:
        for future in list(self._waiting):
            self._answer(future, verdict)

    def _watch(self, running: _Loop) -> None:
        """Leaves a loop that stands still to itself: what blocks it cannot be stopped."""
        while not self._closed:
            asked, beat = time.monotonic(), running.beat()
            while not beat.wait(_BEAT_SECONDS):
                if self._closed:
                    return
                if (still := time.monotonic() - asked) > self._longest + _PATIENCE_SECONDS:
                    with self._lock:
                        self._running = None
                    blocking = f"judge {running.current!r} blocks" if running.current else "a judge blocks"
                    self._answer_all(
                        Verdict.unknown(f"timed out: {blocking} all others, it has not awaited for {still:.0f} s")
                    )
                    return
            time.sleep(_BEAT_SECONDS)


class _Loop:
    """An event loop in a thread of its own, with the judges that were opened in it.

    Args:
        answer: given each row's future and verdict.
    """

    def __init__(self, answer: Callable[[Future[Verdict], Verdict], None]) -> None:
        self._answer = answer
        self._judges: dict[JudgeSpec, asyncio.Task[_Opened | Verdict]] = {}
        self._shared = Shared()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="async-judges", daemon=True)
        self._thread.start()

    @property
    def current(self) -> str | None:
        """The judge whose code runs in the loop now, as far as it can be told."""
        task = asyncio.current_task(self._loop)
        return None if task is None else task.get_name()

    def begin(self, spec: JudgeSpec, row: Row, future: Future[Verdict]) -> None:
        """Judges a row, from any thread."""
        self._loop.call_soon_threadsafe(self._begin, spec, row, future)

    def beat(self) -> threading.Event:
        """What is set as soon as the loop comes to it; at once where it has ended."""
        beat = threading.Event()
        try:
            self._loop.call_soon_threadsafe(beat.set)
        except RuntimeError:  # closed
            beat.set()
        return beat

    def close(self) -> None:
        """Ends what is under way and waits for the end, a while."""
        asyncio.run_coroutine_threadsafe(self._close_all(), self._loop)
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _begin(self, spec: JudgeSpec, row: Row, future: Future[Verdict]) -> None:
        task = self._loop.create_task(self._verdict(spec, row), name=spec.label)
        task.add_done_callback(lambda done: self._answer(future, _result(done)))

    async def _verdict(self, spec: JudgeSpec, row: Row) -> Verdict:
        if spec not in self._judges:  # a task, so that rows that come meanwhile wait for the same one
            self._judges[spec] = asyncio.create_task(_opened(spec, self._shared), name=spec.label)
        opened = await asyncio.shield(self._judges[spec])
        return opened if isinstance(opened, Verdict) else await opened.verdict(row)

    async def _close_all(self) -> None:
        loop, current = asyncio.get_running_loop(), asyncio.current_task()
        opened = [task.result() for task in self._judges.values() if task.done() and not task.cancelled()]
        others = [task for task in asyncio.all_tasks(loop) if task is not current]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=_UNWINDING_SECONDS)
        closing: list[Coroutine[Any, Any, None]] = [o.judge.close() for o in opened if isinstance(o, _Opened)]
        await asyncio.gather(*closing, return_exceptions=True)
        await self._shared.close()
        loop.stop()


class _Opened:
    """A judge that is ready, with its time limit and its places."""

    def __init__(self, judge: AsyncJudge, label: str, seconds: float) -> None:
        self.judge = judge
        self._label = label
        self._seconds = seconds
        self._places = asyncio.Semaphore(judge.max_concurrency)

    async def verdict(self, row: Row) -> Verdict:
        if (excused := self.judge.not_for(row)) is not None:
            return replace(excused, cost=Cost())
        async with self._places:
            started = time.monotonic()
            verdict = await self._verdict_in_time(row)
        return verdict if verdict.cost else replace(verdict, cost=Cost(time.monotonic() - started))

    async def _verdict_in_time(self, row: Row) -> Verdict:
        """A judge that does not let itself be cancelled is left to itself."""
        asking = asyncio.create_task(self._asked(row), name=self._label)
        try:
            done, _ = await asyncio.wait({asking}, timeout=self._seconds + _UNWINDING_SECONDS)
        finally:
            asking.cancel()
        return asking.result() if done else Verdict.unknown(f"timed out after {self._seconds:g} s, and goes on")

    async def _asked(self, row: Row) -> Verdict:
        try:
            return normalised(await self.judge.judge_within(row, self._seconds))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; a failing judge is `unknown`
            return failed(error)


async def _opened(spec: JudgeSpec, shared: Shared) -> _Opened | Verdict:
    """The judge, made and opened once; or the verdict that says why it cannot be."""
    try:
        judge = registry.create(spec)
        if not isinstance(judge, AsyncJudge):
            return Verdict.unknown(f"judge {spec.name!r} calls itself {judge.kind}, but is no AsyncJudge")
        await judge.open(shared)
        return _Opened(judge, spec.label, registry.timeout(spec))
    except JudgesError as error:
        return Verdict.unknown(readable(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; every row it should judge is `unknown`
        return Verdict.unknown(readable(f"judge {spec.name!r} cannot be opened: {type(error).__name__}: {error}"))


def _result(task: asyncio.Task[Verdict]) -> Verdict:
    if task.cancelled():
        return Verdict.unknown(_CLOSED)
    error = task.exception()
    return failed(error) if error else task.result()
