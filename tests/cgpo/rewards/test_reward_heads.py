"""Which outputs of a model make a reward, and that rewards of one model share it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from small_models import plain_outputs, prompt, small_model

from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.rewards.classifier import ClassifierSettings, SequenceClassifierReward
from cgpo.rewards.heads import Head, write_heads
from cgpo.rewards.scoring import Scoring
from cgpo.types import GenerationRequest, Prompt, Rollout

ASKED, SAID = "What is a kite?", "A toy that flies in the wind."


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose folder says nothing of its three outputs but their names."""
    return small_model(tmp_path_factory.mktemp("three") / "m", ["helpful", "safe", "verbose"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with heads of the three objectives."""
    folder = tmp_path_factory.mktemp("told") / "m"
    small_model(folder, ["LABEL_0", "LABEL_1", "LABEL_2"])
    heads = [
        Head("helpfulness", "pairwise"),
        Head("love", "pointwise", training_rate=0.1, true_rate=0.02),
        Head("stars", "regression", mean=3.5, std=2.0),
    ]
    write_heads(folder, heads)
    return str(folder)


def made(model: str, **settings: object) -> SequenceClassifierReward:
    return SequenceClassifierReward(ClassifierSettings.model_validate({"model": model, **settings}), "h")


def score(model: str, **settings: object) -> float | None:
    return made(model, **settings).score([prompt(ASKED)], [SAID])[0]


def test_each_output_by_its_name(three: str) -> None:
    for name, expected in zip(("helpful", "safe", "verbose"), plain_outputs(three, ASKED, SAID), strict=True):
        assert score(three, head=name) == pytest.approx(expected, abs=1e-5)


def test_a_weighted_sum_of_outputs(three: str) -> None:
    helpful, _, verbose = plain_outputs(three, ASKED, SAID)
    assert score(three, heads={"helpful": 2, "verbose": -0.5}) == pytest.approx(2 * helpful - 0.5 * verbose, abs=1e-5)


def test_heads_give_what_they_were_trained_for(told: str) -> None:
    raw = plain_outputs(told, ASKED, SAID)
    assert score(told, head="helpfulness") == pytest.approx(raw[0], abs=1e-5)
    # Odds at a rate of 2 % are (0.02/0.98) / (0.1/0.9) of those at 10 %.
    assert score(told, head="love") == pytest.approx(raw[1] + math.log(0.02 / 0.98 * 0.9 / 0.1), abs=1e-5)
    assert score(told, head="stars") == pytest.approx(3.5 + 2 * raw[2], abs=1e-5)


def test_several_outputs_need_a_name(three: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"rewards\.h\.head: the model has 3 outputs \(helpful, safe, verbose\)"):
        made(three)
    with pytest.raises(ConfigError, match=r"unknown head 'lvoe' at rewards\.h\.head.*'love'.*helpfulness, love, stars"):
        made(told, head="lvoe")
    with pytest.raises(ConfigError, match=r"rewards\.h\.heads\..*Allowed: helpful, safe, verbose"):
        made(three, heads={"helpful": 1, "kind": 1})


def test_a_reward_json_of_another_model(three: str, tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m", ["a", "b"])
    write_heads(tmp_path / "m", [Head("love", "pointwise")])
    with pytest.raises(ConfigError, match=r"rewards\.h\.model: its reward\.json names 1 heads \(love\).*2 outputs"):
        made(folder, head="love")


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m", ["a"], vocab_size=1000)
    with pytest.raises(ConfigError, match=r"rewards\.h\.model: .*tokenizer is not the model's.*the ids 0 to 999"):
        made(folder)


def test_texts_that_were_cut_are_counted(three: str) -> None:
    reward = made(three, head="safe", max_length=16)
    reward.score([prompt(ASKED)] * 3, ["short", "long " * 30, "so " * 30])
    assert reward.take_notes().truncated == 2


def test_both_choices_at_once() -> None:
    with pytest.raises(ValueError, match="`head` or `heads`, not both"):
        ClassifierSettings(model="m", head="a", heads={"a": 1.0})


def test_rewards_of_one_model_share_it(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rewards = {name: made(told, head=name) for name in ("love", "helpfulness", "stars")}
    other = made(told, head="love", max_length=64)
    (source,) = {reward.source for reward in rewards.values()}
    assert other.source is not source
    texts: list[str] = []
    forward = source._forward

    def counted(items: list[object]) -> list[tuple[float, ...]]:
        texts.extend("text" for _ in items)
        return forward(items)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "_forward", counted)
    wanted = {"chat": ["love", "helpfulness"], "talk": ["love", "stars"]}
    prompts = {"chat": prompt("Hi", answer="1"), "talk": prompt("Hi", answer="2")}
    rollouts = [rollout(s, prompts[s], i, text) for s in wanted for i, text in enumerate(("Yes.", "No.", "Yes."))]
    with Scoring([r.request for r in rollouts], wanted, rewards, settings_of(rewards)) as scoring:
        for each in rollouts:
            scoring.add(each)
        found = scoring.finish(lambda: None)
    assert len(texts) == 2  # "Yes." and "No." once each, for three heads and two strata
    alone = rewards["love"].score([prompts["chat"]] * 2, ["Yes.", "No."])
    assert found["chat"]["love"] == found["talk"]["love"] == pytest.approx([alone[0], alone[1], alone[0]], abs=1e-5)
    assert list(found["chat"]) == ["love", "helpfulness"]
    assert found["talk"]["stars"] != found["chat"]["helpfulness"]


def rollout(stratum: str, asked: Prompt, index: int, text: str) -> Rollout:
    from cgpo.config import SamplingSettings

    request = GenerationRequest(stratum, asked, (1,), index, 0, SamplingSettings())
    return Rollout(request, text, (1,), (0.0,), "stop")


def settings_of(rewards: dict[str, SequenceClassifierReward]) -> dict[str, RewardSettings]:
    return {name: RewardSettings() for name in rewards}
