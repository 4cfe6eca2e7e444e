"""Compares the instruction judge with the public checkers, and puts the figures into the docs.

Use: `make agreement TEXTS=FOLDER`, or `python bench/instruction_following_agreement.py FOLDER [--write]`. FOLDER holds
`ifeval/input_data.jsonl`, whose instructions are judged, and the texts that responses are made of (`gsm8k`, `mt_bench`,
`xstest`; see instruction_following_responses.py). Arguments and responses depend on the seed alone.

A family of types is a module with its public checkers (its docstring says what to install), `cases` (instructions with
arguments) and `BUILDERS` (responses to them). A table in the docs stands between `<!-- agreement:NAME -->` and
`<!-- end -->`; `--write` puts the figures of every family there. The strict measure is compared; the loose one asks the
same checkers about variants of the response.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import instruction_following_ifbench as ifbench
import instruction_following_ifeval as ifeval
from instruction_following_responses import Arguments, Build, Pool, responses

from judges.rules.instruction_following.judge import Instruction

DOCS = Path(__file__).parents[1] / "docs" / "judges"
SETTINGS = ((True, 0.0, 0), (True, 0.05, 0), (True, 0.05, 1), (True, 0.2, 0), (False, 0.0, 0), (False, 0.05, 0))
"""Of IFEval's further figures: Punkt trained or not, share of sentences that are hard to count, seed."""
AWKWARD = 0.05


class Family(Protocol):
    """A module of a family of types."""

    BUILDERS: dict[str, Build]
    PublicCheckers: Callable[[], Any]
    cases: Callable[[Pool], list[tuple[str, Arguments, str]]]


FAMILIES: dict[str, Family] = {"ifeval": ifeval, "ifbench": ifbench}


class Agreement:
    """How often the judge says what the public checkers say, by type."""

    def __init__(self) -> None:
        self.instructions: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.followed: Counter[str] = Counter()
        self.same: Counter[str] = Counter()

    def share(self, id: str | None = None) -> float:
        """The share of responses with the same verdict, of one type or of all."""
        if id is not None:
            return self.same[id] / self.responses[id]
        return self.same.total() / self.responses.total()

    def table(self) -> str:
        lines = [
            "| instruction | instructions | responses | followed (public) | same verdict | agreement |",
            "|---|---|---|---|---|---|",
        ]
        for id, number in sorted(self.responses.items()):
            cells = (self.instructions[id], number, f"{self.followed[id] / number:.2f}", self.same[id])
            lines.append(f"| `{id}` | {' | '.join(map(str, cells))} | {self.share(id):.4f} |")
        number = self.responses.total()
        cells = (self.instructions.total(), number, f"{self.followed.total() / number:.2f}", self.same.total())
        return "\n".join([*lines, f"| all | {' | '.join(map(str, cells))} | {self.share():.4f} |"])


def measured(family: Family, public: Any, pool: Pool, seed: int, show: int) -> Agreement:
    """Both verdicts on every response; the first `show` disagreements of each type go to standard error."""
    agreement, shown = Agreement(), Counter[str]()
    for id, given, name in family.cases(pool):
        instruction = Instruction.parse(id, given)
        agreement.instructions[id] += 1
        for text in responses(family.BUILDERS[id], given, pool, random.Random(f"{seed} {name}")):
            theirs, ours = public.follows(id, given, text), instruction.followed_by(text)
            agreement.responses[id] += 1
            agreement.followed[id] += theirs
            agreement.same[id] += theirs == ours
            if theirs != ours and shown[id] < show:
                shown[id] += 1
                print(f"{id} {given}: theirs {theirs}, ours {ours}\n    {text!r}", file=sys.stderr)
    return agreement


def settings_table(folder: Path) -> str:
    """IFEval's agreement: Punkt trained and not, fewer and more hard sentences, another seed."""
    lines = [
        "| Punkt of the public checkers | hard sentences | seed | same verdict | agreement | sentences alone |",
        "|---|---|---|---|---|---|",
    ]
    for trained, awkward, seed in SETTINGS:
        if trained and not ifeval.has_punkt():
            continue
        found = measured(ifeval, ifeval.PublicCheckers(trained), Pool(folder, awkward), seed, 0)
        hard = f"1 in {1 / awkward:g}" if awkward else "none put in"
        same = f"{found.same.total():,} of {found.responses.total():,}"
        shares = f"{found.share():.4f} | {found.share('length_constraints:number_sentences'):.4f}"
        lines.append(f"| {'trained' if trained else 'untrained'} | {hard} | {seed} | {same} | {shares} |")
    return "\n".join(lines)


def write(name: str, table: str) -> None:
    """Puts a table where the docs have the one of that name. Exits with a message when they have none."""
    block = re.compile(rf"(<!-- agreement:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if block.search(text):
            page.write_text(block.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text), encoding="utf-8")
            return
    sys.exit(f"no page in {DOCS} has a table between `<!-- agreement:{name} -->` and `<!-- end -->`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this one (may be repeated)")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many disagreements of each type")
    parser.add_argument("--awkward", type=float, default=AWKWARD, help="share of sentences that are hard to count")
    options = parser.parse_args()
    if options.write and (options.seed, options.awkward) != (0, AWKWARD):
        parser.error("the docs hold the figures of the default seed and share")
    tables = {}
    for name in options.family or FAMILIES:
        family = FAMILIES[name]
        pool = Pool(options.folder, options.awkward)
        found = measured(family, family.PublicCheckers(), pool, options.seed, options.show)
        print(f"{name}: {found.same.total()} of {found.responses.total()} verdicts the same, {found.share():.4f}")
        tables[name] = found.table()
        if not options.write:
            print(f"\n{tables[name]}\n")
    if options.write:
        if "ifeval" in tables:
            tables["ifeval-settings"] = settings_table(options.folder)
        for name, table in tables.items():
            write(name, table)


if __name__ == "__main__":
    main()
