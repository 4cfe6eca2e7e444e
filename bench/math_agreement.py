"""Measures the math judge: `python bench/math_agreement.py [FOLDER]`.

On formulas that are made here and rewritten by sympy: rewritings that the judge accepts, values changed in one of their
digits that it accepts, and time a verdict. With FOLDER, on GSM8K: it holds `test.jsonl` (`answer` ends with `#### ` and
the final answer) and `example_model_solutions.jsonl` of openai/grade-school-math. Two counts: references that the judge
accepts from the sentence "The final answer is …", and model solutions on which the format `last_number` agrees with the
data's own `is_correct`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

import sympy

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


def formula(random_number: random.Random, depth: int = 3) -> sympy.Expr:
    """A formula of sums, products, quotients, roots and functions of a few symbols."""
    if depth == 0 or random_number.random() < 0.15:
        symbols = sympy.symbols("x y a R r", real=True)
        return random_number.choice(
            [*symbols, sympy.Rational(random_number.randint(1, 9), random_number.randint(1, 5))]
        )
    left, right = formula(random_number, depth - 1), formula(random_number, depth - 1)
    shapes = (left + right, left - right, left * right, left / (right**2 + 1), left**2, sympy.sqrt(left**2 + 3))
    return random_number.choice([*shapes, sympy.sin(left), sympy.exp(right), sympy.log(left**2 + 2)])


def rewritings(count: int) -> tuple[Counter[tuple[str, str]], float]:
    """(rewriting, verdict) → number of formulas, and the seconds that a verdict takes."""
    judge, outcomes, random_number, seconds = MathJudge(), Counter[tuple[str, str]](), random.Random(5), 0.0
    judge.prepare()
    for _ in range(count):
        one = formula(random_number)
        changed = one + sympy.Rational(random_number.choice((-1, 1)), 10 ** random_number.randint(1, 60))
        others = {rewrite.__name__: rewrite(one) for rewrite in (sympy.expand, sympy.factor, sympy.simplify)}
        texts = {name: str(sympy.latex(other, ln_notation=True)) for name, other in others.items()}
        texts["changed"] = str(sympy.latex(changed, ln_notation=True))
        reference = str(sympy.latex(one, ln_notation=True))
        for name, text in texts.items():
            if one.is_number or max(len(text), len(reference)) > 200:
                continue
            begun = time.perf_counter()
            verdict = judge.verdict(Row("q", f"The final answer is {text}.", {"answer": reference}))
            seconds += time.perf_counter() - begun
            outcomes[name, verdict.outcome.value] += 1
    return outcomes, seconds / max(1, outcomes.total())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--formulas", type=int, default=500)
    options = parser.parse_args()
    outcomes, seconds = rewritings(options.formulas)
    for (rewriting, outcome), count in sorted(outcomes.items()):
        print(f"formulas, {rewriting}: {count} {outcome}")
    print(f"{1000 * seconds:.1f} ms a verdict")
    folder = options.folder
    if folder is None:
        return
    print("references in the phrase:", dict(references(folder / "test.jsonl")))
    for (outcome, correct), count in sorted(solutions(folder / "example_model_solutions.jsonl").items()):
        print(f"model solutions {outcome}, labelled {'correct' if correct else 'wrong'}: {count}")


if __name__ == "__main__":
    main()
