"""`cgpo preferences` on the tiny model, with real judges and a real reward model: files, provenance, going on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cgpo import distributed
from cgpo.config import PairDataSettings, RunSettings
from cgpo.errors import ConfigError, DataError, LimitError
from cgpo.pairs.configuration import compose_preferences
from cgpo.pairs.preferences_plan import preferences_plan_lines
from cgpo.pairs.rows import read_preference_rows
from cgpo.pairs.running import run_preferences
from cgpo.pairs.sampling import Sampler
from cgpo.rewards.loading import load_base

STRATA = ("math", "chat")


@pytest.fixture(autouse=True)
def _leave_no_process_group() -> Iterator[None]:
    yield
    distributed.close_distributed()


@pytest.fixture(scope="module")
def reward(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("reward") / "model"
    model, tokenizer = load_base(tiny_model, "base", seed=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def words(run_dir: Path, model: str, reward: str, *more: str) -> list[str]:
    return [
        "experiment=quickstart",
        f"run_dir={run_dir}",
        f"model.name={model}",
        "rollout.engine=hf",
        "tracking.display=off",
        f"rewards.helpfulness.model={reward}",
        "rewards.helpfulness.max_length=64",
        f"preferences.strata=[{','.join(STRATA)}]",
        "preferences.prompts_per_stratum=3",
        "preferences.responses_per_prompt=3",
        "preferences.rank_by=[reward]",
        "preferences.chunk=6",
        "judging.processes=1",
        *[f"strata.{name}.sampling.max_tokens=8" for name in STRATA],
        *[f"strata.{name}.prompts.size=10" for name in STRATA],
        *[f"strata.{name}.heldout.size=4" for name in STRATA],
        *more,
    ]


def settings(run_dir: Path, model: str, reward: str, *more: str, heldout: tuple[str, ...] = ()) -> RunSettings:
    return compose_preferences(words(run_dir, model, reward, *more), None, heldout).settings


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def done(tiny_model: str, reward: str, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    found = settings(tmp_path_factory.mktemp("run") / "preferences", tiny_model, reward)
    assert run_preferences(found) == 0
    distributed.close_distributed()
    return found


def test_pairs_say_where_they_come_from_and_why(done: RunSettings, tiny_model: str) -> None:
    run_dir = Path(done.run_dir)
    responses = {(r["stratum"], r["prompt_id"], r["index"]): r for r in rows(run_dir / "responses.jsonl")}
    assert len(responses) == 2 * 3 * 3
    pairs = rows(run_dir / "pairs.jsonl")
    assert len(pairs) == 6
    for pair in pairs:
        said = pair["provenance"]
        group = [
            r for r in responses.values() if r["prompt_id"] == pair["prompt_id"] and r["stratum"] == pair["stratum"]
        ]
        best, worst = max(group, key=lambda r: r["reward"]), min(group, key=lambda r: r["reward"])
        assert (pair["chosen"], pair["rejected"]) == (best["response"], worst["response"])
        assert said["model"] == tiny_model
        assert said["decided_by"] == pair["kind"] == "reward"
        assert said["sampling"]["temperature"] == done.strata[pair["stratum"]].sampling.temperature
        for side, row in (("chosen", best), ("rejected", worst)):
            assert said[side]["rewards"] == row["rewards"] == {"helpfulness": row["reward"]}
            assert (said[side]["index"], said[side]["seed"]) == (row["index"], row["seed"])
            assert set(said[side]["verdicts"]) == set(done.strata[pair["stratum"]].verdict_names)
        assert pair["margin"] == pytest.approx(best["reward"] - worst["reward"])
    report = json.loads((run_dir / "report.json").read_text())
    assert report["pairs"] == 6
    assert {name: found["responses"] for name, found in report["strata"].items()} == {"math": 9, "chat": 9}


def test_dpo_and_reward_read_them(done: RunSettings) -> None:
    path = str(Path(done.run_dir) / "pairs.jsonl")
    found = read_preference_rows(PairDataSettings(path=path, heldout_share=0.5), seed=0, where="dpo_stage.data")
    assert len(found.pairs) == 6
    assert {p.stratum for p in found.pairs} == set(STRATA)
    assert any(p.heldout for p in found.pairs)
    assert all(p.margin > 0 for p in found.pairs)


def test_broken_off_and_gone_on_with_it_is_the_same_and_samples_nothing_twice(
    done: RunSettings, tiny_model: str, reward: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = settings(tmp_path / "run", tiny_model, reward)
    sample = Sampler.sample
    chunks: list[int] = []

    def broken_off(self: Sampler, requests: Any, progress: Any) -> Any:
        chunks.append(len(requests))
        if len(chunks) == 3:
            raise KeyboardInterrupt
        return sample(self, requests, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "sample", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run_preferences(again)
    file = tmp_path / "run" / "responses.jsonl"
    assert len(rows(file)) == 12
    assert not (tmp_path / "run" / "pairs.jsonl").exists()
    with file.open("a") as cut_off:  # as a kill in the middle of a write leaves it
        cut_off.write('{"schema": 1, "stratum": "ma')
    run_preferences(again)
    assert chunks == [6, 6, 6]
    for name in ("responses.jsonl", "pairs.jsonl", "report.json"):
        assert (tmp_path / "run" / name).read_text() == (Path(done.run_dir) / name).read_text(), name


def test_done_is_done_and_another_configuration_is_refused(
    done: RunSettings, tiny_model: str, reward: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (Path(done.run_dir) / "report.json").stat().st_mtime_ns
    assert run_preferences(done) == 0
    assert (Path(done.run_dir) / "report.json").stat().st_mtime_ns == before
    assert "6 pairs from responses of" in capsys.readouterr().out
    other = settings(Path(done.run_dir), tiny_model, reward, "preferences.responses_per_prompt=4")
    with pytest.raises(ConfigError, match=r"preferences\.responses_per_prompt: 3 → 4"):
        run_preferences(other)


def test_too_many_unknown_verdicts_stop_it_and_no_pair_is_an_error(
    tiny_model: str, reward: str, tmp_path: Path
) -> None:
    judges = ["preferences.rank_by=[judges]", "preferences.strata=[math]", "preferences.prompts_per_stratum=2"]
    with pytest.raises(DataError, match=r"no prompt gave a pair \((none satisfied: 2|tie: 2)"):
        run_preferences(settings(tmp_path / "violated", tiny_model, "not-needed", *judges))
    cut = "strata.math.truncated=unknown"
    with pytest.raises(LimitError, match=r"after 6 responses: .*strata\.math\.max_unknown_rate"):
        run_preferences(settings(tmp_path / "unknown", tiny_model, "not-needed", *judges, cut))
    assert not (tmp_path / "unknown" / "pairs.jsonl").exists()


def test_held_out_prompts_are_never_asked(done: RunSettings, tiny_model: str, reward: str, tmp_path: Path) -> None:
    drawn = rows(Path(done.run_dir) / "responses.jsonl")
    known = {r["prompt_id"]: r["prompt"][-1]["content"] for r in drawn if r["stratum"] == "math"}
    file = tmp_path / "bench.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"  {text}\n"}) + "\n" for text in known.values()))
    short = ["preferences.strata=[math]", "preferences.responses_per_prompt=2"]
    clean = settings(tmp_path / "run", tiny_model, reward, *short, heldout=(str(file),))
    run_preferences(clean)
    assert not {r["prompt_id"] for r in rows(tmp_path / "run" / "responses.jsonl")} & set(known)
    report = json.loads((tmp_path / "run" / "report.json").read_text())["contaminated"]
    assert (report["exact"], report["near"]) == (3, 0)
    assert {p["prompt_id"] for p in report["prompts"]} == set(known)
    assert "bench.jsonl row 1" in {Path(p["heldout"]).name for p in report["prompts"]}
    refused = settings(
        tmp_path / "stop", tiny_model, reward, *short, "preferences.contamination.action=stop", heldout=(str(file),)
    )
    with pytest.raises(DataError, match=r"3 prompts are held-out prompts too: 3 word for word"):
        run_preferences(refused)


@pytest.mark.slow
def test_two_ranks_sample_what_one_does(done: RunSettings, tiny_model: str, reward: str, tmp_path: Path) -> None:
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "cgpo", "preferences", *words(tmp_path / "two", tiny_model, reward)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    one, two = (rows(Path(folder) / "responses.jsonl") for folder in (done.run_dir, tmp_path / "two"))

    def by_key(found: list[dict[str, Any]]) -> dict[tuple[str, str, int], str]:
        return {(r["stratum"], r["prompt_id"], r["index"]): r["response"] for r in found}

    assert by_key(one) == by_key(two)
    pairs = [
        {(p["prompt_id"], p["chosen"], p["rejected"]) for p in rows(Path(f) / "pairs.jsonl")}
        for f in (done.run_dir, tmp_path / "two")
    ]
    assert pairs[0] == pairs[1]


def test_the_plan_names_prompts_responses_and_ranking(done: RunSettings) -> None:
    lines = preferences_plan_lines(done)
    assert "math: 3 prompts × 3 = 9 responses" in lines[1]
    assert "ranked by reward (1·helpfulness)" in lines[1]
    assert "kept: the best over the worst" in lines
