"""The scoring of a step's responses, where it pays beside their generation, and each distinct text once.

Rewards that read the same model's outputs make one lane; any other reward is a lane of its own. A lane that works
beside the generation has a thread and takes the responses in chunks. Chunks are cut by the order of the requests, never
by the order in which responses finish, and worked off in that order: which texts go through a model together, and which
were known already, is the same in every run, and so are the scores to the last bit. The other lanes work when all
responses are there.

Within a step a text is scored once by a lane, for all strata together.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from cgpo.config import RewardSettings
from cgpo.data.ids import identity
from cgpo.errors import ConfigError
from cgpo.rewards.calibration import finite
from cgpo.rewards.model import Reward
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import GenerationRequest, Prompt, Rollout

Column = list[float | None]
"""Scores of one reward, None where scoring failed."""

_LOOK_SECONDS = 0.5
_BEFORE = "it was missing when the step was begun before"


class StoredScores(Protocol):
    """Scores that were obtained before, for rewards whose next attempt might give others."""

    def get(self, key: str) -> Mapping[str, float | None] | None:
        """Reward name → score, or None where there is nothing."""

    def put(self, key: str, scores: Mapping[str, float | None]) -> None:
        """Keeps scores; called from any thread."""


class Scoring:
    """The scores of one step's responses. Use it as a context manager: leaving it lets go of work not begun.

    Args:
        requests: all that this rank generates, in an order that is the same in every run.
        rewards_of: stratum → names of its rewards.
        rewards: by name; only those of some stratum are asked.
        settings: by name; a reward without any works when all responses are there.
        stored: scores of an earlier attempt at this step.
    """

    def __init__(
        self,
        requests: Sequence[GenerationRequest],
        rewards_of: Mapping[str, Sequence[str]],
        rewards: Mapping[str, Reward],
        settings: Mapping[str, RewardSettings],
        stored: StoredScores | None = None,
    ) -> None:
        self._place = {request.key: i for i, request in enumerate(requests)}
        self._rewards_of = rewards_of
        self._responses: dict[int, Rollout] = {}
        self._lanes = []
        for names in _lanes(rewards, rewards_of):
            places = [i for i, r in enumerate(requests) if not names.isdisjoint(rewards_of.get(r.stratum, ()))]
            lane_settings = [settings[name] for name in sorted(names) if name in settings]
            lane = _Lane({name: rewards[name] for name in sorted(names)}, lane_settings, stored)
            size = _chunk(lane, lane_settings)
            self._lanes.append(_Queue(lane, places, size))

    def add(self, rollout: Rollout) -> None:
        """Takes a finished response; lanes that have a whole chunk now begin with it."""
        self._responses[self._place[rollout.request.key]] = rollout
        for lane in self._lanes:
            lane.offer(self._responses)

    def beside(self, submit: Callable[[Rollout], Any]) -> Callable[[Rollout], Any]:
        """`submit`, with every response taken by `add` before."""

        def both(rollout: Rollout) -> Any:
            self.add(rollout)
            return submit(rollout)

        return both

    def finish(
        self, check_stop: Callable[[], None], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, dict[str, Column]]:
        """Stratum → reward → scores of its responses, in the order of the requests. Waits for what is under way.

        Args:
            check_stop: called while waiting; may raise to break off.
            progress: told how many scores of how many are there; a reward that works when all responses are there
                takes them at once.

        Raises:
            ConfigError: a reward (a plugin's) answered with another number of scores than it was asked for.
        """
        total = sum(lane.total for lane in self._lanes)

        def look() -> None:
            progress(sum(lane.done for lane in self._lanes), total)
            check_stop()

        for lane in self._lanes:
            look()
            lane.work_off(self._responses)
        for lane in self._lanes:
            lane.wait(look)
        scores = {name: column for lane in self._lanes for name, column in lane.scores().items()}
        columns: dict[str, dict[str, Column]] = {}
        for stratum, names in self._rewards_of.items():
            places = [i for i in sorted(self._responses) if self._responses[i].request.stratum == stratum]
            columns[stratum] = {name: [scores[name][i] for i in places] for name in names}
        return columns

    def notes(self) -> dict[str, ScoringNotes]:
        """The rewards' notes on their scores, by name."""
        return {name: notes for lane in self._lanes for name, notes in lane.notes().items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes:
            lane.close()


class _Lane:
    """Rewards that are computed together, and their scores so far in this step."""

    def __init__(
        self, rewards: Mapping[str, Reward], settings: Sequence[RewardSettings], stored: StoredScores | None
    ) -> None:
        self.rewards = rewards
        repeatable = all(getattr(reward, "repeatable", True) for reward in rewards.values())
        self._stored = None if repeatable else stored
        self._identity = [list(rewards), [each.model_dump_json() for each in settings]]
        self.beside = all(getattr(reward, "beside_generation", False) for reward in rewards.values())
        self._source = getattr(next(iter(rewards.values())), "source", None)
        self._reads_metadata = any(getattr(reward, "reads_metadata", True) for reward in rewards.values())
        self._known: dict[Hashable, dict[str, float | None]] = {}
        self.notes = {name: ScoringNotes() for name in rewards}

    def score(self, rollouts: Sequence[Rollout]) -> list[dict[str, float | None]]:
        """Reward name → score for each response; a text that was there before is not scored again."""
        keys = [_text(r.request.prompt, r.response, metadata=self._reads_metadata) for r in rollouts]
        new = {key: r for key, r in zip(keys, rollouts, strict=True) if key not in self._known}
        if self._stored is not None:
            self._recall(new, self._stored)
        if new:
            prompts, responses = [r.request.prompt for r in new.values()], [r.response for r in new.values()]
            columns = self._compute(prompts, responses)
            for i, key in enumerate(new):
                self._known[key] = {name: column[i] for name, column in columns.items()}
                if self._stored is not None:
                    self._stored.put(self._name(key), self._known[key])
        return [self._known[key] for key in keys]

    def _recall(self, new: dict[Hashable, Rollout], stored: StoredScores) -> None:
        """Takes out of `new` what an earlier attempt at the step has scored."""
        for key in list(new):
            if (scores := stored.get(self._name(key))) is not None:
                self._known[key] = dict(scores)
                del new[key]
                for name, score in scores.items():
                    reasons = Counter([_BEFORE] if score is None else [])
                    self.notes[name] += ScoringNotes(1, reasons.total(), reasons)

    def _name(self, key: Hashable) -> str:
        return hashlib.sha256(json.dumps([self._identity, key]).encode()).hexdigest()[:32]

    def _compute(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> dict[str, Column]:
        started = time.monotonic()
        raw = None if self._source is None else self._source.compute(prompts, responses)
        columns: dict[str, Column] = {}
        for name, reward in self.rewards.items():
            scores = reward.score(prompts, responses) if raw is None else reward.read(raw)  # type: ignore[attr-defined]
            if len(scores) != len(responses):
                raise ConfigError(f"reward {name!r} gave {len(scores)} scores for {len(responses)} responses")
            columns[name] = [finite(score) for score in scores]
            notes = reward.take_notes() if hasattr(reward, "take_notes") else ScoringNotes()
            missing = columns[name].count(None)
            self.notes[name] += notes.completed(len(scores), missing, time.monotonic() - started)
        return columns


class _Queue:
    """The chunks of a lane on their way through it."""

    def __init__(self, lane: _Lane, places: Sequence[int], size: int | None) -> None:
        self._lane = lane
        self._size = size
        self._places = places
        chunks = [places[i : i + size] for i in range(0, len(places), size)] if size else []
        self._chunks = chunks or ([places] if places else [])
        self._begun: list[tuple[Sequence[int], Future[list[dict[str, float | None]]]]] = []
        self._worker = _Worker(f"rewards {', '.join(lane.rewards)}") if size and chunks else None

    def offer(self, responses: Mapping[int, Rollout]) -> None:
        """Begins with the next chunks whose responses are all there, beside the generation."""
        if self._worker is None:
            return
        while (chunk := self._next()) is not None and all(place in responses for place in chunk):
            rollouts = [responses[place] for place in chunk]
            self._begun.append((chunk, self._worker.submit(partial(self._lane.score, rollouts))))

    def work_off(self, responses: Mapping[int, Rollout]) -> None:
        """Does now what is not done beside the generation."""
        self.offer(responses)
        while (chunk := self._next()) is not None:
            done: Future[list[dict[str, float | None]]] = Future()
            done.set_result(self._lane.score([responses[place] for place in chunk if place in responses]))
            self._begun.append(([place for place in chunk if place in responses], done))

    def wait(self, check_stop: Callable[[], None]) -> None:
        """Returns when every chunk is scored."""
        waiting = {future for _, future in self._begun}
        while waiting:
            check_stop()
            done, waiting = wait(waiting, timeout=_LOOK_SECONDS)
            for future in done:
                future.result()

    @property
    def total(self) -> int:
        """How many responses the lane is to score."""
        return len(self._places)

    @property
    def done(self) -> int:
        """How many of them it has scored."""
        return sum(len(chunk) for chunk, future in self._begun if future.done())

    def scores(self) -> dict[str, dict[int, float | None]]:
        """Reward name → place → score."""
        rows = [(place, row) for chunk, done in self._begun for place, row in zip(chunk, done.result(), strict=True)]
        return {name: {place: row[name] for place, row in rows} for name in self._lane.rewards}

    def notes(self) -> dict[str, ScoringNotes]:
        return self._lane.notes

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def _next(self) -> Sequence[int] | None:
        return self._chunks[len(self._begun)] if len(self._begun) < len(self._chunks) else None


class _Worker:
    """One thread that does one thing after the other. A daemon: a reward that hangs cannot keep the program alive."""

    def __init__(self, name: str) -> None:
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, task: Callable[[], Any]) -> Future[Any]:
        """Does `task` when it is its turn."""
        future: Future[Any] = Future()
        self._tasks.put((task, future))
        return future

    def close(self) -> None:
        """Begins nothing more."""
        self._closed = True
        self._tasks.put(None)

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None and not self._closed:
            task, future = item
            try:
                future.set_result(task())
            except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
                future.set_exception(error)


def _lanes(rewards: Mapping[str, Reward], rewards_of: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """Names that are computed together, in an order that is the same in every run."""
    lanes: dict[Hashable, set[str]] = {}
    for name in sorted({name for names in rewards_of.values() for name in names}):
        source = getattr(rewards[name], "source", None)
        lanes.setdefault(name if source is None else id(source), set()).add(name)
    return list(lanes.values())


def _chunk(lane: _Lane, settings: Sequence[RewardSettings]) -> int | None:
    """How many responses a lane takes at once beside the generation; None where it works afterwards."""
    choices = [each.overlap for each in settings if each.overlap is not None]
    beside = all(choices) if choices else lane.beside
    return min(each.overlap_responses for each in settings) if beside and settings else None


def _text(prompt: Prompt, response: str, *, metadata: bool) -> Hashable:
    """The identity of a scored text; equal for two prompts of different strata that say the same."""
    messages = json.dumps([identity(message) for message in prompt.messages])
    read = json.dumps(prompt.metadata, default=lambda value: pickle.dumps(value).hex()) if metadata else ""
    return messages, read, response
