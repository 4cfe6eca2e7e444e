"""The mixture of judges of one stratum: every judge looks at every response, and all of them must be satisfied."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any, Protocol

from judges.constraint import Constraint
from judges.errors import JudgesError
from judges.judge import Row
from judges.spec import JudgeSpec
from judges.verdict import Judgement, Outcome, Verdict


class Judging(Protocol):
    """What runs single judges: a `JudgeRuntime`, or `JudgeWorkers` for rules alone."""

    def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
        """Judges one row; the future never holds an exception."""


class Mixture:
    """Judges responses by several judges at once; see `judges.verdict.combine` for what their verdicts mean together.

    Cheap judges are asked first, so that in a queue they are not behind costly ones.

    Args:
        judges: names, mappings `{name: …, option: …}` or specs; `judges/constraint.py` says what else an entry may
            ask for. None at all: everything is satisfied.
        runtime: what runs them; may be shared by several mixtures and is closed by its owner.
        early_stop: ask judges of one expense only when those of the lower ones found no violation; the others'
            verdicts are then `not_judged`. Saves costly judges, and waits between expenses.

    Raises:
        JudgesError: an unknown judge or option, or two entries of one name.
    """

    def __init__(
        self,
        judges: Iterable[JudgeSpec | str | Mapping[str, Any]],
        runtime: Judging,
        *,
        early_stop: bool = False,
    ) -> None:
        self.constraints = tuple(Constraint.parse(judge) for judge in judges)
        self._runtime = runtime
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise JudgesError(
                f"the mixture names a judge twice: {', '.join(twice)}. Give one of them another name with `as`"
            )
        self._needing = [(constraint.name, constraint.judges()) for constraint in self.constraints]
        by_expense = sorted(self.constraints, key=lambda constraint: constraint.expense)
        self._rounds: list[list[Constraint]] = [by_expense] if by_expense else []
        if early_stop:
            self._rounds = [list(equals) for _, equals in groupby(by_expense, key=lambda c: c.expense)]

    @property
    def names(self) -> tuple[str, ...]:
        """The verdicts' names, in the order of the settings."""
        return tuple(constraint.name for constraint in self.constraints)

    def missing_metadata(self, metadata: Mapping[str, Any]) -> dict[str, list[str]]:
        """Verdict name → the metadata keys whose absence makes it `unknown` on a row, where there are such.

        Keys that only decide whether a judge applies are not among them.
        """
        missing = {name: [key for judge in judges for key in judge.missing(metadata)] for name, judges in self._needing}
        return {name: list(dict.fromkeys(keys)) for name, keys in missing.items() if keys}

    def credit(self, judgement: Judgement) -> float:
        """The share of a judgement's constraints that is satisfied, in [0, 1]: the mean of its judges' `credit`.

        Verdicts that decide nothing (unknown, not applicable, not judged) are left out; a judgement of nothing but
        those gets 0. Verdicts under names that are not this mixture's count 1 or 0.
        """
        judges = {name: members[0] for name, members in self._needing if len(members) == 1}
        decided = {n: v for n, v in judgement.verdicts.items() if v.outcome in (Outcome.SATISFIED, Outcome.VIOLATED)}
        credits = [
            judges[name].credit(verdict) if name in judges else float(verdict.outcome is Outcome.SATISFIED)
            for name, verdict in decided.items()
        ]
        return sum(credits) / len(credits) if credits else 0.0

    def submit(self, row: Row) -> Future[Judgement]:
        """Judges one response; the future is done as soon as the last judge has answered, and never raises."""
        return _RowJudging(self._rounds, self.names, self._runtime, row).start()

    def judge(self, rows: Iterable[Row]) -> list[Judgement]:
        """Judges many responses side by side; the judgements are in the order of the rows."""
        return [future.result() for future in [self.submit(row) for row in rows]]


class _RowJudging:
    """One response on its way through the rounds of a mixture. Judges answer on any thread."""

    def __init__(
        self, rounds: Sequence[Sequence[Constraint]], names: Sequence[str], runtime: Judging, row: Row
    ) -> None:
        self._rounds = rounds
        self._names = names
        self._runtime = runtime
        self._row = row
        self._lock = threading.Lock()
        self._verdicts: dict[str, Verdict] = {}
        self._done: Future[Judgement] = Future()

    def start(self) -> Future[Judgement]:
        self._done.set_running_or_notify_cancel()  # it cannot be cancelled: its judges are under way
        self._ask_round(0)
        return self._done

    def _ask_round(self, number: int) -> None:
        if number == len(self._rounds):
            self._done.set_result(Judgement({name: self._verdicts[name] for name in self._names}))
            return
        missing = [len(self._rounds[number])]

        def collect(constraint: Constraint, verdicts: Sequence[Verdict]) -> None:
            with self._lock:
                self._verdicts[constraint.name] = constraint.decide(verdicts)
                missing[0] -= 1
                complete = missing[0] == 0
            if complete:
                self._after_round(number)

        for constraint in self._rounds[number]:
            self._ask(constraint, partial(collect, constraint))

    def _after_round(self, number: int) -> None:
        violated = [name for name, v in self._verdicts.items() if v.outcome is Outcome.VIOLATED]
        later = [constraint for group in self._rounds[number + 1 :] for constraint in group]
        if violated and later:
            skipped = Verdict(Outcome.NOT_JUDGED, f"skipped: {', '.join(violated)} found a violation")
            self._verdicts |= {constraint.name: skipped for constraint in later}
            number = len(self._rounds) - 1
        self._ask_round(number + 1)

    def _ask(self, constraint: Constraint, answered: Callable[[Sequence[Verdict]], None]) -> None:
        """Asks all judges of a constraint and calls `answered` with their verdicts, once."""
        verdicts: dict[int, Verdict] = {}
        lock = threading.Lock()

        def collect(index: int, future: Future[Verdict]) -> None:
            with lock:
                verdicts[index] = future.result()
                complete = len(verdicts) == len(constraint.members)
            if complete:
                answered([verdicts[i] for i in range(len(verdicts))])

        for index, member in enumerate(constraint.members):
            self._submit(member).add_done_callback(partial(collect, index))

    def _submit(self, member: JudgeSpec) -> Future[Verdict]:
        try:
            return self._runtime.submit(member, self._row)
        except RuntimeError as error:  # the runtime was closed between two rounds: nobody would hear an exception here
            if not self._verdicts:
                raise
            closed: Future[Verdict] = Future()
            closed.set_result(Verdict.unknown(f"not judged: {error}"))
            return closed
