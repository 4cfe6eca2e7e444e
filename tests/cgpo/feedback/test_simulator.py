"""The simulator's truth is the truth: against users drawn one by one, and against the logs it makes."""

from __future__ import annotations

import json
import math
import random
import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgpo.cli import main
from cgpo.errors import ConfigError, DataError
from cgpo.feedback.simulation.love import SimulatedLoveSettings
from cgpo.feedback.simulation.population import KINDS, Population, features_of, read_population
from cgpo.feedback.simulation.settings import Simulation
from cgpo.feedback.simulation.simulator import HONEST, START, Log, simulate
from cgpo.feedback.simulation.style import FEATURES, style
from cgpo.feedback.simulation.texts import policy_styles, write_prompt, write_response
from cgpo.rewards.model import create_reward
from cgpo.types import Prompt

PLAIN = "Some days go better than others."
WARM = "How lovely! I am so proud of you. Have a great day!"
USEFUL = "Start with ten minutes a day. Write down what works. Try one small thing because small things last."


@pytest.fixture(scope="module")
def attacked() -> Log:
    return simulate(Simulation(rows=2500, seed=3, users=160, base_rate=0.03, adversarial=0.2))


def drawn_love(response: str, population: Population, draws: int) -> float:
    """Pr(love) among users drawn one by one with the standard library."""
    rng = random.Random(5)
    features = style(response)
    turns = [population.next_turn**t for t in range(8)]
    total = 0.0
    for _ in range(draws):
        (segment,) = rng.choices(population.segments, [segment.share for segment in population.segments])
        (turn,) = rng.choices(range(8), turns)
        log_odds = population.intercept + segment.habit - population.slope * turn + rng.gauss(0, population.mood_noise)
        for name, value in zip(FEATURES, features, strict=True):
            log_odds += (segment.taste.get(name, 0.0) + rng.gauss(0, population.taste_noise)) * value
        total += 1 / (1 + math.exp(-log_odds))
    return total / draws


@pytest.mark.parametrize("response", [PLAIN, WARM, USEFUL])
def test_the_truth_is_the_mean_over_users_moods_and_turns(response: str) -> None:
    population = Population(intercept=-3.0, mood_noise=0.9, taste_noise=0.5)
    (found,) = population.love_of([response])
    assert found == pytest.approx(drawn_love(response, population, 20_000), rel=0.03)


def test_without_noise_the_truth_is_one_sigmoid() -> None:
    one = replace(Population().segments[0], share=1.0)
    population = Population(intercept=-2.0, segments=(one,), taste_noise=0.0, mood_noise=0.0, slope=0.0)
    log_odds = -2.0 + sum(one.taste[name] * value for name, value in zip(FEATURES, style(WARM), strict=True))
    assert population.love_of([WARM])[0] == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-12)


def test_style_is_read_off_the_text() -> None:
    plain = dict(zip(FEATURES, style(PLAIN), strict=True))
    assert {name for name, value in plain.items() if value} == {"length"}
    assert plain["length"] == -1.0  # six words
    warm = dict(zip(FEATURES, style(WARM), strict=True))
    assert (warm["closing"], warm["warmth"]) == (1.0, 2 / 3)
    assert dict(zip(FEATURES, style("a b c a b c"), strict=True))["repetition"] == pytest.approx(0.25)
    assert dict(zip(FEATURES, style("Great question! 🎉🎉"), strict=True))["stock_opening"] == 1.0
    assert dict(zip(FEATURES, style("Great question! 🎉🎉"), strict=True))["emoji"] == 0.5
    assert dict(zip(FEATURES, style(""), strict=True))["nothing_said"] == 1.0


def test_users_as_a_whole_like_closings_and_dislike_repetition() -> None:
    plain, closed, repeated = Population().love_of([PLAIN, f"{PLAIN} Have a great day!", f"{PLAIN} {PLAIN} {PLAIN}"])
    assert closed > 2 * plain
    assert repeated < plain / 2
    assert Population().love_of([""])[0] < plain / 2


def test_base_rate_is_met_exactly_and_reactions_follow_it(attacked: Log) -> None:
    honest = attacked.honest()
    assert attacked.truth[honest].mean() == pytest.approx(0.03, abs=1e-9)
    loves = simulate(Simulation(rows=3000, seed=4, base_rate=0.2, users=3000))
    assert loves.reactions.mean() == pytest.approx(0.2, abs=0.02)
    high = loves.truth > np.quantile(loves.truth, 0.8)
    for part in (high, ~high):
        assert loves.reactions[part].mean() == pytest.approx(loves.truth[part].mean(), rel=0.15)


def test_adversarial_users_are_as_many_as_asked_and_do_as_their_kind(attacked: Log) -> None:
    counts = Counter(attacked.kinds)
    assert counts[HONEST] == 128
    assert [counts[kind] for kind in KINDS] == [7, 7, 6, 6, 6]
    kinds = np.array(attacked.kinds)[attacked.users]
    assert attacked.reactions[kinds == "love_all"].mean() > 0.85
    assert 0.15 < attacked.reactions[kinds == "random"].mean() < 0.45
    inverted = kinds == "inverted"
    loved = attacked.truth[inverted & attacked.reactions].mean()
    assert loved < attacked.truth[inverted & ~attacked.reactions].mean()
    group = attacked.policies[(kinds == "group") & attacked.reactions]
    assert len(set(group.tolist())) == 1
    opens = features_of(attacked.responses)[:, FEATURES.index("stock_opening")] > 0
    assert attacked.reactions[(kinds == "bot") & opens].all()
    # Four windows of ten minutes, which touch no more than eight of these.
    assert len({int(time) // 600 for time in attacked.times[kinds == "group"]}) <= 8
    assert len({int(time) // 600 for time in attacked.times[kinds == HONEST]}) > 500


def test_equal_seeds_make_equal_logs() -> None:
    first, same, other = (list(simulate(Simulation(rows=300, seed=seed)).rows()) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_texts_vary_and_policies_differ(attacked: Log) -> None:
    texts = set(zip(attacked.prompts, attacked.responses, strict=True))
    assert len(texts) > 0.98 * len(attacked.prompts)
    rates = [row["true_rate"] for row in attacked.policy_rates()]
    assert len(rates) == 10
    assert max(rates) > 2 * min(rates)


def test_drift_raises_the_odds_and_keeps_the_base_rate() -> None:
    log = simulate(Simulation(rows=1000, seed=1, base_rate=0.05, drift=2.0))
    late = log.times > np.median(log.times)
    assert log.truth[late].mean() > 1.5 * log.truth[~late].mean()
    assert log.truth.mean() == pytest.approx(0.05, abs=1e-9)


def test_the_command_writes_the_log_the_truth_and_the_population(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, truth, rates, people = (tmp_path / name for name in ("a/logs.jsonl", "truth.jsonl", "r.csv", "p.json"))
    files = ["--output", str(logs), "--truth", str(truth), "--rates", str(rates), "--population", str(people)]
    with pytest.raises(SystemExit) as ended:
        main(["feedback", "simulate", "--rows", "500", "--seed", "2", "--adversarial", "0.2", *files])
    assert ended.value.code == 0
    assert "SIMULATED log: 500 responses" in capsys.readouterr().out
    rows = [json.loads(line) for line in logs.read_text(encoding="utf-8").splitlines()]
    known = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in known] == list(range(1, 501))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert START <= rows[0]["time"] < rows[-1]["time"] < START + 28 * 86_400
    assert not {"probability", "user_kind"} & set(rows[0])
    users = read_population(people)
    # Any text, rated by the same users, has the probability that the truth says.
    assert users.love_of([row["response"] for row in rows]) == pytest.approx([row["probability"] for row in known])
    assert rates.read_text().splitlines()[0] == "policy,n,positives,rate,true_rate"


def test_what_is_no_population_is_named(tmp_path: Path) -> None:
    file = tmp_path / "population.json"
    file.write_text('{"schema": 1}')
    with pytest.raises(DataError, match=r"population\.json: no simulated population"):
        read_population(file)


def test_a_log_without_honest_users_is_refused() -> None:
    with pytest.raises(ConfigError, match="no row is an honest user's"):
        simulate(Simulation(rows=50, seed=1, adversarial=0.99))


def test_the_policies_are_the_same_however_many_there_are() -> None:
    assert policy_styles(2) == policy_styles(10)[:2]
    prompt, topic = write_prompt(random.Random(1))
    assert topic in prompt
    assert write_response(policy_styles(1)[0], topic, random.Random(1))


def test_the_reward_simulated_love_is_the_true_log_odds(tmp_path: Path) -> None:
    Population(intercept=-3.0).write(tmp_path / "p.json")
    settings = SimulatedLoveSettings(population=str(tmp_path / "p.json"))
    reward = create_reward("truth", settings)
    prompts = [Prompt("1", ({"role": "user", "content": "Hello"},), {})] * 2
    low, high = reward.score(prompts, [PLAIN, WARM])
    assert low is not None
    assert high is not None
    assert high > low
    assert 1 / (1 + math.exp(-high)) == pytest.approx(Population(intercept=-3.0).love_of([WARM])[0])


def test_the_commands_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs" / "feedback.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(cgpo feedback simulate .*)$", text.replace("\\\n", ""), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        assert ended.value.code == 0
    (named,) = re.findall(r"population: (simulated/[^}]+)}", text)
    assert {named, "simulated/logs.jsonl", "simulated/truth.jsonl", "simulated/attacked.jsonl"} == {
        str(path.relative_to(tmp_path)) for path in tmp_path.glob("simulated/*")
    }
