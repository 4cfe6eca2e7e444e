"""The reward stage with several heads, with feedback, and stopping early: on tiny models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from stage_data import write_rows

from cgpo.compose import compose
from cgpo.config import RunSettings
from cgpo.data.prepared_feedback import FeedbackRow
from cgpo.errors import DataError
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.rewards.heads import read_heads
from cgpo.rewards.model import create_reward
from cgpo.stages.reward_model import stage as stage_module
from cgpo.stages.reward_model.sources import HeadSources
from cgpo.stages.reward_model.stage import run_reward_stage
from cgpo.tracking.progress import StageProgress
from cgpo.types import Prompt

THINGS = ("apple", "river", "lamp", "cloud", "book", "train", "shoe", "bird", "stone", "song", "door", "map")
PLACES = ("Rome", "winter", "school", "spring")


def settings(run_dir: Path, base: str, heads: dict[str, dict[str, Any]], *more: str) -> RunSettings:
    stage = {"base": base, "learning_rate": 0.01, "epochs": 2, "batch_size": 8, "max_length": 48}
    stage |= {f"heads.{name}.{key}": value for name, head in heads.items() for key, value in head.items()}
    overrides = [f"reward_stage.{key}={value}" for key, value in stage.items()]
    return compose([f"run_dir={run_dir}", "tracking.display=off", *overrides, *more], needs_strata=False).settings


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Responses with two ratings and a label: polite ones are good and loved, others are rude."""
    rows = []
    for i, (thing, place) in enumerate((t, p) for t in THINGS for p in PLACES):
        polite = i % 2
        text = f"{'gladly' if polite else 'sourly'} {thing} {place}"
        rows.append({"prompt": f"Tell me about {thing} in {place}.", "response": text, "love": polite})
        rows[-1] |= {"quality": 1 + 3 * polite, "rudeness": 10 - 10 * polite}
    return write_rows(tmp_path_factory.mktemp("rows") / "rated.jsonl", rows)


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pairs with a margin, of other prompts."""
    rows = [
        {
            "prompt": f"What of {thing} in {place}?",
            "chosen": f"gladly {thing}",
            "rejected": f"sourly {thing}",
            "by": i % 3,
        }
        for i, (thing, place) in enumerate((t, p) for t in THINGS for p in PLACES[:2])
    ]
    return write_rows(tmp_path_factory.mktemp("rows") / "pairs.jsonl", rows)


def score(run_dir: str, head: str, response: str) -> float:
    used = ClassifierSettings(model=f"{run_dir}/model", max_length=48, head=head)
    prompt = Prompt("p", ({"role": "user", "content": "Tell me about lamp in Rome."},))
    (found,) = create_reward(head, used).score([prompt], [response])
    assert found is not None
    return found


def report(run: RunSettings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(run.run_dir) / "report.json").read_text())
    return found


def metrics(run: RunSettings) -> list[dict[str, Any]]:
    lines = (Path(run.run_dir) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["metrics"] for line in lines]


def test_heads_of_three_objectives_learn_at_once(tiny_encoder: str, rated: str, paired: str, tmp_path: Path) -> None:
    heads = {
        "helpful": {
            "objective": "pairwise",
            "pairs.path": paired,
            "margin_column": "by",
            "margin_scale": 0.5,
            "centring": 0.01,
        },
        "love": {"objective": "pointwise", "path": rated, "label_column": "love", "true_rate": 0.02},
        "quality": {"objective": "regression", "path": rated, "rating_column": "quality", "weight": 2.0},
        "rudeness": {"objective": "regression", "path": rated, "rating_column": "rudeness", "loss": "huber"},
    }
    for name in ("love", "quality", "rudeness"):
        heads[name]["heldout_share"] = 0.3
    run = settings(tmp_path / "run", tiny_encoder, heads, "reward_stage.epochs=8")
    run_reward_stage(run)
    found = report(run)
    # three heads share the rows of one file: each response is shown once
    pairs, texts = (found["heads"][name]["rows"]["train"] for name in ("helpful", "love"))
    assert found["texts"]["n"] == texts + 2 * pairs
    assert found["steps"] == 8 * -(-(texts + pairs) // 8)
    assert {name: head["objective"] for name, head in found["heads"].items()} == {
        "helpful": "pairwise",
        "love": "pointwise",
        "quality": "regression",
        "rudeness": "regression",
    }
    assert found["heads"]["love"]["heldout"]["auroc"]["estimate"] >= 0.9
    assert found["heads"]["quality"]["heldout"]["pearson"]["estimate"] >= 0.8
    assert found["heads"]["rudeness"]["heldout"]["pearson"]["estimate"] >= 0.8
    assert found["heads"]["helpful"]["heldout"]["accuracy"]["estimate"] >= 0.9
    # rewards have the unit of the data: ratings of 1 and 4, and of 0 and 10
    assert score(run.run_dir, "quality", "gladly lamp Rome") == pytest.approx(4, abs=1)
    assert score(run.run_dir, "quality", "sourly lamp Rome") == pytest.approx(1, abs=1)
    assert score(run.run_dir, "rudeness", "sourly lamp Rome") > 6
    read = read_heads(Path(run.run_dir) / "model")
    assert read is not None
    assert [head.name for head in read] == list(heads)
    assert read[1].true_rate == 0.02
    page = (Path(run.run_dir) / "report.html").read_text()
    assert "Head rudeness" in page
    last = metrics(run)[-1]
    weights = {"helpful": 1, "love": 1, "quality": 2, "rudeness": 1}
    assert last["train/loss"] == pytest.approx(sum(w * (last[f"train/loss/{h}"] or 0) for h, w in weights.items()))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Feedback in which positives count five times: half of the training rows, 2 of 100 in truth."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    rows: dict[str, list[FeedbackRow]] = {"train": [], "heldout": []}
    for side, places in (("train", PLACES[:3]), ("heldout", PLACES[3:])):
        for i, (thing, place) in enumerate((t, p) for t in THINGS for p in places):
            love = int(i % 6 == 0)
            text = f"{'gladly' if love else 'sourly'} {thing} {place}"
            copies = 5 if love and side == "train" else 1
            prompt = ({"role": "user", "content": f"Tell me about {thing}."},)
            rows[side].append(FeedbackRow(prompt, text, love, float(i), f"user {i}", None, copies))  # type: ignore[arg-type]
        write_rows(folder / f"{side}.jsonl", [row.as_json() for row in rows[side]])
    (folder / "report.json").write_text(json.dumps({"schema": 1, "true_rate": 0.02, "training_rate": 0.5}))
    return folder


def test_feedback_becomes_probabilities_at_the_true_rate(tiny_encoder: str, prepared: Path, tmp_path: Path) -> None:
    heads = {"love": {"objective": "pointwise", "feedback": prepared}}
    run = settings(tmp_path / "run", tiny_encoder, heads, "reward_stage.epochs=4")
    run_reward_stage(run)
    love = report(run)["heads"]["love"]
    # 6 positives × 5 copies and 30 negatives
    assert (love["training_rate"], love["true_rate"]) == (0.5, 0.02)
    assert love["rows"] == {"train": 36, "validation": 0, "heldout": 12}
    assert love["shared_prompts"] == 12  # split in time, prompts come again
    assert report(run)["steps"] == 4 * -(-60 // 8)
    assert love["heldout"]["probabilities_at_rate"] == 0.02
    # the reward is the model's own logit, less logit(0.5) = 0, plus logit(0.02)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(f"{run.run_dir}/model").eval()
    tokenizer = AutoTokenizer.from_pretrained(f"{run.run_dir}/model")
    tokens = tokenizer("Tell me about lamp in Rome.", "gladly lamp Rome", return_tensors="pt")
    raw = float(model(**tokens).logits[0, 0].detach())
    expected = raw + math.log(0.02 / 0.98)
    assert score(run.run_dir, "love", "gladly lamp Rome") == pytest.approx(expected, abs=1e-4)


def test_it_stops_early_keeps_the_best_weights_and_goes_on_after_a_kill(
    tiny_encoder: str, paired: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every third pair is labelled the wrong way round: after a while the model learns these by heart.
    rows = [json.loads(line) for line in Path(paired).read_text().splitlines()]
    noisy = [r | {"chosen": r["rejected"], "rejected": r["chosen"]} if i % 3 == 0 else r for i, r in enumerate(rows)]
    file = write_rows(tmp_path / "noisy.jsonl", noisy)
    heads = {"helpful": {"objective": "pairwise", "pairs.path": file}}
    stopping = ["early_stopping.every=2", "early_stopping.patience=2", "early_stopping.share=0.25", "epochs=60"]
    more = [f"reward_stage.{setting}" for setting in stopping]
    whole = settings(tmp_path / "whole", tiny_encoder, heads, *more)
    run_reward_stage(whole)
    found = report(whole)["early_stopping"]
    lines = metrics(whole)
    measured = {i + 1: m["validation/loss"] for i, m in enumerate(lines) if "validation/loss" in m}
    assert len(lines) < found["planned_steps"]
    assert found["validation_loss"] == min(measured.values())
    assert measured[found["kept_step"]] == found["validation_loss"]
    assert found["kept_step"] == len(lines) - 4  # two measurements, two steps apart, were no better
    assert not (tmp_path / "whole" / "checkpoints").exists()

    again = settings(tmp_path / "again", tiny_encoder, heads, *more)

    class KilledError(Exception):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(stage_module.StageLoop, "load_best", killed)  # after the last step, before the best are restored
        with pytest.raises(KilledError):
            run_reward_stage(again)
    run_reward_stage(again)
    assert metrics(again) == lines
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(again)[name], tensor), name


def test_what_was_left_out_is_still_known_after_a_kill(paired: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in Path(paired).read_text().splitlines()]
    rows += [rows[0], rows[1], rows[2] | {"rejected": rows[2]["chosen"]}]
    heads = {"helpful": {"objective": "pairwise", "pairs.path": write_rows(tmp_path / "pairs.jsonl", rows)}}
    run = settings(tmp_path / "run", "minilm", heads)
    Path(run.run_dir).mkdir()
    progress = StageProgress("off", 0)
    head = run.reward_stage.heads["helpful"]
    first = HeadSources(run, Path(run.run_dir), progress).rows("helpful", head)
    again = HeadSources(run, Path(run.run_dir), progress).rows("helpful", head)  # the pairs are on disk now
    assert first == again
    assert again.left_out is not None
    assert {reason: n for reason, n in again.left_out.items() if n} == {"duplicates": 2, "equal": 1}


def weights(run: RunSettings) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(Path(run.run_dir) / "model" / "model.safetensors")


def test_a_causal_language_model_is_a_base_too(tiny_model: str, rated: str, tmp_path: Path) -> None:
    heads = {"love": {"objective": "pointwise", "path": rated, "label_column": "love"}}
    run = settings(tmp_path / "run", tiny_model, heads, "reward_stage.epochs=1", "reward_stage.max_length=24")
    run_reward_stage(run)
    found = report(run)
    assert found["texts"]["truncated"] == found["texts"]["n"]  # the template's system prompt alone is longer
    assert found["heads"]["love"]["training_rate"] == found["heads"]["love"]["true_rate"]
    lines = metrics(run)
    assert lines[0]["train/loss"] == pytest.approx(math.log(2), abs=0.5)
    config = json.loads((Path(run.run_dir) / "model" / "config.json").read_text())
    assert (config["architectures"], config["id2label"]) == (["LlamaForSequenceClassification"], {"0": "love"})


def test_labels_of_one_class_stop_the_stage_before_training(tiny_encoder: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "response": "r", "label": 0} for i in range(10)]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    run = settings(tmp_path / "run", tiny_encoder, {"love": {"objective": "pointwise", "path": file}})
    with pytest.raises(DataError, match=r"reward_stage\.heads\.love: 0 of 9 training rows are positive"):
        run_reward_stage(run)
