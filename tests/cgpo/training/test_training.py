"""Training through the command line with the real vLLM and DeepSpeed, on a tiny random model: what a user relies on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tiny_experiment import write_inputs

from cgpo.tracking.rollouts import read_rollouts

DIFFER = ("time/", "rewards/seconds/", "one/judge_seconds/", "two/judge_seconds/")
"""Metrics that differ between equal runs."""


class Runner:
    """Runs `cgpo` in a folder with the experiment `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cgpo", *arguments]

    def train_arguments(self, *overrides: str) -> list[str]:
        return ["train", "--config-dir", str(self.folder), "experiment=tiny", *overrides]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, check=False)

    def train(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.train_arguments(*overrides))

    def start(self, *overrides: str) -> tuple[subprocess.Popen[bytes], Path]:
        """A training in the background, and the file its output goes to."""
        log = self.folder / "background.log"
        with log.open("w") as out:
            command = self.command(*self.train_arguments(*overrides))
            return subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out), log

    def wait_for(self, text: str, process: subprocess.Popen[bytes], log: Path) -> None:
        """Waits until the process has printed `text`; fails when it ends before."""
        while text not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)

    def metrics(self, run: str) -> list[dict[str, Any]]:
        lines = (self.folder / run / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def comparable(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line["metrics"].items() if not key.startswith(DIFFER)}


@pytest.fixture(scope="module")
def runner(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp("training")
    write_inputs(folder, tiny_model)
    return Runner(folder)


@pytest.fixture(scope="module")
def first(runner: Runner) -> subprocess.CompletedProcess[str]:
    """Three steps in `runs/tiny`, never interrupted."""
    done = runner.train("train.steps=3")
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def resumed(runner: Runner, first: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The same run, gone on with to a fourth step."""
    done = runner.train("train.steps=4")
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def test_run_directory(runner: Runner, first: subprocess.CompletedProcess[str]) -> None:
    run = runner.folder / "runs" / "tiny"
    for name in ("config.yaml", "metrics.jsonl", "baselines.jsonl", "evaluation.jsonl", "report.html"):
        assert (run / name).is_file(), name
    assert any((run / "tensorboard").iterdir())
    metrics = [line for line in runner.metrics("runs/tiny") if line["step"] <= 3]
    assert [line["step"] for line in metrics] == [1, 2, 3]
    assert metrics[0]["metrics"]["one/responses"] == 8
    for key in ("one/satisfied_rate/instruction_following", "two/calibrated_reward", "time/rollout", "train/grad_norm"):
        assert key in metrics[0]["metrics"]


def test_the_architecture_page_names_every_file_of_a_run(
    runner: Runner, first: subprocess.CompletedProcess[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    table = page.partition("## The run directory")[2].partition("\n## ")[0]
    cells = " ".join(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE))
    named = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", cells)}
    assert {path.name for path in (runner.folder / "runs" / "tiny").iterdir()} <= named


OURS = (
    r"beginning in runs/tiny; what libraries say is in runs/tiny/run\.log|(starting|loading) .*|"
    r"other processes take .*|the responses of a prompt share a row where that costs less; attention: sdpa; .*|"
    r"warning: strata are meant to be disjoint.*|3 steps; strata: one, two|a step: .*|AdamW.*|step \d/3 .*|  \S.*"
)
"""The lines on standard error that are the command's own."""


def test_a_person_reads_our_words_and_the_log_has_the_libraries(
    runner: Runner, first: subprocess.CompletedProcess[str]
) -> None:
    foreign = [line for line in first.stderr.splitlines() if not re.fullmatch(OURS, line)]
    assert foreign == []
    assert first.stdout.startswith("What changed on held-out prompts")
    log = (runner.folder / "runs" / "tiny" / "run.log").read_text()
    assert re.match(r"--- \d{4}-\S+ cgpo \S+: cgpo train, rank 0 of 1, process \d+ ---\n", log)
    assert "real_accelerator.py" in log  # DeepSpeed, by print
    assert "NUMA binding" in log  # torch's and vLLM's C++, on descriptor 2


def test_rollouts_hold_verdicts_and_reasons(runner: Runner, first: subprocess.CompletedProcess[str]) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(runner.folder / "runs/tiny/rollouts/step-000001.parquet").to_pylist()
    assert len(rows) == 16
    verdicts = json.loads(rows[0]["verdicts"])
    assert verdicts["instruction_following"]["verdict"] in {"satisfied", "violated"}
    assert {row["stratum"] for row in rows} == {"one", "two"}


def test_ends_with_what_changed_and_where_the_report_is(first: subprocess.CompletedProcess[str]) -> None:
    for expected in ("one", "two", "instruction_following", "calibrated reward", "KL", "runs/tiny/report.html"):
        assert expected in first.stdout


def test_the_engine_follows_the_policy(runner: Runner, first: subprocess.CompletedProcess[str]) -> None:
    # At this learning rate a step moves log-probs by far more than the gap; a missed sync would stop the run.
    for line in runner.metrics("runs/tiny"):
        assert line["metrics"]["sync/logprob_gap"] < 1e-4
    second = runner.metrics("runs/tiny")[1]["metrics"]
    assert abs(second["one/log_ratio"]) > 1e-3
    assert second["one/logprob_gap"] < 1e-4


def test_more_steps_go_on_with_the_same_run(runner: Runner, resumed: subprocess.CompletedProcess[str]) -> None:
    assert [line["step"] for line in runner.metrics("runs/tiny")] == [1, 2, 3, 4]


def test_a_killed_run_goes_on_bit_for_bit(runner: Runner, first: subprocess.CompletedProcess[str]) -> None:
    process, log = runner.start("train.steps=3", "run_dir=killed")
    runner.wait_for("step 2/3", process, log)
    process.kill()
    process.wait()
    assert not (runner.folder / "killed" / "checkpoints" / "step-000003").exists()
    again = runner.train("train.steps=3", "run_dir=killed")
    assert again.returncode == 0, again.stderr[-4000:]
    expected, found = runner.metrics("runs/tiny")[:3], runner.metrics("killed")
    assert [comparable(line) for line in found] == [comparable(line) for line in expected]


def test_a_finished_run_says_so_again(runner: Runner, resumed: subprocess.CompletedProcess[str]) -> None:
    report = runner.run("report", "runs/tiny")
    assert report.returncode == 0
    assert report.stdout.strip().endswith("report.html")


def test_another_configuration_is_refused_by_name(runner: Runner, resumed: subprocess.CompletedProcess[str]) -> None:
    done = runner.train("train.steps=4", "train.learning_rate=0.5")
    assert done.returncode != 0
    assert done.stderr.startswith("cgpo train: runs/tiny belongs to a run with another configuration")
    assert "train.learning_rate" in done.stderr
    assert "Traceback" not in done.stderr


def test_under_torchrun_a_refusal_is_told_once_and_quoted_last(
    runner: Runner, resumed: subprocess.CompletedProcess[str]
) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "cgpo"]
    arguments = runner.train_arguments("train.steps=4", "train.learning_rate=0.5")
    done = subprocess.run(
        [*launch, *arguments], cwd=runner.folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode != 0
    told, _, report = done.stderr.partition("Root Cause")
    said = "cgpo train: runs/tiny belongs to a run with another configuration"
    assert len(re.findall(f"^{said}", told, re.MULTILINE)) == 1, done.stderr
    assert f"traceback : {said}" in report
    assert "rank 1:" not in done.stderr
    assert "real_accelerator" not in done.stderr


def test_a_failure_names_the_log_and_verbose_shows_what_is_in_it(runner: Runner) -> None:
    chosen = ["rollout.max_logprob_gap=1.0e-30", "eval.before=false", "rollout=hf", "run_dir=runs/gap"]
    done = runner.train(*chosen)
    assert done.returncode == 1
    *_, error, last = done.stderr.splitlines()
    assert "rollout.max_logprob_gap" in error
    assert last == "What libraries said: runs/gap/run.log"
    assert "real_accelerator.py" not in done.stderr
    loud = runner.train("--verbose", *chosen)
    assert loud.returncode == 1
    assert "real_accelerator.py" in loud.stdout + loud.stderr
    assert "run.log" not in loud.stderr


def test_export_gives_a_model_transformers_loads(
    runner: Runner, tiny_model: str, resumed: subprocess.CompletedProcess[str]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = runner.run("export", "runs/tiny", "--output", "exported")
    assert done.returncode == 0, done.stderr
    trained = AutoModelForCausalLM.from_pretrained(runner.folder / "exported", dtype=torch.float32)
    start = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    moved = [not torch.equal(a, b) for a, b in zip(trained.parameters(), start.parameters(), strict=True)]
    assert all(moved)
    assert AutoTokenizer.from_pretrained(runner.folder / "exported").chat_template
    again = runner.run("export", "runs/tiny", "--output", "exported")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_evaluate_prints_held_out_numbers(runner: Runner, resumed: subprocess.CompletedProcess[str]) -> None:
    arguments = ["evaluate", "--config-dir", str(runner.folder), "experiment=tiny", "train.steps=3", "rollout=hf"]
    done = runner.run(*arguments, "run_dir=evaluated")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "instruction_following" in done.stdout


def test_ctrl_c_ends_with_a_checkpoint(runner: Runner) -> None:
    process, log = runner.start("train.steps=500", "train.save_every=0", "run_dir=broken_off", "eval.before=false")
    runner.wait_for("step 2/500", process, log)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130, log.read_text()[-3000:]
    assert "Traceback" not in log.read_text()
    steps = [p.name for p in (runner.folder / "broken_off" / "checkpoints").iterdir()]
    assert len(steps) == 1
    assert int(steps[0].removeprefix("step-")) >= 2
    assert (runner.folder / "broken_off" / "report.html").is_file()


class YesServer(BaseHTTPRequestHandler):
    """A judge's model that finds every response with an even number of letters good, and is slow about it."""

    shown: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][0]["content"]
        self.shown.append(text)
        time.sleep(0.05)
        good, bad = ("No", "Yes") if len(text) % 2 == 0 else ("Yes", "No")
        top = [{"token": good, "logprob": -0.1}, {"token": bad, "logprob": -3.0}]
        place = {"token": good, "logprob": -0.1, "top_logprobs": top}
        reply = json.dumps({"choices": [{"logprobs": {"content": [place]}}], "usage": {"total_tokens": 11}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), YesServer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_a_judge_that_asks_a_model_behind_an_endpoint(runner: Runner, endpoint: str) -> None:
    chosen = "strata.one.judges=[instruction_following,{name: false_refusal, as: helps, llm: ${judging.llm}}]"
    overrides = ["judge=endpoint", "judging.llm.model=m", f"judging.llm.base_url={endpoint}", chosen]
    overrides += ["eval.before=false", "eval.after=false", "train.steps=1", "rollout=hf", "run_dir=runs/endpoint"]
    done = runner.train(*overrides)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = runner.metrics("runs/endpoint")
    rows = list(read_rollouts(runner.folder / "runs/endpoint/rollouts")[1])
    judged = [row.verdicts["helps"] for row in rows if row.stratum == "one"]
    assert len(judged) == 8
    assert {verdict.outcome.value for verdict in judged} <= {"satisfied", "violated"}
    assert all(abs(abs(verdict.score) - 0.855050) < 1e-4 for verdict in judged)
    asked = line["metrics"]["one/judge_calls/helps"]
    assert asked == len(YesServer.shown) == len({row.response for row in rows if row.stratum == "one"})
    assert line["metrics"]["one/judge_tokens/helps"] == 11 * asked
    assert line["metrics"]["one/cache_hit_rate/helps"] == (8 - asked) / 8
    assert (runner.folder / "runs/endpoint/verdicts.sqlite").exists()
    assert all(any(row.response in text for text in YesServer.shown) for row in rows if row.stratum == "one")


def test_a_judge_that_does_not_answer_stops_the_run_and_is_never_a_number(runner: Runner) -> None:
    llm = "{model: m, base_url: http://127.0.0.1:9/v1, retries: 0}"
    chosen = f"strata.one.judges=[{{name: safety, llm: {llm}}}]"
    done = runner.train(chosen, "eval.before=false", "eval.after=false", "rollout=hf", "run_dir=runs/unreachable")
    assert done.returncode == 1
    assert "judge 'safety' of stratum 'one'" in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert not (runner.folder / "runs/unreachable/metrics.jsonl").exists()


def test_two_processes_with_zero_2(runner: Runner) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "cgpo"]
    arguments = runner.train_arguments("deepspeed=zero2", "train.steps=1", "run_dir=two_ranks")
    done = subprocess.run([*launch, *arguments], cwd=runner.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    metrics = runner.metrics("two_ranks")[0]["metrics"]
    assert metrics["one/responses"] == 8
    assert metrics["sync/logprob_gap"] < 1e-4


def test_missing_metadata_names_file_and_row(runner: Runner) -> None:
    lines = (runner.folder / "train.jsonl").read_text().splitlines()
    lines[4] = json.dumps({"prompt": "no metadata here"})
    (runner.folder / "holes.jsonl").write_text("\n".join(lines) + "\n")
    done = runner.train("strata.one.prompts=holes.jsonl", "run_dir=holes")
    assert done.returncode == 2
    for expected in ("holes.jsonl", "row 5", "instruction_id_list", "instruction_following"):
        assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_path_that_is_no_model(runner: Runner) -> None:
    (runner.folder / "empty").mkdir()
    done = runner.train("model.name=./empty", "run_dir=no_model")
    assert done.returncode == 2
    assert "empty" in done.stderr
    assert "Traceback" not in done.stderr
