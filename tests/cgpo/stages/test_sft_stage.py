"""The SFT stage on the tiny model: against plain PyTorch, gone on with after a kill, and refused where it must be."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from stage_data import conversations, metrics, overrides, run_script, settings, weights, write_rows

from cgpo.config import RunSettings
from cgpo.errors import ConfigError, DataError, RunError
from cgpo.interrupt import Interrupted
from cgpo.stages import loop as loop_module
from cgpo.stages.batches import EpochBatches
from cgpo.stages.conversation_set import load_conversations
from cgpo.stages.sft import run_sft_stage
from cgpo.statistics.intervals import ratio_interval
from cgpo.types import LearnedTokens


@pytest.fixture(scope="module")
def done(tiny_model: str, conversations_file: str, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """A stage that has run once."""
    found = settings("sft", tmp_path_factory.mktemp("run") / "sft", tiny_model, conversations_file)
    assert run_sft_stage(found) == 0
    return found


def tokens_of(used: RunSettings) -> Any:
    from transformers import AutoTokenizer

    return load_conversations(used.sft_stage, AutoTokenizer.from_pretrained(used.model.name), 1024, used.seed)


def loss_sum(causal_lm: Any, talk: LearnedTokens) -> torch.Tensor:
    ids = torch.from_numpy(talk.ids).long()[None]
    labels = ids.masked_fill(~torch.from_numpy(talk.learned)[None], -100)
    loss: torch.Tensor = causal_lm(input_ids=ids, labels=labels).loss * int(talk.learned.sum())
    return loss


def test_it_does_what_plain_pytorch_does(done: RunSettings) -> None:
    """Each conversation alone, transformers' own loss, AdamW, clipping and the cosine written out."""
    from transformers import AutoModelForCausalLM

    data = tokens_of(done)
    causal_lm = AutoModelForCausalLM.from_pretrained(done.model.name, dtype=torch.float32)
    optimizer = torch.optim.AdamW(causal_lm.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)
    batches = EpochBatches(len(data.train), 6, done.seed, "sft")
    steps = 2 * batches.per_epoch
    losses = []
    for step in range(steps):
        rows = [data.train[i] for i in batches.at(step)]
        tokens = sum(int(talk.learned.sum()) for talk in rows)
        loss = sum((loss_sum(causal_lm, talk) for talk in rows), torch.zeros(())) / tokens
        loss.backward()
        torch.nn.utils.clip_grad_norm_(causal_lm.parameters(), 1.0)
        progress = (step - 2) / (steps - 3)
        rate = 3e-3 * ((step + 1) / 3 if step < 2 else 0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    lines = metrics(done.run_dir)
    assert [line["step"] for line in lines] == list(range(steps + 1))
    assert [line["metrics"]["train/loss"] for line in lines[1:]] == pytest.approx(losses, rel=1e-4)
    trained = weights(done.run_dir)
    for name, tensor in causal_lm.named_parameters():
        # AdamW turns rounding in a gradient near 0 into a step of up to the learning rate
        assert torch.allclose(trained[name], tensor.detach(), atol=2e-3), name
    with torch.no_grad():
        after = sum(float(loss_sum(causal_lm, talk)) for talk in data.heldout)
    tokens = sum(int(talk.learned.sum()) for talk in data.heldout)
    assert lines[-1]["metrics"]["heldout/loss"] == pytest.approx(after / tokens, rel=1e-3)


def test_it_learns_and_says_so(done: RunSettings) -> None:
    report = json.loads((Path(done.run_dir) / "report.json").read_text())
    before, after = report["heldout"]["before"], report["heldout"]["after"]
    assert report["conversations"]["train"] + report["conversations"]["heldout"] == 24
    assert before["estimate"] == pytest.approx(math.log(49152), abs=0.5)  # a random model knows nothing
    assert after["high"] < before["low"]
    assert after["low"] < after["estimate"] < after["high"]
    assert report["left_out"] == {"bad": 0, "too_long": 0}


def test_the_model_is_one_that_transformers_and_the_next_stage_load(done: RunSettings) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = f"{done.run_dir}/model"
    causal_lm = AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template
    talk = tokens_of(done).heldout[0]
    measured = metrics(done.run_dir)[-1]["metrics"]["heldout/loss"]
    with torch.no_grad():
        assert float(loss_sum(causal_lm, talk)) / int(talk.learned.sum()) == pytest.approx(measured, abs=1.5)


def test_the_same_command_again_is_done_at_once(done: RunSettings, capsys: pytest.CaptureFixture[str]) -> None:
    before = (Path(done.run_dir) / "report.json").stat().st_mtime_ns
    assert run_sft_stage(done) == 0
    assert (Path(done.run_dir) / "report.json").stat().st_mtime_ns == before
    assert "held-out loss per token: 10" in capsys.readouterr().out


def test_what_the_stage_does_not_depend_on_may_change(
    done: RunSettings, tiny_model: str, conversations_file: str
) -> None:
    run_dir = Path(done.run_dir)
    unrelated = settings("sft", run_dir, tiny_model, conversations_file, "train.steps=7", "sft_stage.save_every=1")
    assert run_sft_stage(unrelated) == 0
    with pytest.raises(ConfigError, match=r"sft_stage\.epochs: 2 → 3"):
        run_sft_stage(settings("sft", run_dir, tiny_model, conversations_file, "sft_stage.epochs=3"))


def test_killed_and_gone_on_with_is_never_killed_bit_for_bit(
    done: RunSettings, tiny_model: str, conversations_file: str, tmp_path: Path
) -> None:
    words = overrides("sft", tmp_path / "run", tiny_model, conversations_file, "sft_stage.save_every=2")
    killed = run_script("6", "sft", *words)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert not (tmp_path / "run" / "model").exists()
    assert [line["step"] for line in metrics(tmp_path / "run")] == [0, 1, 2, 3, 4, 5]
    again = settings("sft", tmp_path / "run", tiny_model, conversations_file, "sft_stage.save_every=2")
    run_sft_stage(again)
    assert metrics(again.run_dir) == metrics(done.run_dir)
    for name, tensor in weights(done.run_dir).items():
        assert torch.equal(weights(again.run_dir)[name], tensor), name
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_an_adapter_is_merged_into_what_is_written(tiny_model: str, conversations_file: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    more = ("model.lora.rank=4", "sft_stage.epochs=1", "sft_stage.learning_rate=0.05", "train.weight_decay=0.0")
    used = settings("sft", tmp_path / "run", tiny_model, conversations_file, *more)
    run_sft_stage(used)
    causal_lm = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    start = AutoModelForCausalLM.from_pretrained(tiny_model).state_dict()
    assert causal_lm.state_dict().keys() == start.keys()
    changed = {name for name, tensor in causal_lm.state_dict().items() if not torch.equal(tensor, start[name])}
    assert changed
    assert all("proj" in name for name in changed)
    heldout = tokens_of(used).heldout
    with torch.no_grad():
        loss = sum(float(loss_sum(causal_lm, talk)) for talk in heldout) / sum(int(t.learned.sum()) for t in heldout)
    assert metrics(used.run_dir)[-1]["metrics"]["heldout/loss"] == pytest.approx(loss, rel=1e-4)


def test_a_signal_leaves_a_checkpoint_of_the_data_it_learnt_from(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = loop_module.StageLoop.record

    def recorded(self: loop_module.StageLoop, step: int, values: Any) -> None:
        record(self, step, values)
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop_module.StageLoop, "record", recorded)
    file = write_rows(tmp_path / "rows.jsonl", conversations())
    used = settings("sft", tmp_path / "run", tiny_model, file, "sft_stage.save_every=0")
    with pytest.raises(Interrupted, match="after step 2"):
        run_sft_stage(used)
    assert (tmp_path / "run" / "checkpoints" / "step-000002" / "state.json").is_file()
    write_rows(tmp_path / "rows.jsonl", conversations()[:-2])
    with pytest.raises(RunError, match="step-000002 was made with other data under the same name"):
        run_sft_stage(used)


def test_more_tokens_than_the_model_has_positions_for(tiny_model: str, conversations_file: str, tmp_path: Path) -> None:
    used = settings("sft", tmp_path / "run", tiny_model, conversations_file, "sft_stage.max_length=1025")
    with pytest.raises(ConfigError, match=r"sft_stage\.max_length = 1025: .* positions for 1024 tokens"):
        run_sft_stage(used)


def test_rows_that_are_too_long(tiny_model: str, conversations_file: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    stage = settings("sft", tmp_path, tiny_model, conversations_file).sft_stage
    whole = load_conversations(stage, tokenizer, 1024, 0)
    lengths = sorted(len(talk) for talk in [*whole.train, *whole.heldout])
    cut = load_conversations(stage, tokenizer, lengths[-4], 0)
    assert cut.too_long == sum(length > lengths[-4] for length in lengths) > 0
    assert len(cut.train) + len(cut.heldout) + cut.too_long == 24
    stop = settings("sft", tmp_path, tiny_model, conversations_file, "sft_stage.data.too_long=stop").sft_stage
    with pytest.raises(
        DataError, match=rf"talks\.jsonl row \d+: the conversation has \d+ tokens, at most {lengths[0]}"
    ):
        load_conversations(stop, tokenizer, lengths[0], 0)


def test_one_prompt_is_never_on_both_sides(tiny_model: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    rows = [{"prompt": f"question {n % 6}", "response": f"answer {n}"} for n in range(30)]
    stage = settings("sft", tmp_path, tiny_model, write_rows(tmp_path / "rows.jsonl", rows)).sft_stage
    found = load_conversations(stage, AutoTokenizer.from_pretrained(tiny_model), 1024, 0)
    sides = [{bytes(t.ids[: int(t.learned.argmax())]) for t in part} for part in (found.train, found.heldout)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert len(found.heldout) == 5


def test_a_warm_up_that_never_ends(tiny_model: str, conversations_file: str, tmp_path: Path) -> None:
    long = settings("sft", tmp_path / "run", tiny_model, conversations_file, "sft_stage.warmup_steps=8")
    with pytest.raises(ConfigError, match=r"sft_stage\.warmup_steps = 8, but the stage has 8 steps"):
        run_sft_stage(long)


def test_a_model_that_an_earlier_stage_should_have_made(conversations_file: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sft_stage\.model: .*no such folder.*cgpo pipeline"):
        run_sft_stage(settings("sft", tmp_path / "run", "runs/not-there/model", conversations_file))


def test_every_epoch_holds_each_row_once_in_another_order() -> None:
    batches = EpochBatches(10, 4, seed=1, name="sft")
    assert batches.per_epoch == 3
    epochs = [[i for step in range(3 * e, 3 * e + 3) for i in batches.at(step)] for e in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert len(batches.at(2)) == 2
    assert batches.at(4) == EpochBatches(10, 4, seed=1, name="sft").at(4)
    assert batches.at(0) != EpochBatches(10, 4, seed=1, name="dpo").at(0)


def test_interval_of_a_ratio() -> None:
    found = ratio_interval([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], 0.95)
    assert (found.estimate, found.low, found.high, found.n) == (
        2.0,
        2.0,
        2.0,
        3,
    )  # every conversation has the same loss
    # tokens count, not conversations: (10 + 2) / (10 + 1)
    assert ratio_interval([10.0, 2.0], [10.0, 1.0], 0.95).estimate == pytest.approx(12 / 11)
    # the same numbers as numpy's bootstrap with the same draws would be no test: the normal approximation is
    generator = torch.Generator().manual_seed(0)
    losses = (torch.rand(400, generator=generator) + 1).tolist()
    wide = ratio_interval(losses, [1.0] * 400, 0.95)
    assert wide.low is not None
    assert wide.high is not None
    assert (wide.high - wide.low) / 2 == pytest.approx(1.96 * math.sqrt(1 / 12 / 400), rel=0.1)
    assert ratio_interval([], [], 0.95).estimate is None
