"""Checkpoints appear whole or not at all; a failed write leaves the earlier ones as they were."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cgpo.errors import RunError
from cgpo.policy.checkpoints import Checkpoints


def weights(text: str):  # type: ignore[no-untyped-def]
    return lambda folder: (Path(folder) / "weights").write_text(text)


def no_space(folder: str) -> None:
    (Path(folder) / "weights").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for step in (5, 10, 15):
        checkpoints.save(step, weights(str(step)), {"position": step})
    assert [c.step for c in checkpoints.all()] == [10, 15]
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.read_state()["position"] == 15
    assert (latest.folder / "weights").read_text() == "15"


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    checkpoints.save(5, weights("5"), {})
    with pytest.raises(RunError) as caught:
        checkpoints.save(10, no_space, {})
    for expected in ("step 10", "No space left", "GiB free", "untouched"):
        assert expected in str(caught.value)
    latest = checkpoints.latest()
    assert latest is not None
    assert (latest.step, (latest.folder / "weights").read_text()) == (5, "5")
    assert not list((tmp_path / "c").glob(".*tmp"))


def test_half_written_ones_are_ignored(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    checkpoints.save(5, weights("5"), {})
    (tmp_path / "c" / "step-000009").mkdir()  # no state.json: a kill came before it
    (tmp_path / "c" / ".step-000010.tmp").mkdir()
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.step == 5


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=1)
    checkpoints.save(5, weights("5"), {})
    (tmp_path / "c" / "step-000005" / "state.json").write_text("{")
    latest = checkpoints.latest()
    assert latest is not None
    with pytest.raises(RunError, match=r"state\.json"):
        latest.read_state()
