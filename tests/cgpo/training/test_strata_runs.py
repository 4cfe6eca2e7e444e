"""Strata of one run that differ in optimiser, schedule, weight and sampling, trained on a tiny random model."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cgpo.commands.train import run_training
from cgpo.compose import Composed, validate
from cgpo.errors import CgpoError, LimitError
from cgpo.tracking.rollouts import read_rollouts

Tree = dict[str, Any]
Metrics = dict[str, float | None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts with a judge that a random model satisfies about half of the time, and a random reward model."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    found = tmp_path_factory.mktemp("strata")
    kwargs = [{"letter": "e", "let_frequency": 6, "let_relation": "at least"}]
    metadata = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": kwargs}
    rows = [{"prompt": f"Write number {i} with e.", "part": "ab"[i % 2], "metadata": metadata} for i in range(16)]
    (found / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    torch.manual_seed(3)
    encoder = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(encoder), num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(found / "reward")
    encoder.save_pretrained(found / "reward")
    return found


@pytest.fixture
def settings(folder: Path, tiny_model: str, tmp_path: Path) -> Callable[..., Tree]:
    """The tree of a run of strata `a` and `b` on two halves of one file; keyword arguments are merged into strata."""

    def tree(steps: int, rest: Tree | None = None, **strata: Tree) -> Tree:
        base: Tree = {
            "prompts_per_step": 2,
            "generations_per_prompt": 4,
            "sampling": {"max_tokens": 10},
            "judges": ["instruction_following"],
            "rewards": {"any": 1.0},
            "optimizer": {"name": "crpg", "kl_max": 5.0},
        }
        prompts = {name: {"path": str(folder / "rows.jsonl"), "where": {"part": name}} for name in strata}
        return {
            "run_dir": str(tmp_path / "run"),
            "model": {"name": tiny_model, "context_length": 128},
            "rewards": {"any": {"model": str(folder / "reward")}},
            "strata": {name: base | {"prompts": prompts[name]} | own for name, own in strata.items()},
            "train": {"steps": steps, "learning_rate": 1e-3, "save_every": 1, "keep_checkpoints": 9},
            "rollout": {"engine": "hf", "max_logprob_gap": 0.001},
            "judging": {"processes": 1},
            "tracking": {"tensorboard": False, "display": "plain"},
            **(rest or {}),
        }

    return tree


def train(tree: Tree) -> list[Metrics]:
    """Runs it and returns each step's metrics but times."""
    run_training(Composed(validate(tree), "test"))
    return recorded(tree)


def known(metrics: Metrics, name: str) -> float:
    value = metrics[name]
    assert value is not None
    return value


def recorded(tree: Tree) -> list[Metrics]:
    lines = (Path(tree["run_dir"]) / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line)["metrics"].items()
            if "time/" not in name and "seconds" not in name
        }
        for line in lines
    ]


def gone_on_after(step: int, tree: Tree) -> list[Metrics]:
    """What the run records when it goes on from an earlier checkpoint, its later ones lost."""
    for folder in (Path(tree["run_dir"]) / "checkpoints").iterdir():
        if int(folder.name.rpartition("-")[2]) > step:
            shutil.rmtree(folder)
    return train(tree)


def prompts_of(tree: Tree, step: int, stratum: str) -> set[str]:
    rows = read_rollouts(Path(tree["run_dir"]) / "rollouts")[step]
    return {row.prompt_id for row in rows if row.stratum == stratum}


def test_a_schedule_and_two_optimisers_in_one_run_and_a_resume(settings: Callable[..., Tree]) -> None:
    strata: Tree = {
        "a": {"schedule": {"every": 2}},
        "b": {"optimizer": {"name": "codpo"}, "schedule": {"start": 1}, "weight": 0.5},
    }
    weighting = {"weighting": {"method": "satisfied_rate", "decay": 0.5, "strength": 0.5}}
    tree = settings(4, weighting, **strata)
    whole = train(tree)
    parts = [{name.partition("/")[0] for name in step} & {"a", "b"} for step in whole]
    assert parts == [{"a"}, {"b"}, {"a", "b"}, {"b"}]
    assert "a/kl_factor_largest" in whole[2]
    assert "b/kl_factor_largest" not in whole[2]
    assert whole[1]["b/responses"] == 8

    # Step 2: each has taken part in one step, so its mean is that step's rate; ρ is 1 and 0.5, and keeps its sum.
    rates = [known(whole[0], "a/satisfied_rate"), known(whole[1], "b/satisfied_rate")]
    raised = [math.exp(0.5 * (sum(rates) / 2 - rate)) for rate in rates]
    scale = 1.5 / (1.0 * raised[0] + 0.5 * raised[1])
    assert known(whole[2], "a/weight") == pytest.approx(scale * raised[0])
    assert known(whole[2], "b/weight") == pytest.approx(0.5 * scale * raised[1])
    # A stratum alone keeps its ρ.
    assert known(whole[3], "b/weight") == pytest.approx(0.5)

    # a's sampler stood still in step 1: its second batch is the one that follows its first.
    assert not prompts_of(tree, 1, "a") & prompts_of(tree, 3, "a")
    baselines = [json.loads(line) for line in (Path(tree["run_dir"]) / "baselines.jsonl").read_text().splitlines()]
    assert sum(row["stratum"] == "a" for row in baselines) == 4  # two steps of two prompts
    assert sum(row["stratum"] == "b" for row in baselines) == 6

    assert gone_on_after(2, tree) == whole


def test_prompts_with_a_contrast_are_drawn_and_a_resume_knows_them(settings: Callable[..., Tree]) -> None:
    strata = {"a": {"informative_share": 0.75, "generations_per_prompt": 3}}
    tree = settings(6, **strata)
    whole = train(tree)
    for step in whole:
        assert known(step, "a/informative_rate") == pytest.approx(1 - known(step, "a/zero_signal_rate"))
    assert known(whole[-1], "a/informative_pool") < 1
    assert gone_on_after(3, tree) == whole


def test_a_stratum_without_a_signal_is_named_with_numbers_and_stops_the_run(
    settings: Callable[..., Tree], capsys: pytest.CaptureFixture[str]
) -> None:
    hopeless = {"judges": [{"name": "regex", "pattern": "no model says this"}]}
    strata = {
        "a": {**hopeless, "warn_after_steps_without_signal": 2, "max_steps_without_signal": 3},
        "b": {"prompts_per_step": 1},
    }
    with pytest.raises(LimitError) as caught:
        train(settings(9, **strata))
    for expected in ("stratum 'a'", "its last 3 steps", "its 24 responses: 24 violated", "regex violated 24"):
        assert expected in str(caught.value)
    said = capsys.readouterr().err
    assert "warning, step 2: stratum a: no signal in its last 2 steps (its 16 responses: 16 violated" in said
    found = recorded(settings(9, **strata))
    assert [step["a/no_signal"] for step in found] == [1, 1, 1]
    assert [step["a/zero_signal_rate"] for step in found] == [1, 1, 1]
    # The count goes on from the checkpoint: one more try, and it stops again.
    with pytest.raises(LimitError, match="its last 4 steps"):
        train(settings(9, **strata))


def test_strata_that_share_prompts_are_named(
    settings: Callable[..., Tree], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = {"path": str(folder / "rows.jsonl"), "size": 5}
    train(settings(1, a={"prompts": prompts}, b={"prompts": prompts | {"size": 3}}))
    assert "3 training prompts are in both strata a and b" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ({"a": {"schedule": {"start": 3}}, "b": {}}, "strata.a.schedule.start is 3, but the run has the steps 0 to 2"),
        ({"a": {"schedule": {"start": 2, "end": 2}}}, "must be above `start`"),
        ({"a": {"schedule": {"every": 2}}}, "in 1 of 3 steps, the first of them step 1"),
        ({"a": {"schedule": {"evry": 2}}}, "every"),
        ({"a": {"informative_share": 0.5, "generations_per_prompt": 1}}, "generations_per_prompt"),
    ],
)
def test_impossible_schedules_are_refused(settings: Callable[..., Tree], strata: Tree, expected: str) -> None:
    with pytest.raises(CgpoError) as caught:
        validate(settings(3, **strata))
    assert expected in str(caught.value)


def test_changes_that_the_checkpoint_does_not_fit_leave_the_run_as_it_was(settings: Callable[..., Tree]) -> None:
    tree = settings(1, a={})
    whole = train(tree)
    file = Path(tree["run_dir"]) / "config.yaml"
    before = file.read_bytes()
    for changes, allowed in (({"seed": 77}, "seed"), ({"model": {**tree["model"], "lora": {"rank": 2}}}, "model")):
        with pytest.raises(CgpoError):
            run_training(Composed(validate({**tree, **changes}), "test"), allow=[allowed])
        assert file.read_bytes() == before
    assert train(tree) == whole


def undocumented(steps: list[Metrics]) -> set[str]:
    """Quantities of a run that docs/report.md does not name."""
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", page))))
    return {name for step in steps for name in step if name.split("/")[1] not in named}


def test_every_optimiser_in_one_run_which_goes_on_where_it_stopped(settings: Callable[..., Tree], folder: Path) -> None:
    names = ["crpg", "codpo", "crraft", "ppo", "grpo", "rloo", "online_dpo", "lagrangian"]
    prompts = {"path": str(folder / "rows.jsonl"), "where": {"part": "a"}}
    small = {"prompts": prompts, "prompts_per_step": 2, "generations_per_prompt": 3}
    strata = {name: {**small, "optimizer": {"name": name}} for name in names}
    strata["lagrangian"]["optimizer"] = {"name": "lagrangian", "allowed_violation_rate": 1.0}  # so that λ falls
    tree = settings(2, **strata)
    tree["train"]["epochs_per_step"] = 2
    whole = train(tree)
    assert all(known(step, "train/grad_norm") > 0 for step in whole)
    first, second = whole
    assert known(first, "lagrangian/multiplier/instruction_following") == 1.0
    rate = 1 - known(first, "lagrangian/satisfied_rate")
    assert rate < 1
    assert known(second, "lagrangian/multiplier/instruction_following") == pytest.approx(1.0 + 0.1 * (rate - 1.0))
    assert known(first, "ppo/value_loss") > 0
    shares = [
        known(first, f"crraft/{name}") for name in ("chosen_own_rate", "chosen_baseline_rate", "skipped_prompt_rate")
    ]
    assert sum(shares) == pytest.approx(1.0)
    assert undocumented(whole) == set()
    assert gone_on_after(1, tree) == whole


def test_rewards_of_every_kind_in_one_run_which_goes_on_where_it_stopped(settings: Callable[..., Tree]) -> None:
    answers = itertools.count()

    class Moody(BaseHTTPRequestHandler):
        """Scores a text differently each time, and every third one not at all."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            scores = [None if n % 3 == 2 else n / 10 for _, n in zip(asked["responses"], answers, strict=False)]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"scores": scores}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        tree = settings(2, a={"rewards": {"any": 1.0, "far": 1.0, "right": 0.5, "brief": 0.1}, "max_unknown_rate": 1.0})
        tree["rewards"] |= {
            "far": {"type": "http", "url": f"http://127.0.0.1:{server.server_port}/", "max_missing_rate": 1.0},
            "right": {"type": "judge", "judge": "instruction_following"},
            "brief": {"type": "length", "target": 2, "scale": 5.0},
        }
        tree["rewards"]["far"]["overlap_responses"] = 3
        whole = train(tree)
        assert gone_on_after(1, tree) == whole  # the second time the server would have given other scores
        server.shutdown()
    assert all(known(step, "a/missing_rewards/far") > 0 for step in whole)
    assert all(known(step, "a/missing_rewards/right") == 0 for step in whole)
    assert all(-4 <= known(step, "a/reward/brief") <= 0 for step in whole)
    assert undocumented(whole) == set()
