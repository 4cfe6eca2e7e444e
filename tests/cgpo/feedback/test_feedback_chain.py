"""From a simulated log to a reward model that ranks responses as the simulated users do, by the documented commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cgpo.cli import main
from cgpo.compose import compose
from cgpo.data.prepared_feedback import read_prepared
from cgpo.feedback.simulation.population import logistic, read_population
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.rewards.model import create_reward
from cgpo.stages.reward_model.stage import run_reward_stage
from cgpo.types import Prompt

ROWS, BASE_RATE = 1500, 0.3


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT of one layer with MiniLM's tokenizer, small enough to learn from scratch within seconds."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from cgpo.models.assets import resolve_model

    folder = tmp_path_factory.mktemp("models") / "small-bert"
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def cgpo(*words: str) -> None:
    """A command, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def chain(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """logs.jsonl, users.json, prepared/, reward/ and evaluation/ in one folder."""
    folder = tmp_path_factory.mktemp("chain")
    log, users, prepared = str(folder / "logs.jsonl"), str(folder / "users.json"), str(folder / "prepared")
    size = ["--rows", str(ROWS), "--base-rate", str(BASE_RATE), "--users", "400", "--seed", "3"]
    cgpo("feedback", "simulate", *size, "--output", log, "--population", users)
    cgpo("feedback", "prepare", "--input", log, "--output", prepared, "--positive-share", "0.5")
    overrides = [
        f"run_dir={folder / 'reward'}",
        f"reward_stage.base={encoder}",
        f"reward_stage.heads={{love: {{objective: pointwise, feedback: {prepared}}}}}",
        "reward_stage.epochs=3",
        "reward_stage.batch_size=32",
        "reward_stage.learning_rate=6e-3",
        "reward_stage.max_length=96",
        "reward_stage.save_every=0",
        "tracking.display=off",
    ]
    assert run_reward_stage(compose(overrides, needs_strata=False).settings) == 0
    model = str(folder / "reward" / "model")
    cgpo("feedback", "evaluate", "--model", model, "--data", prepared, "--output", str(folder / "evaluation"))
    return folder


def test_scores_are_log_odds_at_the_true_rate_that_rank_as_the_users_do(chain: Path) -> None:
    rows = read_prepared(chain / "prepared").heldout()
    settings = ClassifierSettings(model=str(chain / "reward" / "model"), head="love", max_length=96)
    prompts = [Prompt(str(n), row.prompt, {}) for n, row in enumerate(rows)]
    logits = np.array(create_reward("love", settings).score(prompts, [row.response for row in rows]), dtype=np.float64)
    truth = read_population(chain / "users.json").love_of([row.response for row in rows])
    assert np.corrcoef(logits, np.log(truth / (1 - truth)))[0, 1] > 0.3
    # Trained at 40 % positives: without undoing the shift the mean would be more than twice as high.
    assert logistic(logits).mean() == pytest.approx(truth.mean(), rel=0.35)


def test_the_evaluation_is_of_the_later_rows(chain: Path) -> None:
    found: dict[str, Any] = json.loads((chain / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    labels = [row.label for row in read_prepared(chain / "prepared").heldout()]
    assert (found["head"], found["objective"], found["time"]["later"]) == ("love", "pointwise", True)
    assert (found["report"]["n"], found["report"]["positives"]) == (len(labels), sum(labels))
    assert found["report"]["auroc"]["estimate"] > 0.5
    assert found["true_rate"] < found["training_rate"] == pytest.approx(0.5, abs=1e-3)
