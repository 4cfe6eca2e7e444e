"""Says which mutants survived (`make mutants`), and fails where one does that tests/mutants.yaml does not explain.

mutmut has changed the code in many small ways and run the tests on each; its settings are in pyproject.toml. A change
is known by its file, its function and its lines before and after, so that the list stays true when others are added.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

EXPLAINED = Path("tests/mutants.yaml")
KILLED = {"killed", "timeout"}
"""A mutant that never ends is ended, and has been noticed."""
COLUMNS = ("mutants", "killed", "explained", "survived")


@dataclass(frozen=True)
class Change:
    """One mutant: what was changed, and where."""

    file: str
    function: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.file}, {self.function}\n    was: {self.was}\n    now: {self.now}"


def read_explained() -> set[Change]:
    """The mutants that may survive."""
    return {
        Change(entry["file"], entry["function"], change["was"], change["now"])
        for entry in yaml.safe_load(EXPLAINED.read_text())
        for change in entry["changes"]
    }


def place(mutant: str) -> str:
    """The function that mutmut changed under this name, with its class."""
    function, of_class = orig_function_and_class_names_from_key(mutant)
    return f"{of_class}.{function}" if of_class else function


def read_change(file: str, mutant: str) -> Change:
    """What mutmut changed under this name."""
    lines = get_diff_for_mutant(mutant, path=file).splitlines()[2:]
    was, now = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Change(file, place(mutant), was, now)


def read_results() -> dict[str, dict[str, str]]:
    """File → its mutants that were tried, with what became of each."""
    results = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        tried = {
            mutant: status_by_exit_code[code] for mutant, code in data.exit_code_by_key.items() if code is not None
        }
        if tried:
            results[str(path)] = tried
    return results


def show_row(title: str, counts: Counter[str]) -> None:
    """A line of the table."""
    print(f"{title:<40}" + "".join(f"{counts[column]:>11}" for column in COLUMNS))


def main() -> int:
    """Prints the table and what is wrong.

    Returns:
        0 where each mutant is killed or explained, and each that is explained survives; else 1.
    """
    explained, results = read_explained(), read_results()
    totals: Counter[str] = Counter()
    unexplained: list[tuple[Change, str]] = []
    survived, killed = set(), set()
    print(f"{'file':<40}" + "".join(f"{column:>11}" for column in COLUMNS))
    for file, mutants in results.items():
        counts: Counter[str] = Counter(mutants=len(mutants))
        places = {change.function for change in explained if change.file == file}
        for mutant, status in mutants.items():
            if status in KILLED:
                counts["killed"] += 1
                if place(mutant) in places:  # to read a change takes 10 ms
                    killed.add(read_change(file, mutant))
                continue
            change = read_change(file, mutant)
            survived.add(change)
            counts["explained" if change in explained else "survived"] += 1
            if change not in explained:
                unexplained.append((change, status))
        show_row(file, counts)
        totals += counts
    show_row("all", totals)
    for change, status in unexplained:
        print(f"\n{status}: {change}")
    everything = len(sys.argv) == 1
    outdated = explained - survived if everything else explained & killed - survived
    for change in outdated:
        print(f"\nkilled or gone, so it must not stand in {EXPLAINED}: {change}")
    return 1 if unexplained or outdated or not results else 0


if __name__ == "__main__":
    sys.exit(main())
