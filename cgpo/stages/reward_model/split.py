"""The split of the rows of a reward model's heads: to train on, to decide by when to stop, and held out.

1. A prompt that one head holds out is held out by every head: the heads share all of the model but their outputs.
2. A head whose split the data brought (feedback split in time, a held-out file) keeps it. Of its training rows those
   go whose prompt another head holds out, and so does every training row, of any head, whose prompt with the same
   response is held out anywhere. Prompts such as "Hi" may then stand on both sides of that head alone; how many do is
   counted.
3. Rows for early stopping are taken from the training rows by prompt, a share of each head's prompts. They are neither
   trained on nor measured on.

Which prompts are taken follows from the seed and the prompt alone, so that heads with the same prompts choose the same;
but those that another head holds out already are taken first. Pairs and ratings of the same prompts would otherwise
hold out each their share, and leave the heads less to learn from than their settings say.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cgpo.errors import DataError
from cgpo.stages.reward_model.rows import HeadRows, RewardRow


@dataclass(frozen=True)
class Split:
    """The rows of a head.

    Attributes:
        train: to train on.
        validation: to decide by when to stop.
        heldout: to measure on.
        leaked: training rows that were left out because they are held out here or in another head.
        shared_prompts: held-out prompts of this head that it is trained on too, with other responses.
    """

    train: list[RewardRow]
    validation: list[RewardRow]
    heldout: list[RewardRow]
    leaked: int
    shared_prompts: int


def split_rows(
    heads: Mapping[str, HeadRows], shares: Mapping[str, float], seed: int, validation_share: float | None = None
) -> dict[str, Split]:
    """Splits the rows of all heads together.

    Args:
        heads: name → rows; of a head in `shares` it is chosen here which are held out, of others the rows say.
        shares: name → share of the prompts that are held out.
        seed: of the choice.
        validation_share: share of the training prompts for early stopping; None: none are needed.

    Raises:
        DataError: a head has too few prompts, or nothing to train on or to measure on is left.
    """
    chosen: set[str] = set()
    for name, head in heads.items():
        if name not in shares and head.by_prompt:
            chosen |= {row.key for row in head.rows if row.heldout}
    for name, share in shares.items():
        prompts = [row.key for row in heads[name].rows]
        chosen |= choose_prompts(prompts, share, f"heldout:{seed}", f"head {name}", chosen)
    sides = {name: _sides(head, chosen) for name, head in heads.items()}
    texts = {text for _, heldout in sides.values() for row in heldout for text in row.texts}
    clean = {
        name: [row for row in train if row.key not in chosen and not any(text in texts for text in row.texts)]
        for name, (train, _) in sides.items()
    }
    for name, (_, heldout) in sides.items():
        if not clean[name] or not heldout:
            raise DataError(
                f"head {name}: {len(clean[name])} training and {len(heldout)} held-out rows: at least one of each is "
                "needed" + (_why(heads[name].rows, sides[name][0]) if not clean[name] else "")
            )
    validation: set[str] = set()
    if validation_share is not None:
        for name, rows in clean.items():
            keys = (row.key for row in rows)
            validation |= choose_prompts(keys, validation_share, f"validation:{seed}", f"head {name}, to train on,")
    return {
        name: _split([r for r in clean[name] if r.key not in validation], clean[name], validation, *sides[name])
        for name in heads
    }


def choose_prompts(
    keys: Iterable[str], share: float, seed: str, what: str, first: Collection[str] = frozenset()
) -> set[str]:
    """About `share` of the prompts, at least one, never all; those of `first` before others.

    Raises:
        DataError: there are fewer than two.
    """
    distinct = set(keys)
    if len(distinct) < 2:
        raise DataError(f"{what}: {len(distinct)} different prompt(s): at least 2 are needed, one to be held out")
    count = min(max(1, round(share * len(distinct))), len(distinct) - 1)
    return set(
        sorted(distinct, key=lambda key: (key not in first, random.Random(f"{seed}:{key}").random(), key))[:count]
    )


def _sides(head: HeadRows, chosen: set[str]) -> tuple[list[RewardRow], list[RewardRow]]:
    """Training rows and held-out rows, before anything is left out."""
    held = [row.key in chosen if head.by_prompt else row.heldout for row in head.rows]
    train = [row for row, out in zip(head.rows, held, strict=True) if not out]
    return train, [row for row, out in zip(head.rows, held, strict=True) if out]


def _split(
    left: list[RewardRow],
    clean: list[RewardRow],
    validation: set[str],
    train: list[RewardRow],
    heldout: list[RewardRow],
) -> Split:
    if not left:
        raise DataError("early stopping takes all rows of a head: lower reward_stage.early_stopping.share")
    trained = {row.key for row in left}
    return Split(
        train=left,
        validation=[row for row in clean if row.key in validation],
        heldout=heldout,
        leaked=len(train) - len(clean),
        shared_prompts=len({row.key for row in heldout} & trained),
    )


def _why(rows: list[RewardRow], train: list[RewardRow]) -> str:
    return f" (of its {len(rows)} rows {len(train)} are for training, and all of these are held out, here or elsewhere)"
