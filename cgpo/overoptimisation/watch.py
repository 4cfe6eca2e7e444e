"""The over-optimisation watch of a run: it measures after every step, warns, and changes nothing in what is learnt.

Three questions, each in a file of its own: does an independent measure fall while the trained reward rises (`trend`);
is it length that the reward pays for (`length`); which phrases spread (`phrases`)? Only the rank that writes files
asks. It leaves in the run directory, a JSON object a line:

    warnings.jsonl   {"schema": 1, "step", "stratum", "kind": "divergence" | "length" | "phrase", "subject", "began",
                      "text", …}
    phrases.jsonl    {"schema": 1, "step", "stratum", "responses", "prompts", "reference_responses", "phrases": [{…}]}

`step` counts the steps that were done, as in `metrics.jsonl`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cgpo.config.watch import WatchSettings
from cgpo.overoptimisation import measures
from cgpo.overoptimisation.length import LengthTrend
from cgpo.overoptimisation.phrases import StratumPhrases
from cgpo.overoptimisation.trend import Divergence, Trend
from cgpo.statistics.evaluation import Evaluation, StratumSummary
from cgpo.storage.file_names import PHRASES_NAME, ROLLOUTS_NAME, WARNINGS_NAME
from cgpo.storage.step_files import StepLines, read_step_lines
from cgpo.tracking.rollouts import RolloutRow, read_rollouts
from cgpo.types import Prompt

Baselines = Callable[[str], Sequence[tuple[Prompt, str]]]
"""Stratum name → its prompts with the responses that π_ref gave to them; called when the first step is done."""

AGAIN_AFTER = 50
"""Steps after which a warning that still holds is given again."""

AGAIN_AT = 2.0
"""How many times as frequent a phrase must have become to be warned of again."""


class OverOptimisationWatch:
    """The watch over the strata of a run.

    Args:
        settings: the settings.
        independent: stratum → names of the rewards that score it without training it.
        run_dir: where `warnings.jsonl` and `phrases.jsonl` are kept, and `rollouts/` stands.
        baselines: responses of π_ref.
        say: shows a line to the person.
        writes: False on every rank but one: then nothing is done.
    """

    def __init__(
        self,
        settings: WatchSettings,
        independent: Mapping[str, Sequence[str]],
        run_dir: Path,
        baselines: Baselines,
        say: Callable[[str], None],
        *,
        writes: bool = True,
    ) -> None:
        self._settings = settings
        self._independent = independent
        self._rollouts = run_dir / ROLLOUTS_NAME
        self._warnings, self._spreads = StepLines(run_dir / WARNINGS_NAME), StepLines(run_dir / PHRASES_NAME)
        self._baselines = baselines
        self._say = say
        self._writes = writes
        self._trends: dict[str, dict[str, Trend]] = {name: {} for name in independent}
        self._lengths = {name: LengthTrend() for name in independent}
        self._phrases: dict[str, StratumPhrases] = {}
        self._saved_phrases: dict[str, Any] = {}
        self._warned: dict[tuple[str, str, str], dict[str, Any]] = {}

    def end(self, step: int, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        """A step is done; returns further metrics of its strata.

        Args:
            step: steps done so far.
            rows: every rank's responses of the step.

        Raises:
            RunError: the disk is full, or a file cannot be written.
        """
        metrics: dict[str, float | None] = {}
        if not self._writes:
            return metrics
        for name in dict.fromkeys(row.stratum for row in rows):
            responses = [row for row in rows if row.stratum == name]
            if self._settings.divergence:
                metrics |= self._end_trends(step, name, responses)
                metrics |= self._end_length(step, name, responses)
            if self._settings.phrases.every:
                metrics |= self._end_phrases(step, name, responses)
        return metrics

    def evaluated(self, step: int, evaluations: Sequence[Evaluation], confidence: float) -> None:
        """An evaluation is done, the last of the run's, whose intervals have this level."""
        if not (self._writes and self._settings.divergence):
            return
        for name in self._independent:
            trends: dict[str, Trend] = {}
            for evaluation in evaluations:
                summary = evaluation.strata.get(name, StratumSummary())
                reward, samples = measures.of_evaluation(summary, confidence)
                for measure, sample in samples.items():
                    trends.setdefault(measure, Trend()).add(evaluation.step, reward, sample)
            for measure, trend in trends.items():
                self._warn_of_divergence(step, name, measure, trend.divergence(), self._settings.warn_z_heldout)

    def _end_trends(self, step: int, name: str, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        reward = measures.sample(rows, measures.trained)
        metrics: dict[str, float | None] = {}
        for measure, sample in measures.of_step(rows, self._independent[name]).items():
            self._trends[name].setdefault(measure, Trend()).add(step, reward, sample)
            if measure != measures.SATISFIED:
                metrics[f"{name}/independent/{measure.partition(' ')[2]}"] = None if sample is None else sample.mean
        divergences = {measure: trend.divergence() for measure, trend in self._trends[name].items()}
        for measure, divergence in divergences.items():
            self._warn_of_divergence(step, name, measure, divergence, self._settings.warn_z)
        z = [divergence.z for divergence in divergences.values() if divergence is not None]
        return metrics | {f"{name}/divergence": max(z, default=None)}

    def _warn_of_divergence(
        self, step: int, name: str, measure: str, divergence: Divergence | None, warn_z: float
    ) -> None:
        if divergence is None or divergence.z < warn_z:
            return
        numbers = {"reward": divergence.rewards, "measure": divergence.measures}
        text, began, z = divergence.text(measure), divergence.began, divergence.z
        self._warn(step, name, "divergence", measure, text, began=began, z=z, **numbers)

    def _end_length(self, step: int, name: str, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        trend = self._lengths[name]
        correlation = trend.add(measures.lengths_and_rewards(rows))
        explained = trend.explained()
        if explained is not None and explained.worth_saying(self._settings.warn_z):
            numbers = {"share": explained.share, "reward": explained.rewards, "tokens": explained.lengths}
            self._warn(step, name, "length", "length", explained.text, **numbers)
        return {f"{name}/length_correlation": correlation}

    def _end_phrases(self, step: int, name: str, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        phrases = self._phrases_of(name)
        phrases.add(step, rows)
        if not phrases.due:
            return {}
        spreads, sizes = phrases.look()
        listed = [spread.as_json() for spread in spreads]
        self._spreads.append(step, {"stratum": name, **sizes, "phrases": listed})
        for spread in spreads:
            if phrases.remarkable(spread):
                numbers = {"rate": spread.rate, "z": spread.z, "place": spread.place}
                self._warn(step, name, "phrase", spread.phrase, spread.text, **numbers)
        nothing = 0.0 if sizes["reference_responses"] else None  # without a reference nobody knows
        return {f"{name}/phrase_z": spreads[0].z if spreads else nothing}

    def _phrases_of(self, name: str) -> StratumPhrases:
        """The phrases of a stratum; after a resume with what they were."""
        if name not in self._phrases:
            made = self._phrases[name] = StratumPhrases(self._settings.phrases, self._baselines(name))
            if (saved := self._saved_phrases.pop(name, None)) is not None:
                recorded = read_rollouts(self._rollouts, {*saved["first"], *saved["window"]})
                responses = {step: [row for row in rows if row.stratum == name] for step, rows in recorded.items()}
                made.load_state_dict(saved, responses)
        return self._phrases[name]

    def _warn(self, step: int, stratum: str, kind: str, subject: str, text: str, **numbers: Any) -> None:
        """Shows and records a warning, unless it was given lately."""
        last = self._warned.get((stratum, kind, subject))
        if last is not None:
            louder = numbers.get("rate", 0.0) >= AGAIN_AT * last.get("rate", 1.0)
            late = kind != "phrase" and step >= last["step"] + AGAIN_AFTER
            if not (louder or late):
                return
        text = f"stratum {stratum}: {text}"
        line = {"stratum": stratum, "kind": kind, "subject": subject, "text": text, **numbers}
        self._warned[stratum, kind, subject] = {"step": step, **line}
        self._warnings.append(step, line)
        self._say(f"warning, step {step}: {text}")

    def rewind(self, done: int) -> None:
        """The run goes on after `done` steps: what was recorded of later ones is taken back.

        Raises:
            RunError: a file cannot be written.
        """
        self._warnings.truncate_after(done)
        self._spreads.truncate_after(done)
        warnings = read_step_lines(self._warnings.path).records
        self._warned = {(w["stratum"], w["kind"], w["subject"]): w for w in warnings}

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data."""
        return {
            "trends": {
                name: {measure: trend.state_dict() for measure, trend in trends.items()}
                for name, trends in self._trends.items()
            },
            "lengths": {name: trend.state_dict() for name, trend in self._lengths.items()},
            "phrases": self._saved_phrases | {name: phrases.state_dict() for name, phrases in self._phrases.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict`, but for strata that the run no longer has."""
        for name in self._independent.keys() & state["trends"].keys():
            for measure, saved in state["trends"][name].items():
                self._trends[name].setdefault(measure, Trend()).load_state_dict(saved)
            self._lengths[name].load_state_dict(state["lengths"][name])
        self._saved_phrases = {name: saved for name, saved in state["phrases"].items() if name in self._independent}
