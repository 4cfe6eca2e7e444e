"""How families of hostile programs are written down.

A family's programs get a verdict without solving the task, or harm the machine, where nothing holds them. Each comes
with the way of verifying that it cheats (`naive.py`) and with what shows that it bites there. A `§` in a template is
replaced by each of the variants. docs/judges/code.md lists the families.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

DOUBLE = "assert double(2) == 4\nassert double(-3) == -6\nassert double(10**20) == 2 * 10**20"
HELPER = "def same(a, b): return a == b\ngot = double(2)\nassert same(got, 4)\nassert same(double(-3), -6)"
FUNCTION = "def test_double():\n    assert double(2) == 4\n    assert double(-3) == -6\ntest_double()"
PAIRS = "[(2, 4), (-3, -6)]"
UNIT = """
import unittest
class Tests(unittest.TestCase):
    def test_two(self): self.assertEqual(double(2), 4)
    def test_three(self): self.assertEqual(double(-3), -6)
"""
ZERO = "\ndef double(x): return 0\n"
SPIN = 0.4
"""Seconds for programs that do not end."""


@dataclass(frozen=True)
class Family:
    """Programs that cheat alike.

    Attributes:
        name: what docs call it.
        harness: the way of verifying in `naive.py` that lets it through.
        programs: the variants, each with its tests: Python source; for the harness `values` pairs, for `printed` what
            is read and should be printed, as JSON.
        bites: `passes`, or the harm that it does.
        seconds: wall time that it gets.
    """

    name: str
    harness: str
    programs: tuple[tuple[str, str], ...]
    bites: str = "passes"
    seconds: float = 6.0


FAMILIES: list[Family] = []


def family(name: str, harness: str, *programs: str | tuple[str, str], tests: str = DOUBLE, **more: Any) -> None:
    """Adds a family; a program may bring tests of its own."""
    pairs = [program if isinstance(program, tuple) else (program, tests) for program in programs]
    made = tuple((textwrap.dedent(program), textwrap.dedent(its_tests)) for program, its_tests in pairs)
    FAMILIES.append(Family(name, harness, made, **more))


def each(template: str, *variants: str) -> list[str]:
    """The template with each variant; a variant's later lines are indented as the line it stands in."""
    made = []
    for variant in variants:
        lines = []
        for line in textwrap.dedent(template).split("\n"):
            indent = " " * (len(line) - len(line.lstrip()))
            lines.append(line.replace("§", textwrap.dedent(variant).strip().replace("\n", "\n" + indent)))
        made.append("\n".join(lines))
    return made
