"""The checks. Each says what was seen and, when it fails, what the author of the judge can do about it.

A rule judge is looked at in processes of its own, where everything it does is seen (judges/contract/observer.py), and
asked through worker processes as in training. A judge that asks a model is only asked, and sparingly.
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

from judges import registry
from judges.contract.observer import Observer
from judges.contract.probe import Leftovers, Observation, Problem
from judges.contract.texts import HOSTILE_TEXTS
from judges.errors import JudgesError
from judges.judge import Judge, Row
from judges.running.runtime import JudgeRuntime
from judges.spec import JudgeSpec
from judges.verdict import Outcome, Verdict

_SHOWN = 3
_SEEDS_AT_LEAST, _SEEDS_AT_MOST, _SEEDS_SECONDS = 3, 32, 8.0
"""How many other values of PYTHONHASHSEED are tried: more than the first few only as long as that is quick."""
_HOSTILE_EXAMPLES = 4
_BAD_VALUES: tuple[Any, ...] = (None, 3, -1.5, True, "", "\0{x}", [], [[None]], {}, {"a": {"b": []}})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, whether it passed, and what was seen (and what to do, where it failed)."""

    name: str
    passed: bool
    explanation: str


def check_judge(spec: JudgeSpec, processes: int = 2) -> list[CheckResult]:
    """Runs all checks on a judge.

    Args:
        spec: the judge with its options.
        processes: worker processes; at least 2, because an answer must not depend on the process that gives it.

    Raises:
        JudgesError: there is no such judge, its options are wrong, or it cannot be prepared.
    """
    judge = registry.create(spec)
    declared = _declaration(judge, spec)
    if not declared.passed:
        return [declared]
    rows = _sample_rows(judge)
    with JudgeRuntime(max(2, processes)) as runtime, JudgeRuntime(1) as single:
        runner = _Runner(spec, judge, rows, runtime)
        if judge.kind != "rule":
            return [declared, *_model_checks(runner)]
        observations = _observe(spec, judge, rows)
        observed = [declared, *_observation_checks(observations, judge, spec)]
        if any(o.problem in (Problem.TOO_SLOW, Problem.DIED) for _, o in observations.on_samples()):
            return observed  # worker processes would spend minutes on being killed and replaced
        return [
            *observed,
            _batch_equals_single(runner, _Runner(spec, judge, rows, single)),
            _order_kept(runner),
            _serialisable(runner),
        ]


# --- what is looked at -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Observations:
    """Observations of a rule judge.

    Attributes:
        rows: the sample rows.
        passes: they, they in reverse (put right again here) and they once more, in one process.
        again: the same in a second process.
        other_seeds: the rows in processes whose sets have another order.
        missing: rows without required metadata, by what is missing.
        bad: rows with unusable metadata, by what is wrong.
        hostile: rows with hostile texts, by name.
        leftovers: what is left after all of that.
    """

    rows: tuple[Row, ...]
    passes: list[list[Observation]]
    again: list[list[Observation]]
    other_seeds: list[list[Observation]]
    missing: dict[str, Observation]
    bad: dict[str, Observation]
    hostile: dict[str, Observation]
    leftovers: Leftovers

    def on_samples(self) -> list[tuple[str, Observation]]:
        """What was seen on the sample rows, with a name for each row."""
        runs = [*self.passes, *self.again, *self.other_seeds]
        return [(_name(row), observation) for run in runs for row, observation in zip(self.rows, run, strict=True)]

    def everything(self) -> list[tuple[str, Observation]]:
        """All observations, with a name for each row."""
        return [*self.on_samples(), *self.missing.items(), *self.bad.items(), *self.hostile.items()]


def _observe(spec: JudgeSpec, judge: Judge, rows: tuple[Row, ...]) -> _Observations:
    limit = registry.timeout(spec)
    metadata = judge.examples[0][0].metadata if judge.examples else {}
    missing = _rows_without(judge, metadata)
    bad = _rows_with_bad_metadata(judge, metadata)
    hostile = _hostile_rows(judge)

    def three_times(observer: Observer) -> list[list[Observation]]:
        runs = [observer.observe_all(order) for order in (rows, rows[::-1], rows)]
        return [runs[0], runs[1][::-1], runs[2]]

    def first() -> tuple[list[list[Observation]], dict[str, dict[str, Observation]], Leftovers]:
        with Observer(spec, limit) as observer:
            passes = three_times(observer)
            special = {
                kind: {name: observer.observe(row) for name, row in kind_rows.items()}
                for kind, kind_rows in (("missing", missing), ("bad", bad), ("hostile", hostile))
            }
            return passes, special, observer.leftovers()

    def second() -> list[list[Observation]]:
        with Observer(spec, limit) as observer:
            return three_times(observer)

    def with_seed(seed: int) -> list[Observation]:
        with Observer(spec, limit, seed) as observer:
            return observer.observe_all(rows)

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(first), pool.submit(second)
        few = [pool.submit(with_seed, seed) for seed in range(1, _SEEDS_AT_LEAST + 1)]
        passes, special, leftovers = one.result()
        second_passes, other_seeds = two.result(), [seed.result() for seed in few]
        if not _differing(rows, [passes[0], *other_seeds]):
            other_seeds += _more_seeds(pool, with_seed)
        return _Observations(
            rows,
            passes,
            second_passes,
            other_seeds,
            special["missing"],
            special["bad"],
            special["hostile"],
            leftovers,
        )


def _more_seeds(pool: ThreadPoolExecutor, with_seed: Callable[[int], list[Observation]]) -> list[list[Observation]]:
    """Further seeds, as many as there is time for: an order that matters only now and then shows only in some."""
    runs: list[list[Observation]] = []
    deadline = time.monotonic() + _SEEDS_SECONDS
    for first in range(_SEEDS_AT_LEAST + 1, _SEEDS_AT_MOST + 1, 2):
        if time.monotonic() >= deadline:
            break
        runs += pool.map(with_seed, (first, first + 1))
    return runs


def _sample_rows(judge: Judge) -> tuple[Row, ...]:
    """The judge's own examples and some general responses with the metadata of the examples."""
    metadata = [row.metadata for row, _ in judge.examples] or [{}]
    responses = ("Yes.", "no", "The final answer is 4.", "I'm sorry, but I can't help with that.", "* a\n* b", "3.5, 4")
    made = tuple(Row("A question?", text, metadata[n % len(metadata)]) for n, text in enumerate(responses))
    chat = Row(({"role": "user", "content": "A question?"},), "An answer, with more words than one.", metadata[0])
    return (*(row for row, _ in judge.examples), *made, chat)


def _hostile_rows(judge: Judge) -> dict[str, Row]:
    """The hostile texts with the metadata of the first examples, which may take different ways through the judge."""
    different = {repr(sorted(row.metadata.items())): row.metadata for row, _ in judge.examples} or {"": {}}
    rows: dict[str, Row] = {}
    for number, metadata in enumerate(list(different.values())[:_HOSTILE_EXAMPLES], start=1):
        which = f" (metadata {number})" if number > 1 else ""
        rows |= {f"{name}{which}": Row("A question?", text, metadata) for name, text in HOSTILE_TEXTS.items()}
        rows[f"hostile prompt{which}"] = Row(HOSTILE_TEXTS["lone surrogate"], "An answer.", metadata)
    return rows


def _rows_without(judge: Judge, metadata: Any) -> dict[str, Row]:
    """Rows that lack one required key each, and one that lacks all."""
    applies = {key: metadata.get(key, "x") for key in judge.applies_only_with}
    whole = {**dict.fromkeys(judge.requires, "x"), **metadata, **applies}
    rows = {
        f"without {key!r}": Row("A question?", "An answer.", {k: v for k, v in whole.items() if k != key})
        for key in sorted(judge.requires - judge.applies_only_with)
    }
    return {**rows, "without any metadata": Row("A question?", "An answer.", applies if judge.requires else {})}


def _rows_with_bad_metadata(judge: Judge, metadata: Any) -> dict[str, Row]:
    return {
        f"{key!r} = {value!r}": Row("A question?", "An answer.", {**metadata, key: value})
        for key in sorted({*judge.requires, *judge.applies_only_with, *metadata})
        for value in _BAD_VALUES
    }


# --- the checks on what was seen ---------------------------------------------------------------------------------


def _observation_checks(observations: _Observations, judge: Judge, spec: JudgeSpec) -> list[CheckResult]:
    return [
        _examples(judge, spec, observations.passes[0]),
        _no_exception(observations),
        _verdicts(observations),
        _stays_in_its_process(observations),
        *_deterministic(observations),
        _missing_metadata(judge, observations.missing),
        _bad_metadata(observations.bad),
        _row_unchanged(observations),
        _prints_nothing(observations),
        _hostile_texts(judge, observations.hostile),
        _time_limit(observations, registry.timeout(spec)),
        _leaves_nothing(observations.leftovers),
    ]


def _declaration(judge: Judge, spec: JudgeSpec) -> CheckResult:
    problems = []
    for name in ("requires", "applies_only_with"):
        keys = getattr(judge, name)
        if not isinstance(keys, (set, frozenset)) or not all(isinstance(key, str) for key in keys):
            problems.append(f"`{name}` must be a set of metadata keys, such as frozenset({{'answer'}}), not {keys!r}")
        elif len(keys) > 1 and all(len(key) == 1 for key in keys):
            problems.append(f"`{name}` is {sorted(keys)}: a set made of one text; write {{'key'}} instead of 'key'")
    for number, example in enumerate(judge.examples, start=1):
        if not _is_example(example):
            problems.append(f"example {number} must be (Row(prompt, response, metadata), Outcome), not {example!r}")
    try:
        registry.timeout(spec)
        pickle.dumps(spec)
    except (JudgesError, pickle.PicklingError, TypeError) as error:
        problems.append(str(error))
    if not (judge.timeout_seconds > 0):
        problems.append(f"`timeout_seconds` must be above 0, not {judge.timeout_seconds!r}")
    about = "" if type(judge).__doc__ else "; no docstring: `judge list` shows its first line"
    return _result("declaration", problems, f"requires {sorted(judge.requires) or 'no metadata'}{about}", "")


def _is_example(example: Any) -> bool:
    return (
        isinstance(example, tuple)
        and len(example) == 2
        and isinstance(example[0], Row)
        and isinstance(example[1], Outcome)
    )


def _examples(judge: Judge, spec: JudgeSpec, observed: Sequence[Observation]) -> CheckResult:
    if not judge.examples:
        return CheckResult("examples", True, "none declared (attribute `examples`): the checks know no metadata for it")
    if any(name != registry.TIMEOUT_OPTION for name in spec.options):
        return CheckResult("examples", True, "not tried: they are for the default options")
    wrong = [
        f"{_name(row)}: expected {expected.value}, got {_show(observation)}"
        for (row, expected), observation in zip(judge.examples, observed, strict=False)
        if observation.verdict is None or observation.verdict.outcome is not expected
    ]
    advice = "mend the judge, or the outcome in `examples`"
    return _result("examples", wrong, f"{len(judge.examples)} examples as declared", advice)


def _no_exception(observations: _Observations) -> CheckResult:
    raised = [f"{name}: {o.detail}" for name, o in observations.on_samples() if o.problem is Problem.RAISED]
    advice = "handle it, or return Verdict.unknown(reason) where the judge cannot decide"
    return _result("no exception escapes", raised, f"{len(observations.rows)} rows", advice)


def _verdicts(observations: _Observations) -> CheckResult:
    wrong = [f"{name}: {o.detail}" for name, o in observations.everything() if o.problem is Problem.RETURNED]
    advice = (
        "return Verdict.of(holds, reason, score), Verdict.satisfied(…), .violated(…) or .unknown(reason): the reason "
        "is text, the score a finite number or None. Only a plain function may return a boolean"
    )
    return _result("verdicts", wrong, "every answer is a verdict", advice)


def _stays_in_its_process(observations: _Observations) -> CheckResult:
    ended = (Problem.EXITED, Problem.DIED)
    wrong = [f"{name}: {o.problem}: {o.detail}" for name, o in observations.everything() if o.problem in ended]
    advice = (
        "no sys.exit, os._exit or KeyboardInterrupt in a judge, nor in what it calls; a signal is a crash of native "
        "code or of a recursion without end"
    )
    return _result("stays in its process", wrong, "never tried to end it", advice)


def _deterministic(observations: _Observations) -> list[CheckResult]:
    """Three checks, of which one names the cause: chance, state, or the process."""
    between = _differing(
        observations.rows, [list(chain(*observations.passes)), list(chain(*observations.again))], repeat=3
    )
    advice = "no random numbers, clock, process id or addresses (`id`, default `repr`) in a decision, reason or score"
    results = [_result("deterministic", between, f"{len(observations.rows)} rows, 3 times in 2 processes", advice)]
    within = [] if between else _differing(observations.rows, observations.passes)
    advice = "a verdict may depend on its row only: keep nothing in attributes, globals or default arguments"
    fine = "not decidable: see `deterministic`" if between else "the same forwards, backwards and again"
    results.append(_result("no state between rows", within, fine, advice))
    unstable = bool(between or within)
    seeds = [] if unstable else _differing(observations.rows, [observations.passes[0], *observations.other_seeds])
    advice = "the order of a set, or `hash()` of text, differs between processes: sort before you choose, join or cut"
    fine = "not decidable: see above" if unstable else f"{len(observations.other_seeds)} other values of PYTHONHASHSEED"
    results.append(_result("same in every process", seeds, fine, advice))
    return results


def _differing(rows: Sequence[Row], runs: Sequence[Sequence[Observation]], repeat: int = 1) -> list[str]:
    """The rows on which runs differ, with two different answers."""
    differing = {}
    for row, *observed in zip(tuple(rows) * repeat, *runs, strict=True):
        answers = {_comparable(o): o for o in observed}
        if len(answers) > 1:
            one, other, *_ = answers.values()
            differing[_name(row)] = f"{_name(row)}: {_show(one)}, then {_show(other)}"
    return list(differing.values())


def _comparable(observation: Observation) -> tuple[Any, ...]:
    verdict = observation.verdict
    return (observation.problem,) if verdict is None else (verdict.outcome, verdict.reason, verdict.score)


def _missing_metadata(judge: Judge, observed: dict[str, Observation]) -> CheckResult:
    wrong = []
    for name, observation in observed.items():
        if observation.problem is Problem.RAISED and not judge.requires:
            wrong.append(f"{name}: {observation.detail}")
        elif judge.requires and (observation.verdict is None or observation.verdict.outcome is not Outcome.UNKNOWN):
            wrong.append(f"{name}: {_show(observation)}, not unknown")
    advice = (
        "name the keys it needs in `requires`; then rows without them are unknown before `judge` is called (do not "
        "override `verdict`)"
    )
    needed = ", ".join(sorted(judge.requires))
    return _result("missing metadata", wrong, f"unknown without {needed}" if needed else "it needs none", advice)


def _bad_metadata(observed: dict[str, Observation]) -> CheckResult:
    bad = (Problem.EXITED, Problem.DIED, Problem.TOO_SLOW, Problem.RETURNED)
    wrong = [f"{name}: {o.problem}: {o.detail}" for name, o in observed.items() if o.problem in bad]
    return _result("bad metadata", wrong, f"{len(observed)} unusable values", "check the metadata's types first")


def _row_unchanged(observations: _Observations) -> CheckResult:
    changed = dict.fromkeys(name for name, o in observations.everything() if o.changed_row)
    advice = "other judges get the same row: copy metadata and messages before you sort, pop or fill them in"
    return _result("row unchanged", list(changed), "metadata and messages are as they were", advice)


def _prints_nothing(observations: _Observations) -> CheckResult:
    printed = {name: f"{name}: {o.printed!r}" for name, o in observations.everything() if o.printed}
    advice = "standard output belongs to the program that uses the judge: put it into the verdict's reason, or log it"
    return _result("prints nothing", list(printed.values()), "nothing on standard output", advice)


def _hostile_texts(judge: Judge, observed: dict[str, Observation]) -> CheckResult:
    if judge.requires and not judge.examples:
        explanation = "not reached: give `examples` with metadata to have them tried"
        return CheckResult("hostile texts", True, explanation)
    wrong = [f"{name}: {o.problem}: {o.detail}" for name, o in observed.items() if o.problem is not None]
    advice = (
        "responses come from a model under training and may be anything: handle it, or return Verdict.unknown(reason)"
    )
    return _result("hostile texts", wrong, f"{len(observed)} texts", advice)


def _time_limit(observations: _Observations, limit: float) -> CheckResult:
    late = [f"{name}: {o.detail}" for name, o in observations.everything() if o.problem is Problem.TOO_SLOW]
    name, slowest = max(observations.everything(), key=lambda item: item[1].seconds)
    advice = (
        "look for regular expressions that backtrack, loops within loops over the text, arithmetic on huge numbers; or "
        "cut the text, or declare a higher `timeout_seconds`"
    )
    return _result("time limit", late, f"at most {slowest.seconds:.2f} s of {limit:g} s ({name})", advice)


def _leaves_nothing(leftovers: Leftovers) -> CheckResult:
    running = [f"thread {name}" for name in leftovers.threads] + [f"process {name}" for name in leftovers.processes]
    advice = "join threads and wait for processes before the verdict; what is to stay belongs into `prepare`"
    return _result("leaves nothing behind", running, "no thread, no process", advice)


# --- the checks that ask through the runtime ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Runner:
    spec: JudgeSpec
    judge: Judge
    rows: tuple[Row, ...]
    runtime: JudgeRuntime

    def verdicts(self, rows: Iterable[Row]) -> list[Verdict]:
        """All at once."""
        return [future.result() for future in [self.runtime.submit(self.spec, row) for row in rows]]

    def verdict(self, row: Row) -> Verdict:
        return self.runtime.submit(self.spec, row).result()


def _batch_equals_single(runner: _Runner, alone: _Runner) -> CheckResult:
    together = runner.verdicts(runner.rows)
    single = [alone.verdict(row) for row in runner.rows]
    wrong = [
        f"{_name(row)}: {_show_verdict(a)} in a batch, {_show_verdict(b)} alone"
        for row, a, b in zip(runner.rows, together, single, strict=True)
        if a != b
    ]
    return _result("batch equals single", wrong, f"{len(runner.rows)} rows", "see `no state between rows`")


def _order_kept(runner: _Runner) -> CheckResult:
    forwards, backwards = runner.verdicts(runner.rows), runner.verdicts(runner.rows[::-1])[::-1]
    wrong = [
        f"{_name(row)}: {_show_verdict(a)}, reversed {_show_verdict(b)}"
        for row, a, b in zip(runner.rows, forwards, backwards, strict=True)
        if a != b
    ]
    return _result("order kept", wrong, "also when reversed", "see `deterministic` and `no state between rows`")


def _serialisable(runner: _Runner) -> CheckResult:
    wrong = []
    for row, verdict in zip(runner.rows, runner.verdicts(runner.rows), strict=True):
        try:
            json.dumps(verdict.as_json(), allow_nan=False, ensure_ascii=False).encode("utf-8")
        except (ValueError, TypeError) as error:
            wrong.append(f"{_name(row)}: {error}")
    return _result("serialisable", wrong, f"{len(runner.rows)} verdicts", "reasons are text, scores finite numbers")


def _model_checks(runner: _Runner) -> list[CheckResult]:
    """A model's judge is asked few rows, each twice; what its process does is not looked at."""
    once, again = runner.verdicts(runner.rows), runner.verdicts(runner.rows[::-1])[::-1]
    unanswered = [f"{_name(r)}: {v.reason}" for r, v in zip(runner.rows, once, strict=True) if _is_unknown(v)]
    answers = unanswered if len(unanswered) == len(once) else []
    differing = [
        f"{_name(row)}: {_show_verdict(a)}, then {_show_verdict(b)}"
        for row, a, b in zip(runner.rows, once, again, strict=True)
        if a.outcome is not b.outcome and not _is_unknown(a) and not _is_unknown(b)
    ]
    metadata = runner.judge.examples[0][0].metadata if runner.judge.examples else {}
    missing = {name: _observation(runner.verdict(r)) for name, r in _rows_without(runner.judge, metadata).items()}
    answered = f"{len(once) - len(unanswered)} of {len(once)} rows"
    return [
        _result("answers", answers, answered, "every row is unknown: is the model there, are its options right?"),
        _result("deterministic", differing, "the same outcomes in another order", "ask the model without sampling"),
        _missing_metadata(runner.judge, missing if runner.judge.requires else {}),
        _serialisable(runner),
    ]


def _observation(verdict: Verdict) -> Observation:
    return Observation(verdict)


def _is_unknown(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.UNKNOWN


# --- words -------------------------------------------------------------------------------------------------------


def _result(name: str, problems: Sequence[str], fine: str, advice: str) -> CheckResult:
    if not problems:
        return CheckResult(name, True, fine)
    unique = list(dict.fromkeys(problems))
    more = f"; and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return CheckResult(name, False, f"{'; '.join(unique[:_SHOWN])}{more}{f'. {advice}' if advice else ''}")


def _name(row: Row) -> str:
    text = row.response if len(row.response) <= 40 else row.response[:39] + "…"
    return repr(text)


def _show(observation: Observation) -> str:
    if observation.verdict is None:
        return f"{observation.problem} ({observation.detail})"
    return _show_verdict(observation.verdict)


def _show_verdict(verdict: Verdict) -> str:
    score = "" if verdict.score is None else f", score {verdict.score:g}"
    reason = f" ({verdict.reason}{score})" if verdict.reason or score else ""
    return f"{verdict.outcome.value}{reason}"
