"""The command lines, the experiment and the settings in docs/overoptimisation.md are as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.compose import compose
from cgpo.config import PhraseSettings, WatchSettings
from cgpo.tracking.evaluation_metrics import evaluation_metric_names

DOCS = (Path(__file__).parents[3] / "docs" / "overoptimisation.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (yaml,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    name, _, text = str(yaml).partition("\n")
    file = tmp_path / name.removeprefix("# ")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_a_command_line(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    assert words[0] == "cgpo"
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert ended.value.code == 0
    assert "which do not train it" in " ".join(capsys.readouterr().out.split())


def test_the_experiment(folder: Path) -> None:
    settings = compose(["experiment=watched"], config_dir=str(folder / "my-configs")).settings
    assert settings.independent_rewards("math") == ["second"]
    assert [spec.name for spec in settings.watch.independent_judges] == ["farewell", "length"]
    assert "math/reward/second" in evaluation_metric_names(settings)


def test_settings_are_named_as_they_are() -> None:
    for name in re.findall(r"`watch\.([a-z_.]+)", DOCS):
        first, _, second = name.partition(".")
        assert first in WatchSettings.model_fields, name
        assert not second or second in PhraseSettings.model_fields, name
    limits = PhraseSettings()
    assert (limits.every, limits.warn_rate, limits.warn_factor, limits.warn_z) == (5, 0.02, 2.0, 4.5)
    assert (WatchSettings().warn_z, WatchSettings().warn_z_heldout) == (5.5, 3.5)
