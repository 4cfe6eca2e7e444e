"""Measures the language judge, and py3langid against langdetect: `python bench/language_accuracy.py FOLDER`.

FOLDER is an unpacked Django (`pip download --no-deps django==5.2.19`, then unzip): its translated messages are public
texts in many languages. A text is one, two or five messages of one language, 40 texts a language, chosen by the seed.
The comparison is over the languages that both libraries know; the judge is asked about every language it knows, once
with the right language and once with one of the others. Texts in capitals are given to the type
`language:response_language` of the instruction judge.
"""

from __future__ import annotations

import argparse
import gettext
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from judges import Outcome, Row
from judges.rules.instruction_following.ifeval import LANGDETECT, detect, response_language
from judges.rules.language import LanguageJudge
from judges.rules.languages import identifier, language_code

TEXTS = 40
_NOT_PROSE = re.compile(r"%\(\w+\)[sd]|%[sdr]|\{\w*\}|<[^>]*>|https?:\S+")


def messages(folder: Path) -> dict[str, list[str]]:
    """Language code → messages of some length, placeholders and markup taken out, those left in English left out."""
    messages: dict[str, list[str]] = {}
    for path in sorted(folder.glob("django/**/locale/*/LC_MESSAGES/django.mo")):
        messages.setdefault(path.parts[-3], []).extend(_translated(path))
    merged: dict[str, list[str]] = {}
    for name, texts in messages.items():
        try:
            merged.setdefault(language_code(name), []).extend(texts)
        except ValueError:  # a language that the judge does not know
            continue
    return {code: sorted(set(texts)) for code, texts in merged.items() if len(set(texts)) >= 20}


def _translated(path: Path) -> list[str]:
    with path.open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog  # the public interface cannot list its messages
    pairs = ((original, " ".join(_NOT_PROSE.sub(" ", text).split())) for original, text in catalog.items())
    return [text for original, text in pairs if isinstance(original, str) and len(original) > 30 and text != original]


def langdetect_code(text: str) -> str:
    return (detect(text) or "").partition("-")[0]


def py3langid_code(text: str) -> str:
    code = identifier().classify(text)[0]
    return {"nn": "no", "yue": "zh", "wuu": "zh"}.get(code, code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = messages(options.folder)
    common = sorted(texts.keys() & LANGDETECT)
    langdetect_code("load the profiles"), py3langid_code("load the model")
    print(f"{len(texts)} languages, {len(common)} of them known to both libraries; seed {options.seed}\n")
    print("| messages | mean characters | langdetect right | ms | py3langid right | ms |")
    print("|---|---|---|---|---|---|")
    for size in (1, 2, 5):
        rng = random.Random(options.seed)
        sample = [(code, " ".join(rng.sample(texts[code], size))) for code in common for _ in range(TEXTS)]
        length = sum(len(text) for _, text in sample) / len(sample)
        cells = " | ".join(_measured(sample, tell) for tell in (langdetect_code, py3langid_code))
        print(f"| {size} | {length:.0f} | {cells} |")
    print("\nIn capitals, `language:response_language` and langdetect as it is:\n")
    print("| messages | texts | langdetect right | langdetect: English | right one satisfied | another satisfied |")
    print("|---|---|---|---|---|---|")
    for size in (1, 2):
        print(_in_capitals({code: texts[code] for code in common}, size, random.Random(options.seed)))
    print("\n| messages | language asked for | satisfied | violated | not applicable |\n|---|---|---|---|---|")
    confused: Counter[tuple[str, str]] = Counter()
    for size in (1, 2, 5):
        for right in (True, False):
            print(_judged(texts, size, right, random.Random(options.seed), confused))
    pairs = ", ".join(f"{code}: {number} ({reason})" for (code, reason), number in confused.most_common(12))
    print(f"\nMost frequent violations with five messages in the right language: {pairs}")


def _measured(sample: list[tuple[str, str]], tell: Callable[[str], str]) -> str:
    start = time.perf_counter()
    right = sum(tell(text) == code for code, text in sample)
    milliseconds = (time.perf_counter() - start) / len(sample) * 1000
    return f"{right / len(sample):.4f} ({right}/{len(sample)}) | {milliseconds:.2f}"


def _in_capitals(texts: dict[str, list[str]], size: int, rng: random.Random) -> str:
    sample = [(code, " ".join(rng.sample(texts[code], size))) for code in texts for _ in range(TEXTS)]
    sample = [(code, text.upper()) for code, text in sample if text.upper() != text]
    told = [(code, langdetect_code(text)) for code, text in sample]
    counts = (
        sum(code == seen for code, seen in told),
        sum(code != seen == "en" for code, seen in told),
        sum(response_language(text, language=code) for code, text in sample),
        sum(response_language(text, language=_other(code, texts, rng)) for code, text in sample),
    )
    return f"| {size} | {len(sample)} | {' | '.join(map(str, counts))} |"


def _other(code: str, texts: dict[str, list[str]], rng: random.Random) -> str:
    return rng.choice([other for other in texts if other != code])


def _judged(
    texts: dict[str, list[str]], size: int, right: bool, rng: random.Random, confused: Counter[tuple[str, str]]
) -> str:
    judge = LanguageJudge()
    seen: Counter[Outcome] = Counter()
    for code, messages in texts.items():
        for _ in range(TEXTS):
            wanted = code if right else _other(code, texts, rng)
            verdict = judge.verdict(Row("", " ".join(rng.sample(messages, size)), {"language": wanted}))
            seen[verdict.outcome] += 1
            if right and size == 5 and verdict.outcome is Outcome.VIOLATED:
                confused[code, verdict.reason.partition(",")[0]] += 1
    outcomes = (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE)
    shares = " | ".join(f"{seen[outcome] / seen.total():.4f}" for outcome in outcomes)
    return f"| {size} | {'the right one' if right else 'another'} | {shares} |"


if __name__ == "__main__":
    main()
