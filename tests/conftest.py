"""What all tests share: a bounded, offline environment, the small real model, and a tiny random one."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgpo.assets import resolve_model

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

MAX_GIB = float(os.environ.get("CGPO_TEST_MAX_GIB", "12"))
"""Resident memory of the test process and its children above which the run is ended, in GiB."""


@pytest.fixture(scope="session", autouse=True)
def _memory_bound() -> Iterator[None]:
    """Ends the whole run before it takes the machine's memory.

    RLIMIT_AS cannot do it: torch and vLLM reserve far more address space than they use.
    """
    stop = threading.Event()
    threading.Thread(target=_watch_memory, args=(stop,), daemon=True, name="memory-bound").start()
    yield
    stop.set()


def _watch_memory(stop: threading.Event) -> None:
    while not stop.wait(1.0):
        used = _family_gib(os.getpid())
        if used > MAX_GIB:
            # Descriptor 2 itself, because pytest has replaced sys.stderr while a test runs.
            text = f"\ntests use {used:.1f} GiB, more than CGPO_TEST_MAX_GIB={MAX_GIB:g}: ended; stacks follow\n"
            os.write(2, text.encode())
            faulthandler.dump_traceback(file=2, all_threads=True)
            os._exit(3)


def _family_gib(pid: int) -> float:
    """Resident memory of a process and all its descendants, in GiB. Shared pages count once per process."""
    import psutil

    total = 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**30


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
