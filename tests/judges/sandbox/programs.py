"""How the tests of this folder have a program run against its tests."""

from __future__ import annotations

import textwrap

from judges.sandbox import LocalSandbox
from judges.verdict import Verdict


def run(sandbox: LocalSandbox, program: str, *tests: str, entry_point: str = "") -> Verdict:
    return sandbox.run_tests(textwrap.dedent(program), [textwrap.dedent(text) for text in tests], entry_point)
