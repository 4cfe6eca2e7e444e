"""A directory belongs to one configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cgpo.errors import ConfigError, RunError
from cgpo.storage.claim import claim
from cgpo.storage.run_config import adopt_configuration, first_difference, read_config
from cgpo.storage.run_directory import claim_run_directory, lock_run_directory, would_go_on


def config(**changes: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "seed": 0,
        "run_dir": "runs/a",
        "train": {"steps": 10, "learning_rate": 1e-05, "save_every": 5, "betas": [0.9, 0.95]},
        "strata": {"math": {"judges": ["math", {"name": "length", "max_words": 50}], "rewards": {"h": 1.0}}},
        "tracking": {"wandb": False},
        "model": {"revision": None},
    }
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        node = tree
        for part in parents:
            node = node[part]
        node[leaf] = value
    return tree


def started(run: Path, tree: dict[str, Any]) -> None:
    """A claimed directory in which something was computed."""
    claim_run_directory(run, tree)
    (run / "metrics.jsonl").touch()


def test_first_claim_begins_second_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    assert claim_run_directory(run, config()) is False
    assert yaml.safe_load((run / "config.yaml").read_text())["schema"] == 1
    assert [p.name for p in run.iterdir()] == ["config.yaml"]
    (run / "metrics.jsonl").touch()
    assert claim_run_directory(run, config()) is True
    assert read_config(run) == config()


def test_where_nothing_was_computed_a_corrected_command_begins(tmp_path: Path) -> None:
    claim_run_directory(tmp_path / "a", config(seed=1))
    assert claim_run_directory(tmp_path / "a", config(seed=2)) is False
    assert read_config(tmp_path / "a")["seed"] == 2


def test_what_a_claim_would_answer_can_be_asked(tmp_path: Path) -> None:
    started(tmp_path / "a", config())
    assert would_go_on(tmp_path / "a", config()) is True
    assert would_go_on(tmp_path / "a", config(seed=1), fresh=True) is False
    assert would_go_on(tmp_path / "absent", config()) is False
    with pytest.raises(ConfigError, match="seed: 0 → 1"):
        would_go_on(tmp_path / "a", config(seed=1))
    assert not (tmp_path / "absent").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with lock_run_directory(tmp_path), pytest.raises(RunError, match="another process"):
        lock_run_directory(tmp_path)
    lock_run_directory(tmp_path).close()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_second_process_changes_nothing_where_one_has_just_begun(tmp_path: Path, fresh: bool) -> None:
    run = tmp_path / "a"
    claim_run_directory(run, config())
    with lock_run_directory(run), pytest.raises(RunError, match="another process"):
        claim(str(run), config(seed=1), fresh=fresh)
    assert read_config(run)["seed"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    claim(str(run), config(seed=1), fresh=fresh)
    with pytest.raises(RunError, match="another process"):
        lock_run_directory(run)


def test_no_lock_is_left_in_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not a run directory"):
        claim(str(tmp_path), config(), fresh=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_configuration_is_refused_key_by_key(tmp_path: Path) -> None:
    started(tmp_path / "a", config())
    other = config(seed=1, train__learning_rate=2e-05)
    other["strata"]["math"]["judges"][1]["max_words"] = 60
    del other["strata"]["math"]["rewards"]
    with pytest.raises(ConfigError) as refused:
        claim_run_directory(tmp_path / "a", other)
    text = str(refused.value)
    assert "seed: 0 → 1" in text
    assert "train.learning_rate: 1e-05 → 2e-05" in text
    assert "strata.math.judges.1.max_words: 50 → 60" in text
    assert "strata.math.rewards.h: 1.0 → (not set)" in text
    assert "--fresh" in text
    assert "steps" not in text
    assert read_config(tmp_path / "a") == config()


def test_named_changes_are_allowed_and_recorded(tmp_path: Path) -> None:
    run = tmp_path / "a"
    started(run, config())
    (run / "checkpoints" / "step-000005").mkdir(parents=True)
    changed = config(train__learning_rate=2e-05, train__betas=[0.8, 0.9], seed=1)
    with pytest.raises(ConfigError, match=r"--allow-changes seed,train\.betas,train\.learning_rate"):
        claim_run_directory(run, changed)
    with pytest.raises(ConfigError) as refused:
        claim_run_directory(run, changed, allow=["train"])
    assert "seed: 0 → 1" in str(refused.value)
    assert "betas" not in str(refused.value)
    assert not (run / "config-history.jsonl").exists()
    assert would_go_on(run, changed, allow=["train", "seed"])
    assert claim_run_directory(run, changed, allow=["train", "seed"]) is True
    assert read_config(run) == changed
    assert claim_run_directory(run, changed) is True  # the same command goes on without asking again
    (line,) = [json.loads(text) for text in (run / "config-history.jsonl").read_text().splitlines()]
    assert line["step"] == 5
    assert line["changes"] == {
        "seed": {"old": 0, "new": 1},
        "train.betas": {"old": [0.9, 0.95], "new": [0.8, 0.9]},
        "train.learning_rate": {"old": 1e-05, "new": 2e-05},
    }


def test_changes_are_not_written_down_before_they_are_adopted(tmp_path: Path) -> None:
    run, changed = tmp_path / "a", config(seed=1)
    started(run, config())
    assert claim_run_directory(run, changed, allow=["seed"], adopt=False) is True
    assert claim_run_directory(run, config()) is True  # what was refused later has left no trace
    assert not (run / "config-history.jsonl").exists()
    adopt_configuration(run, changed)
    adopt_configuration(run, changed)
    assert read_config(run) == changed
    assert len((run / "config-history.jsonl").read_text().splitlines()) == 1


def test_what_may_change_must_be_a_setting(tmp_path: Path) -> None:
    started(tmp_path / "a", config())
    with pytest.raises(ConfigError, match=r"train\.learning_rte.*Did you mean 'train\.learning_rate'"):
        claim_run_directory(tmp_path / "a", config(seed=1), allow=["train.learning_rte"])
    with pytest.raises(ConfigError, match=r"Allowed: (train\.\w+(, )?)+$"):  # not every setting there is
        claim_run_directory(tmp_path / "a", config(seed=1), allow=["train.rte.x"])


def test_ranks_with_different_settings_are_told_the_first_key() -> None:
    assert first_difference(config(), config()) is None
    assert first_difference(config(), config(train__steps=11, seed=1)) == ("seed", "0", "1")
    assert first_difference(config(model__revision="x"), config()) == ("model.revision", "'x'", "None")
    secret = first_difference({"api_key": "sk-1", "a": 1}, {"api_key": "sk-2", "a": 2})
    assert secret == ("a", "1", "2")


def test_steps_may_rise_but_not_fall(tmp_path: Path) -> None:
    started(tmp_path / "a", config())
    assert claim_run_directory(tmp_path / "a", config(train__steps=20)) is True
    assert read_config(tmp_path / "a")["train"]["steps"] == 20
    with pytest.raises(ConfigError, match=r"train\.steps: 20 → 10 \(it may only rise\)"):
        started(tmp_path / "a", config())


def test_steps_stay_where_the_learning_rate_depends_on_them(tmp_path: Path) -> None:
    started(tmp_path / "a", config(train__schedule="cosine"))
    with pytest.raises(ConfigError, match=r"train\.steps: 10 → 20 \(train\.schedule=cosine"):
        claim_run_directory(tmp_path / "a", config(train__schedule="cosine", train__steps=20))


def test_what_is_recorded_and_where_may_change(tmp_path: Path) -> None:
    started(tmp_path / "a", config())
    assert claim_run_directory(tmp_path / "a", config(tracking__wandb=True, run_dir="./runs/a", train__save_every=1))
    assert read_config(tmp_path / "a")["tracking"]["wandb"] is True


def test_true_is_not_one(tmp_path: Path) -> None:
    started(tmp_path / "a", config(model__revision=1))
    with pytest.raises(ConfigError, match=r"model\.revision: 1 → True"):
        claim_run_directory(tmp_path / "a", config(model__revision=True))


def test_fresh_keeps_the_old_directory_beside(tmp_path: Path) -> None:
    run = tmp_path / "a"
    claim_run_directory(run, config())
    (run / "metrics.jsonl").write_text("old")
    assert claim_run_directory(run, config(seed=5), fresh=True) is False
    assert claim_run_directory(run, config(seed=6), fresh=True) is False
    assert (tmp_path / "a.1" / "metrics.jsonl").read_text() == "old"
    assert read_config(tmp_path / "a.2")["seed"] == 5
    assert read_config(run)["seed"] == 6


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not a run directory"):
        claim_run_directory(tmp_path, config())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_and_one_where_a_claim_was_killed_are_free(tmp_path: Path) -> None:
    (tmp_path / ".config.yaml.abc").write_text("half")
    assert claim_run_directory(tmp_path, config()) is False


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        started(tmp_path / "a", config())


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ("a: 1", "schema"), ("schema: 99", "Update cgpo")]
)
def test_a_foreign_config(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(RunError, match=message):
        claim_run_directory(tmp_path, config())


def test_secrets_are_not_written(tmp_path: Path) -> None:
    tree = config()
    tree["judge"] = {"api_key": "sk-123", "max_tokens": 5, "HF_TOKEN": "hf_x", "password": None}
    assert claim_run_directory(tmp_path / "a", tree) is False
    text = (tmp_path / "a" / "config.yaml").read_text()
    assert "sk-123" not in text
    assert "hf_x" not in text
    assert read_config(tmp_path / "a")["judge"]["max_tokens"] == 5
    (tmp_path / "a" / "metrics.jsonl").touch()
    assert claim_run_directory(tmp_path / "a", tree) is True


def test_an_unwritable_place_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"configuration.*config\.yaml"):
        claim_run_directory(tmp_path / "file" / "run", config())
