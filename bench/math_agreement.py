"""Measures the math judge on GSM8K: `python bench/math_agreement.py FOLDER`.

FOLDER holds `test.jsonl` (`answer` ends with `#### ` and the final answer) and `example_model_solutions.jsonl` of
openai/grade-school-math. Two counts: references that the judge accepts from the sentence "The final answer is …", and
model solutions on which the format `last_number` agrees with the data's own `is_correct`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from judges import Row
from judges.rules.math import MathJudge


def references(path: Path) -> Counter[str]:
    """Verdicts on the reference answers, said in the phrase."""
    judge, outcomes = MathJudge(), Counter[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        answer = row["answer"].rpartition("#### ")[2].strip()
        response = f"We add up. The final answer is {answer}."
        outcomes[judge.verdict(Row(row["question"], response, {"answer": answer})).outcome.value] += 1
    return outcomes


def solutions(path: Path) -> Counter[tuple[str, bool]]:
    """(verdict, is it labelled correct) → number of solutions."""
    judge, outcomes = MathJudge("last_number"), Counter[tuple[str, bool]]()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        answer = row["ground_truth"].rpartition("A: ")[2].strip()
        for model in row.values():
            if isinstance(model, dict):
                verdict = judge.verdict(Row(row["question"], model["solution"], {"answer": answer}))
                outcomes[verdict.outcome.value, model["is_correct"]] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("references in the phrase:", dict(references(folder / "test.jsonl")))
    for (outcome, correct), count in sorted(solutions(folder / "example_model_solutions.jsonl").items()):
        print(f"model solutions {outcome}, labelled {'correct' if correct else 'wrong'}: {count}")


if __name__ == "__main__":
    main()
