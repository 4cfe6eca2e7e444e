"""Pairs made from the strata's own prompts by a real engine and real judges, then trained on."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from cgpo.compose import compose
from cgpo.config import RunSettings
from cgpo.errors import DataError
from cgpo.pairs.pair import read_pairs
from cgpo.rewards.loading import load_base
from cgpo.stages.reward_model.stage import run_reward_stage
from cgpo.tracking.progress import StageProgress


def settings(run_dir: Path, model: str, base: str, *more: str) -> RunSettings:
    return compose(
        [
            "experiment=quickstart",
            f"run_dir={run_dir}",
            f"model.name={model}",
            "rollout.engine=hf",
            "tracking.display=off",
            f"reward_stage.base={base}",
            "reward_stage.pairs.prompts_per_stratum=3",
            "reward_stage.pairs.responses_per_prompt=2",
            "reward_stage.pairs.heldout_share=0.3",
            "reward_stage.epochs=1",
            "reward_stage.max_length=64",
            *[f"strata.{name}.sampling.max_tokens=12" for name in ("math", "instruction_following", "chat")],
            *more,
        ]
    ).settings


@pytest.fixture(scope="module")
def base(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny chat model as a base: reward models from causal models take the same way."""
    folder = tmp_path_factory.mktemp("base") / "causal"
    model, tokenizer = load_base(tiny_model, "base", seed=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_from_prompts_to_a_reward_model(tiny_model: str, base: str, tmp_path: Path) -> None:
    once, again = (settings(tmp_path / name, tiny_model, base) for name in ("once", "again"))
    assert run_reward_stage(once) == 0
    pairs = read_pairs(Path(once.run_dir) / "pairs.jsonl")
    assert {p.stratum for p in pairs} == {"math", "instruction_following", "chat"}
    prompts = Counter((p.stratum, p.heldout) for p in {(p.stratum, p.prompt_id): p for p in pairs}.values())
    assert all(prompts[name, True] == 1 for name in ("math", "instruction_following", "chat"))
    assert all(prompts[name, False] == 2 for name in ("math", "instruction_following", "chat"))
    report = json.loads((Path(once.run_dir) / "report.json").read_text())
    assert report["heads"]["reward"]["heldout"]["accuracy"]["n"] == sum(p.heldout for p in pairs)
    # the same seed gives the same pairs
    assert run_reward_stage(again) == 0
    assert read_pairs(Path(again.run_dir) / "pairs.jsonl") == pairs


def test_one_pair_is_too_few(tiny_model: str, base: str, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    with pytest.raises(DataError, match="at least 2 are needed"):
        run_reward_stage(settings(tmp_path / "run", tiny_model, base, f"reward_stage.pairs.path={file}"))


def test_pairs_of_a_user_are_read_as_dpo_reads_them(tiny_model: str, base: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}", "chosen": [{"role": "assistant", "content": "b"}], "rejected": "c"} for i in range(4)]
    lines = [json.dumps(row) for row in [*rows, {"prompt": "\ud800", "chosen": "b", "rejected": "c"}]]
    file = tmp_path / "pairs.jsonl.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + "\n".join(lines).encode()))
    words = [f"reward_stage.pairs.path={file}", "tracking.display=off"]
    with pytest.raises(
        DataError, match=r"reward_stage\.pairs: 1 of 5 rows cannot be used\n.*row 5: the prompt has char"
    ):
        run_reward_stage(settings(tmp_path / "run", tiny_model, base, *words))
    assert (
        run_reward_stage(settings(tmp_path / "run", tiny_model, base, *words, "reward_stage.pairs.bad_rows=drop")) == 0
    )
    pairs = read_pairs(tmp_path / "run" / "pairs.jsonl")
    assert [(p.chosen, p.rejected) for p in pairs] == [("b", "c")] * 4


def test_progress_in_plain_lines() -> None:
    out = io.StringIO()
    progress = StageProgress("plain", stream=out)
    with progress.task("training step", 3) as update:
        for done in (1, 2, 3):
            update(done, f"loss 0.{done}")
    assert out.getvalue() == "training step 3/3, took 0 s, loss 0.3\n"
    silent = io.StringIO()
    StageProgress("plain", rank=1, stream=silent).message("no")
    StageProgress("off", stream=silent).message("no")
    assert silent.getvalue() == ""


def test_progress_with_a_bar_ends_complete() -> None:
    out = io.StringIO()
    with StageProgress("live", stream=out).task("training step", 2) as update:
        update(2, "loss 0.1")
    assert "2/2" in out.getvalue()
