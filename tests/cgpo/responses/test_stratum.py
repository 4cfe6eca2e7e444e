"""The row of a response that a stratum's judges are shown."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from cgpo.config import SamplingSettings
from cgpo.responses.stratum import Stratum
from cgpo.types import GenerationRequest, Prompt, Rollout
from judges import Judgement, Row


class Seen:
    """In place of a mixture: keeps what it was shown."""

    def submit(self, row: Row) -> Future[Judgement]:
        self.row = row
        return Future()


@pytest.mark.parametrize(("hide", "shown"), [(False, "<think>4?</think>The answer is 4."), (True, "The answer is 4.")])
def test_reasoning_is_hidden_from_judges_on_request(hide: bool, shown: str) -> None:
    seen: Any = Seen()
    settings: Any = SimpleNamespace(hide_reasoning=hide)
    none: Any = None
    stratum = Stratum("math", settings, {}, {}, sampler=none, mixture=seen, optimizer=none, dropped=(0, 0))
    messages = ({"role": "user", "content": "2 + 2?"},)
    prompt = Prompt(id="p", messages=messages, metadata={"answer": "4"})
    request = GenerationRequest("math", prompt, (1,), 0, 0, SamplingSettings())
    rollout = Rollout(request, "<think>4?</think>The answer is 4.", (2,), (-0.1,), "stop")
    stratum.submit(rollout)
    assert seen.row == Row(messages, shown, {"answer": "4"})
