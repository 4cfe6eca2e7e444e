"""Whether a sampler's prompts are those that a checkpoint was made with: texts, order, and what judges are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.data.ids import contents_fingerprint, fingerprint
from cgpo.errors import DataError
from cgpo.types import Prompt


class SamePrompts:
    """The prompts of a sampler as its state names them.

    Args:
        prompts: in order.
        name: of the sampler, for messages.
    """

    def __init__(self, prompts: Sequence[Prompt], name: str) -> None:
        self._name = name
        self.state = {
            "prompts": len(prompts),
            "fingerprint": fingerprint(prompts),
            "contents": contents_fingerprint(prompts),
        }
        """As plain data: JSON can hold it."""

    def check(self, saved: Mapping[str, Any]) -> None:
        """Makes sure that a saved state is of the same prompts. States of earlier versions say nothing of contents.

        Raises:
            DataError: it is of others, or of others' reference answers.
        """
        if saved["fingerprint"] != self.state["fingerprint"]:
            raise DataError(
                f"{self._name}: the prompts are not those the checkpoint was made with ({saved['prompts']} then, "
                f"{self.state['prompts']} now; their texts or their order changed). Restore the data set or start a "
                "new run."
            )
        if saved.get("contents", self.state["contents"]) != self.state["contents"]:
            raise DataError(
                f"{self._name}: the prompts' metadata are not those the checkpoint was made with: reference answers or "
                "something else that judges are told changed. Restore the data set or start a new run."
            )
