"""What all tests share: a bounded, offline environment, the small real model, and a tiny random one."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import psutil
import pytest

from cgpo.models.assets import resolve_model

# Set on import of this file, before any test module can import torch or vLLM. Test processes' children inherit it.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
# Whatever terminal or job the tests are started from: widths and colours are tried where they matter.
os.environ["COLUMNS"] = "100"
for _name in ("LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE", "RANK"):
    os.environ.pop(_name, None)

# A busy machine makes no property false, and the same code passes or fails the same examples every time.
hypothesis.settings.register_profile("cgpo", deadline=None, derandomize=True)
hypothesis.settings.load_profile("cgpo")

MAX_GIB = float(os.environ.get("CGPO_TEST_MAX_GIB", "18"))
"""Resident memory of all test processes and their children above which the run is ended, in GiB."""


def pytest_configure(config: pytest.Config) -> None:
    """Ends the whole run before it takes the machine's memory.

    RLIMIT_AS cannot do it: torch and vLLM reserve far more address space than they use. With `-n`, the tests run in
    processes of pytest-xdist; the process that started them counts for all and asks them for their stacks.
    """
    stderr = os.dup(2)  # as it is now: while a test runs, pytest has put a file in its place
    faulthandler.register(signal.SIGUSR1, file=stderr, all_threads=True)
    if not hasattr(config, "workerinput"):
        threading.Thread(target=_watch_memory, args=(stderr,), daemon=True, name="memory-bound").start()


def _watch_memory(stderr: int) -> None:
    while True:
        time.sleep(1.0)
        used = sum(map(_gib, _family()))
        if used > MAX_GIB:
            text = f"\ntests use {used:.1f} GiB, more than CGPO_TEST_MAX_GIB={MAX_GIB:g}: ended; stacks follow\n"
            os.write(stderr, text.encode())
            _end()


def _end() -> NoReturn:
    """Shows where the tests are, then ends this process and its descendants."""
    for process in [psutil.Process(), *psutil.Process().children()]:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGUSR1)  # other programs than tests end by it
            time.sleep(0.5)  # one after the other
    for process in _family()[1:]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(3)


def _family() -> list[psutil.Process]:
    """This process and all its descendants."""
    process = psutil.Process()
    with contextlib.suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return [process]


def _gib(process: psutil.Process) -> float:
    """Resident memory in GiB; 0 for one that has ended. Shared pages count once per process."""
    try:
        return float(process.memory_info().rss) / 2**30
    except psutil.Error:
        return 0.0


@pytest.fixture(scope="module", autouse=True)
def _be_no_rank() -> Iterator[None]:
    """Training in this process names it rank 0 in its environment; what the next file starts must not be that rank.

    Nor may it find a process group: DeepSpeed would take it for its own, and miss the rank in the environment.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    before = {name: os.environ.get(name) for name in names}
    yield
    _leave_process_group()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _leave_process_group() -> None:
    """Whoever started it, and only where that could be: importing torch takes seconds."""
    if "deepspeed" in sys.modules:
        from cgpo import distributed

        distributed.close_distributed()
    if "torch" in sys.modules:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.fixture(scope="session")
def smollm2() -> str:
    """Folder of SmolLM2-135M-Instruct in float32, the small real model; converted on first use, then cached."""
    return resolve_model("smollm2")


@pytest.fixture(scope="session")
def tiny_model(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random two-layer Llama with SmolLM2's tokenizer and chat template: 6 M weights, tied head.

    For what does not depend on the model being any good: log-probs, gradients, syncs, checkpoints.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder: Path = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # of 32 dimensions: the smallest heads vLLM's CPU attention takes
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
