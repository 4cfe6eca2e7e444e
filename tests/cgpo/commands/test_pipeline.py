"""The pipeline on the tiny model: four stages in one command, gone on with in the middle, each done once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cgpo import distributed
from cgpo.cli import main
from cgpo.commands.pipeline import STAGES, Pipeline, start_process
from cgpo.errors import ConfigError
from cgpo.stages.configuration import compose_stage, stage_configuration
from cgpo.storage.run_directory import claim_run_directory

RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _leave_no_process_group() -> Iterator[None]:
    yield
    distributed.close_distributed()


def in_this_process(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a stage without starting a process for it."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def overrides(base: Path, model: str, *more: str) -> list[str]:
    """Every stage a matter of seconds. Judges are left out, so that pairs are corruptions alone."""
    stages = {
        "sft_stage": {"model": model, "data.size": 12, "batch_size": 5, "warmup_steps": 0, "learning_rate": 1e-3},
        "reward_stage": {"epochs": 1, "trainable_layers": 0, "pairs.prompts_per_stratum": 4},
        "reward_stage.pairs": {"responses_per_prompt": 1, "corruptions_per_prompt": 2},
        "dpo_stage": {"data.kinds": "[]", "steps": 3, "batch_size": 2, "warmup_steps": 0, "save_every": 1},
        "strata.math": {"prompts_per_step": 2, "generations_per_prompt": 2, "judges": "[]", "heldout.size": 2},
        "strata.math.sampling": {"max_tokens": 6},
        "eval": {"before": "false", "after": "true"},
        "train": {"steps": 1},
        "rollout": {"engine": "hf", "max_logprob_gap": 0.01},
        "tracking": {"display": "off", "tensorboard": "false"},
    }
    values = [f"{group}.{key}={value}" for group, keys in stages.items() for key, value in keys.items()]
    leave_out = ["~strata.chat", "~strata.instruction_following"]
    return ["experiment=pipeline", f"run_base={base}", "seed=2", *leave_out, *values, *more]


def test_the_four_stages_resumed_in_the_middle(
    tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "all"
    words = overrides(base, tiny_model)
    started: list[str] = []

    def until_dpo(words: Sequence[str], environment: Mapping[str, str]) -> int:
        started.append(words[0])
        return 137 if words[0] == "dpo" else in_this_process(words, environment)

    assert Pipeline(words).run(until_dpo) == 137
    assert started == ["sft", "reward", "dpo"]
    assert "dpo ended with status 137; the same command goes on from there" in capsys.readouterr().err

    def rest(words: Sequence[str], environment: Mapping[str, str]) -> int:
        started.append(words[0])
        return in_this_process(words, environment)

    again = Pipeline(words)
    assert again.run(rest) == 0
    assert started == ["sft", "reward", "dpo", "dpo", "train"]
    said = capsys.readouterr().err
    assert f"[1/4] cgpo sft: {base}-sft is done already" in said
    assert f"[2/4] cgpo reward: {base}-reward is done already" in said
    reports = {name: json.loads(Path(f"{base}-{name}", "report.json").read_text()) for name in ("sft", "reward", "dpo")}
    assert reports["sft"]["model"] == tiny_model
    assert reports["dpo"]["model"] == f"{base}-sft/model"
    assert "name: " + f"{base}-dpo/model" in (base / "config.yaml").read_text()
    assert f"model: {base}-sft/model" in Path(f"{base}-reward", "config.yaml").read_text()
    assert (base / "report.html").is_file()

    # once more: nothing is left to do
    assert again.run(rest) == 0
    assert started[5:] == []

    # the SFT model is made anew: what was made from the old one is refused, by name
    later = Path(f"{base}-sft/report.json").stat().st_mtime + 3600
    os.utime(f"{base}-sft/report.json", (later, later))
    with pytest.raises(ConfigError, match=r"-reward was begun before .*-sft ended.*--from reward --fresh"):
        Pipeline(words).run(rest)
    with pytest.raises(ConfigError, match=r"-dpo was begun before .*-sft ended"):
        Pipeline(words, first="dpo").run(rest)
    Pipeline(words, only="sft").run(rest)

    # other settings for one stage: refused before any stage starts
    with pytest.raises(ConfigError, match=r"dpo_stage\.beta: 0\.1 → 0\.2"):
        Pipeline([*words, "dpo_stage.beta=0.2"], only="dpo").run(rest)


def test_the_plan_of_all_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pipeline", "experiment=pipeline", f"run_base={tmp_path}/p", "--dry-run"])
    assert ended.value.code == 0
    said = "".join(capsys.readouterr().out.split())
    for stage in STAGES:
        assert f"cgpo{stage}" in said
    assert f"{tmp_path}/p-sft(new)" in said
    assert f"from{tmp_path}/p-sft/model(notthereyet)" in said
    assert not list(tmp_path.iterdir())


def test_some_stages_only(tmp_path: Path) -> None:
    words = ["experiment=pipeline", f"run_base={tmp_path}/p"]
    started: list[list[str]] = []

    def noted(words: Sequence[str], environment: Mapping[str, str]) -> int:
        started.append(list(words))
        return 0

    Pipeline(words, first="dpo", fresh=True).run(noted)
    Pipeline(words, only="reward").run(noted)
    assert [s[0] for s in started] == ["dpo", "train", "reward"]
    assert started[0][1:] == [*words, "--fresh"]
    assert started[2][1:] == words


def done_stage(folder: Path, name: str, words: Sequence[str]) -> None:
    """What a finished stage leaves, as far as the pipeline looks at it."""
    composed = compose_stage(name, words, None)
    claim_run_directory(folder, stage_configuration(name, composed.settings))
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    (folder / "report.json").write_text("{}")


def test_what_was_made_from_a_model_that_is_gone_is_not_taken_for_done(tmp_path: Path) -> None:
    words = ["experiment=pipeline", f"run_base={tmp_path}/p"]
    for name in ("sft", "reward", "dpo"):
        done_stage(tmp_path / f"p-{name}", name, words)
    started: list[str] = []

    def killed(words: Sequence[str], environment: Mapping[str, str]) -> int:
        started.append(words[0])
        return 137

    assert Pipeline(words).run(killed) == 137
    assert started == ["train"]
    # the SFT model is removed: it would be made anew, and the others kept
    shutil.rmtree(tmp_path / "p-sft")
    with pytest.raises(
        ConfigError, match=r"-reward was begun before .*-sft ended, which is not done.*--only sft, then"
    ):
        Pipeline(words).run(killed)
    assert started == ["train"]
    assert Pipeline(words, only="sft").run(killed) == 137
    assert Pipeline(words, first="dpo").run(killed) == 137  # what comes before is left out by name
    assert started == ["train", "sft", "train"]


def test_fresh_that_is_killed_in_its_first_stage_leaves_no_older_later_one(tmp_path: Path) -> None:
    words = ["experiment=pipeline", f"run_base={tmp_path}/p"]
    for name in ("sft", "reward", "dpo"):
        done_stage(tmp_path / f"p-{name}", name, words)
    assert Pipeline(words, fresh=True).run(lambda words, environment: 137) == 137
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p-dpo.1", "p-reward.1", "p-sft"]


def test_one_run_directory_for_four_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run_dir names the directory of one stage; set run_base"):
        Pipeline(["experiment=pipeline", f"run_dir={tmp_path}"])


def test_under_torchrun_each_stage_has_its_own_names_in_the_shared_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    counts = []

    def noted(words: Sequence[str], environment: Mapping[str, str]) -> int:
        counts.append(environment["TORCHELASTIC_RESTART_COUNT"])
        return 0

    Pipeline(["experiment=pipeline", f"run_base={tmp_path}/p"]).run(noted)
    assert counts == ["4", "5", "6", "7"]


def test_a_stage_is_a_process_with_its_exit_status(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in RANKS}
    assert start_process(["sft", "--dry-run", f"run_dir={tmp_path}/x", "model.name=smollm2"], environment) == 2
    data = ["sft_stage.data.generator=math", "sft_stage.data.size=3"]
    assert start_process(["sft", "--dry-run", f"run_dir={tmp_path}/x", "model.name=smollm2", *data], environment) == 0
