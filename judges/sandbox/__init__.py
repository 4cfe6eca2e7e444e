"""Runs untrusted programs in boxes: `LocalSandbox` on this machine, `RemoteSandbox` on another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from judges.sandbox.box import SandboxError, runtime
from judges.sandbox.local import Case, LocalSandbox
from judges.sandbox.options import SandboxOptions
from judges.verdict import Verdict

__all__ = ["Case", "LocalSandbox", "Sandbox", "SandboxError", "SandboxOptions", "available", "connect"]


class Sandbox(Protocol):
    """What runs programs. One thread at a time."""

    def run_tests(self, program: str, tests: Sequence[str], entry_point: str = "") -> Verdict: ...

    def run_cases(self, program: str, cases: Sequence[Case], by_token: bool = False) -> Verdict: ...

    def close(self) -> None: ...


def available(options: SandboxOptions | None = None) -> str | None:
    """None when programs can be run on this machine as `options` ask, else the reason and what helps.

    Starts a box to find out; the answer is remembered.
    """
    try:
        runtime(options or SandboxOptions())
    except SandboxError as error:
        return str(error)
    return None


def connect(options: SandboxOptions) -> Sandbox:
    """The sandbox that `options` describe, ready for its first program.

    Raises:
        SandboxError: nothing on this machine isolates.
    """
    if options.backend == "http":
        from judges.sandbox.remote import RemoteSandbox

        return RemoteSandbox(options)
    sandbox = LocalSandbox(options)
    sandbox.prepare()
    return sandbox
