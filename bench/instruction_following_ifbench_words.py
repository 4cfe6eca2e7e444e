"""Responses for IFBench's instructions about words and sentences: some follow, some just fail, and edges.

Made by a seeded generator from the arguments and public texts. Nothing here asks a checker, so neither side is
favoured.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterable

from instruction_following_responses import Arguments, Build, Pool

from judges.rules.instruction_following.tokens import plain_words

_NAMES_TEXT = (
    "Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Leo Zoe Nora Miami Leopold emma Anna "
    "Peter Grace Daniel Stella Aria Ryan David Owen Samuel Claire Hannah Victoria"
)
NAMES = _NAMES_TEXT.split()
_PALINDROMES_TEXT = (
    "level radar civic rotor kayak refer madam Level stats tenet rotator noon wow racecar, deed redder sagas"
)
PALINDROMES = _PALINDROMES_TEXT.split()
VERBS = """
Write a short letter to your friend.
Explain how plants grow in the desert.
Consider the following example.
Create a list of three things.
Running every morning keeps people healthy.
Given the facts, the answer is no.
Imagine a quiet village by the sea.
Is it raining today?
Do not forget your keys.
Describe the picture in your own words.
Start with the first step.
Having read the book, she slept.
Begin by boiling the water.
Build a small house of cards.
Try to remember his name.
Let us go home.
Using a sharp knife, cut the bread.
Include your name and address.
Ensure that the door is closed.
Add two cups of flour and mix well.
Take a deep breath.
Make a plan before you start.
Find the largest number in the list.
Use a pencil.
"""
NOT_VERBS = """
The weather is fine today.
A cat sat on the mat.
Water is wet.
Yes, that is right.
Absolutely!
In my opinion it is true.
My name is Anna.
Certainly, here is the answer.
Dogs like to play in the park.
Very few people know this.
5 apples are enough.
One day a king lost his crown.
Because it rained, we stayed home.
Beautiful flowers grow here.
There is no doubt.
Sure, I can help you.
Unfortunately, no.
Time flies when you have fun.
People need food.
Paris is the capital of France.
To be or not to be.
This is it.
It depends on the price.
Here are three ideas.
**Step 1**: Mix the flour.
Please sit down.
"""
ENDS = (".", ".", ".", "!", "?", "?!", "...", '."', ".)", "")
VOWELS = "aeiou"
ODD = "cat dog sun tree beautiful however important elephant stone loved tired business every chocolate"
EVEN = "water happy table open paper over people dictionary information only into closely video"


def plain_words_of(rng: random.Random, pool: Pool, number: int, keep: Callable[[str], object] = bool) -> list[str]:
    """So many plain words of the public texts."""
    words: list[str] = []
    while len(words) < number:
        words += [word for word in plain_words(pool.text(rng)) if word.isascii() and word.isalpha() and keep(word)]
    return words[:number]


def plain_sentence(rng: random.Random, pool: Pool, number: int, end: str = ".") -> str:
    return " ".join(plain_words_of(rng, pool, max(number, 1))).capitalize() + end


def around(number: float) -> list[int]:
    whole = int(number)
    return [n for n in (0, whole - 2, whole - 1, whole, whole, whole + 1, whole + 2, 2 * whole) if n >= 0]


def mixed(rng: random.Random, pool: Pool, marks: Iterable[str], between: int = 3) -> str:
    """The marks in a random order, plain words between them."""
    marks = list(marks)
    rng.shuffle(marks)
    return " ".join(f"{' '.join(plain_words_of(rng, pool, rng.randint(0, between)))} {mark}".strip() for mark in marks)


def _counted(*forms: str, key: str = "N", of: Callable[[Arguments], tuple[str, ...]] | None = None) -> Build:
    """So many of some forms among plain words, around the number that is asked for."""

    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        chosen = of(given) if of else forms
        return [mixed(rng, pool, (rng.choice(chosen) for _ in range(n))) or "None." for n in around(given[key])]

    return build


def _range(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    numbers = {*around(given["min_words"]), *around(given["max_words"])} - {0}
    return [" ".join(pool.words(rng, n)) for n in numbers] + [" ".join(plain_words_of(rng, pool, n)) for n in numbers]


def _unique(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in around(given["N"]):
        words = list(dict.fromkeys(plain_words_of(rng, pool, 6 * number + 6)))[:number]
        again = [rng.choice(words) for _ in range(rng.randint(0, 5))] if words else ["one"]
        made.append(" ".join(rng.choice(("{}", "{},", "{}.", "({})", "{} -")).format(w) for w in [*words, *again]))
    return made


def _distinct(*forms: str, key: str) -> Build:
    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        made = []
        for number in around(given[key]):
            chosen = rng.sample(forms, min(number, len(forms)))
            made.append(mixed(rng, pool, [*chosen, *(rng.choice(chosen) for _ in chosen[:2])]) or "None.")
        return made

    return build


def _punctuation(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    signs = [".", ",", ";", ":", "!", "?"]
    sets = [
        [*signs, "?!"], [*signs, "!?"], [*signs, "‽"], signs, [*signs[:5], "?!"], [*signs[:4], "?!", "?!"],
        [*signs[1:], "?!"], [*signs[:-2], "‽"], ["?!", *signs[:4], "!?"],
    ]  # fmt: skip
    return [
        "".join(word + sign + " " for word, sign in zip(plain_words_of(rng, pool, 9), chosen, strict=False))
        for chosen in sets * 2
    ]


def _japanese(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    step, made = int(given["N"]), []
    for number in range(6):
        words = plain_words_of(rng, pool, 3 * step + 2)
        for place in range(step - 1, len(words), step):
            words[place] = rng.choice(("日本", "ありがとう", "カタカナ。", "「本」", "42", "--", "漢字x", "本!"))
        if number % 2:
            words[rng.choice(range(step - 1, len(words), step))] = "word"
        made.append(" ".join(words))
    return made


def _keywords(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for change in (0, 0, 0, 0, 1, 1, 1, -1, -1):
        times = dict(zip(("keyword1", "keyword2", "keyword3", "keyword4", "keyword5"), (1, 2, 3, 5, 7), strict=True))
        times[rng.choice(list(times))] += change
        forms = ("{}", "{}", "{}s", "({})", "{}.")
        marks = (rng.choice(forms).format(given[key]) for key, number in times.items() for _ in range(number))
        text = mixed(rng, pool, marks)
        made += [text, text.upper()]
    return made


def _stop_words(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    stops = ("the", "of", "and", "a", "is", "it", "very", "don't", "not", "The", "you've", "now", "over")
    others = plain_words_of(rng, pool, 400, lambda word: len(word) > 5)
    for change in (-3, -2, -1, 0, 0, 1, 2, 3):
        number = round(given["percentage"]) + change
        words = [rng.choice(stops) for _ in range(max(number, 0))] + others[: max(100 - number, 1)]
        made.append(" ".join(rng.sample(words, len(words))))
    return [*made, "!", "—"]


def _kinds(*shares: int) -> Build:
    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        made = []
        for change in (0, 0, 0, 0, 0, 1, 1, -1, -1):
            size = rng.randint(1, 4)
            numbers = [share * size for share in shares]
            numbers[rng.randrange(len(numbers))] += change
            pairs = zip(".?!", numbers, strict=False)
            ends = [end for end, number in pairs for _ in range(number)]
            text = " ".join(plain_sentence(rng, pool, rng.randint(2, 6), end) for end in rng.sample(ends, len(ends)))
            made += [text or "Well", text.replace(". ", ".\n\n"), f'{text} He said "Hello."', f"{text} See e.g. Mr. X."]
        return made

    return build


def _overlap(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    reference = given["reference_text"]
    made = ["ab", reference]
    for change in (-6, -3, -2, -1, 0, 0, 0, 1, 2, 3, 6):
        share = min(max(given["percentage"] + change, 0), 100) / 100
        text = pool.text(rng) + pool.text(rng)
        kept = reference[: max(int(len(reference) * share), 1)]
        made.append(kept + text[: len(reference) - len(kept)])
    return made


def _equal_sentences(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in (3, 3, 3, 3, 3, 3, 2, 4):
        size = rng.randint(20, 50)
        texts = [(" ".join(plain_words_of(rng, pool, size)))[:size].strip().ljust(size, "x") for _ in range(number)]
        if rng.random() < 0.3:
            texts[0] += "s"
        ends = rng.choice((". . .", ". ! ?", ".\n\n. .", '." . .', ". . ...")).split(" ")
        made.append(" ".join(text + end for text, end in zip(texts, ends * 2, strict=False)))
    return made


def _alphabet(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for fault in (0, 0, 0, 0, 1, 1, 1):
        start, number = rng.randrange(26), rng.randint(3, 40)
        words = [word_with(rng, pool, (start + place) % 26) for place in range(number)]
        if fault:
            words[rng.randrange(number)] = rng.choice(("zebra", "apple", "5", "—", "Éclair"))
        made += [
            " ".join(words),
            " ".join(f"{word}," for word in words),
            " ".join(words).title() + ".",
            "- ".join(words),
        ]
    return [*made, "...", "5 apples bring"]


def word_with(rng: random.Random, pool: Pool, letter: int) -> str:
    sign = string.ascii_lowercase[letter]
    return sign + rng.choice(plain_words_of(rng, pool, 5))[1:]


def _vowel(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in (1, 2, 3, 3, 3, 4, 5):
        banned = rng.sample(VOWELS, 5 - number)
        words = plain_words_of(rng, pool, 8, lambda word: not set(word) & set(banned))  # noqa: B023
        text = " ".join(words).capitalize() + "."
        made += [text, text.replace(" ", "\n", 1), f"\n{text}\n", text.upper()]
    return made


def _consonants(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    cluster = re.compile("[bcdfghjklmnpqrstvwxyz]{2}")
    made = []
    for number in range(10):
        words = plain_words_of(rng, pool, 10, cluster.search)
        if number % 2:
            words.insert(
                rng.randrange(9), rng.choice(("a", "banana", "—", "to", "I", "hy", "b.b", "data", "by", "x-y"))
            )
        made += [" ".join(words), " ".join(words).upper() + "!"]
    return made


def _alliteration(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in range(8):
        sentences = []
        sizes = sorted(rng.sample(range(8), rng.randint(2, 5)))
        if number % 2:
            rng.shuffle(sizes)
        for size in sizes:
            letter = rng.randrange(26)
            run = [word_with(rng, pool, letter) for _ in range(size)]
            sentences.append(" ".join(["One", *run, "'twas", "zoo"]) + ".")
        made += [" ".join(sentences), "\n".join(sentences)]
    return made


def _palindromes(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    return [mixed(rng, pool, (rng.choice(PALINDROMES) for _ in range(n))) for n in (8, 9, 10, 10, 11, 11, 12, 14)]


def _primes(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in range(10):
        words = plain_words_of(rng, pool, 12, lambda word: len(word) in (2, 3, 5, 7, 11, 13))
        if number % 2:
            words.insert(rng.randrange(9), rng.choice(("a", "four", "—", "don't", "1234", "well-known", "x" * 101)))
        made += [" ".join(words), ", ".join(words) + "."]
    return made


def _start_verb(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    openings = [*VERBS.strip().splitlines(), *NOT_VERBS.strip().splitlines()]
    forms = ("{}", "{}", "{}", "* {}", "“{}”", '"{}"')
    return [f"{rng.choice(forms).format(text)} {pool.joined(rng, 2)}" for text in rng.sample(openings, 20)]


def _repeats(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in around(given["small_n"]):
        words = [word for word in dict.fromkeys(plain_words_of(rng, pool, 12)) if word != "cat"]
        made.append(mixed(rng, pool, [*(rng.choice(("cat", "Cat", "cat,", "c-at")) for _ in range(number)), *words], 0))
    return made


def _in_sentence(word: str, place: str, at: str | None = None) -> Build:
    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        number, made = int(given[place]), []
        for target in (number, number, number, number, number, number - 1, number + 1):
            for form in ("{}", "{}", "{}s", "{}.", "X{}", "it's {}"):
                size = int(given[at]) - 1 if at else rng.randint(0, 5)
                sentences = [
                    plain_sentence(rng, pool, rng.randint(3, 9), rng.choice(ENDS[:5])) for _ in range(number + 1)
                ]
                before = " ".join(plain_words_of(rng, pool, size)) if size else ""
                said = form.format(rng.choice((given[word], given[word], given[word].capitalize())))
                sentences[max(target - 1, 0)] = f"{before} {said} {' '.join(plain_words_of(rng, pool, 3))}.".strip()
                made.append(" ".join(sentences[: rng.choice((number, number + 1))]))
        return rng.sample(made, 20)

    return build


def _syllables(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    odd = ODD.split()
    even = EVEN.split()
    made = []
    for number in range(12):
        words = [rng.choice((odd, even)[place % 2]) for place in range(rng.randint(3, 12))]
        if number % 3 == 2:
            words[rng.randrange(len(words))] = rng.choice(plain_words_of(rng, pool, 5))
        made += [" ".join(words), " ".join(words).capitalize() + "!", "\n".join(words)]
    return made


def _last_first(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in range(10):
        first, sentences = "Start", []
        for _ in range(rng.randint(1, 5)):
            last = rng.choice(plain_words_of(rng, pool, 3))
            sentences.append(f"{first} {' '.join(plain_words_of(rng, pool, 4))} {last}{rng.choice(ENDS[:9])}")
            first = rng.choice((last, last.capitalize(), last.capitalize()))
        if number % 3 == 2:
            sentences.insert(0, "No.")
        made += [" ".join(sentences), "\n\n".join(sentences)]
    return made


def _paragraph_same(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in range(12):
        lines = []
        for _ in range(rng.randint(1, 4)):
            word = rng.choice(plain_words_of(rng, pool, 3))
            form = rng.choice(("{0} {1} {0}", "{0} {1} {0}.", "*{0}* {1} {0}!", "{2} {1} {0}", "{0}"))
            lines.append(form.format(word, " ".join(plain_words_of(rng, pool, 4)), word.capitalize()))
        if number % 3 == 2:
            lines.insert(1, rng.choice(("***", "One two", "", "—")))
        made += ["\n\n".join(lines), "\n".join(lines)]
    return made


def _increment(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    step, made = int(given["small_n"]), []
    for number in range(12):
        sizes = [2 + step * place for place in range(rng.randint(1, 5))]
        if number % 3 == 2:
            sizes[-1] += rng.choice((-1, 1))
        sentences = [plain_sentence(rng, pool, size, rng.choice(ENDS[:9])) for size in sizes]
        made += [" ".join(sentences), "\n".join(sentences), " - ".join(sentences)]
    return made


def _no_consecutive(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in range(10):
        words = [word_with(rng, pool, (3 * place + rng.randrange(2)) % 26) for place in range(12)]
        if number % 3 == 2:
            words.insert(5, words[4][0] + "x")
        made += [" ".join(words), ", ".join(words).capitalize(), " - ".join(words)]
    return made


def _second_words(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    word, made = given["keyword"], []
    for form in (
        "The {0} {1} {0} day",
        "The {0} {1} {0} day.",
        "The {0} {1} {0}.",
        "The {0} {1} day",
        "A {0}",
        "{0} {1} {0}",
    ):
        for said in (word, word.capitalize(), f"{word},", word):
            made.append(form.format(said, " ".join(plain_words_of(rng, pool, 5))))
    return made


_CONJUNCTIONS = ("and", "but", "for", "nor", "or", "so", "yet", "And", "but,", "because", "however", "android")
_PRONOUNS = ("I", "me", "she/her", "They", "it.", "its", "it's", "who", "everyone", "yours", "our", "myself")
_NUMBERS = ("7", "3.5", "1,000", "10-20", "4th", "two", "x2y3", "½", "٣", "1 2")

BUILDERS: dict[str, Build] = {
    "count:word_count_range": _range,
    "count:unique_word_count": _unique,
    "count:conjunctions": _distinct(*_CONJUNCTIONS, key="small_n"),
    "count:person_names": _distinct(*NAMES, key="N"),
    "count:numbers": _counted(*_NUMBERS),
    "count:punctuation": _punctuation,
    "count:pronouns": _counted(*_PRONOUNS),
    "count:words_japanese": _japanese,
    "count:keywords_multiple": _keywords,
    "ratio:stop_words": _stop_words,
    "ratio:sentence_type": _kinds(2, 1),
    "ratio:sentence_balance": _kinds(1, 1, 1),
    "ratio:overlap": _overlap,
    "ratio:sentence_words": _equal_sentences,
    "words:alphabet": _alphabet,
    "words:vowel": _vowel,
    "words:consonants": _consonants,
    "words:palindrome": _palindromes,
    "words:prime_lengths": _primes,
    "words:start_verb": _start_verb,
    "words:repeats": _repeats,
    "words:odd_even_syllables": _syllables,
    "words:last_first": _last_first,
    "words:paragraph_last_first": _paragraph_same,
    "words:no_consecutive": _no_consecutive,
    "words:keywords_specific_position": _in_sentence("keyword", "n", "m"),
    "words:words_position": _second_words,
    "sentence:keyword": _in_sentence("word", "N"),
    "sentence:increment": _increment,
    "sentence:alliteration_increment": _alliteration,
}
