"""How well `cgpo reward` orders the pairs of HH-harmless, with the small encoder, on conversations it has not seen.

    python bench/hh_harmless.py FOLDER --work WORK [--folds 5] [--only 0 1] [--seed 0] [--output FILE] [key=value …]

FOLDER holds `pairs.jsonl`: `{"chosen", "rejected"}` transcripts of Anthropic's HH (harmless-base). The conversations
are dealt into folds by the user's first message, so that no two of one opening are on both sides; each fold is held out
once from a training of its own (`cgpo reward` on a file with that split), so every pair is measured exactly once and
the interval over all of them is one over different pairs. `--only` trains and measures some of the folds. What is
measured is computed here, from the written model and transformers alone. Beside it stand, on the same folds, a linear
model on the frozen encoder's mean of token vectors (logistic regression on the difference of the two sides, penalty
chosen inside the training folds), and length alone.

A fold that is done is not trained again: the command goes on where it was stopped. WORK needs about 100 MB a fold.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegressionCV
from surroundings import surroundings
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from cgpo.config import PairDataSettings
from cgpo.models.assets import resolve_model
from cgpo.pairs.pair import PreferencePair
from cgpo.pairs.rows import read_preference_rows
from cgpo.rewards.encoding import Encoded, ResponseEncoder, batches_by_length, collate
from cgpo.statistics.intervals import rate_interval
from cgpo.types import Prompt

PACKAGES = ("torch", "transformers", "deepspeed", "scikit-learn", "cgpo")
SETTINGS = {
    "reward_stage.base": "minilm",
    "reward_stage.epochs": "2",
    "reward_stage.batch_size": "16",
    "reward_stage.learning_rate": "1e-4",
    "reward_stage.trainable_layers": "3",
    "reward_stage.micro_batch_tokens": "1024",
    "reward_stage.max_length": "96",
    "reward_stage.save_every": "0",
}

Scores = NDArray[np.float64]
"""[pairs, 2]: chosen, rejected."""


def folds_of(pairs: Sequence[PreferencePair], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each pair; pairs with the same first message of the user share theirs."""
    openings = sorted({_opening(pair) for pair in pairs})
    random.Random(f"folds:{seed}").shuffle(openings)
    fold_of = {opening: i % folds for i, opening in enumerate(openings)}
    return np.array([fold_of[_opening(pair)] for pair in pairs])


def _opening(pair: PreferencePair) -> str:
    return next(m["content"] for m in pair.prompt if m["role"] == "user").strip()


def write_split(file: Path, pairs: Sequence[PreferencePair], heldout: NDArray[np.bool_]) -> None:
    """The pairs as `cgpo reward` reads them, each with its side of the split."""
    rows = [
        {
            "prompt": list(p.prompt),
            "chosen": p.chosen,
            "rejected": p.rejected,
            "split": "heldout" if held else "train",
        }
        for p, held in zip(pairs, heldout, strict=True)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def train(work: Path, name: str, file: Path, seed: int, settings: dict[str, str]) -> tuple[Path, float]:
    """Trains on a split unless that is done; returns the model's folder and the seconds the stage trained."""
    run_dir = work / name
    words = [f"{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "cgpo", "reward", "model.name=smollm2", f"reward_stage.pairs.path={file}"]
    subprocess.run([*command, f"run_dir={run_dir}", f"seed={seed}", "tracking.display=plain", *words], check=True)
    seconds: float = json.loads((run_dir / "report.json").read_text())["seconds"]["training"]
    return run_dir / "model", seconds


@torch.inference_mode()
def score(folder: Path, pairs: Sequence[PreferencePair], max_length: int) -> Scores:
    """What the model in the folder says of both sides of each pair."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoder = ResponseEncoder(AutoTokenizer.from_pretrained(folder), max_length, str(folder))
    texts = [encoder.encode(Prompt("", p.prompt), side) for p in pairs for side in (p.chosen, p.rejected)]
    scores = np.zeros(len(texts))
    for batch in batches_by_length([len(text) for text in texts], 4096):
        inputs = collate([texts[i] for i in batch], encoder.pad_id, torch.device("cpu"))
        scores[batch] = model(**inputs).logits[:, 0].double().numpy()
    return scores.reshape(-1, 2)


@torch.inference_mode()
def frozen_features(pairs: Sequence[PreferencePair], max_length: int) -> NDArray[np.float64]:
    """[pairs, 2, D]: the encoder's mean token vector of the response alone, and of the prompt with it."""
    path = resolve_model("minilm")
    model, tokenizer = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    encoder = ResponseEncoder(tokenizer, max_length, "minilm")
    both = [encoder.encode(Prompt("", p.prompt), side) for p in pairs for side in (p.chosen, p.rejected)]
    alone = [
        Encoded(tuple(tokenizer(side, truncation=True, max_length=256)["input_ids"]))
        for p in pairs
        for side in (p.chosen, p.rejected)
    ]
    vectors = [_means(model, texts, encoder.pad_id) for texts in (alone, both)]
    return np.concatenate(vectors, axis=1).reshape(len(pairs), 2, -1)


def _means(model: Any, texts: Sequence[Encoded], pad_id: int) -> NDArray[np.float64]:
    features = np.zeros((len(texts), model.config.hidden_size))
    for batch in batches_by_length([len(text) for text in texts], 4096):
        inputs = collate([texts[i] for i in batch], pad_id, torch.device("cpu"))
        mask = inputs["attention_mask"][:, :, None]
        hidden = model(**inputs).last_hidden_state
        features[batch] = ((hidden * mask).sum(1) / mask.sum(1)).double().numpy()
    return features


def linear_scores(features: NDArray[np.float64], fold: NDArray[np.int64], held: int, seed: int) -> Scores:
    """Scores of the held-out fold by logistic regression on the difference of the two sides' vectors."""
    train = features[fold != held]
    difference = train[:, 0] - train[:, 1]
    # Both orders: the model has no intercept to lean on.
    x, y = np.concatenate([difference, -difference]), np.repeat([1, 0], len(difference))
    model = LogisticRegressionCV(
        Cs=10, cv=4, fit_intercept=False, max_iter=500, random_state=seed, scoring="neg_log_loss"
    ).fit(x, y)
    return features[fold == held] @ model.coef_[0]


def summary(pairs: Sequence[PreferencePair], scores: Scores, fold: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy with its 95 % interval over all pairs, by fold, and how much of the score is length."""
    correct = scores[:, 0] > scores[:, 1]
    lengths = np.array([[len(p.chosen), len(p.rejected)] for p in pairs], dtype=float)
    accuracy = rate_interval(int(correct.sum()), len(pairs), 0.95)
    longer = lengths[:, 0] > lengths[:, 1]
    # Over the differences within a pair: what the score of one prompt's responses owes to their lengths.
    differences = [scores[:, 0] - scores[:, 1], lengths[:, 0] - lengths[:, 1]]
    return {
        "accuracy": accuracy.estimate,
        "low": accuracy.low,
        "high": accuracy.high,
        "n": accuracy.n,
        "by_fold": [float(correct[fold == f].mean()) for f in np.unique(fold)],
        "accuracy_where_chosen_is_longer": float(correct[longer].mean()),
        "accuracy_where_chosen_is_shorter": float(correct[lengths[:, 0] < lengths[:, 1]].mean()),
        # Scores of different trainings have no common zero: correlated fold by fold, then averaged.
        "length_pearson": _by_fold(scores, lengths, fold, pearsonr),
        "length_spearman": _by_fold(scores, lengths, fold, spearmanr),
        "length_pearson_within_pairs": float(pearsonr(*differences)[0]),
    }


def _by_fold(scores: Scores, lengths: NDArray[np.float64], fold: NDArray[np.int64], measure: Any) -> float:
    values = [measure(scores[fold == f].ravel(), lengths[fold == f].ravel())[0] for f in np.unique(fold)]
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with pairs.jsonl")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trainings")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="*", help="train and measure these folds only")
    parser.add_argument("--seed", type=int, default=0, help="of the folds and of the trainings")
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="other settings of the stage")
    args = parser.parse_intermixed_args()
    started = surroundings(PACKAGES)
    settings = SETTINGS | dict(word.split("=", 1) for word in args.overrides)
    max_length = int(settings["reward_stage.max_length"])
    data = PairDataSettings(path=str(args.folder / "pairs.jsonl"), bad_rows="drop")
    read = read_preference_rows(data, seed=args.seed, where="FOLDER/pairs.jsonl")
    pairs, fold = read.pairs, folds_of(read.pairs, args.folds, args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    features_file = args.work / "features.npy"
    if not features_file.is_file():
        np.save(features_file, frozen_features(pairs, 256))
    features = np.load(features_file)
    measured = sorted(set(args.only)) if args.only else list(range(args.folds))
    trained, linear = np.full((len(pairs), 2), np.nan), np.full((len(pairs), 2), np.nan)
    seconds = []
    for held in measured:
        linear[fold == held] = linear_scores(features, fold, held, args.seed)
        file = args.work / f"fold-{held}.jsonl"
        write_split(file, pairs, fold == held)
        model, training = train(args.work, f"run-{held}", file, args.seed, settings)
        seconds.append(training)
        trained[fold == held] = score(model, [p for p, f in zip(pairs, fold, strict=True) if f == held], max_length)
        print(
            f"fold {held}: trained {_accuracy(trained[fold == held]):.3f} in {training:.0f} s, frozen features "
            f"{_accuracy(linear[fold == held]):.3f}",
            flush=True,
        )
    in_folds = np.isin(fold, measured)
    of_folds = [pair for pair, included in zip(pairs, in_folds, strict=True) if included]
    lengths = np.array([[len(p.chosen), len(p.rejected)] for p in of_folds], dtype=float)
    report = {
        "what": "held-out accuracy of cgpo reward on HH-harmless (folds by first user message)",
        "seed": args.seed,
        "folds": args.folds,
        "folds_measured": measured,
        **started,
        "settings": settings,
        "rows_left_out": len(read.bad),
        "pairs": {"all": len(pairs), "measured": len(of_folds)},
        "cgpo_reward": summary(of_folds, trained[in_folds], fold[in_folds]),
        "frozen_features": summary(of_folds, linear[in_folds], fold[in_folds]),
        "length_alone": float(np.mean(np.sign(lengths[:, 0] - lengths[:, 1]) / 2 + 0.5)),
        "training_seconds": seconds,
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output is not None:
        args.output.write_text(text + "\n")


def _accuracy(scores: Scores) -> float:
    return float((scores[:, 0] > scores[:, 1]).mean())


if __name__ == "__main__":
    main()
