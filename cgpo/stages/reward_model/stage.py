"""`cgpo reward`: trains a reward model, one output a head, on pairs, labels or ratings.

<run_dir>/pairs.jsonl     the pairs of the one head, from a file or made from the strata's prompts, each with its split;
                          with named heads `pairs-<head>.jsonl`; beside it `….left_out.json` counts those left out
<run_dir>/metrics.jsonl   a line a step: loss, accuracy on the step's pairs, learning rate; the loss that decides when to stop
<run_dir>/checkpoints/    from which a killed stage goes on
<run_dir>/model/          the reward model, its tokenizer, and what its outputs mean (reward.json)
<run_dir>/report.html     the held-out measurements for people
<run_dir>/report.json     the same for programs; written last, so it marks the stage as done
"""  # noqa: E501 - a table

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.models.quiet import quiet_transformers
from cgpo.report.page import Page, write_page
from cgpo.rewards.classifier import ClassifierSettings
from cgpo.rewards.encoding import ResponseEncoder
from cgpo.rewards.heads import Head, write_heads
from cgpo.rewards.loading import check_max_length, load_base
from cgpo.rewards.model import create_reward
from cgpo.stages.early_stopping import METRIC, EarlyStopping
from cgpo.stages.loop import StageLoop
from cgpo.stages.reward_model.encoding import EncodedRows, describe_head, encode_rows
from cgpo.stages.reward_model.losses import TrainingRow, head_loss
from cgpo.stages.reward_model.measure import head_lines, measure_head
from cgpo.stages.reward_model.rows import HeadRows, positives
from cgpo.stages.reward_model.sources import HeadSources
from cgpo.stages.reward_model.split import Split, split_rows
from cgpo.stages.reward_model.trainer import RewardTrainer, full_state_dict
from cgpo.stages.running import StageFolder, run_stage
from cgpo.storage.file_names import PAGE_NAME
from cgpo.tracking.metrics import Metrics
from cgpo.tracking.progress import StageProgress


def run_reward_stage(settings: RunSettings, *, fresh: bool = False) -> int:
    """Runs the stage in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Raises:
        RunError: the directory belongs to another configuration; the disk is full; the model has diverged.
        ConfigError, DataError: a model, file or data set cannot be used.
    """
    return run_stage("reward", settings, RewardStage, report_lines, fresh=fresh, model="reward model")


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report in words, a line each."""
    lines = [line for name, head in report["heads"].items() for line in head_lines(name, head["heldout"])]
    stopping = report["early_stopping"]
    if stopping is not None:
        lines.append(
            f"kept the weights after step {stopping['kept_step']} of {report['steps']} (validation loss "
            f"{stopping['validation_loss']:.4f})"
        )
    return lines


class RewardStage:
    """One run of the stage in its directory.

    Args:
        settings: the run's settings.
        folder: the run directory.
        progress: shows where the stage is.
    """

    def __init__(self, settings: RunSettings, folder: StageFolder, progress: StageProgress) -> None:
        self.settings = settings
        self.stage = settings.reward_stage
        self.heads = self.stage.all_heads()
        self.folder = folder
        self.progress = progress
        self._early = None if self.stage.early_stopping is None else EarlyStopping(self.stage.early_stopping)

    def run(self) -> dict[str, Any]:
        """Makes or reads the rows, trains, measures; returns the report, on every rank."""
        started = time.monotonic()
        sources = HeadSources(self.settings, self.folder.run_dir, self.progress)
        rows = {name: sources.rows(name, head) for name, head in self.heads.items()}
        with distributed.together():
            splits = split_rows(rows, sources.shares(), self.settings.seed, self._validation_share())
            heads = [describe_head(n, head, splits[n].train, rows[n].true_rate) for n, head in self.heads.items()]
            self._announce(splits, heads)
        read = time.monotonic()
        trained = self._train(splits, heads)
        ended = time.monotonic()
        measured = distributed.on_first_rank(lambda: self._measure(heads, rows, splits))
        report = {
            "stage": "reward",
            "base": self.stage.base,
            "max_length": self.stage.max_length,
            **trained,
            "heads": measured,
            "seconds": {
                "rows": round(read - started, 1),
                "training": round(ended - read, 1),
                "measuring": round(time.monotonic() - ended, 1),
            },
        }
        self.folder.finish(report)
        return report

    def _validation_share(self) -> float | None:
        return None if self.stage.early_stopping is None else self.stage.early_stopping.share

    def _announce(self, splits: dict[str, Split], heads: list[Head]) -> None:
        for head in heads:
            self.progress.message(f"head {head.name}: {_in_words(head, splits[head.name])}")

    def _train(self, splits: dict[str, Split], heads: list[Head]) -> dict[str, Any]:
        """Trains and writes the model; returns what the report says of it."""
        self.progress.phase("loading the base of the reward model")
        with distributed.together():
            names = [head.name for head in heads]
            model, tokenizer = load_base(self.stage.base, "reward_stage.base", self.settings.seed, names)
            check_max_length(model, self.stage.max_length, "reward_stage.max_length")
            encoder = ResponseEncoder(tokenizer, self.stage.max_length, "reward_stage.base")
            encoded = encode_rows(splits, heads, encoder)
        if encoded.truncated:
            self.progress.message(
                f"{encoded.truncated} of {len(encoded.texts)} texts to train on have more tokens than "
                f"reward_stage.max_length = {self.stage.max_length} and lose the start of their prompt"
            )
        losses = [head_loss(name, head) for name, head in self.heads.items()]
        trainer = RewardTrainer(model, encoded.texts, encoded.train, losses, self.settings, encoder.pad_id)
        done = self._train_steps(trainer, encoded)
        self._save(trainer, tokenizer, heads)
        return {
            "steps": done,
            "texts": {"n": len(encoded.texts), "truncated": encoded.truncated},
            "early_stopping": None
            if self._early is None
            else {
                "kept_step": self._early.best_step,
                "validation_loss": self._early.best,
                "planned_steps": trainer.steps,
            },
        }

    def _train_steps(self, trainer: RewardTrainer, encoded: EncodedRows) -> int:
        """Takes the steps; returns how many. The trainer then has the weights to keep."""
        zero = self.settings.deepspeed.zero_stage
        run_dir, early = self.folder.run_dir, self._early
        loop = StageLoop(run_dir, trainer.steps, self.stage.save_every, zero, self.progress, trainer.data, early)

        def do(step: int) -> Metrics:
            metrics = trainer.step(step)
            if early is not None and early.due(step + 1, trainer.steps):
                metrics |= _validated(trainer, encoded.validation, early, step + 1)
            return metrics

        done = loop.run(trainer, loop.resume(trainer), do, _note)
        if early is not None and early.best_step != done:
            self.progress.message(
                f"keeping the weights after step {early.best_step}: the loss was {early.best:.4f} there"
            )
            loop.load_best(trainer)
        return done

    def _save(self, trainer: RewardTrainer, tokenizer: Any, heads: list[Head]) -> None:
        state = full_state_dict(trainer.engine)

        def save(folder: Path) -> None:
            with quiet_transformers():
                trainer.engine.module.save_pretrained(folder, state_dict=state)
                tokenizer.save_pretrained(folder)
            write_heads(folder, heads)

        self.folder.write_model(None if state is None else save)

    def _measure(self, heads: list[Head], rows: dict[str, HeadRows], splits: dict[str, Split]) -> dict[str, Any]:
        """Held-out numbers of what was written, through the reward that training will use; writes the page."""
        rewards = {}
        with quiet_transformers():
            for head in heads:  # all before the first is asked: heads of one model share what was loaded
                model, length = str(self.folder.model_dir.resolve()), self.stage.max_length
                settings = ClassifierSettings(model=model, max_length=length, head=head.name)
                rewards[head.name] = create_reward(head.name, settings)
        reports, sections = {}, []
        for head in heads:
            split = splits[head.name]
            self.progress.message(f"measuring head {head.name} on {len(split.heldout)} held-out rows")
            at_true_rate = not rows[head.name].by_prompt
            report, section = measure_head(head, rewards[head.name], split.heldout, at_true_rate=at_true_rate)
            sections.append(section)
            counts = {"train": len(split.train), "validation": len(split.validation), "heldout": len(split.heldout)}
            reports[head.name] = {
                **asdict(head),
                "rows": counts,
                "left_out": {"leaked": split.leaked, "before_the_split": rows[head.name].left_out},
                "shared_prompts": split.shared_prompts,
                "heldout": report,
            }
        facts = [("base", self.stage.base), ("model", str(self.folder.model_dir))]
        write_page(self.folder.run_dir / PAGE_NAME, Page("Reward model", facts=facts, sections=sections))
        return reports


def _validated(
    trainer: RewardTrainer, rows: list[TrainingRow], early: EarlyStopping, done: int
) -> dict[str, float | None]:
    metrics = trainer.measure(rows)
    early.observe(done, float(metrics[METRIC] or 0.0))
    return metrics


def _in_words(head: Head, split: Split) -> str:
    parts = [f"{len(split.train)} rows to train on"]
    if split.validation:
        parts.append(f"{len(split.validation)} to stop by")
    parts.append(f"{len(split.heldout)} held out")
    if split.leaked:
        parts.append(f"{split.leaked} training rows left out because they are held out")
    if split.shared_prompts:
        parts.append(f"{split.shared_prompts} held-out prompts are trained on too, with other responses")
    if head.objective == "pointwise":
        positive, total = positives(split.train)
        shift = "no shift" if head.true_rate == head.training_rate else f"shifted to the true rate {head.true_rate:.4g}"
        parts.append(f"{positive} of {total} positive with copies (rate {head.training_rate:.4g}), {shift}")
    if head.objective == "regression":
        parts.append(f"ratings {head.mean:.4g} ± {head.std:.4g}")
    return "; ".join(parts)


def _note(metrics: Metrics) -> str:
    validation = metrics.get(METRIC)
    return f"loss {metrics['train/loss']:.3f}" + ("" if validation is None else f", validation {validation:.3f}")
