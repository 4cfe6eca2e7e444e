"""`cgpo reward`: trains a reward model on preference pairs.

<run_dir>/pairs.jsonl     the pairs, from a file or made from the strata's prompts, each with its split
<run_dir>/metrics.jsonl   a line a step: loss, accuracy on the step's pairs, learning rate
<run_dir>/checkpoints/    from which a killed stage goes on
<run_dir>/model/          the reward model and its tokenizer
<run_dir>/report.json     held-out accuracy; written last, so it marks the stage as done
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import PairDataSettings, RunSettings
from cgpo.errors import DataError
from cgpo.rewards.classifier import ClassifierSettings, SequenceClassifierReward
from cgpo.rewards.encoding import ResponseEncoder
from cgpo.rewards.loading import check_max_length, load_base, quiet_transformers
from cgpo.run import claim
from cgpo.stages.accuracy import accuracy_lines, accuracy_report, score_pairs
from cgpo.stages.configuration import stage_configuration, started_from
from cgpo.stages.folder import StageFolder
from cgpo.stages.loop import StageLoop
from cgpo.stages.pair_rows import read_preference_rows
from cgpo.stages.pairs import PreferencePair, read_pairs, without_duplicates, write_pairs
from cgpo.stages.pairwise import PairTrainer, full_state_dict
from cgpo.stages.preferences import counts_by_kind, make_pairs
from cgpo.stages.progress import StageProgress
from cgpo.stages.running import announce_rows
from cgpo.stages.sampling import collect_samples
from cgpo.tracking.metrics import Metrics

WHERE = "reward_stage.pairs"


def run_reward_stage(settings: RunSettings, *, fresh: bool = False) -> int:
    """Runs the stage in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Raises:
        RunError: the directory belongs to another configuration; the disk is full.
        ConfigError, DataError: a model, file or data set cannot be used.
    """
    distributed.init_distributed()
    try:
        claim(settings.run_dir, stage_configuration("reward", settings), fresh=fresh)
        stage = RewardStage(settings)
        report = stage.folder.report()
        if report is None:
            report = stage.run()
        else:
            stage.progress.message(f"{stage.folder.run_dir}: the reward model is trained already")
        if distributed.rank() == 0:
            print("\n".join([*accuracy_lines(report["heldout"]), f"reward model: {stage.folder.model_dir}"]))
        distributed.barrier()
    finally:
        distributed.close_distributed()
    return 0


class RewardStage:
    """One run of the stage in its directory."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.folder = StageFolder(Path(settings.run_dir))
        self.progress = StageProgress(settings.tracking.display, distributed.rank())
        self._first = distributed.rank() == 0

    def run(self) -> dict[str, Any]:
        """Makes or reads the pairs, trains, measures; returns the report, on every rank."""
        started = time.monotonic()
        pairs = self._pairs()
        train, heldout = [p for p in pairs if not p.heldout], [p for p in pairs if p.heldout]
        if not train or not heldout:
            raise DataError(f"{len(train)} training and {len(heldout)} held-out pairs: at least one of each is needed")
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts_by_kind(pairs).items())
        self.progress.message(f"{len(train)} training pairs, {len(heldout)} held out ({kinds})")
        paired = time.monotonic()
        steps = self._train(train)
        trained = time.monotonic()
        measured = self._measure(heldout) if self._first else None
        report = {
            "stage": "reward",
            "base": self.settings.reward_stage.base,
            "max_length": self.settings.reward_stage.max_length,
            "steps": steps,
            "pairs": {"train": counts_by_kind(train), "heldout": counts_by_kind(heldout)},
            "heldout": distributed.gather_objects(measured)[0],
            "seconds": {
                "pairs": round(paired - started, 1),
                "training": round(trained - paired, 1),
                "measuring": round(time.monotonic() - trained, 1),
            },
        }
        self.folder.finish(report)
        return report

    def _pairs(self) -> list[PreferencePair]:
        """The pairs of this run: those on disk, else a user's file, else new ones."""
        file = self.folder.run_dir / "pairs.jsonl"
        stage = self.settings.reward_stage
        if not any(distributed.gather_objects(file.is_file())):
            if stage.pairs.path is not None:
                pairs = self._given_pairs(stage.pairs.path)
            else:
                sampled_from = started_from(self.settings, stage.pairs.model)
                pairs = make_pairs(collect_samples(sampled_from, self.progress), stage.pairs, self.settings.seed)
            if self._first:
                write_pairs(file, pairs)
        distributed.barrier()
        return read_pairs(file)

    def _given_pairs(self, path: str) -> list[PreferencePair]:
        """The pairs of a user's data set, each once; a split of its own is kept."""
        asked = self.settings.reward_stage.pairs
        data = PairDataSettings(path=path, heldout_share=asked.heldout_share, bad_rows=asked.bad_rows)
        found = read_preference_rows(data, seed=self.settings.seed, where=WHERE)
        announce_rows(self.progress, WHERE, found.bad, too_long=0)
        if found.equal:
            self.progress.message(f"{WHERE}: {found.equal} pairs were left out because their two sides are equal")
        return without_duplicates(found.pairs)

    def _train(self, pairs: Sequence[PreferencePair]) -> int:
        """Trains and writes the model; returns the number of steps."""
        stage = self.settings.reward_stage
        model, tokenizer = load_base(stage.base, "reward_stage.base", self.settings.seed)
        check_max_length(model, stage.max_length, "reward_stage.max_length")
        encoder = ResponseEncoder(tokenizer, stage.max_length, "reward_stage.base")
        prompts = [pair.as_prompt() for pair in pairs]
        encoded = [
            (encoder.encode(prompt, pair.chosen), encoder.encode(prompt, pair.rejected))
            for prompt, pair in zip(prompts, pairs, strict=True)
        ]
        trainer = PairTrainer(model, encoded, self.settings, encoder.pad_id)
        self._train_steps(trainer)
        self._save(trainer, tokenizer)
        return trainer.steps

    def _train_steps(self, trainer: PairTrainer) -> None:
        stage, zero = self.settings.reward_stage, self.settings.deepspeed.zero_stage
        loop = StageLoop(self.folder.run_dir, trainer.steps, stage.save_every, zero, self.progress, trainer.data)
        loop.run(trainer, loop.resume(trainer), trainer.step, _note)

    def _save(self, trainer: PairTrainer, tokenizer: Any) -> None:
        state = full_state_dict(trainer.engine)

        def save(folder: Path) -> None:
            with quiet_transformers():
                trainer.engine.module.save_pretrained(folder, state_dict=state)
                tokenizer.save_pretrained(folder)

        self.folder.write_model(None if state is None else save)

    def _measure(self, heldout: Sequence[PreferencePair]) -> dict[str, Any]:
        """Held-out accuracy of what was written, through the reward that training will use."""
        settings = ClassifierSettings(
            model=str(self.folder.model_dir.resolve()), max_length=self.settings.reward_stage.max_length
        )
        with quiet_transformers():
            reward = SequenceClassifierReward(settings, "reward_stage")
        return accuracy_report(score_pairs(reward, heldout))


def _note(metrics: Metrics) -> str:
    return f"loss {metrics['train/loss']:.3f}, accuracy {metrics['train/accuracy']:.2f}"
