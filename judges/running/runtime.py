"""Everything judges run on, in one place: worker processes, the event loop, the verdict cache."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from judges import registry
from judges.errors import JudgesError
from judges.judge import Expense, Row
from judges.running.asynchronous import AsyncJudges
from judges.running.boundary import readable
from judges.running.cache import VerdictCache, judge_identity, verdict_key
from judges.running.workers import JudgeWorkers
from judges.spec import JudgeSpec
from judges.verdict import Verdict


class JudgeRuntime:
    """Runs judges of every kind: programs in worker processes, judges that ask models in an event loop.

    Use it as a context manager; leaving it ends all processes and connections. Nothing starts before it is needed.

    Args:
        processes: worker processes for rules; default: by the machine.
        memory_gib: address space of one worker in GiB; None: no limit.
        cache: file in which verdicts are kept that are dear to obtain (judges that start programs or ask models);
            None: every verdict is made anew.

    Raises:
        JudgesError: the cache cannot be used, or a number is out of range.
    """

    def __init__(
        self, processes: int | None = None, *, memory_gib: float | None = 4.0, cache: Path | None = None
    ) -> None:
        self._stack = ExitStack()
        self._workers = self._stack.enter_context(JudgeWorkers(processes, memory_gib=memory_gib))
        self._loop = self._stack.enter_context(AsyncJudges())
        self._cache = self._stack.enter_context(VerdictCache(cache)) if cache else None
        self._routes: dict[JudgeSpec, _Route] = {}

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self._workers.processes

    def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
        """Judges one row. The future never holds an exception: every failure is an `unknown` verdict.

        Raises:
            RuntimeError: the runtime is closed.
        """
        try:
            route = self._route(spec)
        except JudgesError as error:
            return _done(Verdict.unknown(readable(str(error))))
        runner = self._loop if route.asynchronous else self._workers
        key = None if self._cache is None or route.identity is None else verdict_key(route.identity, row)
        if key is None or self._cache is None:
            return runner.submit(spec, row)
        if (cached := self._cache.get(key)) is not None:
            return _done(cached)
        future = runner.submit(spec, row)
        future.add_done_callback(partial(_keep, self._cache, key))
        return future

    def close(self) -> None:
        """Ends all judges now. Rows not judged yet get `unknown`."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _route(self, spec: JudgeSpec) -> _Route:
        if spec not in self._routes:
            judge = registry.load(spec.name)
            cached = judge.expense > Expense.CHEAP
            self._routes[spec] = _Route(judge.kind == "llm", judge_identity(spec, judge) if cached else None)
        return self._routes[spec]


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a judge runs, and what its verdicts are cached under (None: they are not)."""

    asynchronous: bool
    identity: str | None


def _keep(cache: VerdictCache, key: str, answered: Future[Verdict]) -> None:
    if not answered.cancelled():
        cache.put(key, answered.result())


def _done(verdict: Verdict) -> Future[Verdict]:
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future
