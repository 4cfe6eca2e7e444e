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


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        ("4? Yes.\n</think>\n\nThe answer is 4.", "The answer is 4."),
        ("So I add 2 and 2. The answer is 4", ""),  # cut off: whatever it says, it says to itself
        ("<think>4?</think>4", "4"),
    ],
)
def test_a_block_that_the_template_opens_is_reasoning_to_its_end(response: str, shown: str) -> None:
    none: Any = None
    for opened, hide in ((True, True), (True, False), (False, True)):
        settings: Any = SimpleNamespace(hide_reasoning=hide)
        stratum = Stratum("s", settings, {}, {}, none, none, none, dropped=(0, 0), reasoning_opened=opened)
        expected = (shown if opened else shown or response) if hide else response
        assert stratum.shown(response) == expected


def test_judges_get_texts_of_a_conversation_with_tools() -> None:
    none: Any = None
    stratum = Stratum("s", SimpleNamespace(hide_reasoning=False), {}, {}, none, none, none, (0, 0))  # type: ignore[arg-type]
    call = {"function": {"name": "f", "arguments": "{}"}}
    messages = ({"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [call]})
    request = GenerationRequest("s", Prompt("p", messages), (1,), 0, 0, SamplingSettings())
    row = stratum.row(Rollout(request, "r", (2,), (-0.1,), "stop"))
    assert row.prompt == (messages[0], {**messages[1], "content": ""})
