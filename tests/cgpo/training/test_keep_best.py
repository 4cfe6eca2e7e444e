"""`train.keep_best` names a number that the run's evaluations will have."""

from __future__ import annotations

import pytest

from cgpo.compose import compose
from cgpo.errors import ConfigError


def test_a_metric_of_an_evaluated_stratum() -> None:
    found = compose(["experiment=quickstart", "+train.keep_best={metric: math/satisfied_rate}"]).settings.train
    assert found.keep_best is not None
    assert found.keep_best.mode == "max"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+train.keep_best={metric: math/satisfied_rte}"], "Did you mean 'math/satisfied_rate'"),
        (["+train.keep_best={metric: maths/satisfied_rate}"], "unknown metric 'maths/satisfied_rate'"),
        (["+train.keep_best={metric: math/satisfied_rate, mode: higher}"], "max"),
        (["+train.keep_best={metric: math/satisfied_rate}", "eval.after=false", "eval.every=0"], "eval.every"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(["experiment=quickstart", *overrides])
    assert said in str(refused.value)
