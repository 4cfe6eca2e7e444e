"""The evaluation of a target on a run's held-out prompts: a checkpoint of the run, or any other model.

A checkpoint evaluated under the run's own settings of evaluation and judging joins the run's `evaluation.jsonl`. Under
other ones, and for another model, the result is only returned: it would not pair with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.compose import to_plain
from cgpo.config import ModelSettings, RunSettings
from cgpo.errors import ConfigError
from cgpo.evaluation.file import EvaluationFile
from cgpo.evaluation.heldout import Evaluator, has_heldout
from cgpo.policy.checkpoints import Checkpoint, Checkpoints
from cgpo.policy.export import checkpoint_model
from cgpo.policy.layout import SEPARATE
from cgpo.policy.loading import load_causal_lm, load_tokenizer
from cgpo.policy.logprobs import LogProbModel
from cgpo.policy.policy import ScoringModel
from cgpo.policy.weights import ModuleWeights
from cgpo.responses.baselines import baseline_requests, make_baselines
from cgpo.responses.engine_probe import EngineProbe, gap_limits
from cgpo.responses.parts import ResponseParts, open_parts
from cgpo.statistics.evaluation import Evaluation
from cgpo.storage.file_names import CHECKPOINTS_NAME
from cgpo.tracking.display import Display
from cgpo.tracking.evaluation_metrics import evaluation_metrics
from cgpo.tracking.rollouts import RolloutRow

SCHEMA = 1
"""Version of the form of `--output`."""

REFERENCE_STEP = -1
"""In place of a step in the evaluation of the reference itself."""


@dataclass(frozen=True)
class Target:
    """What is evaluated.

    Attributes:
        checkpoint: a step, `best`, or None: the newest, or the model the run starts from when there is none.
        model: hub name or folder of a model to evaluate instead.
    """

    checkpoint: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Measured:
    """A finished evaluation.

    Attributes:
        model: its name, for people.
        evaluation: of the model, with changes against the reference.
        reference_model: name of the reference.
        reference: the evaluation of its responses.
    """

    model: str
    evaluation: Evaluation
    reference_model: str
    reference: Evaluation


def evaluate_target(
    settings: RunSettings, stored: RunSettings, target: Target, display: Display, check_stop: Callable[[], None]
) -> Measured:
    """Evaluates what the target names; every rank must call it.

    Args:
        settings: what to evaluate with.
        stored: settings of the run that wrote the checkpoints.
        target: what to evaluate.
        display: shows progress.
        check_stop: may raise to break off.

    Raises:
        ConfigError: nothing is held out, or there is no such model or checkpoint.
        RunError: the checkpoint cannot be read.
    """
    if target.model is not None:
        return _evaluate_model(settings, target.model, display, check_stop)
    with distributed.together():
        checkpoint = _checkpoint(settings, target.checkpoint, display)
    with open_parts(settings, display) as parts:
        evaluator = _prepared(parts, check_stop)
        step = 0
        if checkpoint is not None:
            step = checkpoint.step
            _push(parts, lambda: checkpoint_model(checkpoint, stored))
        elif settings.model.reference is not None:  # the engine may hold the reference by now
            _push(parts, lambda: load_causal_lm(settings.model.name, settings.model))
        rows = evaluator.rows(step, _progress(display, "evaluation"), check_stop)
        if (settings.eval, settings.judging) == (stored.eval, stored.judging):
            evaluator.record(step, rows)
        name = f"checkpoint of step {step}" if checkpoint else settings.model.name
        return _measured(name, step, rows, evaluator, settings)


def _evaluate_model(settings: RunSettings, name: str, display: Display, check_stop: Callable[[], None]) -> Measured:
    """Another model against the run's reference, which speaks first, on an engine of its own."""
    model = settings.model
    with distributed.together():
        same = _same_tokens(settings, name)
    reference = model if model.reference is None else _model(model.reference, model.reference_revision, model)
    with open_parts(settings.model_copy(update={"model": reference}), display) as parts:
        _prepared(parts, check_stop)
    other = _model(name, None, model, reference=reference.name, reference_revision=reference.revision)
    with open_parts(settings.model_copy(update={"model": other}), display) as parts:
        evaluator = Evaluator(parts, EvaluationFile(parts.run_dir), kl=same)
        if left_out := evaluator.prepare_from_disk():
            display.message(f"{left_out} responses left out: their prompts are too long for the reference")
        rows = evaluator.rows(0, _progress(display, "evaluation"), check_stop)
        return _measured(name, 0, rows, evaluator, settings)


def _measured(model: str, step: int, rows: list[RolloutRow], evaluator: Evaluator, settings: RunSettings) -> Measured:
    reference_rows = evaluator.reference_rows()
    return Measured(
        model,
        evaluator.evaluation(step, rows, reference_rows),
        settings.model.reference or settings.model.name,
        evaluator.evaluation(REFERENCE_STEP, reference_rows, None),
    )


def _prepared(parts: ResponseParts, check_stop: Callable[[], None]) -> Evaluator:
    """An evaluator that knows what the reference says: taken from the run directory, made where it is missing.

    Raises:
        ConfigError: nothing is held out.
    """
    if not has_heldout(parts.strata):
        raise ConfigError("nothing to evaluate: no stratum has `heldout` prompts")
    heldout = {name: [prompt for prompt, _ in stratum.heldout.values()] for name, stratum in parts.strata.items()}
    requests = baseline_requests(parts, heldout)
    make_baselines(parts, requests, _progress(parts.display, "baseline responses"), check_stop)
    evaluator = Evaluator(parts, EvaluationFile(parts.run_dir))
    evaluator.prepare(_progress(parts.display, "reference responses"), check_stop)
    return evaluator


def _push(parts: ResponseParts, load: Callable[[], Any]) -> None:
    """Brings the engine to a model's weights, which `load` reads, and measures that they arrived.

    Raises:
        RunError: the gap in log-probs is above `rollout.max_logprob_gap`.
    """
    settings = parts.settings
    parts.display.phase("pushing the checkpoint to the engine")
    with distributed.together():
        causal_lm = load()
    parts.engine.sync(ModuleWeights(causal_lm))
    model = causal_lm.to(distributed.device()).requires_grad_(False).eval()
    train = settings.train
    log_prob_model = LogProbModel(model, train.logit_chunk_tokens, float32_logits=train.float32_logits)
    scoring = ScoringModel(log_prob_model, settings, SEPARATE)
    probe = EngineProbe(parts.strata, settings.rollout.probe_responses, gap_limits(settings))
    probe.check(parts.engine, scoring, "after the checkpoint was pushed to the rollout engine")


def _checkpoint(settings: RunSettings, wanted: str | None, display: Display) -> Checkpoint | None:
    """The checkpoint of that name; None when none is named and there is none.

    Raises:
        ConfigError: there is none of that name.
        RunError: it is damaged.
    """
    checkpoints = Checkpoints(Path(settings.run_dir) / CHECKPOINTS_NAME, settings.train.keep_checkpoints)
    if wanted is None and not checkpoints.all():
        name = settings.model.name
        display.message(f"no checkpoint in {settings.run_dir}: evaluating {name}, the model the run starts from")
        return None
    checkpoint = checkpoints.find(wanted)
    checkpoint.verify()
    return checkpoint


def _model(name: str, revision: str | None, like: ModelSettings, **fields: Any) -> ModelSettings:
    """A model to be generated with, whole and in the given one's types."""
    plain = {"reference": None, "reference_revision": None, "reference_mode": "copy", "lora": None}
    return like.model_copy(update={**plain, "name": name, "revision": revision, **fields})


def _same_tokens(settings: RunSettings, name: str) -> bool:
    """Whether both models read text in the same tokens; only then can log-probs of a response be compared."""
    ours, theirs = (load_tokenizer(each, settings.model) for each in (settings.model.name, name))
    return bool(ours.get_vocab() == theirs.get_vocab())


def _progress(display: Display, phase: str) -> Callable[[int, int], None]:
    return lambda done, total: display.phase(phase, done, total)


def result_json(settings: RunSettings, measured: Measured) -> str:
    """What `--output` holds: `{"schema", "model", "step", "eval", "strata", "sides", "changes", "reference",
    "metrics"}`; changes are against the reference, and metrics are the flat names of `evaluation_metrics`."""
    line, reference = measured.evaluation.as_json(), measured.reference.as_json()
    result = {
        "schema": SCHEMA,
        "model": measured.model,
        "step": line["step"],
        "eval": to_plain(settings)["eval"],
        "strata": line["strata"],
        "sides": line["sides"],
        "changes": line["changes"],
        "reference": {"model": measured.reference_model, "strata": reference["strata"], "sides": reference["sides"]},
        "metrics": evaluation_metrics(measured.evaluation),
    }
    return json.dumps(result, indent=1, allow_nan=False) + "\n"
