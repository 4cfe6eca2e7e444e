"""The DPO stage on the tiny model: against plain PyTorch, its stored reference, bad pairs, and two ranks."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from stage_data import metrics, overrides, pairs, run_script, settings, weights, write_rows

from cgpo.config import PairDataSettings, RunSettings
from cgpo.errors import ConfigError, DataError, RunError
from cgpo.pairs.rows import read_preference_rows
from cgpo.policy.layout import PACKED, SEPARATE, SHARED, Layout, TokenSequence
from cgpo.stages.batches import EpochBatches
from cgpo.stages.dpo import run_dpo_stage
from cgpo.stages.loop import StageLoop
from cgpo.stages.pair_set import TokenPair, load_pairs, pair_micro_batches
from cgpo.stages.sft import run_sft_stage

OPTIONS = ("dpo_stage.label_smoothing=0.1", "dpo_stage.sft_weight=0.05", "dpo_stage.beta=0.3")


@pytest.fixture(scope="module")
def done(tiny_model: str, preferences_file: str, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """A stage that has run once."""
    found = settings("dpo", tmp_path_factory.mktemp("run") / "dpo", tiny_model, preferences_file, *OPTIONS)
    assert run_dpo_stage(found) == 0
    return found


def tokens_of(used: RunSettings) -> Any:
    from transformers import AutoTokenizer

    return load_pairs(used.dpo_stage, AutoTokenizer.from_pretrained(used.model.name), 1024, used.seed)


def logprob(causal_lm: Any, side: TokenSequence) -> torch.Tensor:
    """log π of one response, alone, from the model's own logits."""
    ids = torch.tensor([[*side.prompt_ids, *side.response_ids]])
    found = causal_lm(input_ids=ids).logits[0, len(side.prompt_ids) - 1 : -1].log_softmax(-1)
    total: torch.Tensor = found.gather(1, torch.tensor(side.response_ids)[:, None]).sum()
    return total


def test_it_does_what_plain_pytorch_does(done: RunSettings) -> None:
    """Each response alone, the formula written out, AdamW and clipping."""
    from transformers import AutoModelForCausalLM

    data = tokens_of(done)
    causal_lm = AutoModelForCausalLM.from_pretrained(done.model.name, dtype=torch.float32)
    with torch.no_grad():
        reference = [[logprob(causal_lm, side) for side in pair] for pair in data.pairs]
    stored = [json.loads(line) for line in (Path(done.run_dir) / "reference.jsonl").read_text().splitlines()][1:]
    assert [r["pair"] for r in stored] == list(range(24))
    assert [r["chosen"] for r in stored] == pytest.approx([float(c) for c, _ in reference], abs=1e-3)
    assert [r["rejected"] for r in stored] == pytest.approx([float(r) for _, r in reference], abs=1e-3)

    optimizer = torch.optim.AdamW(causal_lm.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)
    batches = EpochBatches(data.train, 6, done.seed, "dpo")
    losses, margins = [], []
    for step in range(7):
        rows = batches.at(step)
        terms, steps_margins = [], []
        for i in rows:
            chosen, rejected = (logprob(causal_lm, side) for side in data.pairs[i])
            margin = 0.3 * ((chosen - reference[i][0]) - (rejected - reference[i][1]))
            likelihood = chosen / len(data.pairs[i][0].response_ids)
            right, wrong = torch.sigmoid(margin), torch.sigmoid(-margin)
            terms.append(-0.9 * right.log() - 0.1 * wrong.log() - 0.05 * likelihood)
            steps_margins.append(float(margin.detach()))
        loss = sum(terms, torch.zeros(())) / len(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(causal_lm.parameters(), 1.0)
        rate = 3e-3 * ((step + 1) / 3 if step < 2 else 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 2) / 4)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        margins.append(sum(steps_margins) / len(rows))
    lines = metrics(done.run_dir)
    assert [line["step"] for line in lines] == list(range(1, 8))
    assert lines[0]["metrics"]["train/margin"] == pytest.approx(0.0, abs=1e-4)
    assert [line["metrics"]["train/loss"] for line in lines] == pytest.approx(losses, rel=1e-3)
    assert [line["metrics"]["train/margin"] for line in lines] == pytest.approx(margins, rel=1e-2, abs=1e-3)


def test_it_learns_and_says_so(done: RunSettings) -> None:
    report = json.loads((Path(done.run_dir) / "report.json").read_text())
    accuracy, margin = report["heldout"]["accuracy"], report["heldout"]["margin"]
    assert report["pairs"] == {"train": 19, "heldout": 5}
    assert accuracy["estimate"] == 1.0
    assert accuracy["low"] == pytest.approx(1 / (1 + 1.959964**2 / 5), abs=1e-4)  # Wilson's bound for 5 of 5
    assert 0 < margin["low"] <= margin["estimate"] <= margin["high"]
    assert set(report["left_out"].values()) == {0}


def test_broken_off_and_gone_on_with_is_never_broken_off_bit_for_bit(
    done: RunSettings, tiny_model: str, preferences_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SFT stage's test kills a process; both stages share the loop."""
    again = settings("dpo", tmp_path / "run", tiny_model, preferences_file, *OPTIONS, "dpo_stage.save_every=2")
    record = StageLoop.record

    def broken_off(self: StageLoop, step: int, values: Any) -> None:
        if step == 5:
            raise KeyboardInterrupt
        record(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(StageLoop, "record", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run_dpo_stage(again)
    before = (tmp_path / "run" / "reference.jsonl").read_bytes()
    run_dpo_stage(again)
    assert (tmp_path / "run" / "reference.jsonl").read_bytes() == before
    assert metrics(again.run_dir) == metrics(done.run_dir)
    for name, tensor in weights(done.run_dir).items():
        assert torch.equal(weights(again.run_dir)[name], tensor), name


def begun(done: RunSettings, folder: Path, tiny_model: str, preferences_file: str) -> RunSettings:
    """A stage that has only its reference log-probs."""
    folder.mkdir()
    shutil.copy(Path(done.run_dir) / "reference.jsonl", folder / "reference.jsonl")
    shutil.copy(Path(done.run_dir) / "config.yaml", folder / "config.yaml")
    return settings("dpo", folder, tiny_model, preferences_file, *OPTIONS)


def test_what_is_missing_of_the_reference_is_computed(
    done: RunSettings, tiny_model: str, preferences_file: str, tmp_path: Path
) -> None:
    used = begun(done, tmp_path / "run", tiny_model, preferences_file)
    file = tmp_path / "run" / "reference.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:11]) + '\n{"schema": 1, "pair": 10, "cho')  # as a kill leaves it
    run_dpo_stage(used)
    assert file.read_text().splitlines()[:11] == lines[:11]
    assert metrics(used.run_dir)[0] == metrics(done.run_dir)[0]


def test_a_model_that_changed_under_its_name(
    done: RunSettings, tiny_model: str, preferences_file: str, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    used = begun(done, tmp_path / "run", str(model), preferences_file)
    for name in ("reference.jsonl", "config.yaml"):
        file = tmp_path / "run" / name
        file.write_text(file.read_text().replace(tiny_model, str(model)))
    changed = {name: tensor * 1.5 for name, tensor in load_file(model / "model.safetensors").items()}
    save_file(changed, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"another model than .* differ by .* nats per token"):
        run_dpo_stage(used)


def test_a_data_set_that_changed(done: RunSettings, tiny_model: str, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", pairs())
    used = begun(done, tmp_path / "run", tiny_model, data)
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace(done.dpo_stage.data.path or "", data))
    write_rows(tmp_path / "rows.jsonl", [*pairs()[:-1], {"prompt": "p", "chosen": "a", "rejected": "b"}])
    with pytest.raises(RunError, match="computed for something else: pairs changed"):
        run_dpo_stage(used)


def read(folder: Path, rows: list[Any], **more: Any) -> Any:
    path = write_rows(folder / "rows.jsonl", rows)
    return read_preference_rows(PairDataSettings(path=path, **more), seed=0, where="dpo_stage.data")


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def test_forms_of_pairs(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q1", "chosen": "a", "rejected": ""},
        {"prompt": turns("q2", "r", "s"), "chosen": turns("a"), "rejected": turns("b")}
        | {"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]},
        {"chosen": turns("q3", "x", "y", "a"), "rejected": turns("q3", "x", "y", "b")},
        {
            "chosen": "\n\nHuman: q4\n\nAssistant: x\n\nHuman: y\n\nAssistant: a",
            "rejected": "\n\nHuman: q4\n\nAssistant: x\n\nHuman: y\n\nAssistant: b",
        },
    ]
    rows.append({"prompt": "q5", "chosen": turns("q5", "a"), "rejected": turns("q5 ", "b")})  # UltraFeedback's form
    found = read(tmp_path, rows).pairs
    assert [[m["content"] for m in pair.prompt] for pair in found] == [
        ["q1"],
        ["q2", "r", "s"],
        ["q3", "x", "y"],
        ["q4", "x", "y"],
        ["q5"],
    ]
    assert [(pair.chosen, pair.rejected) for pair in found] == [("a", ""), *[("a", "b")] * 4]
    assert sum(pair.heldout for pair in found) == 1


BAD_PAIRS = {
    "missing side": ({"prompt": "q", "chosen": "a"}, "row 2"),
    "no value": ({"prompt": "q", "chosen": "a", "rejected": None}, "'rejected' has no value: a pair needs both sides"),
    "empty chosen": ({"prompt": "q", "chosen": "", "rejected": "b"}, "'chosen' is empty"),
    "number": ({"prompt": "q", "chosen": 1, "rejected": "b"}, "'chosen' must be text or a list of messages"),
    "no prompt": ({"chosen": "a", "rejected": "b"}, "there is no 'prompt'"),
    "answer to something else": (
        {"prompt": "q", "chosen": turns("q", "x", "y", "a"), "rejected": turns("q", "x", "y", "b")},
        "the 3 messages of 'chosen' before its response are not those of the row's prompt",
    ),
    "two prompts": ({"chosen": turns("q", "a"), "rejected": turns("p", "b")}, "not one prompt"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_a_bad_pair_is_named(name: str, tmp_path: Path) -> None:
    row, message = BAD_PAIRS[name]
    good = [{"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "p", "chosen": "a", "rejected": "b"}]
    with pytest.raises(DataError) as caught:
        read(tmp_path, [good[0], row, good[1]])
    assert "dpo_stage.data: 1 of 3 rows cannot be used" in str(caught.value)
    assert "rows.jsonl row 2" in str(caught.value)
    assert message in str(caught.value)
    dropped = read(tmp_path, [good[0], row, good[1]], bad_rows="drop")
    assert len(dropped.pairs) == 2
    assert len(dropped.bad) == 1


def test_equal_sides_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{i}", "chosen": "same  text", "rejected": "same text\n" if i < 3 else "other"} for i in range(6)
    ]
    found = read(tmp_path, rows)
    assert (len(found.pairs), found.equal) == (3, 3)
    assert found.sources[0].endswith("row 4")
    with pytest.raises(DataError, match=r"no pair is left of 3 \(equal 3\)"):
        read(tmp_path, rows[:3])


def test_kinds_and_the_split_of_the_reward_stage_are_kept(tmp_path: Path) -> None:
    kinds, splits = ("judged", "loop"), ("train", "heldout")
    rows = [
        {"prompt": f"q{i}", "chosen": "a", "rejected": "b", "kind": kinds[i % 2], "split": splits[i // 6]}
        for i in range(8)
    ]
    found = read(tmp_path, rows, kinds=["judged"])
    assert [pair.heldout for pair in found.pairs] == [False, False, False, True]
    with pytest.raises(DataError, match=r"unknown kind of pair 'jugded' .*Did you mean 'judged'"):
        read(tmp_path, rows, kinds=["jugded"])


@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
def test_both_sides_of_a_pair_are_in_one_pass_within_the_budget(layout: Layout) -> None:
    def side(prompt: int, length: int) -> TokenSequence:
        return TokenSequence(tuple([prompt] * (3 + prompt)), tuple([7] * length))

    made: list[TokenPair] = [(side(p, 2 + k), side(p, 9 - k)) for p in range(4) for k in range(3)]
    sequences = [s for pair in made for s in pair]
    batches = pair_micro_batches(sequences, range(len(made)), 60, layout)
    assert len(batches) > 2
    places: dict[int, int] = {}
    for b, batch in enumerate(batches):
        assert batch.tokens <= 60
        for index in batch.sample.unique().tolist():
            assert index not in places
            places[index] = b
    assert sorted(places) == list(range(24))
    assert all(places[2 * i] == places[2 * i + 1] for i in range(12))


def test_two_ranks_with_zero_2_train_the_same_models(
    done: RunSettings, tiny_model: str, preferences_file: str, conversations_file: str, tmp_path: Path
) -> None:
    """Both stages in one launch. One conversation or pair a pass, so that ranks have unequal numbers of them."""
    small = ("deepspeed.zero_stage=2", "train.max_grad_norm=1.0")
    sft = overrides("sft", tmp_path / "sft2", tiny_model, conversations_file, *small, "sft_stage.micro_batch_tokens=48")
    dpo = overrides("dpo", tmp_path / "dpo2", tiny_model, preferences_file, *OPTIONS, *small)
    both = run_script("0", "sft", *sft, "--then", "dpo", *dpo, "dpo_stage.micro_batch_tokens=60", ranks=2)
    assert both.returncode == 0, both.stderr[-4000:]
    assert both.stdout.count("held-out loss per token") == 1
    alone = settings("sft", tmp_path / "sft1", tiny_model, conversations_file)
    run_sft_stage(alone)
    for one, two, last in ((alone.run_dir, tmp_path / "sft2", 9), (done.run_dir, tmp_path / "dpo2", 7)):
        ours, theirs = metrics(one), metrics(two)
        for name in ("train/loss", "train/grad_norm"):
            values = [[line["metrics"].get(name) for line in lines if line["step"]] for lines in (ours, theirs)]
            assert values[1][:3] == pytest.approx(values[0][:3], rel=1e-4), name
            assert values[1] == pytest.approx(values[0], rel=2e-2), name  # AdamW amplifies rounding
        assert len(ours) == len(theirs) == last
        heldout = [
            line["metrics"].get("heldout/loss", line["metrics"].get("heldout/margin"))
            for line in (ours[-1], theirs[-1])
        ]
        assert heldout[1] == pytest.approx(heldout[0], rel=2e-2)
        assert (Path(two) / "model" / "config.json").is_file()


def test_no_data(tiny_model: str, tmp_path: Path) -> None:
    from cgpo.stages.configuration import compose_stage

    with pytest.raises(ConfigError, match=r"dpo_stage\.data\.path is not set"):
        compose_stage("dpo", [f"model.name={tiny_model}", f"run_dir={tmp_path}"], None)
