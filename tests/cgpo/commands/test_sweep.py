"""What a sweep says at its end; that it runs every combination is in test_cli.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgpo.commands import sweep

BASE = ["experiment=quickstart", "train.steps=1"]


@pytest.fixture
def done_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Jobs that need no time: what they do is not what is tested here."""
    monkeypatch.setattr(sweep, "run_job", lambda command: 0)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("done_at_once")
@pytest.mark.parametrize(
    ("overrides", "flags", "said"),
    [
        (["strata.math.weight=0.5,1"], [], True),
        (["strata.math.weight=0.5"], [], False),
        (["strata.math.weight=0.5,1"], ["--dry-run"], False),
        (["strata.math.weight=0.5,1", "run_dir=elsewhere"], [], False),
    ],
)
def test_the_command_that_compares_the_runs_is_named(
    overrides: list[str], flags: list[str], said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.sweep([*BASE, *overrides], None, flags=flags) == 0
    assert ("compare the runs with: cgpo tradeoff runs/quickstart-sweep\n" in capsys.readouterr().err) is said
