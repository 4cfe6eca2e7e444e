"""docs/optimizers.md: its commands and its optimiser run, and its tables hold every setting with its default."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from fixed_learning import Case, learn_case

from cgpo import distributed, plugins
from cgpo.cli import main
from cgpo.config import OptimizerSettings

FOLDER = Path(__file__).parents[3] / "docs"
PAGE = (FOLDER / "optimizers.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PLUGIN = "imitation"

TITLES = {
    "crpg": "## CRPG", "crraft": "## CRRAFT", "codpo": "## CODPO", "grpo": "### GRPO", "rloo": "### RLOO",
    "online_dpo": "### Online DPO", "lagrangian": "### Lagrangian", "ppo": "### PPO",
}  # fmt: skip
SHARED = "## The baselines"


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's optimiser as an installed package: a module, and metadata that names it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 40
    (tmp_path / "my_optimizers.py").write_text(code)
    metadata = tmp_path / "my_optimizers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-optimizers\nVersion: 1.0\n")
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    entry = toml.splitlines()[1].replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[cgpo.optimizers]\n{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.usefixtures("_installed")
def test_a_command_line(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    assert words[0] == "cgpo"
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    printed = capfd.readouterr()
    assert ended.value.code == 0, printed.err
    chosen = re.findall(r"optimizer(?:\.name)?=([\w,]+)", line)
    for name in ",".join(chosen).split(","):
        assert f"{name.removesuffix('_strict')}(" in printed.out


@pytest.mark.usefixtures("_installed")
def test_the_pages_optimiser_learns(small_model: str) -> None:
    distributed.init_distributed()
    try:
        found = learn_case(Case(small_model, {"only": {"name": PLUGIN, "strength": 0.5}}, steps=3))
    finally:
        distributed.close_distributed()
    losses = [step["losses"]["only"] for step in found["steps"]]
    assert losses[0] > 0
    assert all(step["grad_norm"] > 0 for step in found["steps"])


def section(title: str) -> str:
    """From a title to the next one."""
    return re.split(r"\n##+ ", PAGE.split(f"\n{title}", 1)[1])[0]


def defaults(text: str) -> dict[str, str]:
    """Setting → default in a section's table."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))


def shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", sorted(TITLES))
def test_a_table_holds_every_setting_with_its_default(name: str) -> None:
    settings: type[OptimizerSettings] = plugins.load("cgpo.optimizers", "optimizer", name).Settings
    expected = {key: shown(field.get_default()) for key, field in settings.model_fields.items() if key != "name"}
    own, shared = defaults(section(TITLES[name])), defaults(section(SHARED))
    assert {**{key: value for key, value in shared.items() if key in expected}, **own} == expected


def test_every_optimiser_is_on_the_page_and_its_links_lead_somewhere() -> None:
    ours = {name for name in plugins.names("cgpo.optimizers") if name in TITLES}
    assert ours == set(TITLES)
    conf = {path.stem for path in (FOLDER.parent / "conf" / "optimizer").glob("*.yaml")}
    assert {name for name in conf if not name.endswith("_strict")} == set(TITLES)
    for name in conf:
        assert f"`{name}`" in PAGE, name
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (FOLDER / link).exists(), link
