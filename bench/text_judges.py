"""False alarms of the judges repetition, farewell and style on public texts, and loops that repetition finds.

`python bench/text_judges.py FOLDER [--show N]`. FOLDER holds the folders `xstest`, `gsm8k`, `hh_rlhf_harmless`, `mbpp`
and `humaneval` with the public files of these data sets; missing ones are passed over. Every text is judged as a
response to its prompt. Then the first texts of XSTest and GSM8K are made to loop in several ways (seed 0) and judged
again.
--show N prints N of the alarms of each judge.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from judges import Judge, Outcome, Row
from judges.registry import create
from judges.rules.prose import sentences

JUDGES = ("repetition", "farewell", "style")
LOOPED_TEXTS = 400


def xstest(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.glob("xstest/completions_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield Row(row["prompt"], row["completion"])


def gsm8k(folder: Path) -> Iterator[Row]:
    for name in ("train.jsonl", "test.jsonl"):
        for row in lines(folder / "gsm8k" / name):
            yield Row(row["question"], row["answer"])


def solutions(folder: Path) -> Iterator[Row]:
    for row in lines(folder / "gsm8k" / "example_model_solutions.jsonl"):
        for model in row.values():
            if isinstance(model, dict):
                yield Row(row["question"], model["solution"])


def dialogues(folder: Path) -> Iterator[Row]:
    """The last answer of each transcript of the harmless pairs."""
    for row in lines(folder / "hh_rlhf_harmless" / "pairs.jsonl"):
        for transcript in (row["chosen"], row["rejected"]):
            before, _, response = transcript.rpartition("\n\nAssistant:")
            prompt = before.rpartition("\n\nHuman:")[2]
            yield Row(prompt.strip(), response.strip())


def programs(folder: Path) -> Iterator[Row]:
    """Programs as they are, without fences."""
    for row in lines(folder / "mbpp" / "mbpp.jsonl"):
        yield Row(row["text"], row["code"])
    for row in lines(folder / "humaneval" / "HumanEval.jsonl"):
        yield Row(row["prompt"], row["canonical_solution"])


def lines(path: Path) -> Iterator[dict]:
    if path.is_file():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


SOURCES: dict[str, Callable[[Path], Iterator[Row]]] = {
    "XSTest completions": xstest,
    "GSM8K answers": gsm8k,
    "GSM8K model solutions": solutions,
    "HH-harmless last answers": dialogues,
    "MBPP and HumanEval programs": programs,
}


def last_sentence(text: str, chance: random.Random) -> str:
    return text + f" {sentences(text)[-1]}" * chance.randint(6, 30)


def last_line(text: str, chance: random.Random) -> str:
    return text + f"\n{text.splitlines()[-1]}" * chance.randint(6, 30)


def a_phrase(text: str, chance: random.Random) -> str:
    words = text.split()
    start, length = chance.randrange(len(words)), chance.randint(2, 12)
    return text + " " + " ".join(words[start : start + length] * chance.randint(20, 60))


def cut_off(text: str, chance: random.Random) -> str:
    looped = a_phrase(text, chance)
    return looped[: -chance.randint(1, 20)]


def numbered(text: str, chance: random.Random) -> str:
    return text + "".join(f"\n{n}. {sentences(text)[-1]}" for n in range(1, chance.randint(8, 30)))


def the_whole(text: str, chance: random.Random) -> str:
    return "\n\n".join([text] * chance.randint(4, 8))


def in_the_middle(text: str, chance: random.Random) -> str:
    half = len(text) // 2
    return a_phrase(text[:half], chance) + " " + text[half:]


def a_character(text: str, chance: random.Random) -> str:
    return text + chance.choice("!ao😂") * chance.randint(40, 400)


def without_spaces(text: str, chance: random.Random) -> str:
    """One to four words of the text as one, 100 to 400 characters long; those of one letter are another loop."""
    words = text.split()
    start = chance.randrange(len(words))
    unit = "".join(words[start : start + chance.randint(1, 4)]) + chance.choice("oe") + "n"
    return text + " " + (unit * 200)[: chance.randint(max(100, 5 * len(unit)), max(400, 5 * len(unit)))]


LOOPS = (
    last_sentence,
    last_line,
    a_phrase,
    cut_off,
    numbered,
    the_whole,
    in_the_middle,
    a_character,
    without_spaces,
)


def false_alarms(folder: Path, judge: Judge, name: str, show: int) -> None:
    for source, read in SOURCES.items():
        rows = [row for row in read(folder) if row.response.strip()]
        if not rows:
            continue
        verdicts = [(row, judge.verdict(row)) for row in rows]
        violated = [(row, verdict) for row, verdict in verdicts if verdict.outcome is Outcome.VIOLATED]
        judged = sum(verdict.outcome is not Outcome.NOT_APPLICABLE for _, verdict in verdicts)
        print(f"| `{name}` | {source} | {judged}/{len(rows)} | {len(violated)} | {len(violated) / judged:.2%} |")
        for row, verdict in violated[:show]:
            print(f"    {verdict.reason}\n    … {row.response[-150:]!r}")


def detection(folder: Path) -> None:
    judge = create("repetition")
    texts = [row.response for read in (xstest, solutions) for row in list(read(folder))[:LOOPED_TEXTS]]
    texts = [text for text in texts if len(text.split()) >= 5]
    print("\n| loop | found |\n|---|---|")
    for loop in LOOPS:
        chance = random.Random(0)
        detected = sum(judge.verdict(Row("", loop(text, chance))).outcome is Outcome.VIOLATED for text in texts)
        print(f"| {loop.__name__.replace('_', ' ')} | {detected}/{len(texts)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--judge", choices=JUDGES, action="append")
    arguments = parser.parse_args()
    print("| judge | texts | applies to | violated | rate |\n|---|---|---|---|---|")
    for name in arguments.judge or JUDGES:
        false_alarms(arguments.folder, create(name), name, arguments.show)
    if "farewell" in (arguments.judge or JUDGES):
        options = {"always": True}
        false_alarms(arguments.folder, create("farewell", options), "farewell, always: true", arguments.show)
    detection(arguments.folder)


if __name__ == "__main__":
    main()
