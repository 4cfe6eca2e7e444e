"""Evaluation in training and by `cgpo evaluate`, on a tiny random model with the engine `hf`, in this process."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cgpo.cli import main
from cgpo.commands.evaluate import claim_for_evaluation, run_evaluation
from cgpo.commands.train import run_training
from cgpo.compose import Composed, compose
from cgpo.config import EvalSettings
from cgpo.errors import ConfigError, LimitError
from cgpo.evaluation.target import Target
from cgpo.stages.configuration import stage_configuration
from cgpo.statistics.evaluation_json import evaluation_from_json
from cgpo.storage.run_directory import claim_run_directory
from cgpo.tracking.display import NoDisplay
from cgpo.tracking.evaluation_metrics import evaluation_metric_names, evaluation_metrics
from cgpo.tracking.rollouts import RolloutRow, read_rollouts
from cgpo.training.run_plan import print_run_plan

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
COMMANDS = re.findall(r"^\$ (cgpo evaluate .*)$", PAGE, re.MULTILINE)
HELD_OUT = 3
RESPONSES = 2


class FirstPlaceServer(BaseHTTPRequestHandler):
    """A judge's model that finds the response in place A better, whatever it says: in both orders together a tie."""

    asked: ClassVar[list[str]] = []
    fails: ClassVar[bool] = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body["messages"][0]["content"])
        top = [{"token": "A", "logprob": -0.2}, {"token": "B", "logprob": -2.0}]
        place = {"token": "A", "logprob": -0.2, "top_logprobs": top}
        reply: dict[str, Any] = {"choices": [{"logprobs": {"content": [place]}}], "usage": {"total_tokens": 9}}
        text = json.dumps({"error": "no such model"} if self.fails else reply).encode()
        self.send_response(404 if self.fails else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FirstPlaceServer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def folder(tiny_model: str, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of one stratum, trained for a step, evaluated before and after."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from cgpo.models.assets import resolve_model

    found = tmp_path_factory.mktemp("evaluate")
    kwargs = [{"letter": "e", "let_frequency": 4, "let_relation": "at least"}]
    metadata = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": kwargs}
    for name, numbers in {"train": range(4), "heldout": range(4, 4 + HELD_OUT)}.items():
        rows = [{"prompt": f"Write number {i} with many letters e.", "metadata": metadata} for i in numbers]
        (found / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        reward = BertForSequenceClassification(BertConfig(vocab_size=len(encoder), num_labels=1, **sizes))
    reward.save_pretrained(found / "reward")
    encoder.save_pretrained(found / "reward")
    (found / "experiment").mkdir()
    (found / "experiment" / "tiny.yaml").write_text(
        f"""# @package _global_
model: {{name: {tiny_model}, context_length: 256}}
rewards: {{any: {{model: {found / "reward"}}}}}
strata:
  one:
    prompts: {found / "train.jsonl"}
    heldout: {found / "heldout.jsonl"}
    prompts_per_step: 2
    generations_per_prompt: 4
    sampling: {{max_tokens: 12}}
    judges: [instruction_following, refusal]
    rewards: {{any: 1.0}}
    optimizer: {{name: crpg, kl_max: 5.0}}
train: {{steps: 1, learning_rate: 1.0e-2}}
eval:
  before: true
  after: true
  responses_per_prompt: {RESPONSES}
  preference: {{llm: {{model: judge, base_url: "{endpoint}", retries: 0}}}}
judging: {{processes: 1}}
rollout: {{engine: hf}}
tracking: {{display: "off"}}
"""
    )
    return found


def experiment(folder: Path, *overrides: str, run: str = "run") -> Composed:
    return compose(["experiment=tiny", f"run_dir={folder / run}", *overrides], config_dir=str(folder))


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    """The evaluations of the trained run, before and after its step."""
    run_training(experiment(folder))
    return [json.loads(line) for line in (folder / "run" / "evaluation.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def exported(folder: Path, lines: list[dict[str, Any]]) -> Path:
    """The trained model as a Hugging Face folder."""
    from cgpo.policy.export import export_run

    return export_run(folder / "run", folder / "exported")


def responses(folder: Path, step: int) -> dict[tuple[str, int], RolloutRow]:
    return {(r.prompt_id, r.index): r for r in read_rollouts(folder / "run" / "evaluations")[step]}


def test_before_training_the_policy_ties_with_the_reference(folder: Path, lines: list[dict[str, Any]]) -> None:
    before = lines[0]["strata"]["one"]
    assert (before["n"], before["prompts"]) == (HELD_OUT * RESPONSES, HELD_OUT)
    for kind in ("win_rate", "preference_win_rate"):
        assert (before[kind]["rate"], before[kind]["ties"]) == (0.5, HELD_OUT * RESPONSES), kind
    assert before["kl"]["mean"] == 0.0
    assert before["satisfied_once"]["n"] == HELD_OUT
    (kept,) = (folder / "run" / "reference").glob("*/step-000000.parquet")
    reference = {(r.prompt_id, r.index): r.response for r in read_rollouts(kept.parent)[0]}
    assert reference == {key: r.response for key, r in responses(folder, 0).items()}
    assert len(set(reference.values())) > HELD_OUT  # the responses to a prompt are different samples


def test_wins_are_counted_against_the_same_prompts_reference(folder: Path, lines: list[dict[str, Any]]) -> None:
    before, after = responses(folder, 0), responses(folder, 1)
    gains = []
    for key, row in after.items():
        ours, theirs = row.rewards["any"], before[key].rewards["any"]
        assert ours is not None
        assert theirs is not None
        gains.append(0.0 if row.response == before[key].response else ours - theirs)
    found = lines[1]["strata"]["one"]["win_rate"]
    assert found["wins"] == sum(gain > 0 for gain in gains)
    assert found["losses"] == sum(gain < 0 for gain in gains)
    assert found["wins"] + found["losses"] > 0  # at this learning rate a step changes the responses
    assert found["rate"] == pytest.approx((found["wins"] + found["ties"] / 2) / found["n"])


def test_a_judge_that_favours_a_place_sees_only_ties(folder: Path, lines: list[dict[str, Any]]) -> None:
    found = lines[1]["strata"]["one"]["preference_win_rate"]
    assert (found["ties"], found["unknown"]) == (HELD_OUT * RESPONSES, 0)
    changed = sum(row.response != responses(folder, 0)[key].response for key, row in responses(folder, 1).items())
    assert len(FirstPlaceServer.asked) >= changed  # twice each, fewer where the verdict cache knew the question


def test_sides_probes_and_loggers(folder: Path, lines: list[dict[str, Any]]) -> None:
    assert lines[1]["sides"]["safety"] == []
    assert [(r["stratum"], r["judge"]) for r in lines[1]["sides"]["refusal"]] == [("one", "refusal")]
    assert set(lines[1]["strata"]["one"]["probes"]) == {"repetition", "refusal"}  # farewells do not apply to "Write …"
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "run" / "tensorboard"))
    events.Reload()
    (before, after) = events.Scalars("eval/one/win_rate")
    assert (before.step, before.value, after.step) == (0, 0.5, 1)
    assert after.value == pytest.approx(lines[1]["strata"]["one"]["win_rate"]["rate"])


def test_what_follows_the_last_response_has_a_name_and_a_count(
    folder: Path, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recorded(NoDisplay):
        def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
            phases.append((name, done, total))

    phases: list[tuple[str, int | None, int | None]] = []
    monkeypatch.setattr("cgpo.tracking.display.make_display", lambda *_, **__: Recorded())
    run_evaluation(experiment(folder), Target())
    count = HELD_OUT * RESPONSES
    after = phases[phases.index(("evaluation", count, count)) + 1 :]
    assert ("scoring held-out responses", 0, count) in after
    assert ("KL to the reference", 0, count) in after
    assert ("KL to the reference", count, count) in after
    assert not [name for name, _, _ in after if name == "evaluation"]


def documented(folder: Path, number: int, *further: str) -> dict[str, Any]:
    """Runs a command of docs/evaluation.md on the tiny experiment; returns what it wrote to `--output`."""
    replaced = {"experiment=quickstart": "experiment=tiny", "8": "1"}
    words = [replaced.get(word, word) for word in shlex.split(COMMANDS[number])[1:]]
    words += [] if "--output" in words else ["--output", "output.json"]
    with chdir(folder), pytest.raises(SystemExit) as ended:
        main([*words, "--config-dir", ".", "run_dir=run", *further])
    assert ended.value.code == 0
    found: dict[str, Any] = json.loads((folder / words[words.index("--output") + 1]).read_text())
    return found


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "evaluation.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("command", [0, 1], ids=["newest", "checkpoint"])
def test_evaluating_the_checkpoint_again_says_the_same(
    command: int, folder: Path, lines: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    written = documented(folder, command)
    assert (written["model"], written["step"]) == ("checkpoint of step 1", 1)
    assert written["strata"] == lines[1]["strata"]
    assert written["changes"] == lines[1]["changes"]  # the run's first evaluation was the reference's
    assert written["metrics"]["one/satisfied_rate"] == lines[1]["strata"]["one"]["satisfied"]["rate"]
    assert recorded(folder) == lines
    assert "wins over reference" in capsys.readouterr().out


def test_another_model_against_the_runs_reference(folder: Path, lines: list[dict[str, Any]], exported: Path) -> None:
    written = documented(folder, 2)
    trained = lines[1]["strata"]["one"]
    for key in ("satisfied", "judges", "win_rate", "preference_win_rate", "probes"):
        assert written["strata"]["one"][key] == trained[key], key
    assert written["strata"]["one"]["kl"]["mean"] == pytest.approx(trained["kl"]["mean"], abs=1e-4)
    assert recorded(folder) == lines


def test_against_a_reference_of_its_own(folder: Path, lines: list[dict[str, Any]], exported: Path) -> None:
    # Policy and reference change places: what the trained model won, the model it started from now loses.
    output = folder / "mirrored.json"
    swapped = (f"model.reference={exported}", "eval.preference=null")
    run_evaluation(experiment(folder, *swapped, run="mirrored"), Target(), output)
    found = json.loads(output.read_text())["strata"]["one"]
    trained, start = lines[1]["strata"]["one"], lines[0]["strata"]["one"]
    assert (found["win_rate"]["wins"], found["win_rate"]["losses"]) == (
        trained["win_rate"]["losses"],
        trained["win_rate"]["wins"],
    )
    for key in ("satisfied", "rewards", "probes", "response_words"):
        assert found[key] == start[key], key


def test_metadata_that_was_corrected_judges_the_reference_anew(folder: Path) -> None:
    found = []
    for relation in ("less than", "at least"):  # 1000 letters e: every response is satisfied, then none
        asked = {"letter": "e", "let_frequency": 1000, "let_relation": relation}
        metadata = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": [asked]}
        rows = [{"prompt": f"Write number {i} with many letters e.", "metadata": metadata} for i in range(4, 6)]
        (folder / "corrected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = (f"strata.one.heldout={folder / 'corrected.jsonl'}", "eval.preference=null")
        run_evaluation(experiment(folder, *words, run="corrected"), Target(), folder / "corrected.json")
        judged = json.loads((folder / "corrected.json").read_text())["strata"]["one"]["judges"]
        found.append(judged["instruction_following"]["count"])
    assert found == [2 * RESPONSES, 0]
    (kept,) = (folder / "corrected" / "reference").glob("*/step-000000.parquet")
    assert len(read_rollouts(kept.parent)[0]) == 2 * RESPONSES


def test_greedy_afterwards_is_shown_but_does_not_join_the_run(folder: Path, lines: list[dict[str, Any]]) -> None:
    written = documented(folder, 3, "eval.responses_per_prompt=1", "eval.preference=null")
    assert written["eval"]["temperature"] == 0
    assert written["strata"]["one"]["n"] == HELD_OUT
    assert "kl" not in written["strata"]["one"]
    assert "preference_win_rate" not in written["strata"]["one"]
    assert recorded(folder) == lines


def test_the_page_names_what_there_is(folder: Path) -> None:
    assert len(COMMANDS) == 4
    for name in EvalSettings.model_fields:
        assert f"`eval.{name}`" in PAGE or name in {"before", "every", "after"}, name
    several = experiment(folder, "strata.one.truncated=violated").settings
    for name in evaluation_metric_names(several):
        quantity, _, part = name.removeprefix("one/").partition("/")
        assert f"`{quantity}`" in PAGE or (part and f"`{quantity}/<" in PAGE), name


def test_the_plan_says_when_and_how(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_run_plan(experiment(folder, run="planned"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "evaluation before, after: 2 responses to each held-out prompt at the stratum's temperature" in shown
    assert "against the reference's, compared by preference; probes repetition, farewell, refusal" in shown


def test_every_metric_can_be_named_before(folder: Path, lines: list[dict[str, Any]]) -> None:
    possible = set(evaluation_metric_names(experiment(folder).settings))
    assert set(evaluation_metrics(evaluation_from_json(lines[1]))) == possible - {"one/violated_rate/farewell"}


def test_bad_names_are_said(folder: Path, lines: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"--checkpoint 7: no such checkpoint.*There are: 1"):
        run_evaluation(experiment(folder), Target(checkpoint="7"))
    with pytest.raises(ConfigError, match="absent"):
        run_evaluation(experiment(folder), Target(model=str(folder / "absent")))
    with pytest.raises(ConfigError, match="there is no folder"):
        run_evaluation(experiment(folder), Target(), folder / "absent" / "result.json")
    with pytest.raises(ConfigError, match=r"strata\.one\.sampling\.max_tokens"):
        run_evaluation(experiment(folder, "strata.one.sampling.max_tokens=5"), Target())
    nothing = ("strata.one.heldout=null", "eval.before=false", "eval.after=false")
    with pytest.raises(ConfigError, match="no stratum has `heldout` prompts"):
        run_evaluation(experiment(folder, *nothing, run="nothing"), Target())


def test_the_directory_of_a_stage_is_refused(tmp_path: Path) -> None:
    words = ["experiment=quickstart", f"run_dir={tmp_path}/run"]
    composed = compose(words)
    claim_run_directory(tmp_path / "run", stage_configuration("reward", composed.settings))
    with pytest.raises(ConfigError, match=r"directory of cgpo reward, not of a training run.*--model .*/run/model"):
        claim_for_evaluation(composed, NoDisplay())


def test_a_preference_judge_that_does_not_answer(
    folder: Path, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FirstPlaceServer, "fails", True)
    with pytest.raises(LimitError, match=r"preference judge gave no answer to \d of 6 .*eval.max_unknown_rate is 0\.2"):
        run_evaluation(experiment(folder, "judging.cache=off"), Target())
    assert recorded(folder) == lines
