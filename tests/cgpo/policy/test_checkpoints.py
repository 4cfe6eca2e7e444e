"""Checkpoints appear whole or not at all, are verified when loaded, and a failed write leaves the earlier ones."""

from __future__ import annotations

import errno
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from cgpo.errors import ConfigError, RunError
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.manifest import DamagedError


def weights(text: str) -> Callable[[str], None]:
    def write(folder: str) -> None:
        (Path(folder) / "state").mkdir()
        (Path(folder) / "state" / "weights").write_text(text)

    return write


def no_space(folder: str) -> NoReturn:
    (Path(folder) / "weights").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def saved(folder: Path, *steps: int, keep: int = 10) -> Checkpoints:
    checkpoints = Checkpoints(folder / "c", keep)
    for step in steps:
        checkpoints.save(step, weights(f"weights of {step}"), {"position": step})
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "c").iterdir())


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, 10, 15, keep=2)
    assert [c.step for c in checkpoints.all()] == [10, 15]
    assert checkpoints.oldest_resumable() == 10
    latest = checkpoints.newest_whole(pytest.fail)
    assert latest is not None
    assert latest.read_state()["position"] == 15
    assert (latest.folder / "state" / "weights").read_text() == "weights of 15"
    assert names(tmp_path) == ["step-000010", "step-000015"]


def test_the_best_is_kept_besides(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, 10, keep=1)
    assert checkpoints.is_better(0.1, "math/satisfied_rate", "max")
    checkpoints.mark_best(10, "math/satisfied_rate", "max", 0.5)
    for step in (15, 20):
        checkpoints.save(step, weights(str(step)), {})
    assert [c.step for c in checkpoints.all()] == [10, 20]
    assert checkpoints.find("best").step == 10
    assert checkpoints.oldest_resumable() == 20
    assert not checkpoints.is_better(0.5, "math/satisfied_rate", "max")
    assert checkpoints.is_better(0.6, "math/satisfied_rate", "max")
    assert checkpoints.is_better(0.1, "math/kl", "max")  # another metric was asked for since
    checkpoints.mark_best(20, "math/satisfied_rate", "max", 0.6)
    assert [c.step for c in checkpoints.all()] == [20]
    checkpoints.mark_best(20, "math/kl", "min", 0.6)
    assert checkpoints.is_better(0.5, "math/kl", "min")
    assert not checkpoints.is_better(0.7, "math/kl", "min")


def test_a_best_one_that_is_gone_is_no_longer_in_the_way(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, 10)
    checkpoints.mark_best(10, "math/satisfied_rate", "max", 0.5)
    (tmp_path / "c" / "step-000010" / "state" / "weights").write_text("damaged")
    checkpoints.newest_whole(lambda text: None)
    assert checkpoints.is_better(0.5, "math/satisfied_rate", "max")  # what is made again comes out equal


@pytest.mark.parametrize("text", ["{}", "[]", '{"step": 5, "metric": "m", "mode": "max", "value": null}', "{"])
def test_a_damaged_mark_is_named(tmp_path: Path, text: str) -> None:
    checkpoints = saved(tmp_path, 5)
    (tmp_path / "c" / "best.json").write_text(text)
    with pytest.raises(RunError, match=r"best\.json cannot be read.*Remove it"):
        checkpoints.is_better(1.0, "m", "max")


def test_checkpoints_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint yet"):
        saved(tmp_path).find(None)
    checkpoints = saved(tmp_path, 5, 10)
    assert (checkpoints.find(None).step, checkpoints.find("5").step) == (10, 5)
    with pytest.raises(ConfigError, match=r"--checkpoint 7: no such checkpoint\. There are: 5, 10$"):
        checkpoints.find("7")
    with pytest.raises(ConfigError, match=r"train\.keep_best"):
        checkpoints.find("best")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: f.write_text("weights of 7!"), "state/weights has 13 B (13 bytes) instead of 12"),
        (lambda f: f.write_text("weights of 8"), "state/weights has another content than was written"),
        (lambda f: f.unlink(), "state/weights is missing"),
        (lambda f: (f.parent.parent / "manifest.json").write_text("{"), "manifest.json cannot be read"),
    ],
    ids=["size", "content", "missing", "manifest"],
)
def test_a_damaged_one_is_passed_over_and_said_so(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    checkpoints = saved(tmp_path, 5, 7)
    damage(tmp_path / "c" / "step-000007" / "state" / "weights")
    warnings: list[str] = []
    found = checkpoints.newest_whole(warnings.append)
    assert found is not None
    assert found.step == 5
    assert "step-000007 is damaged" in warnings[0]
    assert said in warnings[0]
    assert names(tmp_path) == ["damaged-step-000007", "step-000005"]
    checkpoints.save(7, weights("again"), {})  # its step is free again
    assert checkpoints.newest_whole(pytest.fail) == checkpoints.find("7")


def test_when_none_is_whole_nothing_is_started(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, 7)
    for step in (5, 7):
        (tmp_path / "c" / f"step-{step:06d}" / "state" / "weights").write_text("")
    with pytest.raises(DamagedError) as refused:
        checkpoints.newest_whole(lambda text: None)
    for expected in ("step-000007", "No older checkpoint is whole", "--fresh"):
        assert expected in str(refused.value)
    assert names(tmp_path) == ["step-000005", "step-000007"]


def torch_without_space(size: int) -> Callable[[str], None]:
    """Writes as DeepSpeed does, to a device that is always full."""
    return lambda folder: torch.save({"weights": torch.zeros(size)}, "/dev/full")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (no_space, "No space left"),
        (torch_without_space(10), "iostream error"),
        (torch_without_space(10**6), "inline_container"),
    ],
    ids=["Python", "torch, at the end", "torch, in the middle"],
)
def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path, write: Callable[[str], None], said: str) -> None:
    checkpoints = saved(tmp_path, 5, keep=1)
    with pytest.raises(RunError) as caught:
        checkpoints.save(10, write, {})
    for expected in ("step 10", said, "GiB free", "untouched"):
        assert expected in str(caught.value)
    assert checkpoints.newest_whole(pytest.fail) == checkpoints.find("5")
    assert not list((tmp_path / "c").glob(".*tmp"))


def test_one_is_written_beside_and_is_there_when_it_is_finished(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, keep=1)
    gate, writers = threading.Event(), []

    def collect(folder: str) -> Callable[[], list[Path]]:
        def write() -> list[Path]:
            assert gate.wait(60)
            writers.append(threading.current_thread())
            weights("weights of 10")(folder)
            return [Path(folder) / "state" / "weights"]

        return write

    checkpoints.begin(10, collect, {"position": 10})
    assert checkpoints.pending == 10
    assert checkpoints.newest_whole(pytest.fail) == checkpoints.find("5")  # what a kill would go on from
    gate.set()
    checkpoints.finish()
    assert checkpoints.pending is None
    assert writers != [threading.current_thread()]
    latest = checkpoints.newest_whole(pytest.fail)
    assert latest is not None
    assert latest.read_state()["position"] == 10
    assert (latest.folder / "state" / "weights").read_text() == "weights of 10"
    assert names(tmp_path) == ["step-000010"]
    checkpoints.begin(15, collect, {})
    checkpoints.begin(20, collect, {})  # the one before is finished first
    assert [c.step for c in checkpoints.all()] == [15]
    checkpoints.close()
    assert [c.step for c in checkpoints.all()] == [20]


def test_a_disk_that_fills_beside_is_named_when_it_is_finished(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, keep=1)
    checkpoints.begin(10, lambda folder: lambda: no_space(folder), {})
    with pytest.raises(RunError, match=r"step 10 could not be written.*No space left.*untouched"):
        checkpoints.finish()
    assert checkpoints.newest_whole(pytest.fail) == checkpoints.find("5")
    assert names(tmp_path) == ["step-000005"]
    checkpoints.finish()  # nothing is left to wait for


def test_unfinished_ones_are_ignored_and_removed_by_the_next(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, keep=1)
    (tmp_path / "c" / "step-000009").mkdir()  # no manifest: a kill came before it
    (tmp_path / "c" / ".step-000010.tmp").mkdir()
    (tmp_path / "c" / ".step-000003.gone").mkdir()
    assert [c.step for c in checkpoints.all()] == [5]
    checkpoints.save(9, weights("9"), {})
    assert names(tmp_path) == ["step-000009"]


def test_another_versions_state_is_named(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5)
    (tmp_path / "c" / "step-000005" / "state.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(RunError, match=r"state\.json: schema 99"):
        checkpoints.find("5").read_state()


def test_random_states_come_back(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), float(np.random.rand()), float(torch.rand(1))]

    checkpoints = saved(tmp_path, 5)
    expected = draw()
    assert draw() != expected
    checkpoints.find("5").restore_random_states()
    assert draw() == expected
