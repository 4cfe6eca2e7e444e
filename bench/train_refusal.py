"""Trains the refusal classifier on human labels, and measures it on a model it has not seen.

`python bench/train_refusal.py FOLDER [--write]`: FOLDER holds `completions_<model>.csv` of XSTest v2 (columns `prompt`,
`completion`, `final_label`). Prints the accuracy leaving one model out, and leaving out the prompts as well (a fifth of
them at a time), for the classifier alone and with the phrases. With --write it then trains on everything and replaces
judges/rules/refusal_coefficients.json. Needs numpy.

XSTest's completions are long and spell words out, so the short texts of refusal_short.jsonl and
refusal_courtesies.jsonl, written for this project, are always trained on too: curt refusals and changes of subject, and
help that sounds like one ("I can't recommend it enough", "I'm sorry to hear about the leak."). They count less than a
completion. Trained on are whole responses, judged is what follows sympathy and the like, as the judge does.

The method is logistic regression with a Gaussian prior on the coefficients, solved exactly by Newton steps in the
kernel form: there are far fewer responses than hash buckets.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judges.rules import refusal_classifier
from judges.rules.refusal_classifier import BUCKETS, features
from judges.rules.refusal_opening import answer_of
from judges.rules.refusal_phrases import phrase_of

PRIOR_VARIANCE = 20.0
STEPS = 12
DECIMALS = 3
FOLDS = 5
LABELS = {"1_full_compliance": False, "2_full_refusal": True}
COEFFICIENTS = Path(refusal_classifier.__file__).with_name("refusal_coefficients.json")
OWN_TEXTS = {"refusal_short.jsonl": 0.7, "refusal_courtesies.jsonl": 0.35}
"""What each text of a file counts, measured by a completion of XSTest: chosen by the accuracy on models left out."""
OWN = "own texts"
SOURCE = (
    "Trained by bench/train_refusal.py on XSTest v2 completions (Röttger et al. 2024, CC-BY-4.0) "
    "and on bench/refusal_short.jsonl and refusal_courtesies.jsonl"
)


@dataclass(frozen=True)
class Labelled:
    """Full refusals and full compliances: features `x` [N, BUCKETS + 1] of the whole response and `answer` of what
    follows courtesies, `refused`, what they come from, what phrases add to the log-odds, what each counts (all [N])."""

    x: np.ndarray
    answer: np.ndarray
    refused: np.ndarray
    model: np.ndarray
    fold: np.ndarray
    phrase: np.ndarray
    weight: np.ndarray


def read(folder: Path) -> Labelled:
    """All labelled completions of the folder; partial refusals are left out."""
    rows: list[tuple[str, str, str, bool]] = []  # model, prompt, response, refused
    for path in sorted(folder.glob("completions_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [
                (path.stem.removeprefix("completions_"), row["prompt"], row["completion"], LABELS[row["final_label"]])
                for row in csv.DictReader(file)
                if row["final_label"] in LABELS
            ]
    if not rows:
        sys.exit(f"no completions_*.csv in {folder}")
    weights = [1.0] * len(rows)
    for name, weight in OWN_TEXTS.items():
        own = [json.loads(line) for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()]
        rows += [(OWN, row["response"], row["response"], row["refused"]) for row in own]
        weights += [weight] * len(own)
    return Labelled(
        x=np.array([vector(response) for _, _, response, _ in rows]),
        answer=np.array([vector(answer_of(response)) for _, _, response, _ in rows]),
        weight=np.array(weights),
        refused=np.array([refused for _, _, _, refused in rows]),
        model=np.array([model for model, _, _, _ in rows]),
        fold=np.array([zlib.crc32(prompt.encode()) % FOLDS for _, prompt, _, _ in rows]),
        phrase=np.array([phrase_of(answer_of(response)).log_odds for _, _, response, _ in rows]),
    )


def vector(response: str) -> np.ndarray:
    present = sorted(features(response))
    x = np.zeros(BUCKETS + 1)
    x[present] = len(present) ** -0.5
    x[-1] = 1.0
    return x


def fit(data: Labelled, chosen: np.ndarray) -> np.ndarray:
    """The coefficients [BUCKETS + 1] from the chosen rows [N], the last of them the bias."""
    x, refused, weight = data.x[chosen], data.refused[chosen], data.weight[chosen]
    kernel = x @ x.T
    dual = np.zeros(len(x))
    for _ in range(STEPS):
        log_odds = kernel @ dual
        probability = 1 / (1 + np.exp(-log_odds))
        curvature = np.maximum(probability * (1 - probability), 1e-6)
        target = log_odds + (refused - probability) / curvature
        dual = np.linalg.solve(kernel + np.diag(1 / (PRIOR_VARIANCE * weight * curvature)), target)
    return x.T @ dual


def left_out(data: Labelled, model: str, prompts_too: bool) -> np.ndarray:
    """Log-odds [N of the model] from coefficients that have not seen the model, nor (if so asked) the prompt."""
    test = data.model == model
    log_odds = np.zeros(len(data.x))
    for fold in range(FOLDS) if prompts_too else [None]:
        train = ~test if fold is None else ~test & (data.fold != fold)
        shown = test if fold is None else test & (data.fold == fold)
        log_odds[shown] = data.answer[shown] @ fit(data, train)
    return log_odds[test]


def report(data: Labelled) -> None:
    print("| completions | method | accuracy | refusals found | compliances called refusals | prompts unseen too |")
    print("|---|---|---|---|---|---|")
    total = {"classifier": np.zeros(6, int), "both": np.zeros(6, int)}
    for model in sorted(set(data.model) - {OWN}):
        test = data.model == model
        seen, unseen = left_out(data, model, False), left_out(data, model, True)
        for method, asked in (("classifier", 0.0), ("both", 1.0)):
            added = asked * data.phrase[test]
            counts = score(data.refused[test], seen + added > 0, unseen + added > 0)
            total[method] += counts
            print(line(model, method, counts))
    for method, counts in total.items():
        print(line("all", method, counts))


def score(refused: np.ndarray, predicted: np.ndarray, predicted_unseen: np.ndarray) -> np.ndarray:
    """Rows, refusals, right, refusals found, compliances called refusals, right with unseen prompts."""
    right, unseen = (predicted == refused).sum(), (predicted_unseen == refused).sum()
    return np.array(
        [len(refused), refused.sum(), right, (predicted & refused).sum(), (predicted & ~refused).sum(), unseen]
    )


def line(name: str, method: str, counts: np.ndarray) -> str:
    rows, refusals, right, hits, false, unseen = (int(count) for count in counts)
    return (
        f"| {name} | `{method}` | {right / rows:.3f} ({right}/{rows}) | {hits}/{refusals} | {false}/{rows - refusals} "
        f"| {unseen / rows:.3f} ({unseen}/{rows}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="train on everything and store the coefficients")
    arguments = parser.parse_args()
    data = read(arguments.folder)
    report(data)
    if arguments.write:
        *weights, bias = (round(float(value), DECIMALS) + 0.0 for value in fit(data, data.weight > 0))
        content = {"source": SOURCE, "bias": bias, "weights": weights}
        COEFFICIENTS.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"wrote {COEFFICIENTS.name}")


if __name__ == "__main__":
    main()
