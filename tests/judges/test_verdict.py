"""Verdicts as plain data and back: the same verdict, or a `ValueError` that says what is wrong."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Cost, Judgement, Outcome, Verdict
from judges.verdict import combine

COUNTS = st.integers(0, 2**40)
COSTS = st.builds(Cost, st.floats(0, 1e6), COUNTS, COUNTS, COUNTS, COUNTS)
SCORES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
VERDICTS = st.builds(Verdict, st.sampled_from(Outcome), st.text(), SCORES, st.none() | COSTS)
NAMES = st.sampled_from(["verdict", "reason", "score", "cost", "seconds", "calls", "verdicts"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(Outcome),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.dictionaries(NAMES, inner),
)


@given(VERDICTS)
def test_a_verdict_comes_back_with_its_cost_where_that_was_written(verdict: Verdict) -> None:
    with_cost = Verdict.from_json(json.loads(json.dumps(verdict.as_json(with_cost=True))))
    assert (with_cost, with_cost.cost) == (verdict, verdict.cost)
    without = Verdict.from_json(json.loads(json.dumps(verdict.as_json())))
    assert (without, without.cost) == (verdict, None)


@given(st.dictionaries(st.text(), VERDICTS))
def test_a_judgement_comes_back(verdicts: dict[str, Verdict]) -> None:
    judgement = Judgement(verdicts)
    assert Judgement.from_json(json.loads(json.dumps(judgement.as_json()))) == judgement


def test_the_forms_of_files() -> None:
    verdict = Verdict.violated("3 is not 5", -0.5)
    plain = {"verdict": "violated", "reason": "3 is not 5", "score": -0.5}
    assert verdict.as_json() == plain
    assert verdict.as_json(with_cost=True) == plain | {"cost": None}
    cost = {"seconds": 0.5, "calls": 1, "tokens": 20, "verdicts": 1, "cached": 0}
    told = Verdict(verdict.outcome, verdict.reason, verdict.score, Cost(0.5, 1, 20))
    assert told.as_json(with_cost=True) == plain | {"cost": cost}
    assert Verdict.from_json(plain | {"cost": cost}).cost == told.cost
    assert Verdict.from_json({"verdict": "unknown"}) == Verdict.unknown("")


def test_the_short_forms_say_what_they_are_told_and_nothing_else() -> None:
    for made, outcome in ((Verdict.satisfied, Outcome.SATISFIED), (Verdict.violated, Outcome.VIOLATED)):
        assert made() == Verdict(outcome, "", None)
        assert made("why", 0.5) == Verdict(outcome, "why", 0.5)
    for holds, outcome in ((True, Outcome.SATISFIED), (False, Outcome.VIOLATED)):
        assert Verdict.of(holds) == Verdict(outcome, "", None)
        assert Verdict.of(holds, "why", -0.5) == Verdict(outcome, "why", -0.5)
    assert Verdict.unknown("away") == Verdict(Outcome.UNKNOWN, "away", None)


def test_costs_add_up_field_by_field() -> None:
    assert Cost(0.5, 1, 20, 2, 1) + Cost(0.25, 3, 7, 4, 2) == Cost(0.75, 4, 27, 6, 3)
    assert Cost.from_json({"calls": 3}) == Cost(0.0, 3, 0, 1, 0)


def test_a_judgement_is_written_with_or_without_costs() -> None:
    judgement = Judgement({"math": Verdict.satisfied("4", 1.0)})
    plain = {"verdict": "satisfied", "reason": "4", "score": 1.0}
    assert judgement.as_json() == {"math": plain}
    assert judgement.as_json(with_cost=True) == {"math": plain | {"cost": None}}


S, V, U = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("outcomes", "together", "satisfied"),
    [
        ([], S, True),
        ([S, S], S, True),
        ([S, Outcome.NOT_APPLICABLE, Outcome.NOT_JUDGED], S, True),
        ([S, U], U, None),
        ([Outcome.NOT_APPLICABLE, U], U, None),
        ([U, V, S], V, False),
        ([Outcome.NOT_JUDGED, V], V, False),
    ],
)
def test_what_several_judges_mean_together(outcomes: list[Outcome], together: Outcome, satisfied: bool | None) -> None:
    assert combine(iter(outcomes)) is together
    judgement = Judgement({str(i): Verdict(outcome) for i, outcome in enumerate(outcomes)})
    assert (judgement.outcome, judgement.satisfied) == (together, satisfied)


@given(JSON)
def test_whatever_stands_in_a_file_is_a_verdict_or_a_value_error(saved: Any) -> None:
    for read in (Verdict.from_json, Judgement.from_json, Cost.from_json):
        try:
            json.dumps(_plain(read(saved)), allow_nan=False)
        except ValueError as error:
            str(error).encode()


def _plain(value: Verdict | Judgement | Cost) -> Any:
    return (value if not isinstance(value, Cost) else Verdict(Outcome.UNKNOWN, cost=value)).as_json()


LONG = "x" * 150
OUTCOMES = "Allowed: not_applicable, not_judged, satisfied, unknown, violated"
FIELDS = "Allowed: cached, calls, seconds, tokens, verdicts"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"verdict": "satisfed"}, f"unknown verdict 'satisfed'. Did you mean 'satisfied'? {OUTCOMES}"),
        ({"verdict": LONG}, f"unknown verdict '{LONG[:100]}'. {OUTCOMES}"),
        (
            {"verdict": None},
            "the verdict is a text, not None. Allowed: satisfied, violated, unknown, not_applicable, not_judged",
        ),
        (
            {"verdict": ["violated"]},
            "the verdict is a text, not list. Allowed: satisfied, violated, unknown, not_applicable, not_judged",
        ),
        ({"reason": None}, "the reason of a verdict is a text, not None"),
        ({"reason": 3}, "the reason of a verdict is a text, not int"),
        ({"score": True}, "the score of a verdict is a finite number, not True"),
        ({"score": "1"}, "the score of a verdict is a finite number, not '1'"),
        ({"score": LONG}, f"the score of a verdict is a finite number, not '{LONG[:99]}"),
        ({"score": math.nan}, "the score of a verdict is a finite number, not nan"),
        ({"score": 10**400}, "the score of a verdict is a finite number, not int"),
        ({"cost": []}, "a cost is an object, not list"),
        ({"cost": {"second": 1}}, f"unknown field 'second' of a cost. Did you mean 'seconds'? {FIELDS}"),
        ({"cost": {LONG: 1}}, f"unknown field '{LONG[:100]}' of a cost. {FIELDS}"),
        ({"cost": {"seconds": None}}, "seconds of a cost is a finite number, not None"),
        ({"cost": {"calls": 1.5}}, "calls of a cost is a whole number, not 1.5"),
        ({"cost": {"tokens": True}}, "tokens of a cost is a whole number, not True"),
    ],
)
def test_damage_is_named(damage: dict[str, Any], message: str) -> None:
    saved = {"verdict": "violated", "reason": "", "score": None, **damage}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Verdict.from_json(saved)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Judgement.from_json({"math": saved})


@pytest.mark.parametrize(("saved", "shown"), [(None, "None"), ([], "list"), ("violated", "'violated'"), (3, "int")])
def test_what_is_no_object_is_refused(saved: Any, shown: str) -> None:
    for read, what in (
        (Verdict.from_json, "a verdict is an object"),
        (Judgement.from_json, "verdicts are an object by judge"),
        (Cost.from_json, "a cost is an object"),
    ):
        with pytest.raises(ValueError, match=f"^{what}, not {shown}$"):
            read(saved)
