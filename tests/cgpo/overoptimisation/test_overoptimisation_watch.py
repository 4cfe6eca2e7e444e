"""What a person is told of over-optimisation, when, and what of it stands in the run directory and its report."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from overoptimisation_rows import row, talk

from cgpo.config import PhraseSettings, WatchSettings
from cgpo.overoptimisation.watch import OverOptimisationWatch
from cgpo.report.overoptimisation import read_overoptimisation
from cgpo.report.run_page import write_report
from cgpo.report.terminal import print_changes, print_phrases
from cgpo.statistics.evaluation import Evaluation
from cgpo.statistics.evaluation_json import evaluation_from_json
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter
from judges import Outcome, Verdict
from judges.terminal import open_console

QUIET = PhraseSettings(every=0)


def make(run_dir: Path, said: list[str], settings: WatchSettings | None = None, **own: Any) -> OverOptimisationWatch:
    settings = settings or WatchSettings(phrases=QUIET)
    return OverOptimisationWatch(settings, {"chat": ("other",)}, run_dir, lambda _: [], said.append, **own)


def step_rows(step: int, falls_after: int = 20) -> list[RolloutRow]:
    """The reward rises; the reward `other`, the judge `tic` and the stratum's own judge change after a step."""
    rng = random.Random(step)
    late = step > falls_after
    found = []
    for prompt in range(24):
        for index in range(2):
            tic = Verdict.violated("") if rng.random() < (0.7 if late else 0.2) else Verdict.satisfied("")
            if rng.random() < 0.1:
                tic = Verdict.unknown("timed out")
            found.append(
                row(
                    prompt,
                    index,
                    "fine",
                    reward=min(0.9, 0.5 + 0.01 * step) + rng.gauss(0, 0.02),
                    rewards={"other": rng.gauss(-1 if late else 1, 0.5), "any": 0.0},
                    probes={"tic": tic},
                )
            )
    return found


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_divergence_is_said_once_with_its_beginning(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said)
    metrics = [watch.end(step, step_rows(step)) for step in range(1, 41)]
    assert len(said) == 2
    assert all("step 2" in text for text in said)
    other = next(text for text in said if "reward other" in text)
    assert "stratum chat: the trained reward rises while reward other falls: calibrated reward 0.5" in other
    assert "It began at about step 21" in other
    assert {line["began"] for line in lines(tmp_path / "warnings.jsonl")} == {21}
    assert metrics[10]["chat/divergence"] < 3 < 5.5 < metrics[39]["chat/divergence"]  # type: ignore[operator]
    assert metrics[39]["chat/independent/other"] == pytest.approx(0.28, abs=0.05)
    assert metrics[39]["chat/independent/tic"] == pytest.approx(0.3, abs=0.2)


def test_a_divergence_that_lasts_is_said_again(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said)
    for step in range(1, 101):
        watch.end(step, step_rows(step))
    steps = [line["step"] for line in lines(tmp_path / "warnings.jsonl") if line["subject"] == "reward other"]
    assert len(steps) == 2
    assert steps[1] == steps[0] + 50


def test_it_goes_on_as_it_was(tmp_path: Path) -> None:
    settings = WatchSettings(phrases=PhraseSettings(every=5, first_steps=2, window_steps=3))
    whole_said: list[str] = []
    rollouts = RolloutsWriter(tmp_path / "rollouts")
    whole = make(tmp_path, whole_said, settings)
    found, saved = [], ""
    for step in range(1, 31):
        rows = step_rows(step)
        rollouts.write(step, rows)
        found.append(whole.end(step, rows))
        if step == 22:
            saved = json.dumps(whole.state_dict())
    before = (tmp_path / "warnings.jsonl").read_bytes(), (tmp_path / "phrases.jsonl").read_bytes()
    with (tmp_path / "warnings.jsonl").open("ab") as file:
        file.write(b'{"schema": 1, "st')  # what a kill leaves
    said: list[str] = []
    again = make(tmp_path, said, settings)
    again.load_state_dict(json.loads(saved))
    again.rewind(22)
    assert all(line["step"] <= 22 for line in lines(tmp_path / "phrases.jsonl"))
    assert [again.end(step, step_rows(step)) for step in range(23, 31)] == found[22:]
    assert ((tmp_path / "warnings.jsonl").read_bytes(), (tmp_path / "phrases.jsonl").read_bytes()) == before
    assert said == [text for text in whole_said if int(text.split()[2].rstrip(":")) > 22]
    assert again.state_dict() == whole.state_dict()


def test_other_ranks_say_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said, writes=False)
    assert [watch.end(step, step_rows(step)) for step in range(1, 31)] == [{}] * 30
    assert not said
    assert not list(tmp_path.iterdir())


def test_switched_off(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said, WatchSettings(divergence=False, phrases=QUIET))
    assert [watch.end(step, step_rows(step)) for step in range(1, 31)] == [{}] * 30
    assert not said


def test_without_any_independent_measure_the_judges_are_one(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said)
    for step in range(1, 31):
        rng = random.Random(step)
        rows = []
        for prompt in range(32):
            outcome = Outcome.VIOLATED if rng.random() < (0.1 if step <= 15 else 0.6) else Outcome.SATISFIED
            verdicts = {"style": Verdict(outcome)}
            rows.append(row(prompt, 0, "fine", reward=0.5 + 0.01 * step, outcome=outcome, verdicts=verdicts))
        watch.end(step, rows)
    (text,) = said
    assert "while satisfied rate falls" in text
    assert "It began at about step 16" in text


def test_length(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said)
    for step in range(1, 31):
        rng = random.Random(step)
        sizes = [[max(1, int(20 + 2 * step + rng.gauss(0, 6))) for _ in range(3)] for _ in range(20)]
        rows = [
            row(p, k, "word " * n, reward=0.2 + 0.004 * n + rng.gauss(0, 0.01))
            for p, own in enumerate(sizes)
            for k, n in enumerate(own)
        ]
        metrics = watch.end(step, rows)
        assert metrics["chat/length_correlation"] > 0.5  # type: ignore[operator]
    (text,) = said
    assert "length explains" in text
    assert "of the reward's growth" in text


def evaluation(step: int, reward: float, satisfied: float, farewell: float) -> Evaluation:
    def rate(p: float) -> dict[str, Any]:
        return {"rate": p, "n": 100, "count": round(p * 100), "low": 0.0, "high": 1.0}

    mean = {"mean": reward, "low": reward - 0.02, "high": reward + 0.02, "n": 100}
    summary = {
        "prompts": 100,
        "calibrated_reward": mean,
        "satisfied": rate(satisfied),
        "probes": {"farewell": rate(farewell)},
    }
    return evaluation_from_json({"step": step, "strata": {"chat": summary}})


def test_held_out_probes_are_independent_measures(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said)
    found = [evaluation(0, 0.5, 0.8, 0.01)]
    watch.evaluated(0, found, 0.95)
    found.append(evaluation(10, 0.6, 0.85, 0.03))
    watch.evaluated(10, found, 0.95)
    assert not said
    found.append(evaluation(20, 0.7, 0.84, 0.2))
    watch.evaluated(20, found, 0.95)
    (text,) = said
    assert "while held-out farewell falls" in text
    assert "0.990 → 0.800 from its best" in text


def test_a_phrase_is_said_again_when_it_has_doubled(tmp_path: Path) -> None:
    said: list[str] = []
    limits = PhraseSettings(every=1, first_steps=4, window_steps=1)
    watch = make(tmp_path, said, WatchSettings(divergence=False, phrases=limits))
    for step, rate in enumerate([0.0] * 4 + [0.1, 0.1, 0.15, 0.5], start=1):
        rng = random.Random(step)
        rows = [
            row(p, k, talk(rng, p) + (" Bye! Sending love!" if rng.random() < rate else ""))
            for p in range(100)
            for k in range(3)
        ]
        metrics = watch.end(step, rows)
        assert ("chat/phrase_z" in metrics) == (step > 4)
    assert [text.partition(":")[0] for text in said] == ["warning, step 5", "warning, step 8"]
    assert "“Bye! Sending love!” as a closing spreads: in " in said[0]


def test_the_words_of_the_model_are_quoted_as_they_are(tmp_path: Path) -> None:
    said: list[str] = []
    watch = make(tmp_path, said, WatchSettings(divergence=False, phrases=PhraseSettings(every=1, first_steps=2)))
    for step in range(1, 5):
        rng = random.Random(step)
        ending = " I am 100% sure." if step > 2 else ""
        watch.end(step, [row(p, k, talk(rng, p) + ending) for p in range(60) for k in range(2)])
    assert "100% sure.” as a closing spreads: in 100.0 % of the last responses, 0.0 % of" in said[0]
    assert "100% sure." in lines(tmp_path / "warnings.jsonl")[0]["text"]


def test_without_a_reference_it_is_unknown_which_phrases_spread(tmp_path: Path) -> None:
    for first_steps, expected in ((0, None), (1, 0.0)):
        limits = PhraseSettings(every=2, first_steps=first_steps)
        watch = make(tmp_path / str(first_steps), [], WatchSettings(phrases=limits))
        watch.end(1, step_rows(1))
        assert watch.end(2, step_rows(2))["chat/phrase_z"] == expected


def report_of(run_dir: Path) -> str:
    return write_report(run_dir).read_text(encoding="utf-8")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A killed run, half-way through a line, in which something was warned of."""
    (tmp_path / "config.yaml").write_text("schema: 1\nstrata: {chat: {}}\ntrain: {steps: 90}\n")
    said: list[str] = []
    watch = make(tmp_path, said, WatchSettings(phrases=PhraseSettings(every=10, first_steps=5)))
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in range(1, 41):
        rows = step_rows(step)
        if step > 20:
            rows = [row(p, k, "<b>Bye</b>\x1b[31m love!") for p in range(24) for k in range(2)] + rows
        metrics.append(step, {"chat/calibrated_reward": 0.5 + 0.01 * step, **watch.end(step, rows)})
    assert said
    with (tmp_path / "phrases.jsonl").open("ab") as file:
        file.write(b'{"schema"')
    return tmp_path


def test_the_report_of_a_killed_run(run_dir: Path) -> None:
    page = report_of(run_dir)
    assert '<section id="overoptimisation">' in page
    assert "step 21: reward other began to fall" in page  # on the mark in the chart
    assert "over-optimisation, first seen in step 2" in page
    assert "chat: phrases that spread" in page
    assert "&lt;b&gt;Bye&lt;/b&gt;\\x1b[31m love!" in page
    assert "<b>Bye" not in page


def test_the_commands_say_it(run_dir: Path) -> None:
    out = io.StringIO()
    print_phrases(open_console(out, width=100), read_overoptimisation(run_dir, {}, [], []))
    assert "the trained reward rises while reward other falls" in " ".join(out.getvalue().split())
    assert "<b>Bye</b>\\x1b[31m love!" in out.getvalue()
    out = io.StringIO()
    print_changes(open_console(out, width=100), run_dir)
    assert "over-optimisation, first seen in step 2" in out.getvalue()


def test_a_run_without_a_watch_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("schema: 1\n")
    assert "No warning" in report_of(tmp_path)
    problems: list[str] = []
    (tmp_path / "warnings.jsonl").write_text('{"schema": 1, "step": 3}\n')
    assert read_overoptimisation(tmp_path, {}, [], problems).warnings == ()
    assert "unexpected form" in problems[0]
