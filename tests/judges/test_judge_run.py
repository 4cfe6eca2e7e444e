"""`judge run` on what goes wrong – kills, full disks, two at once, damaged files – and on its file formats."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

SLOW = """
import time
from judges import Verdict
def slow(row, seconds: float = 0.004):
    time.sleep(seconds)
    return Verdict.of(len(row.response) % 2 == 0, f"{len(row.response)} characters", float(len(row.response)))
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


class Here:
    """A folder with a slow judge and rows, and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "slow.py").write_text(SLOW)

    def rows(self, count: int, name: str = "rows.jsonl") -> None:
        lines = (json.dumps({"id": n, "prompt": "p", "response": "x" * (n % 40)}) for n in range(count))
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def command(self, output: str, *more: object, source: str = "rows.jsonl") -> list[str]:
        judge = ["--judge", "slow.py:slow", "--workers", "1"]
        words = [sys.executable, "-m", "judges", "run", *judge, "--input", source, "--output", output]
        return [*words, *map(str, more)]

    def run(self, output: str, *more: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = self.command(output, *more, source=options.pop("source", "rows.jsonl"))
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **options)

    def start(self, output: str, *more: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(output, *more), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def judged_rows(self, output: str) -> int:
        """How many rows the work in progress has saved."""
        try:
            state = json.loads((self.folder / f"{output}.partial" / "state.json").read_text())
        except FileNotFoundError:
            return 0
        return int(state["summary"]["rows"])

    def wait_for_more_than(self, rows: int, output: str, process: subprocess.Popen[str]) -> None:
        while self.judged_rows(output) <= rows:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    def read(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"slow.py", "__pycache__"}


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def stop(process: subprocess.Popen[str], number: int) -> str:
    """Sends a signal, waits for the end, returns standard error."""
    process.send_signal(number)
    return process.communicate()[1]


def test_a_killed_run_goes_on_and_gives_the_same_bytes(here: Here) -> None:
    here.rows(700)
    assert here.run("whole.jsonl", "--option", "slow.seconds=0.0").returncode == 0
    before = 0
    for _ in range(2):
        process = here.start("out.jsonl")
        here.wait_for_more_than(before, "out.jsonl", process)
        stop(process, signal.SIGKILL)
        before = here.judged_rows("out.jsonl")
        assert before < 700
        assert not (here.folder / "out.jsonl").exists()
    done = here.run("out.jsonl")
    assert done.returncode == 0, done.stderr
    assert f"going on after the {before} rows" in done.stderr
    assert "700 rows written" in done.stdout
    assert (here.folder / "out.jsonl").read_bytes() == (here.folder / "whole.jsonl").read_bytes()
    assert here.files() == {"rows.jsonl", "whole.jsonl", "out.jsonl"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_how_to_go_on(here: Here, number: int) -> None:
    here.rows(700)
    process = here.start("out.jsonl")
    here.wait_for_more_than(0, "out.jsonl", process)
    said = stop(process, number)
    assert process.returncode == 130
    rows = here.judged_rows("out.jsonl")
    assert f"stopped. {rows} judged rows are kept in {here.folder}/out.jsonl.partial" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_saved_rows_of_another_job_are_refused_until_fresh(here: Here) -> None:
    here.rows(700)
    process = here.start("out.jsonl")
    here.wait_for_more_than(0, "out.jsonl", process)
    stop(process, signal.SIGKILL)
    other = here.run("out.jsonl", "--option", "slow.seconds=0.0")
    assert other.returncode == 2
    assert "judged rows of a job that was stopped" in other.stderr
    assert '"seconds": 0.0' in other.stderr
    here.rows(20)
    changed = here.run("out.jsonl")
    assert changed.returncode == 2
    assert "bytes of the input" in changed.stderr
    fresh = here.run("out.jsonl", "--fresh")
    assert fresh.returncode == 0, fresh.stderr
    assert len(here.read("out.jsonl")) == 20
    assert here.files() == {"rows.jsonl", "out.jsonl"}


def test_two_runs_into_one_file_are_an_error(here: Here) -> None:
    here.rows(700)
    process = here.start("out.jsonl")
    here.wait_for_more_than(0, "out.jsonl", process)
    second = here.run("out.jsonl", "--fresh")
    assert second.returncode == 2
    assert f"another run is writing it (process {process.pid})" in second.stderr
    assert stop(process, signal.SIGCONT) is not None
    assert process.returncode == 0
    assert len(here.read("out.jsonl")) == 700


def test_a_full_disk_is_one_message_and_the_run_goes_on_later(here: Here) -> None:
    here.rows(700)
    limit = 60_000  # bytes; a limit on the size of files stands for the disk
    rows = ({"prompt": "p", "response": "x" * 4000} for _ in range(15))
    (here.folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = here.run("out.jsonl", preexec_fn=limited)
    assert full.returncode == 2
    assert "out.jsonl: File too large." in full.stderr
    assert "the same command goes on" in full.stderr
    assert "Traceback" not in full.stderr
    nearly = here.run("small.jsonl", preexec_fn=limited, source="few.jsonl")
    assert nearly.returncode == 2  # the rows fit into buffers, so that only their end reaches the limit
    assert not (here.folder / "small.jsonl").exists()
    done = here.run("out.jsonl")
    assert done.returncode == 0, done.stderr
    assert "going on after the" in done.stderr
    assert [row["id"] for row in here.read("out.jsonl")] == list(range(700))


def test_standard_input_and_output(here: Here) -> None:
    here.rows(30)
    text = (here.folder / "rows.jsonl").read_text()
    done = here.run("-", source="-", input=text)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(30))
    assert "30 rows written to standard output" in done.stderr
    done = here.run("out.jsonl", source="-", input=text)
    assert done.returncode == 0, done.stderr
    assert len(here.read("out.jsonl")) == 30
    with Path("/dev/full").open("w") as full:
        command = here.command("-")
        failed = subprocess.run(command, cwd=here.folder, stdout=full, stderr=subprocess.PIPE, text=True)
    assert failed.returncode == 2
    assert failed.stderr.strip() == "error: standard output: No space left on device"


def test_devices_are_no_output(here: Here) -> None:
    here.rows(3)
    done = here.run("/dev/full")
    assert done.returncode == 2
    assert "/dev/full: is not a regular file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "p", "response": "r", "n": %s}' % ("7" * 5000), "not JSON: Exceeds the limit"),
        ("[" * 100_000, "nested deeper than 100 levels"),
        ('{"prompt": "p", "response": "r", "n": %s}' % ("[" * 300 + "]" * 300), "nested deeper than 100 levels"),
        ('{"prompt": "p", "response": "r", "n": 1e999}', "the number 1e999 is too large"),
    ],
)
def test_numbers_and_nesting_beyond_all_limits_are_malformed_rows(here: Here, line: str, problem: str) -> None:
    good = '{"prompt": "p", "response": "r"}'
    (here.folder / "rows.jsonl").write_text(f"{good}\n{line}\n{good}\n")
    done = here.run("out.jsonl")
    assert done.returncode == 0, done.stderr
    assert f"rows.jsonl line 2: {problem}" in done.stderr
    assert [row["satisfied"] for row in here.read("out.jsonl")] == [False, None, False]


def test_an_input_of_malformed_rows_only_is_a_failure(here: Here) -> None:
    (here.folder / "rows.jsonl").write_text("no json\n[]\n")
    done = here.run("out.jsonl")
    assert done.returncode == 1
    assert "all 2 rows are malformed" in done.stderr
    assert len(here.read("out.jsonl")) == 2


def test_a_line_too_long_is_malformed_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from judges.files import jsonl

    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 40)
    monkeypatch.setattr(jsonl, "_SKIP_BYTES", 16)
    good = b'{"prompt": "p", "response": "r"}\n'
    rows = list(jsonl.read_rows(io.BytesIO(good + b"x" * 100 + b"\n" + good)))
    assert [row.line for row in rows] == [1, 2, 3]
    assert rows[1].problem.startswith("longer than")
    assert [row.end for row in rows] == [33, 134, 167]
    assert rows[2].row is not None


def test_gzip_is_read_and_written_the_same_every_time(here: Here) -> None:
    here.rows(50)
    (here.folder / "rows.jsonl.gz").write_bytes(gzip.compress((here.folder / "rows.jsonl").read_bytes()))
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        done = here.run(name, source="rows.jsonl.gz")
        assert done.returncode == 0, done.stderr
    assert (here.folder / "a.jsonl.gz").read_bytes() == (here.folder / "b.jsonl.gz").read_bytes()
    assert here.run("plain.jsonl").returncode == 0
    assert gzip.decompress((here.folder / "a.jsonl.gz").read_bytes()) == (here.folder / "plain.jsonl").read_bytes()


def test_damaged_gzip_is_reported_with_its_line_and_ends_with_status_1(here: Here) -> None:
    here.rows(5000)
    packed = gzip.compress((here.folder / "rows.jsonl").read_bytes())
    (here.folder / "rows.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    done = here.run("out.jsonl", "--option", "slow.seconds=0.0", source="rows.jsonl.gz")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    judged = here.read("out.jsonl")
    assert f"rows.jsonl.gz line {len(judged)}: the compressed data are damaged from here on" in done.stderr
    assert "was not read to its end" in done.stderr
    assert [row["id"] for row in judged[:-1]] == list(range(len(judged) - 1))
    assert judged[-1]["satisfied"] is None


def test_parquet_keeps_its_columns_and_types(here: Here) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 700
    table = pa.table(
        {
            "day": pa.array([date(2026, 1, 1)] * count),
            "prompt": ["p"] * count,
            "response": ["x" * (n % 40) for n in range(count)],
            "metadata": [{"answer": str(n) if n % 2 else None} for n in range(count)],
            "blob": pa.array([b"\xff"] * count),
            "verdicts": ["old"] * count,
        }
    ).replace_schema_metadata({"mine": "kept"})
    pq.write_table(table, here.folder / "rows.parquet", row_group_size=100)
    process = here.start("out.parquet", "--input", "rows.parquet")
    here.wait_for_more_than(1, "out.parquet", process)
    stop(process, signal.SIGKILL)
    done = here.run("out.parquet", source="rows.parquet")
    assert done.returncode == 0, done.stderr
    assert "going on after the" in done.stderr
    judged = pq.read_table(here.folder / "out.parquet")
    assert judged.schema.metadata[b"mine"] == b"kept"
    assert judged.drop_columns(["verdicts", "satisfied"]).equals(table.drop_columns(["verdicts"]))
    verdicts = [json.loads(text) for text in judged["verdicts"].to_pylist()]
    assert [v["slow"]["score"] for v in verdicts] == [float(n % 40) for n in range(count)]
    assert judged["satisfied"].to_pylist() == [n % 2 == 0 for n in range(count)]
    assert here.files() == {"rows.parquet", "out.parquet"}


def test_parquet_and_json_lines_turn_into_each_other(here: Here) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    messages = [{"role": "user", "content": "p"}]
    rows: list[dict[str, Any]] = [
        {"prompt": messages, "response": "xx", "metadata": {"answer": 1}, "n": 1, "mixed": 1, "late": None},
        {"prompt": "p", "response": "x", "metadata": {"other": 1}, "n": 2.5, "mixed": "a", "late": "\ud800"},
    ]
    (here.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = here.run("out.parquet")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(here.folder / "out.parquet")
    assert table["n"].to_pylist() == [1.0, 2.5]
    assert table["mixed"].to_pylist() == ["1", '"a"']
    assert table["late"].to_pylist() == [None, "\\ud800"]
    assert [json.loads(text) for text in table["prompt"].to_pylist()] == [messages, "p"]
    assert table["satisfied"].to_pylist() == [True, False]
    pq.write_table(
        pa.table({"prompt": [messages], "response": ["xx"], "metadata": ['{"a": 1}'], "day": [date(2026, 1, 2)]}),
        here.folder / "in.parquet",
    )
    back = here.run("back.jsonl", source="in.parquet")
    assert back.returncode == 0, back.stderr
    (row,) = here.read("back.jsonl")
    assert row["prompt"] == messages
    assert row["metadata"] == {"a": 1}
    assert row["day"] == "2026-01-02"
    assert row["satisfied"] is True


def test_null_fields_of_a_metadata_struct_are_missing_metadata(here: Here) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {
        "prompt": ["p", "p"],
        "response": ["The final answer is 4."] * 2,
        "metadata": [{"answer": "4"}, {"answer": None}],
    }
    pq.write_table(pa.table(rows), here.folder / "in.parquet")
    command = [sys.executable, "-m", "judges", "run", "--judge", "math", "--input", "in.parquet", "--output", "o.jsonl"]
    subprocess.run(command, cwd=here.folder, check=True, capture_output=True)
    verdicts = [row["verdicts"]["math"] for row in here.read("o.jsonl")]
    assert [v["verdict"] for v in verdicts] == ["satisfied", "unknown"]
    assert verdicts[1]["reason"] == "missing metadata: answer"


def test_what_is_no_parquet_is_one_message(here: Here) -> None:
    (here.folder / "in.parquet").write_text("no parquet at all")
    done = here.run("out.jsonl", source="in.parquet")
    assert done.returncode == 2
    assert "in.parquet is no Parquet file that can be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert here.run("out.jsonl", source="gone.parquet").stderr.startswith("error: gone.parquet: No such file")
    assert here.files() == {"in.parquet"}


def test_saved_work_is_cut_back_to_its_last_whole_row(tmp_path: Path) -> None:
    from judges.files.partial import Partial, Progress

    output, job = tmp_path / "out", {"input": "i"}
    with Partial(output) as work:
        assert work.start(job) is None
        work.write(b"1\n")
        work.reached(lambda: Progress(1, 10, {"rows": 1}))
        work.write(b"2\n")
        work.reached(lambda: Progress(2, 20, {"rows": 2}))  # within a second of the first: not saved
        work.write(b"3 tor")
    assert (work.folder / "rows").read_bytes() == b"1\n2\n3 tor"
    with Partial(output) as work:
        assert work.start(job) == Progress(1, 10, {"rows": 1})
        work.write(b"2\n")
        work.finish(lambda rows, target: rows.replace(target))
    assert output.read_bytes() == b"1\n2\n"
    assert list(tmp_path.iterdir()) == [output]


def test_a_state_that_outlived_its_rows_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    """A kill between the last two steps of a run: the output is there, the state still is too."""
    from judges.files.partial import Partial, Progress

    with Partial(tmp_path / "out") as work:
        work.start({})
        work.write(b"1\n")
        work.save(Progress(1, 2, {"rows": 1}))
    (work.folder / "rows").rename(tmp_path / "out")
    with Partial(tmp_path / "out") as work:
        assert work.start({}) is None
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("output", ["missing/../rows.jsonl", "rows.jsonl/../rows.jsonl", "link.jsonl"])
def test_the_input_is_not_overwritten_by_way_of_a_folder_that_does_not_exist(here: Here, output: str) -> None:
    here.rows(3)
    (here.folder / "link.jsonl").symlink_to("missing/../rows.jsonl")
    before = (here.folder / "rows.jsonl").read_bytes()
    done = here.run(output)
    assert done.returncode != 0
    assert "folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert (here.folder / "rows.jsonl").read_bytes() == before


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_folder_that_only_has_the_name_of_the_work_in_progress_is_left_alone(here: Here, fresh: list[str]) -> None:
    here.rows(3)
    theirs = here.folder / "out.jsonl.partial" / "rows"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    done = here.run("out.jsonl", *fresh)
    assert done.returncode != 0
    assert "out.jsonl.partial" in done.stderr
    assert theirs.read_text() == "mine"
    assert [path.name for path in theirs.parent.iterdir()] == ["rows"]


def test_a_kill_before_the_output_is_in_place_loses_no_row(tmp_path: Path) -> None:
    from judges.files.partial import Partial, Progress

    class KilledError(Exception):
        pass

    def kill(rows: Path, target: Path) -> None:
        rows.replace(target)
        raise KilledError

    output = tmp_path / "out"
    with Partial(output) as work:
        work.start({"judge": "a"})
        work.write(b"1\n")
        work.reached(lambda: Progress(1, 2, {"rows": 1}))
        with pytest.raises(KilledError):
            work.finish(kill)
    assert not output.exists()
    with Partial(output) as work:
        assert work.start({"judge": "a"}) == Progress(1, 2, {"rows": 1})
        work.finish(lambda rows, target: rows.replace(target))
    assert output.read_bytes() == b"1\n"
