"""Entry points of installed packages: read once, and again where there is a new folder to look at."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from judges import installed

GROUP = "cgpo.try"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    installed.forget()
    yield
    installed.forget()


def install(folder: Path, name: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}:thing\n")


def names() -> list[str]:
    return [point.name for point in installed.points_of(GROUP)]


def test_a_folder_that_comes_to_the_path_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names() == []
    install(tmp_path / "one", "first")
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    assert names() == ["first"]
    install(tmp_path / "two", "second")
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    assert names() == ["second", "first"]


def test_what_is_installed_later_is_seen_after_forgetting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert names() == []
    install(tmp_path, "late")
    assert names() == []
    installed.forget()
    assert names() == ["late"]


def test_packages_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[dict[str, str]] = []
    monkeypatch.setattr(installed, "entry_points", lambda **given: reads.append(given) or entry_points(**given))
    for group in ("cgpo.judges", "cgpo.optimizers", "cgpo.judges"):
        assert installed.points_of(group)
    assert len(reads) == 1
