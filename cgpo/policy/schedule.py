"""The learning rate as a function of the step: nothing to save, so a resumed run has the rates of one never stopped.

With w warm-up steps, n steps in all, steps t = 0 … n − 1 and the final ratio f:

    t < w       peak · (t + 1) / (w + 1)                     rises linearly; the first step is not wasted on rate 0
    constant    peak
    linear      peak · (1 − (1 − f) · p)                     p = (t − w) / (m − w): 0 at step w, 1 at step m
    cosine      peak · (f + (1 − f) · (1 + cos(π · p)) / 2)

The last step is n − 1, and m = n − 1 with f > 0: the last step is taken at the final rate. With f = 0 it would do
nothing; there m = n, and the rate is 0 only after it.

`linear` and `cosine` depend on n: with another n every rate after the warm-up is another one. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""Name → share of the way from the final rate (0) up to the peak (1), by progress in [0, 1]."""


def learning_rate(
    step: int, *, peak: float, steps: int, warmup_steps: int = 0, schedule: str = "constant", final_ratio: float = 0.0
) -> float:
    """The rate of one optimiser step.

    Args:
        step: 0, 1, …, steps − 1. Later ones get the last one's.
        peak: the highest rate.
        steps: of the whole run, those before a resume included.
        warmup_steps: over how many steps the rate rises.
        schedule: a key of `SHAPES`.
        final_ratio: the last step's rate as a share of `peak`, in [0, 1]. With 0 that step's rate is
            above 0, and 0 would come after it. Means nothing to `constant`.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    end = steps - 1 if final_ratio else steps  # where the fall ends; a step at rate 0 would do nothing
    progress = min(1.0, (step - warmup_steps) / max(1, end - warmup_steps))
    return peak * (final_ratio + (1.0 - final_ratio) * SHAPES[schedule](progress))
