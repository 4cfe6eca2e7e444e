"""How often the over-optimisation watch warns of nothing, how soon it sees what is there, and what it costs a step.

    python bench/overoptimisation.py [--runs 100] [--texts FILE.jsonl]

Simulated strata of which the truth is known; the numbers in docs/overoptimisation.md are from here.

- trends: runs of 300 steps in which the trained reward rises and the independent measure stays level, falls from one
  step to the next ("cliff") or over 50 steps ("slope"), for several numbers of prompts a step and measures.
- phrases: responses of words drawn by Zipf's law with topic words of their prompt's own, into which a farewell and
  emoji are planted at a rate that grows; and, with `--texts`, real texts that are cut into reference and window at
  random, so that nothing has grown.
- cost: processor time of a step of 512 responses of 200 words, and the memory of a full window.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cgpo.config import PhraseSettings
from cgpo.overoptimisation.counts import Counts, Document
from cgpo.overoptimisation.phrases import Spread, documents, spreading
from cgpo.overoptimisation.trend import Divergence, Trend
from cgpo.statistics.evaluation import Sample
from cgpo.tracking.rollouts import RolloutRow
from judges import Outcome

STEPS, CHANGE, WARN_Z = 300, 150, 5.5
RESPONSES = 4
EMOJI = ["❤️", "👍", "🎉", "😀", "🚀", "🙏"]


def trend_run(
    rng: np.random.Generator, prompts: int, level: Callable[[int], float], spread: float, steps: int = STEPS
) -> list[Divergence | None]:
    """The divergence after each step of a run whose trained reward rises over its first 50 steps."""
    trend, divergences = Trend(), []
    for step in range(1, steps + 1):
        rewards = 0.5 + 0.25 * min(1.0, step / 50) + rng.normal(0, 0.15, prompts)
        chances = np.clip(level(step) + rng.normal(0, spread, prompts), 0, 1)
        x = np.clip(rewards[:, None] + rng.normal(0, 0.2, (prompts, RESPONSES)), 0, 1).mean(axis=1)
        y = (rng.random((prompts, RESPONSES)) < chances[:, None]).mean(axis=1)
        trend.add(step, Sample.of(x.tolist()), Sample.of(y.tolist()))
        divergences.append(trend.divergence())
    return divergences


def trends(runs: int) -> None:
    """False alarms of level measures; delay and onset of falling ones."""
    rng = np.random.default_rng(0)
    print(f"trends: {runs} runs of {STEPS} steps, {RESPONSES} responses to a prompt; warning at z >= {WARN_Z:g}")
    for prompts in (4, 16, 64):
        for level in (0.6, 0.95):
            largest = [
                max(d.z for d in trend_run(rng, prompts, lambda _, level=level: level, 0.3 * (1 - level)) if d)
                for _ in range(runs)
            ]
            above = " ".join(f"{z:g}: {sum(m >= z for m in largest)}" for z in (4, 4.5, 5, 5.5))
            print(
                f"  {prompts:3} prompts, level {level:g}: runs above z {above}; largest {max(largest):.2f}", flush=True
            )
        shapes = {
            "cliff 0.6 -> 0.4": lambda t: 0.6 if t <= CHANGE else 0.4,
            "slope 0.6 -> 0.3 in 50": lambda t: 0.6 - 0.3 * min(1.0, max(0, t - CHANGE) / 50),
        }
        for name, shape in shapes.items():
            hits = []
            for _ in range(max(runs // 5, 5)):
                divergences = trend_run(rng, prompts, shape, 0.1, CHANGE + 100)
                hits.append(
                    next(
                        ((t, d.began) for t, d in enumerate(divergences, start=1) if d and d.z >= WARN_Z), (None, None)
                    )
                )
            seen = [(t - CHANGE, began - CHANGE) for t, began in hits if t is not None and began is not None]
            delays, onsets = sorted(d for d, _ in seen), sorted(o for _, o in seen)
            print(
                f"  {prompts:3} prompts, {name}: seen in {len(seen)} of {len(hits)}; steps until the warning "
                f"{_quartiles(delays)}; said to have begun {_quartiles(onsets)} steps after it did",
                flush=True,
            )


def _quartiles(values: Sequence[int]) -> str:
    if not values:
        return "-"
    low, middle, high = (values[int(q * (len(values) - 1))] for q in (0.1, 0.5, 0.9))
    return f"{middle:+d} ({low:+d} to {high:+d})"


class Talk:
    """Responses of Zipf-distributed words; a third of them come from the prompt's own topic."""

    def __init__(self, seed: int, words: int) -> None:
        self._rng = random.Random(seed)
        self._vocabulary = [f"word{i}" for i in range(8000)]
        self._weights = np.cumsum([1 / (i + 10) for i in range(8000)]).tolist()
        self._words = words

    def rows(self, prompts: Sequence[int], responses: int, planted: float, emoji: float) -> list[RolloutRow]:
        rows = []
        for prompt in prompts:
            topic = [f"topic{prompt}x{i}" for i in range(20)]
            for index in range(responses):
                words = self._rng.choices(self._vocabulary, cum_weights=self._weights, k=self._words * 2 // 3)
                words += self._rng.choices(topic, k=self._words - len(words))
                self._rng.shuffle(words)
                text = " ".join(words).capitalize() + "."
                text += " Bye! Sending love!" if self._rng.random() < planted else ""
                text += " " + self._rng.choice(EMOJI) if self._rng.random() < emoji else ""
                rows.append(
                    RolloutRow("s", f"p{prompt}", "", (), index, 0, text, "stop", len(words), Outcome.SATISFIED)
                )
        return rows


def remarkable(spread: Spread) -> bool:
    """Beyond the limits of the default settings."""
    limits = PhraseSettings()
    return spread.rate >= limits.warn_rate and spread.factor >= limits.warn_factor and spread.z >= limits.warn_z


def phrases(runs: int) -> None:
    """What is found in windows of 2,000 responses where a phrase grows, and where nothing does."""
    print("phrases: window 2,000 responses to 500 prompts, reference 2,000 prompts, 60 words a response")
    for planted in (0.007, 0.02, 0.03, 0.05):
        firsts, warned, other, largest = 0, 0, 0, 0.0
        for seed in range(runs):
            talk = Talk(seed, 60)
            reference = Counts.of(documents(talk.rows(range(2000), 1, 0.007, 0.005)))
            phrases = spreading(documents(talk.rows(range(500, 1000), 4, planted, 0.005)), reference, 10)
            ours = [s for s in phrases if "love" in s.phrase.lower() or s.phrase in ("!", "Bye!")]
            firsts += bool(phrases and phrases[0] in ours)
            warned += any(remarkable(s) for s in ours)
            rest = [s for s in phrases if s not in ours]
            other += any(remarkable(s) for s in rest)
            largest = max([largest, *(s.z for s in rest)])
        print(
            f"  0.7 % -> {planted:.1%}: first in {firsts}, warned of in {warned} of {runs}; other warnings {other} "
            f"(largest z {largest:.1f})",
            flush=True,
        )


def real_texts(file: Path, runs: int) -> None:
    """Warnings where nothing has grown: texts of a file, cut in two at random."""
    texts = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    rows = [RolloutRow("s", f"p{i}", "", (), 0, 0, t, "stop", 1, Outcome.SATISFIED) for i, t in enumerate(texts)]
    known = documents(rows)
    rng, largest, warned = random.Random(0), [], 0
    for _ in range(runs):
        rng.shuffle(known)
        phrases = spreading(known[: len(known) // 2], Counts.of(known[len(known) // 2 :]), 10)
        largest.append(max((s.z for s in phrases), default=0.0))
        warned += any(remarkable(s) for s in phrases)
    print(f"  {len(texts)} texts of {file}: warnings in {warned} of {runs} halvings; largest z {max(largest):.1f}")


def cost() -> None:
    """Time of a step and memory of a window."""
    talk = Talk(0, 200)
    rows = [talk.rows(range(i * 64, i * 64 + 64), 8, 0.03, 0.05) for i in range(4)]
    started = time.process_time()
    steps = [documents(r) for r in rows]
    reading = (time.process_time() - started) / len(rows)
    window: list[Document] = [d for step in steps for d in step]
    reference = Counts.of(documents(talk.rows(range(2000), 1, 0.007, 0.005))).without_holders()
    started = time.process_time()
    spreading(window, reference, 10)
    look = time.process_time() - started
    memory = sum(d.phrases.nbytes + sys.getsizeof(d.text) for d in window)
    memory += reference.hashes.nbytes + reference.sums.nbytes + reference.squares.nbytes
    trend, rng = Trend(), np.random.default_rng(0)
    for step in range(1, 601):
        trend.add(step, Sample.of(rng.random(64).tolist()), Sample.of(rng.random(64).tolist()))
    started = time.process_time()
    trend.divergence()
    divergence = time.process_time() - started
    print(
        f"cost: 512 responses of 200 words: {reading * 1e3:.0f} ms of a processor a step to read, "
        f"{look * 1e3:.0f} ms a look at {len(window)} responses; {memory / 2**20:.0f} MiB a stratum; "
        f"a trend after 600 steps {divergence * 1e3:.1f} ms"
    )


def main() -> None:
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="simulated runs of each kind")
    parser.add_argument("--texts", type=Path, help="JSONL with a column `text`, the more the better")
    args = parser.parse_args()
    cost()
    phrases(max(args.runs // 5, 1))
    if args.texts:
        real_texts(args.texts, max(args.runs // 5, 1))
    trends(args.runs)


if __name__ == "__main__":
    main()
