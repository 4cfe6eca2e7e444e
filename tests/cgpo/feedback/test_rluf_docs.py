"""The command lines of docs/rluf.md: as they stand where they are quick, as a plan where they train."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.compose import compose

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "rluf.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]
COMMANDS = {line: shlex.split(line)[1:] for line in LINES}


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def starting(*words: str) -> list[list[str]]:
    return [given for given in COMMANDS.values() if given[: len(words)] == list(words)]


def test_the_way_is_complete_and_in_order() -> None:
    love = ["feedback simulate", "feedback prepare", "reward", "feedback evaluate", "feedback correlate"]
    told = [" ".join(words[:2]) if words[0] == "feedback" else words[0] for words in COMMANDS.values()]
    assert told[:10] == [*love, "sft", "reward", "train", "evaluate", "feedback gate"]
    assert all(line.startswith("cgpo ") for line in LINES)


def test_the_log_is_simulated_and_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (simulate,), (prepare,) = starting("feedback", "simulate"), starting("feedback", "prepare")
    assert run([*simulate, "--rows", "3000"]) == 0
    assert run(prepare) == 0
    report = json.loads(Path("runs/rluf-feedback/prepared/report.json").read_text())
    assert report["training_rate"] == pytest.approx(0.1, abs=1e-3)
    assert Path("runs/rluf-feedback/rates.csv").is_file()
    love = compose(["experiment=rluf_love"], needs_strata=False).settings
    assert Path(love.reward_stage.heads["love"].feedback or "") == Path("runs/rluf-feedback/prepared")  # type: ignore[union-attr]
    settings = compose(["experiment=rluf"]).settings
    assert Path(settings.rewards["true_love"].population).is_file()  # type: ignore[attr-defined]
    assert Path(settings.sft_stage.data.path or "").is_file()


@pytest.mark.parametrize("words", [w for c in ("sft", "reward", "train") for w in starting(c) if "-m" not in w])
def test_what_trains_can_be_planned(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*words, *([] if "--dry-run" in words else ["--dry-run"])]) == 0
    assert "rluf" in capfd.readouterr().out


def test_the_sweep_has_every_weight_without_and_with_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs: list[tuple[float, list[str]]] = []

    def settings_of(command: list[str]) -> int:
        """Instead of training: what the job would train with."""
        settings = compose(command[command.index("train") + 1 :]).settings
        stratum = settings.strata["small_talk"]
        jobs.append((stratum.rewards["love"], [spec.label for spec in stratum.judges]))
        assert settings.rewards["love"].model == "runs/rluf-love-reward/model"  # type: ignore[attr-defined]
        return 0

    monkeypatch.setattr("cgpo.commands.sweep.run_job", settings_of)
    (words,) = starting("train", "-m")
    assert run(words) == 0
    assert jobs == [(love, judges) for love in (0, 0.3, 1) for judges in (["repetition"], ["repetition", "farewell"])]
    (tradeoff, _) = (" ".join(words) for words in starting("tradeoff"))
    assert f"compare the runs with: cgpo {tradeoff}\n" in capsys.readouterr().err


def test_three_rewards_come_from_two_models_and_the_truth_is_only_watched() -> None:
    love = compose(["experiment=rluf_love"], needs_strata=False, run_suffix="-reward").settings
    settings = compose(["experiment=rluf"]).settings
    assert settings.rewards["love"].model == f"{love.run_dir}/model"  # type: ignore[attr-defined]
    assert list(love.reward_stage.heads) == ["love"]
    assert settings.strata["small_talk"].rewards == {"love": 0.3, "helpfulness": 1.0, "safety": 1.0}
    assert list(settings.reward_stage.heads) == ["helpfulness", "safety"]
    assert {settings.rewards[name].model for name in settings.reward_stage.heads} == {"runs/rluf-reward/model"}  # type: ignore[attr-defined]
    assert settings.independent_rewards("small_talk") == ["true_love"]
    assert [spec.label for spec in settings.strata["small_talk"].judges] == ["repetition", "farewell"]


@pytest.mark.parametrize("words", starting("tradeoff"), ids=" ".join)
def test_a_trade_off_without_runs_says_what_is_missing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert "runs/rluf-sweep is no folder" in capsys.readouterr().err
