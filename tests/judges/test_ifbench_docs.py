"""The page on the instructions of IFBench and open-instruct: its tables are those of the code, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from judges.rules.instruction_following import ifbench_forms, ifbench_words, open_instruct
from judges.rules.instruction_following.instruction_type import InstructionType

PAGE = (Path(__file__).parents[2] / "docs" / "judges" / "ifbench.md").read_text(encoding="utf-8")


def row(type: InstructionType) -> str:
    arguments = ", ".join(f"`{option.name}` ({option.type})" for option in type.arguments).replace("|", "\\|")
    return f"| `{type.id}` | {arguments or '–'} | {type.about.removesuffix('.')} |"


def test_every_type_has_its_row() -> None:
    tables = PAGE[: PAGE.index("## Agreement")]
    types = (*ifbench_words.TYPES.values(), *ifbench_forms.TYPES.values(), *open_instruct.TYPES.values())
    assert re.findall(r"^\| `.*", tables, re.MULTILINE) == [row(type) for type in types]


def test_every_type_of_ifbench_was_measured() -> None:
    agreement = PAGE[PAGE.index("<!-- agreement:ifbench -->") : PAGE.index("<!-- end -->")]
    measured = re.findall(r"^\| `([^`]+)`", agreement, re.MULTILINE)
    assert measured == sorted({**ifbench_words.TYPES, **ifbench_forms.TYPES})


def test_the_example_turns_a_row_of_open_instruct_into_ours(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(code)
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert result.stdout == '{"instruction_id_list": ["punctuation:punctuation_dot"], "kwargs": [null]}\n'
