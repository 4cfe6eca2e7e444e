"""`cgpo feedback evaluate` on a small real model, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli import main
from cgpo.rewards.heads import Head, write_heads
from cgpo.rewards.loading import load_base

NEWS = 1_700_000_000.0


@pytest.fixture(scope="module")
def model(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a seeded head as if `cgpo reward` had trained it for P[Love]."""
    folder = tmp_path_factory.mktemp("love") / "model"
    network, tokenizer = load_base(tiny_model, "reward_stage.base", seed=1)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_heads(folder, [Head("love", "pointwise", training_rate=0.1, true_rate=0.2)])
    return folder


def rows(n: int = 40, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "schema": 1,
            "prompt": [{"role": "user", "content": f"Tell me of {i}."}],
            "response": "So " * (1 + i % 7) + f"it is {i}.",
            "label": int(i % 5 == 0),
            "time": NEWS + i,
            "user": f"u{i % 9}",
            "policy": "ab"[i % 2],
            "copies": 1,
        }
        | changes
        for i in range(n)
    ]


def write(file: Path, found: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in found))
    return file


def prepared(folder: Path, last: float) -> Path:
    """A prepared folder whose training rows end at `last`."""
    folder.mkdir()
    write(folder / "heldout.jsonl", rows())
    write(folder / "train.jsonl", [row | {"time": last - i} for i, row in enumerate(rows(10))])
    (folder / "report.json").write_text(json.dumps({"schema": 1, "true_rate": 0.2, "training_rate": 0.1}))
    return folder


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["feedback", "evaluate", *map(str, words)])
    return int(ended.value.code or 0)


def test_it_measures_writes_and_prints(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(tmp_path / "prepared", NEWS - 1)
    assert run("--model", model, "--data", data, "--output", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["head"], found["training_rate"], found["true_rate"]) == ("love", 0.1, 0.2)
    assert found["time"] == {"from": NEWS, "to": NEWS + 39, "trained_until": NEWS - 1, "later": True, "not_later": 0}
    report = found["report"]
    assert (report["n"], report["missing"], report["positives"], report["clusters"]) == (40, 0, 8, 9)
    assert report["rate"]["estimate"] == pytest.approx(0.2)
    assert report["auroc"]["low"] < report["auroc"]["estimate"] < report["auroc"]["high"]
    assert {name: own["n"] for name, own in found["by_policy"].items()} == {"a": 20, "b": 20}
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert page.count("<svg") == 4
    assert "AUROC" in capsys.readouterr().out


def test_probabilities_are_at_the_true_rate(model: Path, tmp_path: Path) -> None:
    """The same model read at the training's own rate: the logits differ by the shift, log(0.25) − log(1/9)."""
    from cgpo.rewards.classifier import ClassifierSettings, SequenceClassifierReward
    from cgpo.types import Prompt

    asked = [Prompt("p", ({"role": "user", "content": "Tell me of 1."},))]
    at_true = SequenceClassifierReward(ClassifierSettings(model=str(model)), "love").score(asked, ["So it is."])
    raw = SequenceClassifierReward(ClassifierSettings(model=str(model)), "love").source.compute(asked, ["So it is."])
    assert at_true[0] == pytest.approx(raw[0][0] + 0.8109302162163288, abs=1e-6)  # ln(9/4)


def test_rows_that_are_not_later_are_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(tmp_path / "prepared", NEWS + 3)  # as late as the fourth held-out row
    assert run("--model", model, "--data", data) == 2
    assert "4 of 40 rows are not later" in capsys.readouterr().err
    assert run("--model", model, "--data", data, "--allow-earlier", "--output", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["time"]["later"] is False


def test_a_file_without_its_training_says_that_nobody_knows(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "later.jsonl", rows())
    assert run("--model", model, "--data", file) == 0
    assert "nobody says when the model's training data ended" in capsys.readouterr().out
    trained = write(tmp_path / "train.jsonl", rows(3))
    assert run("--model", model, "--data", file, "--trained-on", trained) == 2


def test_another_folder_does_not_say_when_the_training_ended(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model").symlink_to(model)
    newer = tmp_path / "newer"
    stage = f"schema: 1\nreward_stage: {{heads: {{love: {{feedback: {newer}}}}}}}\n"
    (folder / "config.yaml").write_text(stage)
    older = prepared(tmp_path / "older", NEWS - 1)
    # the model has learnt from newer rows than those it is to be measured on, and their folder is not here
    assert run("--model", folder / "model", "--data", older, "--output", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["time"]["later"] is None
    prepared(newer, NEWS + 3)
    assert run("--model", folder / "model", "--data", older) == 2


def test_one_class_is_measured_as_far_as_it_goes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "later.jsonl", rows(label=0, policy=None, user=None))
    assert run("--model", model, "--data", file, "--output", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())["report"]
    assert report["auroc"]["estimate"] is None
    assert report["calibration"]["ece"]["estimate"] > 0
    assert report["clusters"] == 40
    assert "all 40 rows are negative" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nowhere/at/all", "--data", "later.jsonl"], "there is no such folder"),
        (["--model", "MODEL", "--data", "gone"], "no such prepared folder or file"),
        (["--model", "MODEL", "--data", "later.jsonl", "--head", "lov"], "Did you mean 'love'?"),
        (["--model", "MODEL", "--data", "empty.jsonl"], "no held-out rows"),
        (["--model", "MODEL", "--data", "later.jsonl", "--output", "later.jsonl"], "is no folder"),
        (["--model", "MODEL", "--data", "later.jsonl", "--confidence", "95"], "strictly between 0 and 1"),
    ],
)
def test_bad_input_is_named(
    words: list[str],
    said: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "later.jsonl", rows())
    write(tmp_path / "empty.jsonl", [])
    assert run(*(str(model) if word == "MODEL" else word for word in words)) == 2
    assert said in capsys.readouterr().err


def test_what_is_wrong_with_the_model_is_said_in_options(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "later.jsonl", rows())
    assert run("--model", model, "--head", "lov", "--data", file) == 2
    assert "unknown head 'lov' at --head. Did you mean 'love'?" in capsys.readouterr().err
    assert run("--model", model.parent, "--data", file) == 2
    assert f"--model: {str(model.parent)!r} is a run directory; its model is {str(model)!r}" in capsys.readouterr().err
    assert run("--model", model, "--data", file, "--max-length", "99999") == 2
    assert "--max-length = 99999: the model knows at most" in capsys.readouterr().err


def test_a_log_that_was_not_prepared_is_told_from_prepared_rows(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "log.jsonl", [{"prompt": "Hi", "response": "Hello.", "reaction": True, "time": NEWS}])
    assert run("--model", model, "--data", file) == 2
    said = capsys.readouterr().err
    assert "log.jsonl row 1 is no prepared row: it has no `schema`, only 'prompt', 'response', 'reaction'" in said
    assert "cgpo feedback prepare --input LOGS" in said


def test_scores_that_are_missing_stop_it(tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    network, tokenizer = load_base(tiny_model, "reward_stage.base", seed=1)
    with torch.no_grad():
        network.score.weight.fill_(torch.nan)
    network.save_pretrained(tmp_path / "broken")
    tokenizer.save_pretrained(tmp_path / "broken")
    file = write(tmp_path / "later.jsonl", rows())
    assert run("--model", tmp_path / "broken", "--data", file) == 1
    assert "no finite score for 40 of 40" in capsys.readouterr().err
    # Told to go on, it still makes no number of them.
    words = ("--model", tmp_path / "broken", "--data", file, "--output", tmp_path / "out")
    assert run(*words, "--max-missing-rate", "1") == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["objective"], found["report"]["missing"], found["report"]["n"]) == (None, 40, 0)
    assert found["report"]["auroc"]["estimate"] is None
