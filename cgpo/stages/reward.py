"""`cgpo reward`: trains a reward model on preference pairs.

<run_dir>/pairs.jsonl     the pairs, from a file or made from the strata's prompts, each with its split
<run_dir>/metrics.jsonl   a line a step: loss, accuracy on the step's pairs, learning rate
<run_dir>/checkpoints/    from which a killed stage goes on
<run_dir>/model/          the reward model and its tokenizer
<run_dir>/report.json     held-out accuracy; written last, so it marks the stage as done
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.compose import to_plain
from cgpo.config import RewardSettings, RunSettings
from cgpo.errors import DataError, RunError
from cgpo.policy.checkpoints import Checkpoints
from cgpo.rewards.classifier import SequenceClassifierReward
from cgpo.rewards.encoding import ResponseEncoder
from cgpo.rewards.loading import check_max_length, load_base, quiet_transformers
from cgpo.run import claim
from cgpo.stages.accuracy import accuracy_lines, accuracy_report, score_pairs
from cgpo.stages.pairs import PreferencePair, read_pairs, split, without_duplicates, write_pairs
from cgpo.stages.pairwise import PairTrainer, full_state_dict
from cgpo.stages.preferences import counts_by_kind, make_pairs
from cgpo.stages.progress import StageProgress
from cgpo.stages.sampling import collect_samples
from cgpo.tracking.disk import write_atomically
from cgpo.tracking.metrics import MetricsFile

SCHEMA = 1
KEPT_CHECKPOINTS = 1


def run_reward_stage(settings: RunSettings, *, fresh: bool = False) -> int:
    """Runs the stage in `settings.run_dir`; every rank calls it. Returns the exit status, 0.

    Started again with the same configuration it goes on where it stopped, or says again what came out.

    Raises:
        RunError: the directory belongs to another configuration; the disk is full.
        ConfigError, DataError: a model, file or data set cannot be used.
    """
    distributed.init_distributed()
    try:
        claim(settings.run_dir, stage_configuration(settings), fresh=fresh)
        stage = RewardStage(settings)
        report = stage.report() or stage.run()
        if distributed.rank() == 0:
            print("\n".join([*accuracy_lines(report["heldout"]), f"reward model: {stage.model_dir}"]))
        distributed.barrier()
    finally:
        distributed.close_distributed()
    return 0


def stage_configuration(settings: RunSettings) -> dict[str, Any]:
    """What the stage depends on: other settings may change without a new reward model."""
    tree = to_plain(settings)
    used: dict[str, Any] = {"command": "reward", "seed": tree["seed"], "run_dir": tree["run_dir"]}
    if settings.reward_stage.pairs.path is None:
        sampling = ("prompts", "sampling", "judges", "truncated")
        used["model"] = tree["model"]
        used["rollout"] = {"engine": tree["rollout"]["engine"]}
        used["strata"] = {name: {key: s[key] for key in sampling} for name, s in tree["strata"].items()}
    return used | {"reward_stage": tree["reward_stage"], "deepspeed": tree["deepspeed"]}


class RewardStage:
    """One run of the stage in its directory."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.run_dir = Path(settings.run_dir)
        self.model_dir = self.run_dir / "model"
        self._report_file = self.run_dir / "report.json"
        self._progress = StageProgress(settings.tracking.display, distributed.rank())
        self._first = distributed.rank() == 0

    def report(self) -> dict[str, Any] | None:
        """What came out, if the stage is done."""
        if not (self._report_file.is_file() and (self.model_dir / "config.json").is_file()):
            return None
        try:
            found: dict[str, Any] = json.loads(self._report_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self._report_file} cannot be read: {error}. Start anew with --fresh") from error
        self._progress.message(f"{self.run_dir}: the reward model is trained already")
        return found

    def run(self) -> dict[str, Any]:
        """Makes or reads the pairs, trains, measures; returns the report, on every rank."""
        started = time.monotonic()
        pairs = self._pairs()
        train, heldout = [p for p in pairs if not p.heldout], [p for p in pairs if p.heldout]
        if not train or not heldout:
            raise DataError(f"{len(train)} training and {len(heldout)} held-out pairs: at least one of each is needed")
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts_by_kind(pairs).items())
        self._progress.message(f"{len(train)} training pairs, {len(heldout)} held out ({kinds})")
        paired = time.monotonic()
        steps = self._train(train)
        trained = time.monotonic()
        measured = self._measure(heldout) if self._first else None
        report = {
            "schema": SCHEMA,
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
        if self._first:
            write_atomically(self._report_file, json.dumps(report, indent=1).encode(), "the stage's report")
            # What a killed stage would have gone on from is of no more use.
            shutil.rmtree(self.run_dir / "checkpoints", ignore_errors=True)
        return report

    def _pairs(self) -> list[PreferencePair]:
        """The pairs of this run: those on disk, else a user's file, else new ones."""
        file = self.run_dir / "pairs.jsonl"
        stage = self.settings.reward_stage
        if not any(distributed.gather_objects(file.is_file())):
            if stage.pairs.path is not None:
                given = without_duplicates(read_pairs(Path(stage.pairs.path)))
                pairs = split(given, stage.pairs.heldout_share, self.settings.seed)
            else:
                pairs = make_pairs(collect_samples(self.settings, self._progress), stage.pairs, self.settings.seed)
            if self._first:
                write_pairs(file, pairs)
        distributed.barrier()
        return read_pairs(file)

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
        stage = self.settings.reward_stage
        checkpoints = Checkpoints(self.run_dir / "checkpoints", KEPT_CHECKPOINTS)
        latest = checkpoints.latest()
        if latest is not None:
            trainer.engine.load_checkpoint(str(latest.folder), tag="state")
        done = latest.step if latest is not None else 0
        metrics = MetricsFile(self.run_dir / "metrics.jsonl") if self._first else None
        if metrics is not None:
            metrics.truncate_after(done)
        with self._progress.task("training step", trainer.steps) as update:
            for found in trainer.run(done):
                if metrics is not None:
                    values = {"loss": found.loss, "accuracy": found.accuracy, "learning_rate": found.learning_rate}
                    metrics.append(found.step, {f"train/{name}": value for name, value in values.items()})
                update(found.step, f"loss {found.loss:.3f}, accuracy {found.accuracy:.2f}")
                if stage.save_every and found.step % stage.save_every == 0 and found.step < trainer.steps:
                    checkpoints.save(found.step, lambda folder: _save_engine(trainer.engine, folder), {})

    def _save(self, trainer: PairTrainer, tokenizer: Any) -> None:
        """Writes `model/`, whole or not at all."""
        state = full_state_dict(trainer.engine)
        if state is not None:
            temporary = self.run_dir / ".model.tmp"
            try:
                shutil.rmtree(temporary, ignore_errors=True)
                with quiet_transformers():
                    trainer.engine.module.save_pretrained(temporary, state_dict=state)
                    tokenizer.save_pretrained(temporary)
                shutil.rmtree(self.model_dir, ignore_errors=True)
                temporary.rename(self.model_dir)
            except Exception as error:
                shutil.rmtree(temporary, ignore_errors=True)
                raise RunError(f"the reward model could not be written to {self.model_dir}: {error}") from error
        distributed.barrier()

    def _measure(self, heldout: Sequence[PreferencePair]) -> dict[str, Any]:
        """Held-out accuracy of what was written, through the reward that training will use."""
        settings = RewardSettings(model=str(self.model_dir.resolve()), max_length=self.settings.reward_stage.max_length)
        with quiet_transformers():
            reward = SequenceClassifierReward(settings, "reward_stage")
        return accuracy_report(score_pairs(reward, heldout))


def _save_engine(engine: Any, folder: str) -> None:
    engine.save_checkpoint(folder, tag="state", save_latest=False)
