"""Choosing an engine by name, the seeds of requests, and passes over weight streams."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from cgpo.errors import ConfigError, RunError
from cgpo.rollout.engine import check_engine, create_engine, engine_names, request_seed, whole_pass


def test_both_built_in_engines_are_known() -> None:
    assert {"hf", "vllm"} <= set(engine_names())


def test_unknown_engine_names_the_allowed_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'vlm' at rollout.engine.*'vllm'.*hf"):
        check_engine("vlm")


def test_absent_vllm_says_what_to_type(monkeypatch: pytest.MonkeyPatch, context_for) -> None:  # type: ignore[no-untyped-def]
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "vllm" else found(name, *a))
    with pytest.raises(ConfigError) as refusal:
        create_engine("vllm", context_for("nowhere"))
    for advice in ("make setup", "pip install 'cgpo[vllm]'", "rollout.engine=hf"):
        assert advice in str(refusal.value)


def test_validating_a_name_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cgpo.rollout.engine import check_engine; check_engine('vllm'); check_engine('hf');"
        "print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_seeds_are_the_same_in_every_run_and_differ_in_every_part() -> None:
    base = request_seed(0, 3, "math", "p1", 2)
    # sha256 of the five parts; a change of this number would change the samples of every run.
    assert base == 370014102306779748
    others = {
        request_seed(1, 3, "math", "p1", 2),
        request_seed(0, 4, "math", "p1", 2),
        request_seed(0, 3, "chat", "p1", 2),
        request_seed(0, 3, "math", "p2", 2),
        request_seed(0, 3, "math", "p1", 3),
        request_seed(0, 3, "math", "p", 12),
    }
    assert len(others | {base}) == 7
    assert all(0 <= seed < 2**63 for seed in others)


class Stream:
    """A stream of three tensors that records how far it was iterated."""

    def __init__(self, *, shape: tuple[int, ...] = (2,), declared: int = 3) -> None:
        self.shape, self.declared, self.seen = shape, declared, 0

    def metadata(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        return [(f"w{i}", torch.float32, (2,)) for i in range(self.declared)]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        for i in range(3):
            self.seen += 1
            yield f"w{i}", torch.zeros(self.shape)


def test_a_pass_that_is_broken_off_still_runs_to_its_end() -> None:
    stream = Stream()
    passing = whole_pass(stream)
    assert next(passing)[0] == "w0"
    passing.close()
    assert stream.seen == 3


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (Stream(shape=(0,)), r"w0 .*\(2,\).*yields.*\(0,\)"),
        (Stream(declared=4), r"declares w3 .*yields \(nothing\)"),
        (Stream(declared=2), "w2 after the last"),
    ],
    ids=["a shard instead of the whole", "too few", "too many"],
)
def test_a_stream_that_is_not_what_it_declares_is_refused(stream: Stream, complaint: str) -> None:
    with pytest.raises(RunError, match=complaint):
        list(whole_pass(stream))
    assert stream.seen == 3
