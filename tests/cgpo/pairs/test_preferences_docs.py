"""The commands and rows of docs/preferences.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.config import ContaminationSettings, PairDataSettings, PreferencesSettings
from cgpo.config.reward_stage import SYNTHETIC_KINDS
from cgpo.pairs.rows import read_preference_rows

TEXT = (Path(__file__).parents[3] / "docs" / "preferences.md").read_text()
COMMANDS = [line.strip() for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
ROWS = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(line)
    assert program == "cgpo"
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "pairs"),
    [("ratings", [("The Rhine.", "No.", 4.0)]), ("best_of_n", [("The Rhine.", "No.", 1.9), ("A river.", "No.", 1.2)])],
)
def test_rows_of_the_page_are_read(form: str, pairs: list[tuple[str, str, float]], tmp_path: Path) -> None:
    (rows,) = [block for block in ROWS if ("responses" in block) is (form == "best_of_n")]
    other = rows.replace("river", "lake")  # a split by prompt needs two
    (tmp_path / "rows.jsonl").write_text(rows + other)
    settings = PairDataSettings.model_validate(
        {"path": str(tmp_path / "rows.jsonl"), "form": form, "heldout_share": 0.5}
    )
    found = read_preference_rows(settings, seed=0, where="page")
    mine = [(p.chosen, p.rejected, p.margin) for p in found.pairs if "river" in p.prompt[0]["content"]]
    assert [(c, r, pytest.approx(m)) for c, r, m in mine[: len(pairs)]] == pairs


def test_numbers_and_names_of_the_page_are_the_defaults() -> None:
    default = ContaminationSettings()
    assert (default.words, default.share, default.common) == (8, 0.7, 10)
    settings = PreferencesSettings()
    assert (settings.responses_per_prompt, settings.rank_by) == (8, ["judges", "reward"])
    for name in (*SYNTHETIC_KINDS, *PreferencesSettings.model_fields):
        assert f"`{name}`" in TEXT or f".{name}" in TEXT, name
    assert all(json.loads(line) for block in ROWS for line in block.splitlines())
