"""IFEval's instructions for measuring the instruction judge: its public data and its public checkers.

Needs the checkers of lm-evaluation-harness and no more of it (`pip install --no-deps lm-eval==0.4.13 nltk
immutabledict`), and NLTK's data `punkt_tab` where it can be had (`NLTK_DATA`). Without it sentences are those of an
untrained Punkt, which also splits after abbreviations, and words are found without splitting sentences first.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
import os
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

from instruction_following_responses import BUILDERS, Arguments, Pool

__all__ = ["BUILDERS", "PublicCheckers", "cases"]

MISSING = "IFEval's checkers are missing: pip install --no-deps lm-eval==0.4.13 nltk immutabledict"


class PublicCheckers:
    """The checkers of lm-evaluation-harness, as its strict measure uses them."""

    def __init__(self, trained: bool | None = None) -> None:
        """`trained`: with Punkt's trained model or without; by default with it where it is installed."""
        import langdetect

        if any(importlib.util.find_spec(name) is None for name in ("lm_eval", "nltk", "immutabledict")):
            sys.exit(MISSING)
        os.environ.setdefault("LOCAL_RANK", "1")  # rank 0 downloads data at import
        _package("lm_eval.tasks")
        from lm_eval.tasks.ifeval import instructions_registry, instructions_util

        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        logging.getLogger(instructions_util.__name__).setLevel(logging.CRITICAL)
        langdetect.DetectorFactory.seed = 0
        self._checkers = instructions_registry.INSTRUCTION_DICT
        self.trained = has_punkt() if trained is None else trained
        _use_punkt(instructions_util, self.trained)

    def follows(self, id: str, given: Arguments, response: str) -> bool:
        random.seed(0)  # a checker that finds an argument strange replaces it by a random one
        checker = self._checkers[id](id)
        checker.build_description(**{key: value for key, value in given.items() if value})
        return bool(response.strip() and checker.check_following(response))


def cases(pool: Pool) -> list[tuple[str, Arguments, str]]:
    """(id, arguments, a name for the random generator) of every instruction in `ifeval/input_data.jsonl`."""
    made = []
    for line in (pool.folder / "ifeval" / "input_data.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for number, (id, given) in enumerate(zip(row["instruction_id_list"], row["kwargs"], strict=True)):
            made.append((id, given, f"{row['key']} {number}"))
    return made


def has_punkt() -> bool:
    """Is the trained model of Punkt installed?"""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        return False
    return True


def _use_punkt(utilities: ModuleType, trained: bool) -> None:
    import nltk
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTokenizer

    sentences = PunktTokenizer("english") if trained else PunktSentenceTokenizer()
    utilities._get_sentence_tokenizer = lambda: sentences
    words = functools.partial(nltk.tokenize.word_tokenize, preserve_line=not trained)
    utilities.nltk = SimpleNamespace(tokenize=nltk.tokenize, word_tokenize=words)


def _package(name: str) -> None:
    """Puts an empty package in place of the real one, whose `__init__` imports all that evaluation needs."""
    parent = importlib.util.find_spec(name.partition(".")[0])
    if parent is None or not parent.submodule_search_locations:
        sys.exit(MISSING)
    package = ModuleType(name)
    package.__path__ = [str(Path(parent.submodule_search_locations[0]) / name.partition(".")[2])]
    sys.modules[name] = package
