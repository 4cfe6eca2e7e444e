"""The mixture of judges of one stratum: every judge looks at every response, and all of them must be satisfied."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from judges import registry
from judges.errors import JudgesError
from judges.judge import Row
from judges.spec import JudgeSpec
from judges.verdict import Judgement, Verdict
from judges.workers import JudgeWorkers


class Mixture:
    """Judges responses by several judges at once; see `judges.verdict.combine` for what their verdicts mean together.

    Args:
        specs: the judges: names, mappings `{name: …, option: …}` or specs. None at all: everything is satisfied.
        workers: the processes that run them; may be shared by several mixtures and is closed by its owner.

    Raises:
        JudgesError: an unknown judge or option, or a judge named twice.
    """

    def __init__(self, specs: Iterable[JudgeSpec | str | Mapping[str, Any]], workers: JudgeWorkers) -> None:
        self.specs = tuple(JudgeSpec.parse(spec) for spec in specs)
        self._workers = workers
        twice = sorted({spec.name for spec in self.specs if [s.name for s in self.specs].count(spec.name) > 1})
        if twice:
            raise JudgesError(f"the mixture names a judge twice: {', '.join(twice)}")
        self._requires = {spec.name: frozenset(registry.create(spec).requires) for spec in self.specs}

    @property
    def names(self) -> tuple[str, ...]:
        """The judges' names, in the order of the settings."""
        return tuple(spec.name for spec in self.specs)

    def required_metadata(self) -> dict[str, frozenset[str]]:
        """Judge name → the metadata keys without which its verdict is `unknown`.

        Keys that only decide whether a judge applies are not among them.
        """
        return dict(self._requires)

    def submit(self, row: Row) -> Future[Judgement]:
        """Judges one response; the future is done as soon as the last judge has answered, and never raises."""
        done: Future[Judgement] = Future()
        verdicts: dict[str, Verdict] = {}
        lock = threading.Lock()

        def collect(name: str, answered: Future[Verdict]) -> None:
            with lock:
                verdicts[name] = answered.result()
                complete = len(verdicts) == len(self.specs)
            if complete:
                done.set_result(Judgement({name: verdicts[name] for name in self.names}))

        done.set_running_or_notify_cancel()  # it cannot be cancelled: its judges are under way
        if not self.specs:
            done.set_result(Judgement({}))
        for spec in self.specs:
            answer = self._workers.submit(spec, row)
            answer.add_done_callback(partial(collect, spec.name))
        return done

    def judge(self, rows: Iterable[Row]) -> list[Judgement]:
        """Judges many responses side by side; the judgements are in the order of the rows."""
        return [future.result() for future in [self.submit(row) for row in rows]]
