"""Run directories of earlier versions: today's code goes on with them and gets what the code that began them got.

`tests/fixtures/old_run` says what is in them. Only commands and files are used here, so that code may move. Texts and
verdicts must be equal; numbers to a relative 1e-4, because another processor adds up in another order: on the machine
that made them they are equal bit for bit.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "fixtures" / "old_run"
START, EXPECTED = FOLDER / "start", FOLDER / "expected"
MADE: dict[str, Any] = runpy.run_path(str(FOLDER / "make.py"))
"""The commands, and how the expected files were read from a run."""

NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def cgpo(here: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgpo", *arguments]
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}  # set by training in this process
    environment = {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr[-3000:]
    return done


def read_lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def plain(value: Any) -> Any:
    """A row of responses with the JSON in its columns read."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, str) and value[:1] in "{[":
        return json.loads(value)
    return value


def assert_close(found: Any, expected: Any, where: str = "") -> None:
    """Compares plain data: numbers, also those in a sentence, nearly; all else exactly."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert sorted(found) == sorted(expected), where
        for key in expected:
            assert_close(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, each in enumerate(expected):
            assert_close(found[i], each, f"{where}[{i}]")
    elif isinstance(expected, float) and not isinstance(found, bool | None):
        # What is 0 but for rounding – gaps of log-probs, losses of policy gradients – has no relative precision.
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), where
    elif isinstance(expected, str):
        assert NUMBER.sub("#", found) == NUMBER.sub("#", expected), where
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (found, expected)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-2), where  # they are shown with three digits
    else:
        assert found == expected, where


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old runs as they were left, in a place of their own."""
    return Path(shutil.copytree(START, tmp_path_factory.mktemp("killed") / "here"))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another copy, in which `cgpo train` has gone on."""
    here = Path(shutil.copytree(START, tmp_path_factory.mktemp("resumed") / "here"))
    cgpo(here, *MADE["TRAIN"])
    return here


def went_on(run: Path, old: Path, steps: int) -> None:
    """Asserts that the newest checkpoint was used: what was measured up to it, with its times, stands as it was."""
    first, expected = [
        [line for line in (folder / "metrics.jsonl").read_text().splitlines() if json.loads(line)["step"] <= steps]
        for folder in (run, old)
    ]
    assert first == expected
    assert not list((run / "checkpoints").glob("damaged-*"))
    assert not list(run.parent.glob(f"{run.name}.*"))


def test_it_was_killed_behind_its_checkpoint() -> None:
    """The fixture is what it is meant to be: steps after the checkpoint, in metrics, rollouts and journal."""
    run = START / "run"
    assert [line["step"] for line in read_lines(run / "metrics.jsonl")] == [1, 2, 3, 4]
    assert sorted(path.name for path in (run / "rollouts").iterdir())[-1] == "step-000005.parquet"
    assert sorted(path.name for path in (run / "checkpoints").glob("step-*")) == ["step-000002", "step-000003"]
    journal = [
        json.loads(line)["step"] for line in (run / "journal" / "rank-00000.jsonl").read_text().split("\n") if line
    ]
    assert set(journal) == {3, 4}
    assert [line["step"] for line in read_lines(run / "evaluation.jsonl")] == [0, 2, 4]
    outcomes = {
        (row["stratum"], verdict["verdict"])
        for row in map(plain, read_lines(EXPECTED / "rollouts.jsonl"))
        for verdict in row["verdicts"].values()
    }
    assert {outcome for _, outcome in outcomes} == {"satisfied", "violated", "unknown", "not_applicable"}


def test_training_goes_on_from_the_checkpoint(resumed: Path) -> None:
    went_on(resumed / "run", START / "run", MADE["CHECKPOINT"])
    assert_close(MADE["read_metrics"](resumed / "run", MADE["CHECKPOINT"]), read_lines(EXPECTED / "metrics.jsonl"))


def test_responses_verdicts_and_rewards_are_those_of_the_old_code(resumed: Path) -> None:
    found = MADE["read_rollouts"](resumed / "run", MADE["CHECKPOINT"])
    expected = read_lines(EXPECTED / "rollouts.jsonl")
    assert [row["response"] for row in found] == [row["response"] for row in expected]
    assert_close(list(map(without_log_odds, found)), list(map(without_log_odds, expected)))


def without_log_odds(row: dict[str, Any]) -> Any:
    """A row of responses, but for the numbers of the judge `refusal`: its classifier has been trained anew since."""
    read = plain(row)
    for verdicts in (read["verdicts"], read["probes"]):
        if "refusal" in verdicts:
            verdicts["refusal"] = verdicts["refusal"]["verdict"]
    return read


def test_evaluations_go_on(resumed: Path) -> None:
    expected = read_lines(EXPECTED / "evaluation.jsonl")
    assert [line["step"] for line in expected] == [0, 2, 4, 6, 7]
    went_on_with = read_lines(resumed / "run" / "evaluation.jsonl")
    assert_close([without_later_keys(line) for line in went_on_with], expected)
    # What the checkpoint had stands as it was written; what came after has what today's code adds.
    assert ["by_prompt" in line["strata"]["brief"] for line in went_on_with] == [False, False, True, True, True]


def without_later_keys(evaluation: dict[str, Any]) -> dict[str, Any]:
    """A line of `evaluation.jsonl` without what the code that began the run did not write yet."""
    strata = {
        name: {key: value for key, value in summary.items() if key != "by_prompt"}
        for name, summary in evaluation["strata"].items()
    }
    return {**evaluation, "strata": strata}


def test_the_weights_in_the_end_are_those_of_the_old_code(resumed: Path) -> None:
    cgpo(resumed, "export", "run", "--output", "exported")
    assert_close(MADE["read_norms"](resumed / "exported"), json.loads((EXPECTED / "weights.json").read_text())["run"])


def test_a_killed_run_of_old_can_be_read_and_evaluated(killed: Path) -> None:
    cgpo(killed, "report", "run")
    assert "brief" in (killed / "run" / "report.html").read_text()
    cgpo(killed, "evaluate", *MADE["TRAIN"][1:], "--checkpoint", "best", "--output", "best.json")
    found = without_later_keys(json.loads((killed / "best.json").read_text()))
    (expected,) = [line for line in read_lines(START / "run" / "evaluation.jsonl") if line["step"] == found["step"]]
    assert found["step"] == 2
    assert_close({key: found[key] for key in expected}, expected)


def test_a_stage_goes_on_from_its_checkpoint(killed: Path) -> None:
    cgpo(killed, *MADE["SFT"])
    went_on(killed / "sft", START / "sft", MADE["SFT_CHECKPOINT"])
    found = MADE["read_metrics"](killed / "sft", MADE["SFT_CHECKPOINT"])
    assert_close(found, read_lines(EXPECTED / "sft_metrics.jsonl"))
    norms = MADE["read_norms"](killed / "sft" / "model")
    assert_close(norms, json.loads((EXPECTED / "weights.json").read_text())["sft"])
