"""How right `cgpo stratify` is on prompts of this project's three generators, whose stratum is known.

    python bench/stratify_accuracy.py [--seed 1] [--judge smollm2 --judge-rows 36]

The prompts to assign are held-out ones: 100 math, 100 instruction_following, 60 chat. The classifier knows the
descriptions in `conf/stratum/`, or examples drawn from the *training* prompts, or both. Three draws of examples are
shown one by one: how much depends on the draw is part of the answer. With `--judge MODEL` a model is asked about the
first rows of each stratum (it is slow on a CPU).
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cgpo.compose import compose
from cgpo.data.generators import generate
from cgpo.models.assets import resolve_model
from cgpo.stratify.assignment import Assigner, Item
from cgpo.stratify.definitions import Definition
from cgpo.stratify.embeddings import ByEmbeddings, Encoder
from cgpo.stratify.judge_model import ByJudge
from cgpo.types import Prompt
from judges.llm.settings import LLMSettings

SIZES = {"math": 100, "instruction_following": 100, "chat": 60}
MARGINS = (0.0, 0.02, 0.05, 0.1)


class Remembering(Encoder):
    """Encodes each text once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._known: dict[str, Tensor] = {}

    def encode(self, texts: Sequence[str]) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, super().encode(new), strict=True))
        return torch.stack([self._known[text] for text in texts])


def drawn(size: int | None, seed: int, *, heldout: bool) -> dict[str, list[Prompt]]:
    """Prompts of each generator; `size` instead of the sizes above."""
    return {
        name: generate(name, size or SIZES[name], seed=seed, heldout=heldout, options={}, where=name) for name in SIZES
    }


def show(title: str, assigner: Assigner, prompts: Mapping[str, Sequence[Prompt]]) -> None:
    """Assigns and prints how many were right, wrong and unassigned."""
    pairs = [(name, prompt) for name, texts in prompts.items() for prompt in texts]
    assigned = assigner.assign([Item(prompt.messages, {}) for _, prompt in pairs])
    outcome = Counter(
        "unassigned" if a.stratum is None else "right" if a.stratum == name else "wrong"
        for (name, _), a in zip(pairs, assigned, strict=True)
    )
    known = outcome["right"] + outcome["wrong"]
    print(
        f"{title:<46} right {outcome['right']:>3}  wrong {outcome['wrong']:>3}  unassigned {outcome['unassigned']:>3}"
        f"  of {len(pairs)}; {outcome['right'] / max(1, known):.1%} of the assigned",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the generators")
    parser.add_argument("--judge", help="a model for transformers, asked as a judge")
    parser.add_argument("--judge-rows", type=int, default=36, help="rows it is asked about")
    args = parser.parse_args()
    strata = compose(["experiment=quickstart"]).settings.strata
    described = {name: Definition(stratum.description or "") for name, stratum in strata.items()}
    heldout, training = drawn(None, args.seed, heldout=True), drawn(100, args.seed, heldout=False)
    encoder = Remembering("minilm")
    for margin in MARGINS:
        show(f"descriptions, margin {margin:g}", ByEmbeddings(described, encoder, margin), heldout)
    for count in (5, 20):
        for draw in (0, 1, 2):
            rng = random.Random(draw)
            examples = {n: tuple(p.text for p in rng.sample(prompts, count)) for n, prompts in training.items()}
            alone = {name: Definition("", examples[name]) for name in described}
            both = {name: Definition(described[name].description, examples[name]) for name in described}
            show(f"{count} examples (draw {draw}), margin 0", ByEmbeddings(alone, encoder, 0.0), heldout)
            show(f"descriptions + {count} examples (draw {draw}), margin 0", ByEmbeddings(both, encoder, 0.0), heldout)
            show(
                f"descriptions + {count} examples (draw {draw}), margin 0.02",
                ByEmbeddings(both, encoder, 0.02),
                heldout,
            )
    if args.judge:
        settings = LLMSettings(model=resolve_model(args.judge), backend="transformers")
        few = {name: prompts[: args.judge_rows // len(SIZES)] for name, prompts in heldout.items()}
        judge = ByJudge(described, settings, 0.0, 3600)
        show(f"judge {args.judge}, margin 0", judge, few)
        judge.close()
        show("descriptions, margin 0, the same rows", ByEmbeddings(described, encoder, 0.0), few)


if __name__ == "__main__":
    main()
