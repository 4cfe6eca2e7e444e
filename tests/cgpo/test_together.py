"""What fails on one of two ranks ends on both, at every place where ranks work by themselves and meet again.

As a program it is one of two ranks: `test_together.py RANK MEETING_FILE FOLDER`. It goes through all cases, since ranks
that broke off together are in step again afterwards, and prints how each ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from failing_ranks import FULL, another, failing_on

from cgpo import distributed
from cgpo.config import ModelSettings
from cgpo.errors import ConfigError, LimitError, RunError
from cgpo.pairs.sampling import Sampler
from cgpo.policy import layout_choice
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.layout import TokenSequence
from cgpo.policy.saving import save_engine
from cgpo.stages.loop import StageLoop
from cgpo.stages.reference_file import ReferenceFile
from cgpo.stages.running import StageFolder
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.progress import StageProgress

SILENT = StageProgress("off")


def alone_while_others_meet(_: Path) -> None:
    with distributed.together():
        if distributed.rank() == 1:
            raise ValueError("row 7 is bad")
        distributed.all_sum([1.0])
        distributed.all_max(1.0)


def before_the_end(_: Path) -> None:
    with distributed.together(), distributed.together():
        if distributed.rank() == 1:
            raise LimitError("too much is unknown")


def reworded_on_the_way(_: Path) -> None:
    with distributed.together():
        try:
            with distributed.together():
                if distributed.rank() == 0:
                    raise another(FULL)
        except OSError as error:
            raise RunError("the disk is full") from error


def everywhere(_: Path) -> None:
    with distributed.together():
        raise ConfigError("no such model")


def in_different_ways(_: Path) -> None:
    with distributed.together():
        raise LimitError("too much is unknown") if distributed.rank() else ValueError("row 7 is bad")


def while_another_error_is_handled(_: Path) -> None:
    try:
        with distributed.together():
            raise LimitError("too much is unknown")
    except LimitError:
        with failing_on(1, os, "getpid", FULL), distributed.together():
            os.getpid()


def on_the_first_rank(_: Path) -> None:
    with failing_on(0, Path, "read_text", FULL):
        distributed.on_first_rank(lambda: Path(__file__).read_text())


class Engine:
    """As DeepSpeed's engine saves: each rank its file, then all meet."""

    def __init__(self) -> None:
        self.checkpoint_engine = self

    def save(self, state: Any, path: str) -> bool:
        Path(path).write_bytes(state)
        return True

    def save_checkpoint(self, folder: str, **_: Any) -> None:
        torch.distributed.barrier()
        self.checkpoint_engine.save(b"weights", path=f"{folder}/{distributed.rank()}.pt")
        torch.distributed.barrier()


def save_checkpoint(folder: Path, step: int) -> None:
    Checkpoints(folder / "checkpoints", 2).save(step, lambda to: save_engine(Engine(), to), {})


def in_deepspeeds_part_of_a_checkpoint(folder: Path) -> None:
    with failing_on(1, Engine, "save", FULL):
        save_checkpoint(folder, 1)


def in_the_rest_of_a_checkpoint(folder: Path) -> None:
    with failing_on(0, Path, "write_text", FULL):
        save_checkpoint(folder, 2)


def in_what_follows_the_failures(folder: Path) -> None:
    save_checkpoint(folder, 3)
    distributed.barrier()
    steps = [checkpoint.step for checkpoint in Checkpoints(folder / "checkpoints", 2).all()]
    raise RunError(f"checkpoints of steps {steps}")


def in_a_stages_metrics(folder: Path) -> None:
    (folder / "stage").mkdir(exist_ok=True)
    loop = StageLoop(folder / "stage", 3, 0, 0, SILENT, "data")
    with failing_on(0, MetricsFile, "append", FULL):
        loop.record(1, {"train/loss": 1.0})


def in_a_stages_model(folder: Path) -> None:
    def save(to: Path) -> None:
        raise another(FULL)

    StageFolder(folder).write_model(save if distributed.rank() == 0 else None)


class Zeros:
    """A model that finds every token certain."""

    def token_logprobs(self, sequences: Sequence[TokenSequence], temperature: float) -> list[torch.Tensor]:
        return [torch.zeros(len(s.response_ids)) for s in sequences]


def in_the_reference_log_probs(folder: Path) -> None:
    file = ReferenceFile(folder, ModelSettings(name="any"), "data")
    with failing_on(0, ReferenceFile, "_append", FULL):
        file.complete(Zeros(), [TokenSequence((1,), (2,))] * 4, SILENT)  # type: ignore[arg-type]


def in_sampling(_: Path) -> None:
    with failing_on(1, Sampler, "_responses", ValueError("2 scores of 3 responses")), distributed.together():
        Sampler({}, {}, Nothing()).sample([], lambda done: None)  # type: ignore[arg-type]


def in_the_proof_of_a_layout(_: Path) -> None:
    answers = False, ""
    with (
        failing_on(0, layout_choice, "_comparison", answers),
        failing_on(1, layout_choice, "_comparison", MemoryError("no room for it")),
    ):
        layout_choice._failure(*[None] * 3)  # type: ignore[arg-type]


class Nothing:
    """An engine without requests."""

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        return []


FULL_HERE = "OSError: [Errno 28] No space left on device"
FULL_THERE = "RunError: rank {}: OSError: [Errno 28] No space left on device"
UNKNOWN = "LimitError: too much is unknown"
EXPECTED: dict[Callable[[Path], None], tuple[str, str]] = {
    alone_while_others_meet: ("RunError: rank 1: ValueError: row 7 is bad", "ValueError: row 7 is bad"),
    before_the_end: ("LimitError: rank 1: too much is unknown", UNKNOWN),
    reworded_on_the_way: ("RunError: the disk is full", FULL_THERE.format(0)),
    everywhere: ("ConfigError: no such model", "ConfigError: no such model"),
    in_different_ways: ("ValueError: row 7 is bad", "RunError: rank 0: ValueError: row 7 is bad"),
    while_another_error_is_handled: (FULL_THERE.format(1), FULL_HERE),
    on_the_first_rank: (FULL_HERE, FULL_THERE.format(0)),
    in_deepspeeds_part_of_a_checkpoint: (
        FULL_THERE.format(1),
        "RunError: the checkpoint of step 1 could not be written",
    ),
    in_the_rest_of_a_checkpoint: ("RunError: the checkpoint of step 2 could not be written", FULL_THERE.format(0)),
    in_what_follows_the_failures: ("RunError: checkpoints of steps [3]", "RunError: checkpoints of steps [3]"),
    in_a_stages_metrics: (FULL_HERE, FULL_THERE.format(0)),
    in_a_stages_model: (
        "RunError: the model could not be written to",
        "RunError: rank 0: the model could not be written to",
    ),
    in_the_reference_log_probs: (FULL_HERE, FULL_THERE.format(0)),
    in_the_proof_of_a_layout: ("RunError: rank 1: MemoryError: no room for it", "MemoryError: no room for it"),
    in_sampling: ("RunError: rank 1: ValueError: 2 scores of 3 responses", "ValueError: 2 scores of 3 responses"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """How each case ended on the two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    command = [sys.executable, __file__]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(folder / "meeting"), str(folder)],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    for out, problem in outputs:
        assert out, problem
    return [json.loads(out) for out, _ in outputs]


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case.__name__)
def test_both_ranks_end_and_name_the_rank(case: Callable[[Path], None], told: list[dict[str, str]]) -> None:
    for ended, expected in zip(told, EXPECTED[case], strict=True):
        assert ended[case.__name__].startswith(expected)


def test_numbers_over_ranks(told: list[dict[str, str]]) -> None:
    assert told[0]["numbers"] == told[1]["numbers"] == "[[3.0, 0.5], 2.0, True, False, True, [1, 2]]"


def test_alone_everything_is_its_own() -> None:
    assert distributed.all_sum([0.5]) == [0.5]
    assert distributed.on_first_rank(lambda: 3) == 3
    with pytest.raises(ValueError, match="row 7"), distributed.together():
        raise ValueError("row 7 is bad")


def numbers(rank: int) -> list[Any]:
    one = float(rank + 1)
    nan = distributed.all_max(float("nan") if rank else one)
    return [
        distributed.all_sum([one, 0.25]),
        distributed.all_max(one),
        distributed.any_rank(rank == 1),
        distributed.any_rank(False),
        nan != nan,
        distributed.gather_objects(rank + 1),
    ]


def main(rank: int, meeting: str, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    ended = {}
    for case in EXPECTED:
        try:
            case(folder)
        except Exception as error:  # noqa: BLE001 - what it is, is the answer
            ended[case.__name__] = f"{type(error).__name__}: {error}"
    ended["numbers"] = str(numbers(rank))
    print(json.dumps(ended))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
