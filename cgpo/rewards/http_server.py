"""The reward `http`: any server that scores conversations.

POST url    {"prompts": [[{"role": "user", "content": "…"}, …], …], "responses": ["…", …]}
200         {"scores": [0.7, null, …]}          one for each response, in order; null where there is none
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cgpo.rewards.server import Address, ServerReward, ServerSettings, malformed, plain_messages
from cgpo.types import Prompt


class HttpSettings(ServerSettings):
    """Settings of `http`."""

    type: Literal["http"] = "http"
    url: Address
    """Where to post requests, e.g. `http://10.0.0.5:5000/score`."""


class HttpReward(ServerReward):
    """Asks a server of one's own for scores.

    Args:
        settings: where it is and how it may be asked.
        name: the reward's name in the configuration, for messages.

    Raises:
        ConfigError: as `ServerReward`.
    """

    Settings = HttpSettings

    def __init__(self, settings: HttpSettings, name: str) -> None:
        super().__init__(settings, name, settings.url)

    def body(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> dict[str, Any]:
        return {"prompts": [plain_messages(prompt) for prompt in prompts], "responses": list(responses)}

    def answers(self, reply: Any) -> list[Any]:
        scores = reply.get("scores") if isinstance(reply, dict) else None
        if not isinstance(scores, list):
            raise malformed(reply, '{"scores": [number or null, …]}')
        return scores
