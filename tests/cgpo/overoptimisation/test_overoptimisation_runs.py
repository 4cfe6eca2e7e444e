"""The watch in a real run on a tiny random model: what it records, and that it goes on where the run was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cgpo.commands.train import run_training
from cgpo.compose import Composed, validate
from cgpo.errors import CgpoError
from cgpo.statistics.odds import sigmoid
from cgpo.tracking.rollouts import read_rollouts

Tree = dict[str, Any]


@pytest.fixture(scope="module")
def tree(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A run trained on the reward `any`, watched by the reward `other` and the judge `farewell`."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    folder = tmp_path_factory.mktemp("watched")
    rows = [{"prompt": f"Write number {i} with e."} for i in range(12)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    for seed, name in enumerate(("any", "other")):
        torch.manual_seed(seed)
        BertForSequenceClassification(BertConfig(vocab_size=len(encoder), num_labels=1, **sizes)).save_pretrained(
            folder / name
        )
        encoder.save_pretrained(folder / name)
    return {
        "run_dir": str(folder / "run"),
        "model": {"name": tiny_model, "context_length": 128},
        "rewards": {name: {"model": str(folder / name)} for name in ("any", "other")},
        "strata": {
            "chat": {
                "prompts": {"path": str(folder / "rows.jsonl")},
                "prompts_per_step": 4,
                "generations_per_prompt": 2,
                "sampling": {"max_tokens": 6},
                "rewards": {"any": 1.0},
                "optimizer": {"name": "crpg", "kl_max": 5.0},
            }
        },
        "watch": {
            "independent_rewards": ["other"],
            "independent_judges": [{"name": "length", "maximum": 20, "unit": "characters"}],
            "judge_every": 2,
            "phrases": {"every": 1, "first_steps": 1, "window_steps": 2, "reference_responses": 16},
        },
        "train": {"steps": 4, "learning_rate": 1e-2, "save_every": 1, "keep_checkpoints": 9},
        "rollout": {"engine": "hf", "max_logprob_gap": 0.001},
        "judging": {"processes": 1},
        "tracking": {"tensorboard": False, "display": "plain"},
    }


def train(tree: Tree) -> list[dict[str, float | None]]:
    run_training(Composed(validate(tree), "test"))
    lines = (Path(tree["run_dir"]) / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line)["metrics"].items()
            if "time/" not in name and "seconds" not in name
        }
        for line in lines
    ]


@pytest.fixture(scope="module")
def whole(tree: Tree) -> list[dict[str, float | None]]:
    return train(tree)


def phrases_file(tree: Tree) -> bytes:
    return (Path(tree["run_dir"]) / "phrases.jsonl").read_bytes()


def test_independent_measures_are_recorded_but_not_learnt(tree: Tree, whole: list[dict[str, float | None]]) -> None:
    rows = read_rollouts(Path(tree["run_dir"]) / "rollouts")
    for step, metrics in enumerate(whole, start=1):
        by_prompt: dict[str, list[float]] = {}
        for row in rows[step]:
            score, baseline = row.rewards["other"], row.baseline_rewards["other"]
            assert score is not None
            assert baseline is not None
            by_prompt.setdefault(row.prompt_id, []).append(sigmoid(score - baseline))
            trained, old = row.rewards["any"], row.baseline_rewards["any"]
            assert trained is not None
            assert old is not None
            assert row.calibrated_reward == pytest.approx(sigmoid(trained - old))
        means = [sum(values) / len(values) for values in by_prompt.values()]
        assert metrics["chat/independent/other"] == pytest.approx(sum(means) / len(means))
        asked = step in (1, 3)
        assert all(("length" in row.probes) == asked for row in rows[step])
        assert ("chat/independent/length" in metrics) == asked
        assert all(not row.verdicts for row in rows[step])
        assert ("chat/phrase_z" in metrics) == (step > 1)


def test_a_run_that_goes_on_finds_the_same(tree: Tree, whole: list[dict[str, float | None]]) -> None:
    run = Path(tree["run_dir"])
    found = phrases_file(tree)
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line["step"] for line in lines] == [2, 3, 4]
    assert [line["responses"] for line in lines] == [8, 16, 16]
    assert {line["reference_responses"] for line in lines} == {16}  # 12 baselines, and 4 of the first step
    for folder in (run / "checkpoints").iterdir():
        if int(folder.name.rpartition("-")[2]) > 2:
            shutil.rmtree(folder)
    assert train(tree) == whole
    assert phrases_file(tree) == found


def test_the_watch_may_be_switched_off_on_the_way(tree: Tree, whole: list[dict[str, float | None]]) -> None:
    quiet = {**tree["watch"], "divergence": False, "phrases": {"every": 0}}
    again = train({**tree, "watch": quiet, "train": {**tree["train"], "steps": 5}})
    assert not any("divergence" in name or "phrase_z" in name for name in again[4])
    assert again[4]["chat/reward/other"] is not None


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        ({"independent_rewards": ["othr"]}, "watch.independent_rewards: unknown reward 'othr'. Allowed: any, other"),
        ({"independent_rewards": ["any"]}, "every stratum is trained on 'any'"),
        ({"phrases": {"evry": 2}}, "unknown setting 'evry' at watch.phrases"),
    ],
)
def test_settings_that_cannot_be(tree: Tree, watch: Tree, expected: str) -> None:
    with pytest.raises(CgpoError) as caught:
        validate({**tree, "watch": watch})
    assert expected in str(caught.value)
