"""Lines and files that belong to steps: later ones are taken back, damage is kept to be looked at."""

from __future__ import annotations

from pathlib import Path

from cgpo.storage.step_files import StepLines, read_step_lines, remove_step_files_after, step_files


def test_later_lines_and_half_a_line_are_taken_back(tmp_path: Path) -> None:
    lines = StepLines(tmp_path / "warnings.jsonl")
    for step in (1, 2, 2, 3):
        lines.append(step, {"text": f"of step {step}"})
    with lines.path.open("ab") as file:
        file.write(b"damaged\n" + b'{"schema": 1, "st')
    lines.truncate_after(2)
    kept = read_step_lines(lines.path)
    assert [record["text"] for record in kept.records] == ["of step 1", "of step 2", "of step 2"]
    assert kept.problems == (f"{lines.path} line 4 is damaged: not a JSON object",)
    assert lines.path.read_bytes().endswith(b"damaged\n")


def test_repair_keeps_every_whole_line(tmp_path: Path) -> None:
    lines = StepLines(tmp_path / "warnings.jsonl")
    lines.repair()
    assert not lines.path.exists()
    lines.append(7, {})
    whole = lines.path.read_bytes()
    lines.path.write_bytes(whole[:-1])  # without its newline, but complete
    lines.repair()
    assert lines.path.read_bytes() == whole
    lines.path.write_bytes(whole + whole[:-2])
    lines.repair()
    assert lines.path.read_bytes() == whole


def test_a_line_without_a_step_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"schema": 1, "step": 1}\n{"schema": 1, "metrics": {}}\n')
    lines = read_step_lines(path)
    assert [record["step"] for record in lines.records] == [1]
    assert len(lines.problems) == 1
    assert "without `step`" in lines.problems[0]


def test_later_files_go_and_others_stay(tmp_path: Path) -> None:
    names = ["step-000010.parquet", "step-000002.parquet", "step-1000000.parquet", "step-x.parquet", "step-000011.txt"]
    for name in names:
        (tmp_path / name).touch()
    assert list(step_files(tmp_path, ".parquet")) == [2, 10, 1000000]
    remove_step_files_after(tmp_path, ".parquet", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"step-000002.parquet", "step-x.parquet", "step-000011.txt"}
