"""`cgpo tradeoff` on run directories whose responses, and so whose changes, are made up by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cgpo.cli import main
from cgpo.errors import ConfigError
from cgpo.evaluation.file import EvaluationFile
from cgpo.evaluation.summary import evaluate_rows
from cgpo.tracking.rollouts import RolloutRow
from cgpo.tradeoff.comparison import compare_runs
from cgpo.tradeoff.differences import differences
from cgpo.tradeoff.selection import Selection
from judges import Outcome, Verdict

PROMPTS = ("p0", "p1", "p2", "p3")


def verdict(violated: bool) -> Verdict:
    return Verdict.violated("tic") if violated else Verdict.satisfied("fine")


@dataclass(frozen=True)
class Made:
    """A run of which the love and the help of every response rise by so much, and so many responses close."""

    love: float = 0.0
    judges: tuple[str, ...] = ("repetition",)
    love_gain: float = 0.0
    help_gain: float = 0.0
    closing: int = 0
    steps: Sequence[int] = (0, 10)
    prompts: Sequence[str] = PROMPTS
    start: float = 1.0
    extra: dict[str, Any] = field(default_factory=dict)

    def rows(self, step: int) -> list[RolloutRow]:
        trained = step > 0
        return [
            RolloutRow(
                stratum="talk",
                prompt_id=prompt,
                prompt=prompt,
                messages=({"role": "user", "content": prompt},),
                index=0,
                seed=1,
                response="one two three" if trained else "one two",
                finish_reason="stop",
                response_tokens=7 if trained else 5,
                outcome=Outcome.SATISFIED,
                verdicts={name: verdict(False) for name in self.judges},
                rewards={
                    "love": self.start + place + trained * self.love_gain,
                    "helpfulness": 2.0 + trained * self.help_gain,
                },
                probes={"farewell": verdict(trained and place < self.closing)},
            )
            for place, prompt in enumerate(self.prompts)
        ]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        config = {
            "run_dir": str(folder),
            "seed": 1,
            "train": {"steps": 10, "learning_rate": 1e-5},
            "eval": {"confidence": 0.9},
            "strata": {"talk": {"rewards": {"love": self.love, "helpfulness": 1.0}, "judges": list(self.judges)}},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config | self.extra))
        evaluations = EvaluationFile(folder)
        for step in self.steps:
            earlier = evaluations.first_responses(before=step)
            before = None if earlier is None else {"talk": earlier}
            evaluations.add(evaluate_rows(step, {"talk": self.rows(step)}, {}, 0.9, before), self.rows(step))
        return folder


def sweep(folder: Path) -> Path:
    """Love's weight 0, 1 and 0.3, without and with the judge."""
    for love, gain, closing in ((0.0, 0.25, 0), (1.0, 2.0, 3), (0.3, 1.0, 1)):
        Made(love, ("repetition",), gain, -gain / 2, closing).write(folder / f"love-{love:g}")
        judged = Made(love, ("repetition", "farewell"), gain / 2, 0.5, 0)
        judged.write(folder / f"love-{love:g}-judged")
    return folder


def test_changes_of_a_sweep_in_series_and_in_order(tmp_path: Path) -> None:
    found = compare_runs([sweep(tmp_path)], Selection())
    assert (found.stratum, found.x) == ("talk", "rewards/love")
    assert found.ys == ["rewards/helpfulness", "probes/farewell", "satisfied", "response_tokens"]
    assert found.different.label == "strata.talk.rewards.love"
    assert found.different.series == ("strata.talk.judges",)
    assert {name: [found.different.label_of(n) for n in numbers] for name, numbers in found.series.items()} == {
        "judges: repetition": ["0", "0.3", "1"],
        "judges: repetition, farewell": ["0", "0.3", "1"],
    }
    last = found.runs[2]
    love, closing = found.change(last, "rewards/love"), found.change(last, "probes/farewell")
    assert love is not None
    assert (love.estimate, love.low, love.high, love.n) == (2.0, 2.0, 2.0, 4), "all four responses gained 2"
    assert closing is not None
    assert closing.low is not None
    assert closing.high is not None
    assert closing.estimate == 0.75
    assert closing.low < 0.75 < closing.high, "three of four closed, none before"
    assert [n for n in found.notes if "satisfied asks for the judges" in n]
    assert len(found.notes) == 1


def test_the_page_the_file_and_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["tradeoff", str(sweep(tmp_path))])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert str(tmp_path / "tradeoff.html") in said.replace("\n", "")
    assert "+2.00 [+2.00, +2.00]" in " ".join(said.split())
    page = (tmp_path / "tradeoff.html").read_text()
    assert page.count("<svg") == 4, "a panel for each measure but love"
    assert page.count('text-anchor="start">0.3</text>') == 8, "both series, marked in every panel"
    assert "judges: repetition, farewell" in page
    assert "Each point is a run: its change on held-out prompts" in page
    data = json.loads((tmp_path / "tradeoff.json").read_text())
    assert [run["label"] for run in data["runs"]] == ["0", "0.3", "1"] * 2
    assert data["runs"][1]["measures"]["rewards/love"] == {
        "change": 1.0,
        "low": 1.0,
        "high": 1.0,
        "n": 4,
        "before": 2.5,  # 1, 2, 3 and 4
        "after": 3.5,
    }
    assert data["runs"][1]["settings"] == {"strata.talk.rewards.love": 0.3, "strata.talk.judges": ["repetition"]}
    assert data["left_out"] == []


def test_killed_runs_are_named(tmp_path: Path) -> None:
    Made(0.1, love_gain=1).write(tmp_path / "a")
    Made(0.2, love_gain=1, steps=(0, 4)).write(tmp_path / "b")
    Made(0.3, steps=(0,)).write(tmp_path / "c")
    Made(0.4, steps=(5, 10)).write(tmp_path / "d")
    Made(0.5, steps=()).write(tmp_path / "e")
    (Made(0.6).write(tmp_path / "f") / "evaluations" / "step-000000.parquet").unlink()
    found = compare_runs([tmp_path], Selection())
    assert [run.name for run in found.runs] == ["a", "b"]
    assert found.runs[1].stopped == "after 4 of 10 steps"
    assert {run.folder.name: run.reason for run in found.left_out} == {
        "c": "it has no evaluation after its start: it was stopped before, or eval.after is not set",
        "d": "its first evaluation is that after step 5: eval.before=true was not set",
        "e": "it has no held-out evaluation (eval.before=true eval.after=true ask for them)",
        "f": "the responses of its first evaluation are not in evaluations/",
    }
    assert [n for n in found.notes if "b was measured after 4 of 10 steps" in n]
    assert found.notes[0].startswith(f"{tmp_path / 'c'} is left out: it has no evaluation after")


def test_runs_on_other_prompts_are_refused(tmp_path: Path) -> None:
    first, second = Made(0.1).write(tmp_path / "a"), Made(0.2, prompts=("p0", "p1", "q")).write(tmp_path / "b")
    with pytest.raises(ConfigError) as caught:
        compare_runs([first, second], Selection())
    assert f"{first} has 4, of which there are in {second} (2 of its 3)" in str(caught.value)


def test_other_starting_points_are_said(tmp_path: Path) -> None:
    runs = [Made(0.1).write(tmp_path / "a"), Made(0.2, start=3.0).write(tmp_path / "b")]
    (note,) = compare_runs(runs, Selection()).notes
    assert note.startswith("rewards/love before training is not the same in all runs (2.5 to 4.5)")


def test_names_that_do_not_exist(tmp_path: Path) -> None:
    runs = [Made(0.1).write(tmp_path / "a"), Made(0.2).write(tmp_path / "b")]
    with pytest.raises(ConfigError, match=r"unknown measure 'reward/love' at --x. Did you mean 'rewards/love'\?"):
        compare_runs(runs, Selection(x="reward/love"))
    with pytest.raises(ConfigError, match=r"unknown measure 'probes/farewel' at --y. Did you mean 'probes/farewell'\?"):
        compare_runs(runs, Selection(y=("probes/farewel",)))
    with pytest.raises(ConfigError, match=r"unknown stratum 'tlak' at --stratum .*Did you mean 'talk'\?"):
        compare_runs(runs, Selection(stratum="tlak"))
    with pytest.raises(ConfigError, match=r"setting that differs 'seed' at --label. Allowed: strata.talk.rewards.love"):
        compare_runs(runs, Selection(label="seed"))
    with pytest.raises(ConfigError, match="is no folder"):
        compare_runs([tmp_path / "nowhere"], Selection())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no config\.yaml in it"):
        compare_runs([tmp_path / "empty"], Selection())
    (tmp_path / "a" / "evaluation.jsonl").write_text("{\n")
    with pytest.raises(ConfigError, match=r"no run can be compared\. .*line 1 is damaged"):
        compare_runs([tmp_path / "a"], Selection())
    for line in ('{"step": 0}', '{"step": "0", "strata": {}}', '{"step": 0, "strata": {"talk": 3}}'):
        (tmp_path / "a" / "evaluation.jsonl").write_text(f"{line}\n")
        with pytest.raises(ConfigError, match=r"no run can be compared\. .*has a line of an unexpected form"):
            compare_runs([tmp_path / "a"], Selection())


def test_an_output_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Made(0.1).write(tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as done:
        main(["tradeoff", str(run), "--output", str(tmp_path / "file")])
    assert done.value.code == 1
    assert "no such folder can be made" in capsys.readouterr().err


def test_a_measure_that_some_runs_lack(tmp_path: Path) -> None:
    runs = [Made(0.1, ("repetition",)).write(tmp_path / "a"), Made(0.2, ("repetition", "style")).write(tmp_path / "b")]
    found = compare_runs(runs, Selection(y=("judges/style",)))
    assert [found.change(run, "judges/style") is None for run in found.runs] == [True, False]
    from cgpo.tradeoff.page import page_of

    (panel,) = page_of(found).sections[0].charts
    assert panel is not None
    assert panel.note == "not measured in 1 of the runs"


def test_what_differs_and_what_goes_hand_in_hand() -> None:
    base = {"seed": 1, "run_dir": "a", "train": {"steps": 3, "learning_rate": 0.1}, "model": "x"}
    other = {"seed": 2, "run_dir": "b", "train": {"steps": 6, "learning_rate": 0.2}, "model": "x"}
    third = replace_steps(other, 9)
    found = differences([base, other, third], preferred="strata.talk.rewards.love")
    assert list(found.values) == ["seed", "train.steps", "train.learning_rate"]
    assert found.label == "train.steps", "the most values"
    assert found.series == ("train.learning_rate",), "a seed makes no series"
    assert found.series_of(0) == "learning_rate: 0.1"
    pair = differences([base, other], preferred="train.learning_rate")
    assert (pair.label, pair.series) == ("train.learning_rate", ()), "the steps say no more than the rate"
    repeated = differences([base, base | {"seed": 5}], preferred="x")
    assert (repeated.label, repeated.series, list(repeated.values)) == (None, (), ["seed"])


def replace_steps(config: dict[str, Any], steps: int) -> dict[str, Any]:
    return config | {"train": config["train"] | {"steps": steps}}


def test_repetitions_share_label_and_series(tmp_path: Path) -> None:
    made = Made(0.1, love_gain=1)
    runs = [made.write(tmp_path / "a"), replace(made, extra={"seed": 2}).write(tmp_path / "b")]
    runs.append(replace(made, love=0.5).write(tmp_path / "c"))
    found = compare_runs(runs, Selection())
    assert [found.different.label_of(n) for n in range(3)] == ["0.1", "0.1", "0.5"]
    assert list(found.series) == [""]
