"""Early stopping: a stage ends when the loss on rows it does not learn from falls no more."""

from __future__ import annotations

import math
from typing import Any

from cgpo.config import EarlyStoppingSettings
from cgpo.errors import RunError

METRIC = "validation/loss"


class EarlyStopping:
    """Remembers the best measurement and counts those since that were no better.

    Args:
        settings: how often, and how long without improvement.
    """

    def __init__(self, settings: EarlyStoppingSettings) -> None:
        self._settings = settings
        self.best: float | None = None
        self.best_step = 0
        """Steps done when the best loss was measured; 0 before the first measurement."""
        self._stale = 0

    def due(self, done: int, steps: int) -> bool:
        """Whether to measure after `done` of `steps` steps."""
        return done % self._settings.every == 0 or done == steps

    def observe(self, done: int, loss: float) -> None:
        """Takes the loss measured after `done` steps.

        Raises:
            RunError: it is not finite.
        """
        if not math.isfinite(loss):
            raise RunError(
                f"step {done}: the validation loss is not finite: the model has diverged. Lower the learning rate and "
                "start anew with --fresh"
            )
        if self.best is None or loss < self.best - self._settings.min_improvement:
            self.best, self.best_step, self._stale = loss, done, 0
        else:
            self._stale += 1

    @property
    def stopped(self) -> bool:
        """Enough measurements in a row brought no improvement."""
        return self._stale >= self._settings.patience

    def state(self) -> dict[str, Any]:
        """The state that the next measurements depend on, as plain data."""
        return {"best": self.best, "best_step": self.best_step, "stale": self._stale}

    def load(self, state: dict[str, Any]) -> None:
        """Takes a `state` back."""
        self.best, self.best_step, self._stale = state["best"], state["best_step"], state["stale"]
