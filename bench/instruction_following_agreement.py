"""Compares the instruction judge with the public IFEval checkers.

Use: `python bench/instruction_following_agreement.py FOLDER`. FOLDER holds `ifeval/input_data.jsonl`, whose
instructions are judged, and the texts that responses are made of (`gsm8k`, `mt_bench`, `xstest`; see
instruction_following_responses.py). The responses depend on the seed alone.

Needs the public checkers and no more of them: `pip install --no-deps lm-eval==0.4.13 nltk immutabledict`, and NLTK's
data `punkt_tab` where it can be had (`NLTK_DATA`). Without it sentences are those of an untrained Punkt, which also
splits after abbreviations, and words are found without splitting sentences first.
The strict measure is compared; the loose one asks the same checkers about variants of the response.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from instruction_following_responses import Pool, responses

from judges.rules.instruction_following.judge import Instruction

MISSING = "the public checkers are missing: pip install --no-deps lm-eval==0.4.13 nltk immutabledict"


class PublicCheckers:
    """The checkers of lm-evaluation-harness, as its strict measure uses them."""

    def __init__(self) -> None:
        import langdetect

        if any(importlib.util.find_spec(name) is None for name in ("lm_eval", "nltk", "immutabledict")):
            sys.exit(MISSING)
        self.trained = _has_punkt()
        os.environ.setdefault("LOCAL_RANK", "0" if self.trained else "1")  # only rank 0 downloads data at import
        _package("lm_eval.tasks")
        from lm_eval.tasks.ifeval import instructions_registry, instructions_util

        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        logging.getLogger(instructions_util.__name__).setLevel(logging.CRITICAL)
        langdetect.DetectorFactory.seed = 0
        self._checkers = instructions_registry.INSTRUCTION_DICT
        if not self.trained:
            _use_untrained(instructions_util)

    def follows(self, id: str, given: dict[str, Any], response: str) -> bool:
        random.seed(0)  # a checker that finds an argument strange replaces it by a random one
        checker = self._checkers[id](id)
        checker.build_description(**{key: value for key, value in given.items() if value})
        return bool(response.strip() and checker.check_following(response))


def _has_punkt() -> bool:
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        return False
    return True


def _use_untrained(utilities: ModuleType) -> None:
    from nltk.tokenize import word_tokenize
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    sentences = PunktSentenceTokenizer()
    utilities._get_sentence_tokenizer = lambda: sentences
    utilities.nltk.word_tokenize = lambda text: word_tokenize(text, preserve_line=True)


def _package(name: str) -> None:
    """Puts an empty package in place of the real one, whose `__init__` imports all that evaluation needs."""
    parent = importlib.util.find_spec(name.partition(".")[0])
    if parent is None or not parent.submodule_search_locations:
        sys.exit(MISSING)
    package = ModuleType(name)
    package.__path__ = [str(Path(parent.submodule_search_locations[0]) / name.partition(".")[2])]
    sys.modules[name] = package


def instructions(path: Path) -> list[tuple[str, dict[str, Any], str]]:
    """(id, arguments, a name for the random generator) of every instruction in the file."""
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for number, (id, given) in enumerate(zip(row["instruction_id_list"], row["kwargs"], strict=True)):
            cases.append((id, given, f"{row['key']} {number}"))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many disagreements of each type")
    parser.add_argument("--awkward", type=float, default=0.05, help="share of sentences that are hard to count")
    options = parser.parse_args()
    public, pool = PublicCheckers(), Pool(options.folder, options.awkward)
    same: Counter[str] = Counter()
    followed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    number: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for id, given, name in instructions(options.folder / "ifeval" / "input_data.jsonl"):
        instruction = Instruction.parse(id, given)
        for text in responses(id, given, pool, random.Random(f"{options.seed} {name}")):
            theirs, ours = public.follows(id, given, text), instruction.followed_by(text)
            total[id] += 1
            followed[id] += theirs
            same[id] += theirs == ours
            if theirs != ours and shown[id] < options.show:
                shown[id] += 1
                print(f"{id} {given}: theirs {theirs}, ours {ours}\n    {text!r}", file=sys.stderr)
        number[id] += 1
    punkt = "trained" if public.trained else "untrained"
    print(f"Punkt: {punkt}; awkward sentences: {options.awkward:g}; seed {options.seed}\n")
    print("| instruction | instructions | responses | followed (public) | same verdict | agreement |")
    print("|---|---|---|---|---|---|")
    for id in sorted(total):
        share = same[id] / total[id]
        print(f"| `{id}` | {number[id]} | {total[id]} | {followed[id] / total[id]:.2f} | {same[id]} | {share:.4f} |")
    ours, all = sum(same.values()), sum(total.values())
    print(f"| all | {sum(number.values())} | {all} | {sum(followed.values()) / all:.2f} | {ours} | {ours / all:.4f} |")


if __name__ == "__main__":
    main()
