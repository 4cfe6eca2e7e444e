"""The reward `vllm_server`: a sequence classifier behind `vllm serve MODEL --runner pooling`.

    endpoint: classify    a request for each response, the conversation in the model's chat template:
                          POST /classify {"messages": […, {"role": "assistant", …}], "use_activation": false}
                          → {"data": [{"probs": [raw output, …]}]}
    endpoint: score       for encoders, which read a text pair; a request for several responses:
                          POST /score {"text_1": [prompts], "text_2": [responses], "use_activation": false}
                          → {"data": [{"index", "score"}, …]}

Raw outputs are asked for (`use_activation: false`), as `sequence_classifier` takes them: of probabilities near 0 or 1
the differences would be tiny. vLLM 0.32 gives them; a server that does not know the switch gives probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from cgpo.rewards.server import Address, ServerReward, ServerSettings, malformed, plain_messages
from cgpo.types import Prompt


class VllmServerSettings(ServerSettings):
    """Settings of `vllm_server`."""

    type: Literal["vllm_server"] = "vllm_server"
    base_url: Address = "http://127.0.0.1:8000"
    """Address of the server, without `/v1`."""
    model: str
    """The name under which it serves the model."""
    endpoint: Literal["classify", "score"] = "classify"
    """`classify`: models with a chat template; `score`: encoders of one output, which read prompt and response as a
    pair."""
    output: int = Field(default=0, ge=0)
    """Which output of a model with several is the reward, from 0. Only for `classify`."""
    truncate_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of prompt + response; what is longer loses the start. Unset: what the model cannot read is refused by
    the server, and its score missing."""


class VllmServerReward(ServerReward):
    """Asks vLLM for a classifier's raw outputs.

    Args:
        settings: where it is and how it may be asked.
        name: the reward's name in the configuration, for messages.

    Raises:
        ConfigError: as `ServerReward`.
    """

    Settings = VllmServerSettings

    def __init__(self, settings: VllmServerSettings, name: str) -> None:
        self._options = settings
        super().__init__(settings, name, f"{settings.base_url.rstrip('/')}/{settings.endpoint}")

    @property
    def batch_size(self) -> int:
        return 1 if self._options.endpoint == "classify" else self._options.batch_size

    def body(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> dict[str, Any]:
        common: dict[str, Any] = {"model": self._options.model, "use_activation": False}
        if self._options.truncate_tokens is not None:
            common |= {"truncate_prompt_tokens": self._options.truncate_tokens, "truncation_side": "left"}
        if self._options.endpoint == "classify":
            (prompt,), (response,) = prompts, responses
            return {**common, "messages": [*plain_messages(prompt), {"role": "assistant", "content": response}]}
        texts = ["\n\n".join(message["content"] for message in plain_messages(prompt)) for prompt in prompts]
        return {**common, "text_1": texts, "text_2": list(responses)}

    def answers(self, reply: Any) -> list[Any]:
        data = reply.get("data") if isinstance(reply, dict) else None
        if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
            raise malformed(reply, '{"data": [{…}, …]}')
        if self._options.endpoint == "classify":
            return [self._output(each) for each in data]
        return [each.get("score") for each in _in_order(data)]

    def _output(self, item: dict[str, Any]) -> Any:
        outputs = item.get("probs")
        if not isinstance(outputs, list) or self._options.output >= len(outputs):
            raise malformed(item, f'{{"probs": [at least {self._options.output + 1} numbers]}}')
        return outputs[self._options.output]


def _in_order(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By index. A reply that leaves a place out or has one twice says nothing certain of any response."""
    places = [each.get("index") for each in data]
    if places == list(range(len(data))):
        return data
    if not all(isinstance(place, int) for place in places) or sorted(places) != list(range(len(data))):  # type: ignore[type-var]
        raise malformed(places, '{"data": [{"index": 0}, {"index": 1}, …]}')
    return sorted(data, key=lambda each: int(each["index"]))
