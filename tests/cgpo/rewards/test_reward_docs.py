"""The examples of docs/rewards.md do what the page says, and every setting of a reward stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from small_models import prompt

from cgpo import plugins
from cgpo.compose import compose, validate
from cgpo.config import RewardSettings
from cgpo.rewards.http_server import HttpReward, HttpSettings
from cgpo.rewards.model import Reward, reward_class, reward_types

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "rewards.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(rewards:\n.*?)```", PAGE, re.DOTALL)]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BUILT_IN = [name for name in reward_types() if plugins._group("cgpo.rewards")[name].value.startswith("cgpo.rewards.")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: ",".join(e["rewards"]))
def test_the_examples_are_valid(example: dict[str, dict[str, object]]) -> None:
    tree = {"run_dir": "x", "model": {"name": "x"}, "rewards": example["rewards"]}
    settings = validate(tree, needs_strata=False)
    for stratum in example.get("strata", {}).values():
        assert set(stratum["rewards"]) <= set(settings.rewards)  # type: ignore[index]


def test_every_type_has_an_example_and_its_settings_are_named() -> None:
    shown = {str(reward.get("type", RewardSettings().type)) for e in EXAMPLES for reward in e["rewards"].values()}
    assert set(BUILT_IN) <= shown
    for name in BUILT_IN:
        for setting in reward_class(name, "rewards.x").Settings.model_fields:
            assert re.search(rf"`{setting}[`:]|\b{setting}:", PAGE), f"{name}: {setting}"


@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "conf" / "reward").glob("*.yaml")))
def test_every_preset_names_a_type(name: str) -> None:
    needed = {"classifier": "model=m", "http": "url=http://x", "vllm_server": "model=m", "judge": "judge=farewell"}
    values = [f"rewards.one.{needed[name]}"] if name in needed else []
    found = compose([f"+reward@rewards.one={name}", "model.name=smollm2", *values], needs_strata=False)
    assert found.settings.rewards["one"].type in BUILT_IN


def test_the_server_serves() -> None:
    (program,) = [text for text in PROGRAMS if "ThreadingHTTPServer" in text]
    program = program.replace("5000", "0").replace(
        "server.serve_forever", "print(server.server_port, flush=True)\nserver.serve_forever"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            reward = HttpReward(HttpSettings(url=f"http://127.0.0.1:{port}/score"), "ours")
            started = time.monotonic()
            assert reward.score([prompt("Hi")] * 2, ["yes please", "no"]) == [1.0, 0.0]
            assert time.monotonic() - started < 60
        finally:
            server.kill()


def test_the_plugin_is_a_reward() -> None:
    (program,) = [text for text in PROGRAMS if "class Brevity:" in text]
    names: dict[str, object] = {"__name__": "brevity"}
    exec(program.replace("from __future__", "# "), names)
    kind = names["Brevity"]
    settings = kind.Settings.model_validate({"type": "brevity", "per_word": 0.5})  # type: ignore[attr-defined]
    reward = kind(settings, "brief")  # type: ignore[operator]
    assert isinstance(reward, Reward)
    assert reward.score([prompt("Hi")], ["three short words"]) == [-1.5]
