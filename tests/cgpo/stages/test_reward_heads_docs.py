"""The example of heads in docs/rewards.md is valid, and every setting of a head stands on the page."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from cgpo.compose import validate
from cgpo.config import (
    EarlyStoppingSettings,
    PairwiseHeadSettings,
    PointwiseHeadSettings,
    RegressionHeadSettings,
    RowSourceSettings,
)
from cgpo.stages.stage_plan import stage_plan_lines

PAGE = (Path(__file__).parents[3] / "docs" / "rewards.md").read_text()


def test_the_example_is_valid_and_planned() -> None:
    (text,) = re.findall(r"```yaml\n(reward_stage:\n.*?)```", PAGE, re.DOTALL)
    tree = {"run_dir": "x", "model": {"name": "x"}, **yaml.safe_load(text)}
    settings = validate(tree, needs_strata=False)
    lines = stage_plan_lines("reward", settings)
    assert [line.split(":")[0] for line in lines if line.startswith("head ")] == [
        "head helpfulness, pairwise",
        "head love, pointwise",
        "head polite, pointwise",
        "head coherence, regression, weight 0.5",
        "head correctness, regression",
    ]
    assert "margin 0.5 × difference, centring 0.01" in lines[1]
    assert "measured every 50 steps on 10% of the training prompts" in lines[-1]


def test_every_setting_is_named() -> None:
    for cls in (EarlyStoppingSettings, PairwiseHeadSettings, PointwiseHeadSettings, RegressionHeadSettings):
        own = set(cls.model_fields) - set(RowSourceSettings.model_fields) - {"response_column"}
        for setting in own:
            assert re.search(rf"`{setting}[`:]|\b{setting}:", PAGE), f"{cls.__name__}: {setting}"
