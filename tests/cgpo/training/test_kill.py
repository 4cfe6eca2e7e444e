"""A run that is killed with SIGKILL at any phase of a step goes on bit for bit as if it had never been killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli import main
from cgpo.commands.train import run_training
from cgpo.compose import compose
from cgpo.policy import manifest
from cgpo.policy.policy import Policy
from cgpo.responses.stratum import Stratum
from cgpo.types import Rollout
from judges import Judgement

SCRIPT = Path(__file__).parents[1] / "kill_at.py"
STEPS, KILLED = 3, 1
BEST = "one/calibrated_reward"
FAST = ("judging", "checkpoint without manifest")
PHASES = (
    "rollout",
    "judging",
    "rewards",
    "log-probs",
    "backward",
    "optimiser step",
    "sync",
    "records",
    "checkpoint begun",
    "checkpoint half written",
    "checkpoint without manifest",
    "checkpoint not in place",
    "checkpoint in place",
)


def write_experiment(folder: Path, model: str) -> None:
    """Two strata whose judge a random model satisfies about half of the time.

    Everything that carries state from step to step is on: multipliers, automatic weights, sampling for
    contrast, the best checkpoint.
    """
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    kwargs = [{"letter": "e", "let_frequency": 4, "let_relation": "at least"}]
    metadata = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": kwargs}
    rows = [{"prompt": f"Write number {i} with many letters e.", "metadata": metadata} for i in range(12)]
    for name, part in {"train": rows[:8], "heldout": rows[8:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    encoder = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        reward = BertForSequenceClassification(BertConfig(vocab_size=len(encoder), num_labels=1, **sizes))
    reward.save_pretrained(folder / "reward")
    encoder.save_pretrained(folder / "reward")
    (folder / "experiment").mkdir()
    shared = (
        f"prompts: {folder / 'train.jsonl'}, prompts_per_step: 2, generations_per_prompt: 4, "
        "sampling: {max_tokens: 12}, judges: [instruction_following], rewards: {any: 1.0}"
    )
    (folder / "experiment" / "tiny.yaml").write_text(
        f"""# @package _global_
model: {{name: {model}, context_length: 256}}
rewards: {{any: {{model: {folder / "reward"}}}}}
strata:
  one: {{{shared}, optimizer: {{name: crpg, kl_max: 5.0}}, informative_share: 0.5, heldout: {folder / "heldout.jsonl"}}}
  two: {{{shared}, optimizer: {{name: lagrangian}}}}
train:
  {{steps: {STEPS}, learning_rate: 1.0e-3, save_every: 1, keep_checkpoints: 1, keep_best: {{metric: {BEST}}}}}
eval: {{every: 1}}
weighting: {{method: satisfied_rate}}
tracking: {{tensorboard: false, display: "off"}}
"""
    )


class Experiment:
    """Trains in this process, or in one that is killed."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.folder = folder
        self.overrides = ["experiment=tiny", *overrides]

    def train(self, run: str) -> None:
        run_training(compose([*self.overrides, f"run_dir={self.folder / run}"], config_dir=str(self.folder)))

    def start(self, run: str, phase: str, step: int, *more: str, ranks: int = 1) -> int:
        """`cgpo train` as one process or several; its exit status."""
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)] if ranks > 1 else []
        command = [sys.executable, *launch, str(SCRIPT), phase, str(step), "train", "--config-dir", str(self.folder)]
        command += [*self.overrides, f"run_dir={self.folder / run}", *more]
        ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}  # set by training in this process
        env = {key: value for key, value in os.environ.items() if key not in ours}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert "Error" not in done.stderr, done.stderr[-3000:]
        return done.returncode

    def metrics(self, run: str) -> list[dict[str, Any]]:
        """Of each step, without what is measured by the clock."""
        lines = [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]
        timed = ("time/", "rewards/seconds/", "one/judge_seconds/", "two/judge_seconds/")
        return [{k: v for k, v in line["metrics"].items() if not k.startswith(timed)} for line in lines]

    def state(self, run: str) -> Any:
        """Weights and optimiser state of the last checkpoint."""
        import torch

        file = self.folder / run / "checkpoints" / f"step-{STEPS:06d}" / "state" / "mp_rank_00_model_states.pt"
        found = torch.load(file, weights_only=False)
        return {"weights": found["module"], "optimizer": found["optimizer"]}


def assert_equal(found: Any, expected: Any, where: str = "") -> None:
    """Compares nested plain data and tensors bit for bit."""
    import torch

    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_equal(found[key], expected[key], f"{where}.{key}")
    else:
        assert found == expected, where


@pytest.fixture(scope="module")
def experiment(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("kill")
    write_experiment(folder, tiny_model)
    return Experiment(folder, "rollout=hf")


@pytest.fixture(scope="module")
def whole(experiment: Experiment) -> Experiment:
    """The run `whole`, which was never killed."""
    experiment.train("whole")
    return experiment


@pytest.mark.parametrize("phase", [p if p in FAST else pytest.param(p, marks=pytest.mark.slow) for p in PHASES])
def test_killed_and_started_again(whole: Experiment, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = phase.replace(" ", "_")
    assert whole.start(run, phase, KILLED) == -signal.SIGKILL
    assert len(whole.metrics(run)) == (KILLED + 1 if "checkpoint" in phase else KILLED)
    asked: list[str] = []
    submit = Stratum.submit

    def counted(self: Stratum, rollout: Rollout) -> Future[Judgement]:
        if rollout.request.prompt.id in self.prompts:
            asked.append(self.name)
        return submit(self, rollout)

    monkeypatch.setattr(Stratum, "submit", counted)
    whole.train(run)
    assert whole.metrics(run) == whole.metrics("whole")
    assert_equal(whole.state(run), whole.state("whole"))
    a_step = 2 * 2 * 4
    fewest, most = (STEPS - KILLED - 1) * a_step, (STEPS - KILLED) * a_step
    if phase in ("rollout", "rewards"):  # verdicts are waited for after the rewards: how far they were is chance
        assert fewest <= len(asked) <= most
    else:
        assert len(asked) == fewest  # the broken-off step's verdicts came from the journal
    for name in ("best.json", ""):
        left = [whole.folder / each / "checkpoints" / name for each in (run, "whole")]
        assert len({path.read_text() if name else str(sorted(p.name for p in path.iterdir())) for path in left}) == 1


def test_a_checkpoint_is_written_beside_the_next_step(whole: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread waits here until the next step's gradient is there; the optimiser step waits for the thread."""
    happened: list[str] = []
    learnt = threading.Event()
    describe, accumulate, step = manifest.describe, Policy.accumulate, Policy.step

    def late(*arguments: Any) -> Any:
        assert learnt.wait(120)
        described = describe(*arguments)
        if threading.current_thread() is not threading.main_thread():
            happened.append("written")
        return described

    def counted(self: Policy, *arguments: Any, last: bool, **options: Any) -> Any:
        result = accumulate(self, *arguments, last=last, **options)
        if last and "optimiser step" in happened:  # the second step or a later one
            happened.append("gradient")
            learnt.set()
        return result

    def noted(self: Policy, *arguments: Any) -> Any:
        happened.append("optimiser step")
        return step(self, *arguments)

    monkeypatch.setattr(manifest, "describe", late)
    monkeypatch.setattr(Policy, "accumulate", counted)
    monkeypatch.setattr(Policy, "step", noted)
    run, without = "beside", ["eval.every=0", "train.keep_best=null", "train.save_every=1"]
    Experiment(whole.folder, *whole.overrides[1:], *without).train(run)
    assert happened[:4] == ["optimiser step", "gradient", "written", "optimiser step"]
    assert_equal(whole.state(run), whole.state("whole"))


def test_killed_while_a_checkpoint_is_written_beside_the_next_step(whole: Experiment) -> None:
    run, without = "killed_beside", ("eval.every=0", "train.keep_best=null")
    assert whole.start(run, "checkpoint half written", KILLED, *without) == -signal.SIGKILL
    assert [path.name for path in (whole.folder / run / "checkpoints").glob("step-*")] == [f"step-{KILLED:06d}"]
    Experiment(whole.folder, *whole.overrides[1:], *without).train(run)
    assert_equal(whole.state(run), whole.state("whole"))


@pytest.mark.slow
def test_a_run_on_two_ranks_goes_on_on_one(whole: Experiment) -> None:
    run = "two_ranks"
    assert whole.start(run, "never", 0, "deepspeed=zero2", f"train.steps={STEPS - 1}", ranks=2) == 0
    moved = json.loads((whole.folder / run / "checkpoints" / f"step-{STEPS - 1:06d}" / "state.json").read_text())
    assert (moved["ranks"], moved["zero_stage"]) == (2, 2)
    whole.train(run)
    state = json.loads((whole.folder / run / "checkpoints" / f"step-{STEPS:06d}" / "state.json").read_text())
    assert (state["ranks"], state["zero_stage"], state["totals"]["responses/total"]) == (1, 0, 16 * STEPS)
    # The first step's responses come from equal weights; later ones may differ where a sum was rounded otherwise.
    first, expected = whole.metrics(run)[0], whole.metrics("whole")[0]
    assert first["one/loss"] == pytest.approx(expected["one/loss"], rel=1e-4)
    assert len(whole.metrics(run)) == STEPS
    history = [json.loads(line) for line in (whole.folder / run / "config-history.jsonl").read_text().splitlines()]
    assert history[-1]["changes"]["deepspeed.zero_stage"] == {"old": 2, "new": 0}


@pytest.mark.slow
@pytest.mark.timeout(2700)  # seven starts of vLLM
def test_with_vllm(tiny_model: str, tmp_path: Path) -> None:
    write_experiment(tmp_path, tiny_model)
    found = Experiment(tmp_path, "rollout=vllm")
    assert found.start("whole", "never", 0) == 0
    for phase in ("rollout", "backward", "sync"):
        assert found.start(phase, phase, KILLED) == -signal.SIGKILL
        assert found.start(phase, "never", 0) == 0
        assert found.metrics(phase) == found.metrics("whole")
        assert_equal(found.state(phase), found.state("whole"))


def test_the_best_checkpoint_is_kept_and_exported(whole: Experiment) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    run = whole.folder / "whole"
    lines = [json.loads(line) for line in (run / "evaluation.jsonl").read_text().splitlines()]
    values = {line["step"]: line["strata"]["one"]["calibrated_reward"]["mean"] for line in lines}
    best = max(range(1, STEPS + 1), key=lambda step: values[step])
    marked = json.loads((run / "checkpoints" / "best.json").read_text())
    assert (marked["step"], marked["value"]) == (best, values[best])
    assert {f"step-{step:06d}" for step in (best, STEPS)} | {"best.json"} == {
        path.name for path in (run / "checkpoints").iterdir()
    }
    (line,) = re.findall(r"^cgpo (export .*)$", (Path(__file__).parents[3] / "docs/checkpoints.md").read_text(), re.M)
    exported = whole.folder / "best-model"
    words = [{"runs/quickstart": str(run), "best-model": str(exported)}.get(word, word) for word in line.split()]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    kept = torch.load(run / f"checkpoints/step-{best:06d}/state/mp_rank_00_model_states.pt", weights_only=False)
    model = AutoModelForCausalLM.from_pretrained(exported)
    assert torch.equal(model.model.norm.weight, kept["module"]["causal_lm.model.norm.weight"])


def test_the_run_that_was_not_killed_did_learn(whole: Experiment) -> None:
    import torch

    first, *_, last = whole.metrics("whole")
    assert first["train/grad_norm"] > 0
    assert (first["tokens/total"], first["responses/total"]) == (first["tokens/response"], 16)
    assert last["responses/total"] == 16 * STEPS
    moments = whole.state("whole")["optimizer"]["state"]
    assert any(bool(torch.count_nonzero(entry["exp_avg"])) for entry in moments.values())
