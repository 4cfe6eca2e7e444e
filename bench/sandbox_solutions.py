"""Verdicts of the code judge on the canonical solutions of HumanEval and MBPP, and on mutants of them.

    python bench/sandbox_solutions.py FOLDER [--mutants]

FOLDER holds `humaneval/HumanEval.jsonl` and `mbpp/mbpp.jsonl` in their public forms; solutions should be satisfied.
With --mutants each is tried four more times with its tested function replaced: by one that returns None, one that
returns 1, one whose result is off (a number by 1, a text or list by an item, a truth value negated), and one that
returns an object which agrees to every comparison. All of these should be violated.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from judges import registry
from judges.judge import Row

MUTANTS = {
    "solution": "",
    "None": "def {name}(*args, **kwargs): return None",
    "constant": "def {name}(*args, **kwargs): return 1",
    "off": """
_solution = {name}
def {name}(*args, **kwargs):
    value = _solution(*args, **kwargs)
    if isinstance(value, bool): return not value
    if isinstance(value, (int, float)): return value + 1
    if isinstance(value, str): return value + "x"
    if isinstance(value, list): return value + [0]
    return value + (0,) if isinstance(value, tuple) else None
""",
    "agreeing": """
class _Agrees:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, other): return 0
    __rsub__ = __sub__
    def __abs__(self): return 0
    def __hash__(self): return 1
    def __iter__(self): return iter(())
    def __len__(self): return 0
def {name}(*args, **kwargs): return _Agrees()
""",
}


def rows(folder: Path) -> Iterator[tuple[str, str, str, dict[str, object]]]:
    """Id, name of the tested function, solution, metadata."""
    for line in (folder / "humaneval" / "HumanEval.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        metadata = {"unit_tests": row["test"], "entry_point": row["entry_point"]}
        yield row["task_id"], row["entry_point"], row["prompt"] + row["canonical_solution"], metadata
    for line in (folder / "mbpp" / "mbpp.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        metadata = {"unit_tests": [row["test_setup_code"], *row["test_list"]]}
        yield f"mbpp/{row['task_id']}", tested(row["code"], row["test_list"][0]), row["code"], metadata


def tested(code: str, test: str) -> str:
    """The function or class of `code` that `test` calls."""
    defined = {node.name for node in ast.parse(code).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names = [node.id for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Name)]
    return next(name for name in names if name in defined)


def main() -> None:
    """Prints what is not as it should be, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mutants", action="store_true")
    given = parser.parse_args()
    judge = registry.create("code", {"sandbox": {"wall_seconds": 20.0}})
    judge.prepare()
    counts: Counter[tuple[str, str]] = Counter()
    start = time.perf_counter()
    for task, name, solution, metadata in rows(given.folder):
        for mutant, code in MUTANTS.items() if given.mutants else [("solution", "")]:
            program = f"```python\n{solution}\n{code.format(name=name)}\n```"
            verdict = judge.verdict(Row("?", program, metadata))
            counts[mutant, verdict.outcome.value] += 1
            if verdict.outcome != ("satisfied" if mutant == "solution" else "violated"):
                print(task, mutant, verdict.outcome.value, verdict.reason)
    for (mutant, outcome), count in counts.items():
        print(f"{mutant}: {count} {outcome}")
    print(f"{sum(counts.values())} programs in {time.perf_counter() - start:.0f} s")
    sys.exit(any(outcome != ("satisfied" if mutant == "solution" else "violated") for mutant, outcome in counts))


if __name__ == "__main__":
    main()
