"""Prompts to train on that are prompts to measure with: which those are, leaving them out, and the words on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.config import ContaminationSettings, PromptSettings, RunSettings
from cgpo.data.messages import messages_of
from cgpo.data.overlap import heldout_overlaps
from cgpo.data.prompts import load_prompts
from cgpo.data.rows import read_rows
from cgpo.errors import DataError, unknown_name
from cgpo.types import Prompt
from judges import Message

WHERE = "preferences.contamination"
COLUMN = "prompt"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class HeldoutPrompt:
    """A prompt to measure with, and where it comes from."""

    messages: tuple[Message, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Contaminated:
    """A training prompt that is a held-out one too.

    Attributes:
        stratum: of the training prompt.
        prompt_id: its id.
        text: the training prompt.
        heldout: where the held-out prompt comes from.
        share: of the held-out prompt's n-grams that stand in it.
        exact: the words are the same.
    """

    stratum: str
    prompt_id: str
    text: str
    heldout: str
    share: float
    exact: bool


def heldout_prompts(
    settings: ContaminationSettings, strata: Mapping[str, Sequence[Prompt]], where: str = WHERE
) -> list[HeldoutPrompt]:
    """The held-out prompts of the strata and of the files that are named.

    Raises:
        DataError: a file cannot be read, or a row has no prompt.
    """
    if settings.action == "off":
        return []
    heldout = [
        HeldoutPrompt(tuple(p.messages), f"strata.{n}.heldout, {p.source}") for n, ps in strata.items() for p in ps
    ]
    for path in settings.heldout:
        rows = list(read_rows(PromptSettings(path=path), f"{where}.heldout"))
        if not rows:
            raise DataError(f"{where}.heldout: {path!r} is empty, it has no rows")
        for row in rows:
            if COLUMN not in row.values:
                raise DataError(unknown_name("column", COLUMN, map(str, row.values), row.where))
            heldout.append(HeldoutPrompt(messages_of(row.values[COLUMN], row.where), row.where))
    return heldout


def strata_heldout(settings: RunSettings) -> list[HeldoutPrompt]:
    """The held-out prompts of all strata, without their judges: the metadata that those need is not looked at.

    Raises:
        DataError: a data set cannot be read.
    """
    strata = {
        name: load_prompts(stratum.heldout, stratum=name, heldout=True, seed=settings.seed, lacks=lambda metadata: {})
        for name, stratum in settings.strata.items()
        if stratum.heldout is not None
    }
    return heldout_prompts(ContaminationSettings(), strata)


def without_contaminated(
    prompts: Mapping[str, Sequence[Prompt]],
    heldout: Sequence[HeldoutPrompt],
    settings: ContaminationSettings,
    where: str = WHERE,
) -> tuple[dict[str, list[Prompt]], list[Contaminated]]:
    """The prompts of each stratum without those that are held-out ones, and these.

    Raises:
        DataError: there are some and `action` is `stop`, or nothing is left of a stratum.
    """
    clean: dict[str, list[Prompt]] = {}
    contaminated: list[Contaminated] = []
    for name, listed in prompts.items():
        hits = heldout_overlaps(
            [p.messages for p in listed],
            [h.messages for h in heldout],
            words=settings.words,
            share=settings.share,
            common=settings.common,
        )
        contaminated += [
            Contaminated(name, listed[h.index].id, listed[h.index].text, heldout[h.heldout].source, h.share, h.exact)
            for h in hits
        ]
        left_out = {h.index for h in hits}
        clean[name] = [p for i, p in enumerate(listed) if i not in left_out]
        if listed and not clean[name]:
            words = contaminated_in_words(contaminated)
            raise DataError(f"{where}: all {len(listed)} prompts of {name} are held-out prompts\n{words}")
    if contaminated and settings.action == "stop":
        raise DataError(f"{where}: prompts to train on are held-out prompts\n{contaminated_in_words(contaminated)}")
    return clean, contaminated


def contaminated_in_words(contaminated: Sequence[Contaminated]) -> str:
    """How many prompts are held-out ones too, and the first of them."""
    count, exact = len(contaminated), sum(c.exact for c in contaminated)
    lines = [f"{count} prompts are held-out prompts too: {exact} word for word, {count - exact} nearly"]
    lines += [f"  {c.stratum} {c.prompt_id}: {c.share:.0%} of {c.heldout}" for c in contaminated[:SHOWN]]
    return "\n".join(lines + ([f"  … and {count - SHOWN} more"] if count > SHOWN else []))


def contaminated_report(contaminated: Sequence[Contaminated]) -> dict[str, Any]:
    """The counts, and every prompt, as a report has them."""
    return {
        "exact": sum(c.exact for c in contaminated),
        "near": sum(not c.exact for c in contaminated),
        "prompts": [
            {
                "stratum": c.stratum,
                "prompt_id": c.prompt_id,
                "text": c.text,
                "heldout": c.heldout,
                "share": round(c.share, 3),
                "exact": c.exact,
            }
            for c in contaminated
        ],
    }
