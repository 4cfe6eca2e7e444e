"""Scoring beside the generation: nothing that depends on timing may show in the scores."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from small_models import prompt

from cgpo.config import RewardSettings, SamplingSettings
from cgpo.errors import ConfigError
from cgpo.rewards.notes import ScoringNotes
from cgpo.rewards.scoring import Scoring
from cgpo.types import GenerationRequest, Prompt, Rollout


def nothing() -> None:
    """In place of a check for a signal."""


class Recorder:
    """Scores a text by its length and writes down which texts were scored together."""

    def __init__(self, *, beside: bool = True, **attributes: Any) -> None:
        self.beside_generation = beside
        self.reads_metadata = False
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.__dict__.update(attributes)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        self.batches.append(list(responses))
        self.threads.add(threading.get_ident())
        return [None if "?" in text else float(len(text)) for text in responses]


def rollouts(texts: Sequence[str], stratum: str = "chat") -> list[Rollout]:
    return [
        Rollout(GenerationRequest(stratum, prompt("Hi"), (1,), i, 0, SamplingSettings()), text, (1,), (0.0,), "stop")
        for i, text in enumerate(texts)
    ]


def scored(
    found: Sequence[Rollout],
    reward: Recorder,
    *,
    chunk: int = 3,
    overlap: bool | None = None,
    finished: Sequence[Rollout] | None = None,
    kept: Any = None,
) -> tuple[dict[str, Any], Mapping[str, ScoringNotes]]:
    settings = RewardSettings(overlap=overlap, overlap_responses=chunk)
    wanted = {each.request.stratum: ["r"] for each in found}
    with Scoring([each.request for each in found], wanted, {"r": reward}, {"r": settings}, kept) as scoring:
        for each in finished or found:
            scoring.add(each)
        return scoring.finish(nothing), scoring.notes()


TEXTS = ["a", "bb", "a", "cccc", "?", "bb", "ggggggg", "h"]


def test_what_is_scored_together_does_not_depend_on_what_finishes_first() -> None:
    seen = set()
    for seed in range(20):
        found = rollouts(TEXTS)
        finished = random.Random(seed).sample(found, len(found))
        reward = Recorder()
        scores, _ = scored(found, reward, finished=finished)
        assert scores == {"chat": {"r": [1.0, 2.0, 1.0, 4.0, None, 2.0, 7.0, 1.0]}}
        seen.add(repr(reward.batches))
        assert threading.get_ident() not in reward.threads
    # Chunks of three in the order of the requests, without what an earlier chunk had.
    assert seen == {"[['a', 'bb'], ['cccc', '?'], ['ggggggg', 'h']]"}


def test_a_chunk_is_scored_before_the_last_response_is_there() -> None:
    begun = threading.Event()

    class Waiting(Recorder):
        def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
            begun.set()
            return super().score(prompts, responses)

    found = rollouts(TEXTS)
    reward = Waiting()
    settings = {"r": RewardSettings(overlap_responses=2)}
    with Scoring([each.request for each in found], {"chat": ["r"]}, {"r": reward}, settings) as scoring:
        for each in found[:2]:
            scoring.add(each)
        assert begun.wait(60)
        for each in found[2:]:
            scoring.add(each)
        assert scoring.finish(nothing)["chat"]["r"][0] == 1.0


@pytest.mark.parametrize(("beside", "overlap", "own_thread"), [(False, None, 0), (True, False, 0), (False, True, 1)])
def test_the_setting_decides_where_it_is_set(beside: bool, overlap: bool | None, own_thread: int) -> None:
    reward = Recorder(beside=beside)
    scores, _ = scored(rollouts(TEXTS), reward, overlap=overlap)
    assert scores["chat"]["r"][6] == 7.0
    assert len(reward.threads - {threading.get_ident()}) == own_thread
    assert len(reward.batches) == (3 if own_thread else 1)


def test_a_text_is_scored_once_for_all_strata_unless_its_metadata_is_read() -> None:
    both = [*rollouts(["a", "b"], "one"), *rollouts(["b", "c"], "two")]
    reward = Recorder()
    scores, notes = scored(both, reward, chunk=10)
    assert scores == {"one": {"r": [1.0, 1.0]}, "two": {"r": [1.0, 1.0]}}
    assert reward.batches == [["a", "b", "c"]]
    assert notes["r"].scored == 3

    other = [
        Rollout(
            GenerationRequest(each.request.stratum, asked, (1,), each.request.index, 0, SamplingSettings()),
            each.response,
            (1,),
            (0.0,),
            "stop",
        )
        for each in both
        for asked in [prompt("Hi", answer=each.request.stratum)]
    ]
    reads = Recorder(reads_metadata=True)
    scored(other, reads, chunk=10)
    assert reads.batches == [["a", "b", "b", "c"]]


def test_missing_scores_are_counted_with_their_reasons() -> None:
    said = ScoringNotes()
    reward = Recorder(take_notes=lambda: said)
    _, notes = scored(rollouts(["?", "a", "??"]), reward)
    assert (notes["r"].scored, notes["r"].missing) == (3, 2)
    assert notes["r"].reason == "the reward is NaN, infinite or nothing"


def test_numbers_that_are_none() -> None:
    class Broken(Recorder):
        def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
            return [float("nan"), float("inf"), 1.0]

    assert scored(rollouts(["a", "b", "c"]), Broken())[0] == {"chat": {"r": [None, None, 1.0]}}


@pytest.mark.parametrize("beside", [True, False])
def test_an_error_of_a_reward_ends_the_step(beside: bool) -> None:
    class Failing(Recorder):
        def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        scored(rollouts(TEXTS), Failing(beside=beside))


def test_the_wrong_number_of_scores() -> None:
    class Short(Recorder):
        def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
            return [1.0]

    with pytest.raises(ConfigError, match="reward 'r' gave 1 scores for 2 responses"):
        scored(rollouts(["a", "b"]), Short())


def test_a_reward_that_hangs_lets_a_signal_through() -> None:
    released = threading.Event()

    class Hanging(Recorder):
        def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
            released.wait(60)
            return super().score(prompts, responses)

    def stop() -> None:
        raise KeyboardInterrupt

    found = rollouts(TEXTS)
    settings = {"r": RewardSettings(overlap_responses=2)}
    scoring = Scoring([each.request for each in found], {"chat": ["r"]}, {"r": Hanging()}, settings)
    with scoring:
        for each in found:
            scoring.add(each)
        with pytest.raises(KeyboardInterrupt):
            scoring.finish(stop)
    released.set()


class Kept(dict[str, Mapping[str, float | None]]):
    """Scores of an earlier attempt."""

    def put(self, key: str, scores: Mapping[str, float | None]) -> None:
        self[key] = scores


def test_scores_of_an_earlier_attempt_are_not_asked_for_again() -> None:
    kept = Kept()
    first = Recorder(repeatable=False)
    whole, notes = scored(rollouts(TEXTS), first, kept=kept)
    for key in list(kept)[3:]:
        del kept[key]  # the step was broken off
    again = Recorder(repeatable=False)
    found, noted = scored(rollouts(TEXTS), again, kept=kept)
    assert found == whole
    assert again.batches == [["?"], ["ggggggg", "h"]]
    assert (noted["r"].scored, noted["r"].missing) == (notes["r"].scored, notes["r"].missing) == (6, 1)
    local = Kept()
    scored(rollouts(TEXTS), Recorder(), kept=local)
    assert not local  # what comes out the same needs no keeping
