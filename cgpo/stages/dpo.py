"""`cgpo dpo`: a warm-up of the policy on preference pairs (`cgpo/stages/dpo_loss.py` has the formula).

<run_dir>/reference.jsonl   log-probs of the pairs under the model the stage starts from, computed once
<run_dir>/metrics.jsonl     a line a step: loss, accuracy, margin, log-ratios; held-out numbers when measured
<run_dir>/checkpoints/      from which a killed stage goes on
<run_dir>/model/            the policy as a Hugging Face folder with its tokenizer
<run_dir>/report.json       held-out accuracy and margin; written last, so it marks the stage as done
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.data.contamination import strata_heldout
from cgpo.policy.export import full_weights, write_model
from cgpo.policy.layout import MicroBatch
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.policy.logprobs import sequence_sums
from cgpo.policy.policy import Policy
from cgpo.stages.batches import EpochBatches, rows_of_rank
from cgpo.stages.configuration import policy_settings
from cgpo.stages.dpo_loss import dpo_losses, margins
from cgpo.stages.heldout import heldout_in_words
from cgpo.stages.loop import StageLoop
from cgpo.stages.pair_set import WHERE, PairSet, load_pairs, pair_micro_batches
from cgpo.stages.policy_steps import PolicySteps, check_warmup
from cgpo.stages.reference_file import ReferenceFile
from cgpo.stages.running import StageFolder, announce_rows, input_model, run_stage
from cgpo.statistics.intervals import mean_interval, rate_interval
from cgpo.statistics.resampling import CONFIDENCE
from cgpo.tracking.metrics import Metrics
from cgpo.tracking.progress import StageProgress


def run_dpo_stage(settings: RunSettings, *, fresh: bool = False) -> int:
    """Runs the stage in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Raises:
        RunError: the directory belongs to another configuration; the reference log-probs are another model's; the
            disk is full.
        ConfigError, DataError: a model, file or data set cannot be used.
        Interrupted: a signal came; a checkpoint is on disk.
    """
    return run_stage("dpo", settings, DpoStage, report_lines, fresh=fresh)


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report in words, a line each."""
    heldout = report["heldout"]
    return [
        f"held-out accuracy of the preference {heldout_in_words(heldout['accuracy'], 2)}",
        f"held-out margin {heldout_in_words(heldout['margin'])} nats × β after {report['steps']} steps",
    ]


class DpoStage:
    """One run of the stage in its directory.

    Args:
        settings: the run's settings.
        folder: the run directory.
        progress: shows where the stage is.
    """

    def __init__(self, settings: RunSettings, folder: StageFolder, progress: StageProgress) -> None:
        self.stage = settings.dpo_stage
        self.settings = policy_settings(settings, self.stage, share_prompts=settings.train.share_prompts)
        self.folder = folder
        self.progress = progress

    def run(self) -> dict[str, Any]:
        """Reads, trains, measures; returns the report, on every rank."""
        started = time.monotonic()
        with distributed.together():
            model = input_model(self.settings, "dpo_stage.model")
            self.progress.phase("reading pairs")
            tokenizer = load_tokenizer(model.name, model)
            length = context_length(model, self.stage.max_length, "dpo_stage.max_length")
            heldout = strata_heldout(self.settings) if self.stage.data.contamination.action != "off" else []
            data = load_pairs(self.stage, tokenizer, length, self.settings.seed, heldout)
            batches = EpochBatches(data.train, self.stage.batch_size, self.settings.seed, "dpo")
            self._announce(data, batches)
            check_warmup(self.stage, self.stage.steps, "dpo_stage")
        self.progress.phase("loading the policy")
        policy = Policy(self.settings)
        reference = ReferenceFile(self.folder.run_dir, model, data.fingerprint)
        logprobs = reference.complete(policy, data.sequences, self.progress)
        training = DpoTraining(policy, self.settings, data, logprobs, batches)
        zero = self.settings.deepspeed.zero_stage
        stage, folder, fingerprint = self.stage, self.folder, data.fingerprint
        loop = StageLoop(folder.run_dir, stage.steps, stage.save_every, zero, self.progress, fingerprint)
        loop.run(policy, loop.resume(policy), training.step, _note)
        weights = full_weights(policy)
        self.folder.write_model(None if weights is None else lambda to: write_model(weights, model, tokenizer, to))
        report = {
            "stage": "dpo",
            "model": model.name,
            "steps": self.stage.steps,
            "pairs": {"train": data.train, "heldout": len(data.pairs) - data.train},
            "left_out": {"bad": len(data.bad), **data.left_out, "too_long": data.too_long},
            "heldout": training.measured,
            "seconds": round(time.monotonic() - started, 1),
        }
        self.folder.finish(report)
        return report

    def _announce(self, data: PairSet, batches: EpochBatches) -> None:
        announce_rows(self.progress, WHERE, data.bad, data.too_long)
        for line in data.lines:
            self.progress.message(line)
        epochs = self.stage.steps / batches.per_epoch
        self.progress.message(
            f"{data.train} training pairs, {len(data.pairs) - data.train} held out; {self.stage.steps} steps of at "
            f"most {self.stage.batch_size} pairs over {distributed.world_size()} rank(s) = {epochs:.3g} passes"
        )


class DpoTraining:
    """Policy, pairs and arithmetic of the stage. Every rank has one and calls its methods together with the others.

    Args:
        policy: what is trained.
        settings: as the stage's policy sees them.
        data: the pairs.
        reference: float32 [pairs, 2], log π_ref of both sides.
        batches: which pairs each step takes.
    """

    def __init__(
        self, policy: Policy, settings: RunSettings, data: PairSet, reference: Tensor, batches: EpochBatches
    ) -> None:
        self.measured: dict[str, Any] = {}
        """The latest held-out numbers."""
        self._policy = policy
        self._stage = settings.dpo_stage
        self._train = settings.train
        self._data = data
        self._sequences = data.sequences
        self._lengths = torch.tensor([len(s.response_ids) for s in self._sequences])
        self._reference = reference
        self._batches = batches
        self._steps = PolicySteps(policy, self._stage, self._stage.steps, "dpo_stage")

    def step(self, step: int) -> Metrics:
        """Does step 0, 1, … and measures when that is due."""
        started = time.monotonic()
        rows = self._batches.at(step)
        here = rows_of_rank(rows, lambda i: sum(len(s.response_ids) for s in self._data.pairs[i]))
        train = self._train
        batches = pair_micro_batches(self._sequences, here, train.micro_batch_tokens, self._policy.layout)
        sums = torch.zeros(4, dtype=torch.float64)  # of accuracy, margin and the two log-ratios, over this rank's pairs

        def loss_of(batch: MicroBatch, logprobs: Tensor) -> Tensor:
            pairs, policy, reference = self._sides(batch, logprobs)
            margin = margins(policy, reference, self._stage.beta)
            likelihood = policy[:, 0] / self._lengths.to(policy.device)[2 * pairs]
            log_ratio = (policy - reference).detach()
            values = [(margin > 0).sum(), margin.detach().sum(), log_ratio[:, 0].sum(), log_ratio[:, 1].sum()]
            sums.add_(torch.stack([value.double().cpu() for value in values]))
            losses = dpo_losses(margin, likelihood, self._stage.label_smoothing, self._stage.sft_weight)
            return losses.sum() / len(rows)

        metrics = self._steps.take(step, batches, loss_of)
        names = ("accuracy", "margin", "log_ratio/chosen", "log_ratio/rejected")
        totals = distributed.all_sum(sums.tolist())
        metrics |= {f"train/{name}": total / len(rows) for name, total in zip(names, totals, strict=True)}
        metrics["tokens/learned"] = sum(len(s.response_ids) for i in rows for s in self._data.pairs[i])
        metrics["time/step"] = time.monotonic() - started
        every = self._stage.eval_every
        if step + 1 == self._stage.steps or (every and (step + 1) % every == 0):
            metrics |= self.measure()
        return metrics

    def measure(self) -> Metrics:
        """Accuracy (a margin of 0 is not right) and mean margin on the held-out pairs, with their intervals."""
        held = list(range(self._data.train, len(self._data.pairs)))
        share = held[distributed.rank() :: distributed.world_size()]
        sides = [self._sequences[2 * i + side] for i in share for side in (0, 1)]
        sums = torch.tensor([float(logprobs.sum()) for logprobs in self._policy.token_logprobs(sides, 1.0)]).view(-1, 2)
        of_share = margins(sums, self._reference[share], self._stage.beta).tolist()
        parts = distributed.gather_objects(dict(zip(share, of_share, strict=True)))
        by_pair = {i: margin for part in parts for i, margin in part.items()}
        values = [by_pair[i] for i in held]
        accuracy = rate_interval(sum(margin > 0 for margin in values), len(values), CONFIDENCE)
        margin = mean_interval(values, CONFIDENCE)
        self.measured = {"accuracy": asdict(accuracy), "margin": asdict(margin)}
        return {
            f"heldout/{name}{suffix}": interval[key]
            for name, interval in self.measured.items()
            for key, suffix in (("estimate", ""), ("low", "_low"), ("high", "_high"))
        }

    def _sides(self, batch: MicroBatch, logprobs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pairs of a micro-batch [P], and log π_w [P, 2] and log π_ref [P, 2] of their sides."""
        pairs = torch.tensor(sorted(set((batch.sample // 2).tolist())), device=logprobs.device)
        sums = sequence_sums(logprobs, batch.sample, len(self._sequences)).view(-1, 2)
        return pairs, sums[pairs], self._reference.to(logprobs.device)[pairs]


def _note(metrics: Metrics) -> str:
    return f"loss {metrics['train/loss']:.3f}, accuracy {metrics['train/accuracy']:.2f}"
