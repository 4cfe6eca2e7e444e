"""Metrics and responses survive kills, hostile text and full disks."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tracking_runs import HOSTILE, judged

from cgpo.errors import DataError, RunError
from cgpo.storage.disk import write_atomically
from cgpo.tracking.metrics import MetricsFile, read_metrics
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter, read_rollouts
from judges import Outcome, Verdict


def _append(path: Path, *steps: int) -> MetricsFile:
    file = MetricsFile(path)
    for step in steps:
        file.append(step, {"math/satisfied_rate": step / 10})
    return file


def test_metrics_round_trip_with_null_for_what_is_not_finite(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "run" / "metrics.jsonl")
    file.append(1, {"math/loss": math.nan, "tokens/learned": 3300, "time/step": 1.5, "math/x": None, "y": -math.inf})
    line = json.loads(file.path.read_text())
    assert line["schema"] == 1
    assert line["step"] == 1
    expected = {"math/loss": None, "tokens/learned": 3300, "time/step": 1.5, "math/x": None, "y": None}
    assert read_metrics(file.path) == {1: expected}


def test_a_half_written_last_line_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _append(path, 1, 2)
    with path.open("ab") as file:
        file.write(b'{"schema": 1, "step": 3, "metr')
    assert list(read_metrics(path)) == [1, 2]
    _append(path, 3)
    assert list(read_metrics(path)) == [1, 2, 3]


def test_a_whole_last_line_without_newline_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _append(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-1])
    _append(path, 3)
    assert list(read_metrics(path)) == [1, 2, 3]


def test_resume_takes_later_steps_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _append(path, 1, 2, 3, 4).truncate_after(2)
    assert list(read_metrics(path)) == [1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_damage_in_the_middle_is_named_and_not_destroyed_by_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _append(path, 1)
    with path.open("ab") as file:
        file.write(b"\x00\x00\x00\n")
    file = _append(path, 2, 3)
    with pytest.raises(DataError, match="line 2 is damaged"):
        read_metrics(path)
    file.truncate_after(2)
    assert b"\x00" in path.read_bytes()


def test_full_disk_names_what_where_and_free_space() -> None:
    file = MetricsFile(Path("/dev/full"))
    with pytest.raises(RunError, match=r"disk is full.*metrics of step 3.*/dev/full.*free in /dev"):
        file.append(3, {"a": 1.0})


def test_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    # The real error of a full disk: the temporary file is made to be /dev/full, which has no room.
    (tmp_path / f".report.html.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(RunError, match="disk is full: could not write the report to"):
        write_atomically(path, b"new", "the report")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_or_device_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(RunError, match="exists and is not a regular file"):
        write_atomically(tmp_path / "report.html", b"new", "the report")
    assert len(list(tmp_path.iterdir())) == 1


def test_responses_round_trip(tmp_path: Path) -> None:
    verdicts = {
        "math": Verdict.violated("3 is not 5", -0.5),
        "style": Verdict.unknown("timed out"),
        "factuality": Verdict(Outcome.NOT_APPLICABLE),
    }
    rows = [
        RolloutRow.of(judged(), log_ratio=1.5, weight=-0.25, logprob_gap=1e-5),
        RolloutRow.of(judged(stratum="chat", verdicts=verdicts, calibrated_reward=None, index=3)),
    ]
    path = RolloutsWriter(tmp_path / "rollouts").write(12, rows)
    assert path.name == "step-000012.parquet"
    assert read_rollouts(tmp_path / "rollouts") == {12: rows}
    table = pq.read_table(path).to_pylist()
    assert table[0]["satisfied"] is True
    assert table[0]["weight"] == -0.25
    assert json.loads(table[0]["reward"]) == {"helpfulness": 1.25}
    assert json.loads(table[1]["verdicts"])["math"] == {"verdict": "violated", "reason": "3 is not 5", "score": -0.5}
    assert table[1]["satisfied"] is False
    assert table[1]["step"] == 12


def test_a_satisfied_response_without_reward_is_recorded_as_unknown(tmp_path: Path) -> None:
    path = RolloutsWriter(tmp_path).write(1, [RolloutRow.of(judged(calibrated_reward=None))])
    (row,) = pq.read_table(path).to_pylist()
    assert row["satisfied"] is None
    assert row["outcome"] == "unknown"
    assert row["calibrated_reward"] is None


def test_hostile_text_is_stored(tmp_path: Path) -> None:
    verdicts = {"math": Verdict.violated(HOSTILE)}
    RolloutsWriter(tmp_path).write(1, [RolloutRow.of(judged(response=HOSTILE, prompt=HOSTILE, verdicts=verdicts))])
    (row,) = read_rollouts(tmp_path)[1]
    assert row.response == HOSTILE.replace("\ud800", "\\ud800")
    assert row.messages[0]["content"] == HOSTILE
    assert row.verdicts["math"].reason == HOSTILE


def test_not_finite_numbers_are_recorded_as_missing(tmp_path: Path) -> None:
    row = RolloutRow.of(judged(verdicts={"a": Verdict.satisfied("", math.nan)}), log_ratio=math.inf, weight=math.nan)
    RolloutsWriter(tmp_path).write(1, [row])
    (found,) = read_rollouts(tmp_path)[1]
    assert (found.log_ratio, found.weight, found.verdicts["a"].score) == (None, None, None)


def test_steps_without_responses_and_choice_of_steps(tmp_path: Path) -> None:
    writer = RolloutsWriter(tmp_path)
    writer.write(2, [])
    writer.write(1, [RolloutRow.of(judged())])
    assert list(read_rollouts(tmp_path)) == [1, 2]
    assert read_rollouts(tmp_path, [2]) == {2: []}
    writer.truncate_after(1)
    assert list(read_rollouts(tmp_path)) == [1]


def test_what_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".step-000001.parquet.99.tmp").write_bytes(b"half")
    RolloutsWriter(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_and_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "step-000001.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"step-000001\.parquet cannot be read as Parquet"):
        read_rollouts(tmp_path)
    import pyarrow as pa

    pq.write_table(pa.table({"step": [1]}), tmp_path / "step-000001.parquet")
    with pytest.raises(DataError, match="has no schema version"):
        read_rollouts(tmp_path)
