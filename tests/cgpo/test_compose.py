"""Configuration: Hydra's groups over typed settings, and what a wrong one is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgpo.compose import compose, to_plain, validate
from cgpo.errors import ConfigError
from cgpo.optimizers.crpg import CrpgSettings

QUICKSTART = "experiment=quickstart"


def test_quickstart_composes() -> None:
    composed = compose([QUICKSTART])
    assert composed.experiment == "quickstart"
    assert composed.settings.run_dir == "runs/quickstart"
    assert list(composed.settings.strata) == ["math", "instruction_following", "chat"]
    assert composed.settings.rollout.engine == "vllm"


def test_settings_of_one_stratum_from_the_command_line() -> None:
    composed = compose([QUICKSTART, "strata.math.optimizer.kl_max=12", "strata.math.sampling.temperature=0.8"])
    optimizer = composed.settings.strata["math"].optimizer
    assert isinstance(optimizer, CrpgSettings)
    assert optimizer.kl_max == 12
    assert composed.settings.strata["math"].sampling.temperature == 0.8
    assert composed.settings.strata["chat"].optimizer != optimizer


def test_groups_choose_files() -> None:
    composed = compose([QUICKSTART, "rollout=hf", "deepspeed=zero2", "tracking=files"])
    assert composed.settings.rollout.engine == "hf"
    assert composed.settings.deepspeed.zero_stage == 2
    assert composed.settings.tracking.tensorboard is False


def test_a_stratum_can_be_left_out() -> None:
    assert "chat" not in compose([QUICKSTART, "~strata.chat"]).settings.strata


def test_a_data_set_replaces_the_generator() -> None:
    prompts = compose([QUICKSTART, "strata.math.prompts=mine.jsonl"]).settings.strata["math"].prompts
    assert prompts.path == "mine.jsonl"
    assert prompts.generator is None


def test_what_is_written_reads_back_as_the_same_settings() -> None:
    settings = compose([QUICKSTART, "strata.math.judges=[{name: math, format: boxed}]"]).settings
    assert validate(to_plain(settings)) == settings


def test_own_folder_of_experiments(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - quickstart\n  - _self_\nseed: 77\n"
    )
    composed = compose(["experiment=mine"], config_dir=str(tmp_path))
    assert composed.settings.seed == 77
    assert composed.settings.run_dir == "runs/mine"


WRONG = {
    "misspelt setting": (["train.stps=3"], ["unknown setting 'stps' at train", "Did you mean 'steps'?"]),
    "misspelt optimiser setting": (
        ["strata.math.optimizer.kl_mx=2"],
        ["unknown setting 'kl_mx' at strata.math.optimizer", "Did you mean 'kl_max'?"],
    ),
    "misspelt stratum": (["strata.mth.weight=2"], ["unknown stratum 'mth'", "Did you mean 'math'?"]),
    "misspelt stratum of an optimiser": (
        ["strata.mth.optimizer.name=grpo"],
        ["unknown stratum 'mth'", "Did you mean 'math'?"],
    ),
    "optimiser of no stratum": (["optimizer=grpo"], ["optimizer@strata.math.optimizer", "strata.NAME.optimizer=WORD"]),
    "setting of a part": (
        ["reward_stage.objective=pairwise"],
        ["unknown setting 'objective' at reward_stage", "There is reward_stage.heads.NAME.objective"],
    ),
    "settings of several parts": (
        ["learning_rate=3"],
        ["at the top level", "There is train.learning_rate, reward_stage.learning_rate, sft_stage.learning_rate"],
    ),
    "misspelt group": (["experimnt=quickstart"], ["unknown setting 'experimnt'", "Did you mean 'experiment'?"]),
    "misspelt choice": (["deepspeed=zero5"], ["unknown deepspeed 'zero5'", "zero0, zero1, zero2, zero3"]),
    "misspelt optimiser": (
        ["strata.math.optimizer.name=crgp"],
        ["unknown optimizer 'crgp' at strata.math.optimizer.name", "Did you mean 'crpg'?"],
    ),
    "misspelt judge": (["strata.math.judges=[mth]"], ["strata.math.judges", "'mth'", "math"]),
    "misspelt judge option": (["strata.math.judges=[{name: math, fromat: boxed}]"], ["fromat", "format"]),
    "misspelt engine": (["rollout.engine=vlm"], ["unknown rollout engine 'vlm'", "Did you mean 'vllm'?"]),
    "misspelt generator": (["strata.math.prompts.generator=mat"], ["unknown prompt generator 'mat'", "'math'"]),
    "misspelt reward": (["strata.math.rewards={helpfulnes: 1.0}"], ["unknown reward 'helpfulnes'", "helpfulness"]),
    "wrong type": (["train.steps=abc"], ["train.steps = 'abc'", "valid integer"]),
    "a boolean is no integer": (["train.steps=true"], ["train.steps = True", "valid integer"]),
    "a fraction is no integer": (["train.steps=1.5"], ["train.steps = 1.5"]),
    "no steps": (["train.steps=0"], ["train.steps = 0", "greater than or equal to 1"]),
    "kl_max of zero": (["strata.math.optimizer.kl_max=0"], ["strata.math.optimizer.kl_max = 0", "greater than 0"]),
    "no generations": (["strata.math.generations_per_prompt=0"], ["generations_per_prompt = 0"]),
    "not a number": (["train.learning_rate=nan"], ["train.learning_rate = nan", "finite"]),
    "greedy training": (["strata.math.sampling.temperature=0"], ["temperature", "T > 0"]),
    "top-p unnamed": (["strata.math.sampling.top_p=0.9"], ["top_p", "sampling.allow=[top_p]"]),
    "all reward weights zero": (["strata.math.rewards={helpfulness: 0.0}"], ["must not all be 0"]),
    "bad literal": (["model.dtype=float23"], ["model.dtype = 'float23'", "Did you mean 'float32'?"]),
    "bad syntax": (["train.steps=[1"], ["override"]),
    "no such folder": (["experiment=quikstart"], ["unknown experiment 'quikstart'", "Did you mean 'quickstart'?"]),
}


@pytest.mark.parametrize(("overrides", "expected"), WRONG.values(), ids=list(WRONG))
def test_wrong_settings_are_explained(overrides: list[str], expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([QUICKSTART, *overrides])
    for text in expected:
        assert text in str(caught.value)


OWN_OPTIMISER = """# @package _global_
defaults:
  - quickstart
  - _self_
strata: {math: {optimizer: {name: crpg, kl_max: 3}}, chat: {optimizer: codpo}}
"""


@pytest.fixture
def own_optimiser(tmp_path: Path) -> str:
    """A folder whose experiment `own` writes the optimiser of `math` out, with a setting that only some have."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text(OWN_OPTIMISER)
    return str(tmp_path)


@pytest.mark.parametrize("order", [1, -1])
def test_one_word_replaces_an_optimiser_that_the_yaml_writes_out(own_optimiser: str, order: int) -> None:
    overrides = ["strata.math.optimizer=grpo", "strata.math.optimizer.penalty=2"][::order]
    optimizer = compose(["experiment=own", *overrides], config_dir=own_optimiser).settings.strata["math"].optimizer
    assert (optimizer.name, optimizer.model_dump()["penalty"]) == ("grpo", 2)
    with pytest.raises(ConfigError, match="Did you mean 'grpo'"):
        compose(["experiment=own", "strata.math.optimizer=grppo"], config_dir=own_optimiser)


def test_a_chosen_file_that_the_yaml_outvotes_is_refused(own_optimiser: str) -> None:
    with pytest.raises(ConfigError, match=r"changes nothing.*to crpg\. strata\.math\.optimizer=grpo replaces it"):
        compose(["experiment=own", "optimizer@strata.math.optimizer=grpo"], config_dir=own_optimiser)
    with pytest.raises(ConfigError, match=r"changes nothing.*to codpo\. strata\.chat\.optimizer=ppo replaces it"):
        compose(["experiment=own", "optimizer@strata.chat.optimizer=ppo"], config_dir=own_optimiser)
    chosen = compose([QUICKSTART, "optimizer@strata.chat.optimizer=crraft_strict"]).settings.strata["chat"].optimizer
    assert (chosen.name, chosen.model_dump()["kl_max"]) == ("crraft", 5)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose([QUICKSTART, "train.steps=0", "model.dtype=half", "strata.chat.optimizer.kl_max=-1"])
    assert len(str(caught.value).splitlines()) == 3


def test_no_experiment_says_what_to_choose() -> None:
    with pytest.raises(ConfigError, match="experiment=quickstart"):
        compose([])


def test_a_missing_config_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        compose([QUICKSTART], config_dir=str(tmp_path / "absent"))


def test_a_model_that_judges_share() -> None:
    facts = (
        "strata.chat.judges=[{name: factuality, as: facts, llm: ${judging.llm}}, {name: factuality, llm: {model: n}}]"
    )
    composed = compose(["experiment=quickstart", "judge=endpoint", "judging.llm.model=m", facts])
    first, second = composed.settings.strata["chat"].judges
    assert (first.label, second.label) == ("facts", "factuality")
    assert first.options["llm"] == {"model": "m", "base_url": "http://127.0.0.1:8000/v1"}
    assert composed.settings.judging.llm is not None
    assert validate(composed.as_dict()) == composed.settings


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["judge=endpoint"], "judging.llm.model"),
        (["judge=endpoit"], "Did you mean 'endpoint'"),
        (["judging.llm.model=m", "judging.llm.modl=m"], "Did you mean 'model'"),
        (["strata.chat.judges=[refusal,refusal]"], "give one of them another name with `as`"),
        (["strata.chat.judges=[{name: refusal, threshold: high}]"], "'threshold'"),
        (["strata.chat.judges=[{name: agreement, judges: [refusal], at_least: 1}]"], "at least two"),
        (["judging.cash=off"], "Did you mean 'cache'"),
    ],
)
def test_judging_settings_that_cannot_be(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(["experiment=quickstart", *overrides])
