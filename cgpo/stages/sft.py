"""`cgpo sft`: imitates the assistant's turns of given conversations.

    loss = − 1/n Σ log π_w(y_t | what stands before it)          n = the tokens learnt in the step, on all ranks

at temperature 1, over response tokens alone, each turn's end token among them. Several conversations share a row
(`cgpo/policy/layout.py`); n counts tokens of all ranks and micro-batches, so a step is the same however it is split.

<run_dir>/metrics.jsonl   a line a step: loss, gradient norm, learning rate, tokens; the held-out loss when measured
<run_dir>/checkpoints/    from which a killed stage goes on
<run_dir>/model/          the policy as a Hugging Face folder with its tokenizer
<run_dir>/report.json     held-out loss before and after; written last, so it marks the stage as done
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.policy.export import full_weights, write_model
from cgpo.policy.layout import MicroBatch, pack
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.policy.policy import Policy
from cgpo.stages.batches import EpochBatches, rows_of_rank
from cgpo.stages.configuration import policy_settings
from cgpo.stages.conversation_set import ConversationSet, load_conversations
from cgpo.stages.heldout import heldout_in_words, heldout_loss
from cgpo.stages.loop import StageLoop
from cgpo.stages.policy_steps import PolicySteps, check_warmup
from cgpo.stages.running import StageFolder, announce_rows, input_model, run_stage
from cgpo.storage.file_names import METRICS_NAME
from cgpo.tracking.metrics import Metrics, read_metrics
from cgpo.tracking.progress import StageProgress


def run_sft_stage(settings: RunSettings, *, fresh: bool = False) -> int:
    """Runs the stage in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Raises:
        RunError: the directory belongs to another configuration; the disk is full.
        ConfigError, DataError: a model, file or data set cannot be used.
        Interrupted: a signal came; a checkpoint is on disk.
    """
    return run_stage("sft", settings, SftStage, report_lines, fresh=fresh)


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report in words, a line each."""
    before, after = (heldout_in_words(report["heldout"][key]) for key in ("before", "after"))
    return [f"held-out loss per token: {before} before, {after} after {report['steps']} steps"]


class SftStage:
    """One run of the stage in its directory.

    Args:
        settings: the run's settings.
        folder: the run directory.
        progress: shows where the stage is.
    """

    def __init__(self, settings: RunSettings, folder: StageFolder, progress: StageProgress) -> None:
        self.stage = settings.sft_stage
        self.settings = policy_settings(settings, self.stage, share_prompts="auto" if self.stage.packing else False)
        self.folder = folder
        self.progress = progress

    def run(self) -> dict[str, Any]:
        """Reads, trains, measures; returns the report, on every rank."""
        started = time.monotonic()
        with distributed.together():
            model = input_model(self.settings, "sft_stage.model")
            self.progress.phase("reading conversations")
            tokenizer = load_tokenizer(model.name, model)
            length = context_length(model, self.stage.max_length, "sft_stage.max_length")
            data = load_conversations(self.stage, tokenizer, length, self.settings.seed)
            batches = EpochBatches(len(data.train), self.stage.batch_size, self.settings.seed, "sft")
            steps = batches.per_epoch * self.stage.epochs
            self._announce(data, batches, steps)
            check_warmup(self.stage, steps, "sft_stage")
        self.progress.phase("loading the policy")
        training = SftTraining(Policy(self.settings), self.settings, data, batches, steps)
        before = self._train(training, steps, data.fingerprint)
        weights = full_weights(training.policy)
        self.folder.write_model(None if weights is None else lambda to: write_model(weights, model, tokenizer, to))
        report = {
            "stage": "sft",
            "model": model.name,
            "steps": steps,
            "conversations": {"train": len(data.train), "heldout": len(data.heldout)},
            "left_out": {"bad": len(data.bad), "too_long": data.too_long},
            "tokens": {"learned_per_epoch": data.learned_tokens},
            "heldout": {"before": before, "after": training.measured},
            "seconds": round(time.monotonic() - started, 1),
        }
        self.folder.finish(report)
        return report

    def _announce(self, data: ConversationSet, batches: EpochBatches, steps: int) -> None:
        announce_rows(self.progress, "sft_stage.data", data.bad, data.too_long)
        self.progress.message(
            f"{len(data.train)} conversations with {data.learned_tokens} tokens to learn, {len(data.heldout)} held "
            f"out; {batches.per_epoch} batches of at most {self.stage.batch_size} over {distributed.world_size()} "
            f"rank(s) × {self.stage.epochs} epochs = {steps} steps"
        )

    def _train(self, training: SftTraining, steps: int, data: str) -> dict[str, Any]:
        """Takes the steps; returns the held-out loss before the first one."""
        zero = self.settings.deepspeed.zero_stage
        loop = StageLoop(self.folder.run_dir, steps, self.stage.save_every, zero, self.progress, data)
        done = loop.resume(training.policy)
        if not done:
            loop.record(0, training.measure())
        loop.run(training.policy, done, training.step, _note)
        return distributed.on_first_rank(lambda: _first_measured(self.folder.run_dir))


class SftTraining:
    """Policy, data and arithmetic of the stage. Every rank has one and calls its methods together with the others."""

    def __init__(
        self, policy: Policy, settings: RunSettings, data: ConversationSet, batches: EpochBatches, steps: int
    ) -> None:
        self.policy = policy
        self.measured: dict[str, Any] = {}
        """The latest held-out loss."""
        self._settings = settings
        self._data = data
        self._batches = batches
        self._last = steps
        self._every = settings.sft_stage.eval_every
        self._steps = PolicySteps(policy, settings.sft_stage, steps, "sft_stage")

    def step(self, step: int) -> Metrics:
        """Does step 0, 1, … and measures when that is due."""
        started = time.monotonic()
        rows = self._batches.at(step)
        train = self._settings.train
        here = rows_of_rank(rows, lambda i: len(self._data.train[i]))
        packed = pack(self._data.train, here, train.micro_batch_tokens, self.policy.layout)
        tokens = sum(int(self._data.train[i].learned.sum()) for i in rows)

        def loss_of(batch: MicroBatch, logprobs: Tensor) -> Tensor:
            return -logprobs.sum() / tokens

        metrics = self._steps.take(step, packed, loss_of)
        metrics["tokens/learned"] = tokens
        padded = float(sum(batch.tokens for batch in packed))
        used = float(sum(len(self._data.train[i]) - 1 for i in here))
        total, filled = distributed.all_sum([padded, used])
        metrics["tokens/padding_rate"] = 1 - filled / total
        metrics["time/step"] = time.monotonic() - started
        if step + 1 == self._last or (self._every and (step + 1) % self._every == 0):
            metrics |= self.measure()
        return metrics

    def measure(self) -> Metrics:
        """The held-out loss with its interval."""
        self.measured = asdict(heldout_loss(self.policy, self._data.heldout))
        names = {"estimate": "heldout/loss", "low": "heldout/loss_low", "high": "heldout/loss_high"}
        return {name: self.measured[key] for key, name in names.items()} | {"heldout/conversations": self.measured["n"]}


def _first_measured(run_dir: Path) -> dict[str, Any]:
    first = read_metrics(run_dir / METRICS_NAME)[0]
    names = {"estimate": "heldout/loss", "low": "heldout/loss_low", "high": "heldout/loss_high"}
    return {key: first[name] for key, name in names.items()} | {"n": first["heldout/conversations"]}


def _note(metrics: Metrics) -> str:
    heldout = f", held out {metrics['heldout/loss']:.3f}" if metrics.get("heldout/loss") is not None else ""
    return f"loss {metrics['train/loss']:.3f}{heldout}"
