"""The prior shift of upsampled training data, and how it is undone (docs/method.md, "P[Love]"; Elkan 2001,
"The foundations of cost-sensitive learning", theorem 2).

Trained on a share q of positives where the true rate is p₀, a classifier's probability p̂ is one at rate q. At the true
rate the odds are multiplied by the ratio of the prior odds:

    logit p = logit p̂ − logit q + logit p₀

The shift is the same for every response: it changes no ranking and cancels in sigmoid(r(a) − r(ā)). What it mends is
the meaning of the number.
"""

from __future__ import annotations

from cgpo.statistics.odds import logit


def prior_shift(training_rate: float, true_rate: float) -> float:
    """What to add to a logit at rate q (`training_rate`) to have one at rate p₀ (`true_rate`).

    Raises:
        ValueError: a rate is not strictly between 0 and 1.
    """
    return logit(true_rate) - logit(training_rate)
