"""Verdicts as plain data and back: the same verdict, or a `ValueError` that says what is wrong."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Cost, Judgement, Outcome, Verdict

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


@given(JSON)
def test_whatever_stands_in_a_file_is_a_verdict_or_a_value_error(saved: Any) -> None:
    for read in (Verdict.from_json, Judgement.from_json, Cost.from_json):
        try:
            json.dumps(_plain(read(saved)), allow_nan=False)
        except ValueError as error:
            str(error).encode()


def _plain(value: Verdict | Judgement | Cost) -> Any:
    return (value if not isinstance(value, Cost) else Verdict(Outcome.UNKNOWN, cost=value)).as_json()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"verdict": "satisfed"}, "unknown verdict 'satisfed'. Did you mean 'satisfied'.*Allowed: not_applicable, "),
        ({"verdict": None}, "the verdict is a text, not None. Allowed: satisfied, violated, unknown"),
        ({"verdict": ["violated"]}, "the verdict is a text, not list"),
        ({"reason": None}, "the reason of a verdict is a text, not None"),
        ({"reason": 3}, "the reason of a verdict is a text, not int"),
        ({"score": True}, "the score of a verdict is a finite number, not True"),
        ({"score": "1"}, "the score of a verdict is a finite number, not '1'"),
        ({"score": math.nan}, "the score of a verdict is a finite number, not nan"),
        ({"score": 10**400}, "the score of a verdict is a finite number, not int"),
        ({"cost": []}, "a cost is an object, not list"),
        ({"cost": {"second": 1}}, "unknown field 'second' of a cost. Did you mean 'seconds'"),
        ({"cost": {"seconds": None}}, "seconds of a cost is a finite number, not None"),
        ({"cost": {"calls": 1.5}}, "calls of a cost is a whole number, not 1.5"),
    ],
)
def test_damage_is_named(damage: dict[str, Any], message: str) -> None:
    saved = {"verdict": "violated", "reason": "", "score": None, **damage}
    with pytest.raises(ValueError, match=message):
        Verdict.from_json(saved)
    with pytest.raises(ValueError, match=message):
        Judgement.from_json({"math": saved})


@pytest.mark.parametrize("saved", [None, [], "violated", 3])
def test_what_is_no_object_is_refused(saved: Any) -> None:
    for read in (Verdict.from_json, Judgement.from_json):
        with pytest.raises(ValueError, match=r"an? object"):
            read(saved)
