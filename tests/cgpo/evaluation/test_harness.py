"""The real lm-evaluation-harness on the tiny model and a task of our own, without network."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from cgpo.errors import ConfigError, DataError
from cgpo.evaluation.harness import Score, evaluate_tasks, read_scores, run_harness

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
QUESTIONS = [("2 + 3 =", [" 5", " 6"], 0), ("4 + 4 =", [" 9", " 8"], 1), ("1 + 1 =", [" 2", " 3"], 0)]


def write_task(folder: Path) -> Path:
    rows = [{"question": q, "choices": choices, "right": right} for q, choices, right in QUESTIONS]
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = folder / "sums.yaml"
    (page,) = re.findall(r"```yaml\n# sums.yaml\n(.*?)```", PAGE, re.DOTALL)
    task.write_text(page.replace("sums.jsonl", str(data)))
    return task


@pytest.fixture
def offline_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def expected_accuracy(model: str) -> float:
    """Of the choices, the one with the highest log-probability after the question: plain transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lm = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    right = 0
    for question, choices, answer in QUESTIONS:
        scores = []
        for choice in choices:
            prompt = tokenizer(question, return_tensors="pt").input_ids
            whole = tokenizer(question + choice, return_tensors="pt").input_ids
            with torch.no_grad():
                logprobs = lm(whole).logits[0, :-1].log_softmax(-1)
            picked = logprobs.gather(1, whole[0, 1:, None])[prompt.shape[1] - 1 :]
            scores.append(float(picked.sum()))
        right += scores.index(max(scores)) == answer
    return right / len(QUESTIONS)


def test_a_task_of_ones_own(
    tiny_model: str, tmp_path: Path, offline_data: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scores.json"
    run_harness(tiny_model, str(write_task(tmp_path)), output)
    written = json.loads(output.read_text())
    (score,) = written["scores"]
    assert (score["task"], score["metric"], score["n"]) == ("sums", "acc", 3)
    assert score["value"] == pytest.approx(expected_accuracy(tiny_model))
    assert "standard error" in capsys.readouterr().out


def test_bad_paths_are_said(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        evaluate_tasks(tiny_model, str(tmp_path / "absent.yaml"))
    with pytest.raises(ConfigError, match="no task named"):
        evaluate_tasks(tiny_model, " , ")
    with pytest.raises(ConfigError, match="is no model folder"):
        evaluate_tasks(str(tmp_path), str(write_task(tmp_path)))


@pytest.mark.slow  # the harness reads its thousands of tasks anew each time
def test_bad_tasks_are_said(tiny_model: str, tmp_path: Path, offline_data: None) -> None:
    with pytest.raises(ConfigError, match="no_such_task"):
        evaluate_tasks(tiny_model, "no_such_task")
    task = write_task(tmp_path)
    (tmp_path / "sums.jsonl").unlink()
    with pytest.raises(DataError, match="--lm-eval"):
        evaluate_tasks(tiny_model, str(task))


def test_not_installed_is_said_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lm_eval", None)
    with pytest.raises(ConfigError, match=r"pip install 'cgpo\[lm_eval\]'"):
        evaluate_tasks("model", "arc_easy")


def test_scores_are_read_with_errors_and_filters() -> None:
    found = {
        "results": {
            "gsm8k": {
                "alias": "gsm8k",
                "exact_match,strict-match": 0.25,
                "exact_match_stderr,strict-match": 0.05,
                "perplexity,none": math.inf,
                "perplexity_stderr,none": "N/A",
            }
        },
        "n-samples": {"gsm8k": {"original": 1319, "effective": 80}},
    }
    assert read_scores(found) == [
        Score("gsm8k", "exact_match (strict-match)", 0.25, 0.05, 80),
        Score("gsm8k", "perplexity", None, None, 80),
    ]
