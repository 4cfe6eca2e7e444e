"""Measures learning from user feedback against the simulator's truth: `python bench/feedback.py [--write]`.

1. `clean`: a log of 100,000 rows → `cgpo feedback prepare` → `cgpo reward` (pointwise) → its held-out rows. Asked:
   the calibrated probability within ±10 % of the truth in every decile, and AUROC within 0.03 of the best possible.
   AUROC here is the expected one, Σ p_i (1 − p_j) [s_i > s_j] over pairs, p the true P[love]; the best possible is that
   of s = p. No draw of reactions adds noise to it.
2. `policies`: mean P[love] of ten policies on fixed prompts, against their observed rates in another log, and the true
   ones (`cgpo feedback correlate`).
3. `attack`: logs with 5 % adversarial users; the same AUROC on texts of its own, trained on the whole log, on what the
   filters leave, and on the honest rows alone (the best a filter can do), with a t interval over the seeds.

The model is `minilm_small`: MiniLM itself trains 9 texts/s on a CPU. What filters are worth is a question about rows,
not about the model: there `--attack-model linear` (hashed words and pairs of words, logistic regression) allows more
seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from surroundings import surroundings

from cgpo.data.prepared_feedback import read_prepared
from cgpo.feedback.simulation.population import Array, logistic
from cgpo.feedback.simulation.settings import Simulation
from cgpo.feedback.simulation.simulator import Log, simulate
from cgpo.feedback.simulation.texts import policy_styles, write_prompt, write_response
from cgpo.models.assets import resolve_model
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.rewards.model import Reward, create_reward
from cgpo.rewards.prior import prior_shift
from cgpo.types import Prompt

RESULTS = Path(__file__).with_name("results") / "feedback.json"
DECILES = 10
MAX_LENGTH = 96
FIXED_PROMPTS = 200
TEST_TEXTS = 8000
VARIANTS = ("all rows", "filtered", "honest rows")
LINEAR_STRENGTH = 0.01

Score = Callable[[Sequence[str], Sequence[str]], Array]
"""Prompts and responses → log-odds."""
Learner = Callable[[Path], Score]
"""Prepared folder → scores."""


@dataclass(frozen=True)
class Training:
    """How P[love] is trained."""

    base: str
    epochs: int
    batch_size: int
    learning_rate: float
    upsampling: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", default="clean,policies,attack", help="which parts, with commas; policies: with clean"
    )
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the clean log")
    parser.add_argument("--attack-rows", type=int, default=30_000, help="rows of each attacked log")
    parser.add_argument("--seeds", type=int, default=6, help="attacked logs")
    parser.add_argument("--attack-model", choices=("linear", "reward"), default="linear", help="linear, or cgpo reward")
    parser.add_argument("--base-rate", type=float, default=0.03)
    parser.add_argument("--base", default="minilm_small", help="the encoder to start from")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--upsampling", choices=("copies", "dropping-negatives"), default="dropping-negatives")
    parser.add_argument("--write", action="store_true", help=f"put these parts into bench/results/{RESULTS.name}")
    args = parser.parse_args()
    around = {
        **surroundings(["cgpo", "torch", "transformers", "deepspeed", "numpy", "scikit-learn"]),
        "settings": {key: value for key, value in vars(args).items() if key not in ("write", "parts")},
    }
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        training = Training(args.base, args.epochs, args.batch_size, args.learning_rate, args.upsampling)
        parts = args.parts.split(",")
        if "clean" in parts:
            results["clean"], reward = clean(work, args.rows, args.base_rate, training)
            report("clean", results["clean"])
            if "policies" in parts:
                results["policies"] = policies(work, reward, args.base_rate)
                report("policies", results["policies"])
        if "attack" in parts:
            learn = fit_linear if args.attack_model == "linear" else partial(fit_reward, training=training)
            results["attack"] = attack(work, args.attack_rows, args.seeds, args.base_rate, learn)
            report("attack", results["attack"])
    if args.write:
        before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        measured = {part: {**around, **result} for part, result in results.items()}
        RESULTS.write_text(json.dumps({**before, **measured}, indent=2) + "\n", encoding="utf-8")


def clean(work: Path, rows: int, base_rate: float, training: Training) -> tuple[dict[str, Any], Reward]:
    """Part 1, and the trained reward."""
    log = simulate(Simulation(rows=rows, seed=1, base_rate=base_rate))
    prepared, costs = prepare(work / "clean", log.rows(), "none", training.upsampling)
    trained, train_costs = train(work / "clean-reward", prepared, training)
    reward = load(trained)
    rows_held = read_prepared(prepared).heldout()
    responses = [row.response for row in rows_held]
    prompts = [Prompt(str(n), row.prompt, {}) for n, row in enumerate(rows_held)]
    started = time.monotonic()
    logits = scores(reward, prompts, responses)
    seconds = time.monotonic() - started
    truth = log.population.love_of(responses)
    return {
        "rows": rows,
        "positives": int(log.reactions.sum()),
        "heldout_rows": len(responses),
        "training_rate": read_prepared(prepared).training_rate,
        "true_rate": read_prepared(prepared).true_rate,
        **against_truth(logits, truth),
        "evaluate": evaluated(work, trained, prepared),
        "preparing": costs,
        "training": train_costs,
        "scoring": {"texts_per_second": len(responses) / seconds, **token_rate(prompts, responses, seconds)},
    }, reward


def against_truth(logits: Array, truth: Array) -> dict[str, Any]:
    """AUROC and calibration against the true probabilities."""
    expected = logistic(logits)
    deciles = [
        {"expected": float(expected[part].mean()), "true": float(truth[part].mean()), "n": len(part)}
        for part in np.array_split(np.argsort(expected), DECILES)
    ]
    ratios = [decile["expected"] / decile["true"] for decile in deciles]
    auroc, best = true_auroc(logits, truth), true_auroc(truth, truth)
    return {
        "auroc": auroc,
        "best_auroc": best,
        "auroc_gap": best - auroc,
        "deciles": deciles,
        "ratios": ratios,
        "deciles_within_10_percent": sum(abs(ratio - 1) <= 0.1 for ratio in ratios),
        "mean_probability_ratio": float(expected.mean() / truth.mean()),
        "correlation_with_true_log_odds": float(np.corrcoef(logits, np.log(truth / (1 - truth)))[0, 1]),
    }


def true_auroc(score: Array, truth: Array) -> float:
    """The expected AUROC of scores when reactions are drawn with the true probabilities; ties count half."""
    _, place = np.unique(score, return_inverse=True)
    positive, negative = np.bincount(place, truth), np.bincount(place, 1 - truth)
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def policies(work: Path, reward: Reward, base_rate: float) -> dict[str, Any]:
    """Part 2."""
    online = simulate(Simulation(rows=50_000, seed=101, base_rate=base_rate))
    rng = random.Random(7)
    prompts = [write_prompt(rng) for _ in range(FIXED_PROMPTS)]
    styles = policy_styles(DECILES)
    rows = [
        {"policy": style.name, "prompt": prompt, "response": write_response(style, topic, rng)}
        for style in styles
        for prompt, topic in prompts
    ]
    responses, rates = work / "responses.jsonl", list(online.policy_rates())
    write_rows(responses, rows)
    chances = logistic(scores(reward, [as_prompt(row["prompt"]) for row in rows], [row["response"] for row in rows]))
    offline = chances.reshape(len(styles), FIXED_PROMPTS).mean(axis=1)
    observed, true = (np.array([row[key] for row in rates]) for key in ("rate", "true_rate"))
    observed_file = work / "rates.csv"
    observed_file.write_text(
        "policy,n,positives\n" + "".join(f"{row['policy']},{row['n']},{row['positives']}\n" for row in rates)
    )
    model = work / "clean-reward" / "model"
    command = ["feedback", "correlate", "--model", str(model), "--responses", str(responses)]
    output = work / "correlation"
    call([*command, "--observed", str(observed_file), "--output", str(output)])
    return {
        "prompts": FIXED_PROMPTS,
        "online_rows_per_policy": [row["n"] for row in rates],
        "offline": offline.tolist(),
        "observed": observed.tolist(),
        "true": true.tolist(),
        "pearson_with_observed": float(np.corrcoef(offline, observed)[0, 1]),
        "pearson_with_true": float(np.corrcoef(offline, true)[0, 1]),
        "correlate": without_paths(output / "correlation.json"),
    }


def attack(work: Path, rows: int, seeds: int, base_rate: float, learn: Learner) -> dict[str, Any]:
    """Part 3: every variant of every seed on the same texts, which no log has."""
    runs = [_attacked(work / f"attack-{seed}", rows, seed, base_rate, learn) for seed in range(1, seeds + 1)]
    losses = {name: [run["best_auroc"] - run["auroc"][name] for run in runs] for name in VARIANTS}
    return {
        "loss_of_auroc": {name: over_seeds(values) for name, values in losses.items()},
        "gain_by_filters": over_seeds(np.subtract(losses["all rows"], losses["filtered"])),
        "left_to_gain": over_seeds(np.subtract(losses["filtered"], losses["honest rows"])),
        "runs": runs,
    }


def _attacked(folder: Path, rows: int, seed: int, base_rate: float, learn: Learner) -> dict[str, Any]:
    log = simulate(Simulation(rows=rows, seed=seed, base_rate=base_rate, adversarial=0.05))
    honest = log.honest()
    test = simulate(Simulation(rows=TEST_TEXTS, seed=1000 + seed, base_rate=base_rate))
    truth = log.population.love_of(test.responses)
    measures: dict[str, Any] = {
        "seed": seed,
        "adversarial_rows": int((~honest).sum()),
        "adversarial_positives": int(log.reactions[~honest].sum()),
        "honest_positives": int(log.reactions[honest].sum()),
        "best_auroc": true_auroc(truth, truth),
        "auroc": {},
        "mean_probability_ratio": {},
    }
    for variant in VARIANTS:
        chosen = (row for row, keep in zip(log.rows(), honest, strict=True) if keep or variant != "honest rows")
        prepared = folder / variant.replace(" ", "-")
        prepare(prepared, chosen, "all" if variant == "filtered" else "none", "copies")
        logits = learn(prepared)(test.prompts, test.responses)
        measures["auroc"][variant] = true_auroc(logits, truth)
        measures["mean_probability_ratio"][variant] = float(logistic(logits).mean() / truth.mean())
        if variant == "filtered":
            measures["filters"] = filtered(log, prepared)
        print(
            f"seed {seed}, {variant}: AUROC {measures['auroc'][variant]:.4f} of {measures['best_auroc']:.4f}",
            flush=True,
        )
    return measures


def fit_reward(prepared: Path, training: Training) -> Score:
    """P[love] by `cgpo reward`."""
    model, _ = train(prepared.with_name(f"{prepared.name}-reward"), prepared, training)
    reward = load(model)
    return lambda prompts, responses: scores(reward, [as_prompt(prompt) for prompt in prompts], list(responses))


def fit_linear(prepared: Path) -> Score:
    """P[love] by logistic regression on hashed words and pairs of words."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    words = HashingVectorizer(
        ngram_range=(1, 2),
        n_features=2**18,
        alternate_sign=False,
        norm=None,
        binary=True,
        token_pattern=r"[\w']+|[^\w\s]",
    )
    folder = read_prepared(prepared)
    rows = folder.train()
    model = LogisticRegression(C=LINEAR_STRENGTH, max_iter=300)
    labels, copies = [row.label for row in rows], [row.copies for row in rows]
    model.fit(words.transform([row.response for row in rows]), labels, sample_weight=copies)
    shift = prior_shift(folder.training_rate, folder.true_rate)
    return lambda prompts, responses: model.decision_function(words.transform(responses)) + shift


def filtered(log: Log, prepared: Path) -> dict[str, Any]:
    """Which rows of the training period are in no training row's user any more, by kind of user."""
    folder = read_prepared(prepared)
    left = {row.user for row in folder.train()}
    names = {f"user-{number:05}": kind for number, kind in enumerate(log.kinds)}
    seen = {f"user-{number:05}" for number in set(log.users.tolist())}
    by_kind: dict[str, list[bool]] = {}
    for user in sorted(seen):
        by_kind.setdefault(names[user], []).append(user not in left)
    return {
        "dropped": folder.report["dropped"],
        "users_gone": {kind: f"{sum(gone)} of {len(gone)}" for kind, gone in sorted(by_kind.items())},
    }


def over_seeds(values: Iterable[float]) -> dict[str, Any]:
    """Mean with its 95 % t interval."""
    data = np.asarray(list(values), dtype=np.float64)
    mean, error = float(data.mean()), float(data.std(ddof=1) / math.sqrt(len(data))) if len(data) > 1 else math.nan
    half = float(stats.t.ppf(0.975, len(data) - 1)) * error if len(data) > 1 else math.nan
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": data.tolist()}


def prepare(folder: Path, rows: Iterable[dict[str, Any]], filters: str, upsampling: str) -> tuple[Path, dict[str, Any]]:
    """`cgpo feedback prepare` on a log of these rows."""
    log = folder.with_suffix(".jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    write_rows(log, rows)
    options = ["--filters", filters, "--by", upsampling]
    return folder, call(["feedback", "prepare", "--input", str(log), "--output", str(folder), *options])


def train(run_dir: Path, prepared: Path, training: Training) -> tuple[Path, dict[str, Any]]:
    """`cgpo reward` on a prepared folder."""
    heads = f"{{love: {{objective: pointwise, feedback: '{prepared}'}}}}"
    costs = call(
        [
            "reward",
            f"run_dir={run_dir}",
            f"reward_stage.base={training.base}",
            f"reward_stage.heads={heads}",
            f"reward_stage.epochs={training.epochs}",
            f"reward_stage.batch_size={training.batch_size}",
            f"reward_stage.learning_rate={training.learning_rate}",
            f"reward_stage.max_length={MAX_LENGTH}",
            "reward_stage.save_every=0",
        ]
    )
    stage_report = json.loads((run_dir / "report.json").read_text(encoding="utf-8"))
    return run_dir / "model", {**costs, "steps": stage_report["steps"], "stage_seconds": stage_report["seconds"]}


def call(arguments: list[str]) -> dict[str, Any]:
    """Runs `cgpo` in a process of its own: seconds and its peak memory in GiB."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "cgpo", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"cgpo {' '.join(arguments)} ended with {process.returncode}")
    return {"seconds": time.monotonic() - started, "peak_gib": usage.ru_maxrss / 2**20}


def evaluated(work: Path, model: Path, prepared: Path) -> Any:
    """What `cgpo feedback evaluate` says of the held-out rows."""
    output = work / "evaluation"
    call(["feedback", "evaluate", "--model", str(model), "--data", str(prepared), "--output", str(output)])
    return without_paths(output / "evaluation.json")


def without_paths(file: Path) -> dict[str, Any]:
    """What a command wrote, without the temporary folders it names."""
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {key: value for key, value in result.items() if key not in ("model", "data")}


def load(model: Path) -> Reward:
    return create_reward("love", ClassifierSettings(model=str(model), head="love", max_length=MAX_LENGTH))


def scores(reward: Reward, prompts: list[Prompt], responses: list[str]) -> Array:
    """The log-odds of each response, [N]; none may be missing here."""
    return np.array(reward.score(prompts, responses), dtype=np.float64)


def token_rate(prompts: list[Prompt], responses: list[str], seconds: float) -> dict[str, float]:
    """Tokens of the distinct texts per second."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    pairs = sorted({(prompt.text, response) for prompt, response in zip(prompts, responses, strict=True)})
    ids = tokenizer([pair[0] for pair in pairs], [pair[1] for pair in pairs])["input_ids"]
    return {"tokens_per_second": sum(map(len, ids)) / seconds}


def as_prompt(text: str) -> Prompt:
    return Prompt(text, ({"role": "user", "content": text},), {})


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def report(part: str, result: dict[str, Any]) -> None:
    shown = {key: value for key, value in result.items() if key not in ("evaluate", "correlate", "runs")}
    print(f"{part}: {json.dumps(shown, indent=2)}", flush=True)


if __name__ == "__main__":
    main()
