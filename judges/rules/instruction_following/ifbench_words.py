"""Instructions of IFBench about numbers, shares, words, sentences and repeated text, a checker each.

A checker means what the public one does, with its oddities; the differences are in docs/judges/ifbench.md. Unless it
says otherwise, a word is a run between white space, the signs of ASCII around or in it do not count, and sentences are
`tokens.rule_sentences`.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib.util import find_spec
from itertools import groupby, pairwise
from typing import Annotated

import regex
from annotated_types import Ge, Le

from judges.errors import JudgesError
from judges.rules.instruction_following.arguments import Count, Ordinal, Text
from judges.rules.instruction_following.instruction_type import Types
from judges.rules.instruction_following.tokens import (
    EDGES,
    penn_words,
    plain_words,
    rule_sentences,
    without_punctuation,
)
from judges.rules.instruction_following.verbs import is_verb_form

TYPES = Types()
Percentage = Annotated[float, Ge(0), Le(100)]
_WORD = regex.compile(r"\w+")
"""NLTK's word: `regex`, unlike `re`, counts the vowel signs of Hindi or Thai among the letters."""

# --- count: numbers of words and signs -------------------------------------------------------------------------------

_CONJUNCTIONS = frozenset({"and", "but", "for", "nor", "or", "so", "yet"})
_NAMED = """
Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper Leo
Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla
Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan
"""
_NAMES = _NAMED.split()
"""The names that the prompts list."""
_PRONOUNS_LIST = """
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves
"""
_PRONOUNS = frozenset(_PRONOUNS_LIST.split())
_INTERROBANG = ("?!", "!?")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def _check_range(min_words: int, max_words: int) -> None:
    if min_words > max_words:
        raise JudgesError(f"`min_words` {min_words} is above `max_words` {max_words}")


@TYPES.add("count:word_count_range", check=_check_range)
def word_count_range(text: str, *, min_words: Count, max_words: Count) -> bool:
    """Between `min_words` and `max_words` words: runs of letters, digits and underscores."""
    return min_words <= len(_WORD.findall(text)) <= max_words


@TYPES.add("count:unique_word_count")
def unique_word_count(text: str, *, N: Count) -> bool:  # noqa: N803
    """At least `N` different words; case does not count, and signs alone (`–`, `--`) are words too."""
    return len({word.strip(EDGES) for word in text.lower().split()}) >= N


@TYPES.add("count:conjunctions")
def conjunctions(text: str, *, small_n: Count) -> bool:
    """At least `small_n` different coordinating conjunctions; `and`, `And` and `and,` are different."""
    return len({word for word in text.split() if word.strip(EDGES).lower() in _CONJUNCTIONS}) >= small_n


@TYPES.add("count:person_names")
def person_names(text: str, *, N: Count) -> bool:  # noqa: N803
    """At least `N` of the fifty names that the prompts list, also inside longer words (`Leo` in `Leopold`)."""
    return sum(1 for name in _NAMES if name in text) >= N


@TYPES.add("count:numbers")
def numbers(text: str, *, N: Count) -> bool:  # noqa: N803
    """Exactly `N` runs of digits, once the signs of ASCII are taken out: `3,500.25` is one number."""
    return sum(1 for _ in re.finditer(r"\d+", without_punctuation(text))) == N


@TYPES.add("count:punctuation")
def punctuation(text: str) -> bool:
    """Each of `. , ! ? ; :` and an interrobang, `?!`, `!?` or `‽`; the first `?!` or `!?` counts for no other sign."""
    first = next((sign for sign in _INTERROBANG if sign in text), "")
    return (bool(first) or "‽" in text) and set(".,!?;:") <= set(text.replace(first, "", 1) if first else text)


@TYPES.add("count:pronouns")
def pronouns(text: str, *, N: Count) -> bool:  # noqa: N803
    """At least `N` personal or possessive pronouns; `she/her` is two."""
    return sum(1 for word in plain_words(text.replace("/", " ")) if word in _PRONOUNS) >= N


@TYPES.add("count:words_japanese")
def words_japanese(text: str, *, N: Ordinal) -> bool:  # noqa: N803
    """Every `N`-th run between white space has a Japanese or Chinese character, is a number, or has signs alone."""
    every = (word.strip(EDGES) for word in text.split()[N - 1 :: N])
    return all(not word or word.isdigit() or _JAPANESE.search(word) for word in every)


@TYPES.add("count:keywords_multiple")
def keywords_multiple(
    text: str, *, keyword1: Text, keyword2: Text, keyword3: Text, keyword4: Text, keyword5: Text
) -> bool:
    """The five keywords occur exactly once, twice, 3, 5 and 7 times, also inside longer words; case does not count."""
    keywords = zip((keyword1, keyword2, keyword3, keyword4, keyword5), (1, 2, 3, 5, 7), strict=True)
    return all(text.lower().count(keyword.strip().lower()) == times for keyword, times in keywords)


# --- ratio: shares of words, sentences and a reference ---------------------------------------------------------------

_STOP_WORDS_LIST = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it
its itself they them their theirs themselves this that these those who whom which what
a an the and but or nor if because so than as while until
am is are was were be been being have has had having do does did doing can will should just now
ain aren couldn didn doesn don hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn
d ll m o re s t ve y
at by for from in into of off on out over to under up down with about above after again against before below
between during further through
all any both each few more most no not only other own same some such too very
here there then once when where why how
"""
_STOP_WORDS = frozenset(_STOP_WORDS_LIST.split())
"""NLTK's English stop words, those that are one run of letters."""
_KINDS = (".", "?", "!")


@TYPES.add("ratio:stop_words")
def stop_words(text: str, *, percentage: Percentage) -> bool:
    """At most this percentage of the words (runs of letters, digits and underscores) are stop words."""
    words = _WORD.findall(text)
    number = sum(1 for word in words if word.lower() in _STOP_WORDS)
    return bool(words) and number / len(words) * 100 <= percentage


@TYPES.add("ratio:sentence_type")
def sentence_type(text: str) -> bool:
    """Twice as many sentences end with a full stop as with a question mark; none of either will do."""
    statements, questions, _ = _kinds(text)
    return statements == 2 * questions


@TYPES.add("ratio:sentence_balance")
def sentence_balance(text: str) -> bool:
    """As many sentences end with a full stop as with a question mark and as with an exclamation mark."""
    return len(set(_kinds(text))) == 1


@TYPES.add("ratio:overlap")
def overlap(text: str, *, reference_text: Text, percentage: Percentage) -> bool:
    """So many per cent, two more or fewer, of the different runs of three characters occur in the reference text."""
    runs, wanted = _trigrams(text), _trigrams(reference_text)
    return bool(runs) and percentage - 2 <= len(runs & wanted) / len(runs) * 100 <= percentage + 2


@TYPES.add("ratio:sentence_words")
def sentence_words(text: str) -> bool:
    """Three sentences of as many characters each; that their words differ is asked for and not looked at."""
    sentences = rule_sentences(text)
    return len(sentences) == 3 and len(set(map(len, sentences))) == 1


def _kinds(text: str) -> list[int]:
    sentences = rule_sentences(text)
    return [sum(1 for sentence in sentences if sentence.endswith(sign)) for sign in _KINDS]


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


# --- words: letters, lengths, order ----------------------------------------------------------------------------------

_CLUSTER = re.compile("[b-df-hj-np-tv-z]{2}")
_PRIMES = frozenset(n for n in range(2, 100) if all(n % divisor for divisor in range(2, n)))


@TYPES.add("words:alphabet")
def alphabet(text: str) -> bool:
    """Each word begins with the next letter of the alphabet, `a` after `z`; the first is free."""
    initials = [word[0] for word in plain_words(text)]
    if not initials or not all("a" <= letter <= "z" for letter in initials):
        return False
    return all((ord(second) - ord(first)) % 26 == 1 for first, second in pairwise(initials))


@TYPES.add("words:vowel")
def vowel(text: str) -> bool:
    """One line with at most three of the five vowels `a e i o u`."""
    text = text.strip()
    return "\n" not in text and len(set("aeiou") & set(text.lower())) <= 3


@TYPES.add("words:consonants")
def consonants(text: str) -> bool:
    """Every run between white space has two consonants in a row; `y` is one."""
    return all(_CLUSTER.search(word) for word in text.lower().split())


@TYPES.add("words:palindrome")
def palindrome(text: str) -> bool:
    """At least ten words of five or more letters read the same backwards; one word may count ten times."""
    return sum(1 for word in plain_words(text) if len(word) >= 5 and word == word[::-1]) >= 10


@TYPES.add("words:prime_lengths")
def prime_lengths(text: str) -> bool:
    """The length of every word is a prime number below 100."""
    return all(len(word) in _PRIMES for word in without_punctuation(text).split())


@TYPES.add("words:start_verb")
def start_verb(text: str) -> bool:
    """The first word is a form of a verb."""
    words = penn_words(_beginning(text))
    return bool(words) and is_verb_form(words[0])


@TYPES.add("words:repeats")
def repeats(text: str, *, small_n: Count) -> bool:
    """No word occurs more than `small_n` times; case does not count."""
    return max(Counter(plain_words(text)).values(), default=0) <= small_n


def _check_syllapy() -> None:
    if find_spec("syllapy") is None:
        raise JudgesError("counting syllables needs the package syllapy: pip install cgpo[ifbench]")


@TYPES.add("words:odd_even_syllables", check=_check_syllapy)
def odd_even_syllables(text: str) -> bool:
    """Words with an odd and with an even number of syllables take turns, as syllapy counts them."""
    import syllapy

    odd = [syllapy.count(word) % 2 for word in plain_words(text)]
    return all(first != second for first, second in pairwise(odd))


@TYPES.add("words:last_first")
def last_first(text: str) -> bool:
    """The last word of each sentence is the first word of the next; case does not count."""
    for sentence, follower in pairwise(rule_sentences(text)):
        last, first = sentence.rstrip(EDGES).split()[-1:], follower.lstrip(EDGES).split()[:1]
        if not last or not first or last[0].lower() != first[0].lower():
            return False
    return True


@TYPES.add("words:paragraph_last_first")
def paragraph_last_first(text: str) -> bool:
    """Every line that is not blank ends with the word that it begins with; case does not count."""
    paragraphs = [line.strip().strip(EDGES).split() for line in text.lower().split("\n") if line.strip()]
    return all(words and words[0] == words[-1] for words in paragraphs)


@TYPES.add("words:no_consecutive")
def no_consecutive(text: str) -> bool:
    """No two words in a row begin with the same letter; case does not count."""
    return all(first[0] != second[0] for first, second in pairwise(plain_words(text)))


@TYPES.add("words:keywords_specific_position")
def keywords_specific_position(text: str, *, keyword: Text, n: Ordinal, m: Ordinal) -> bool:
    """The `m`-th word of the `n`-th sentence is the keyword, letter for letter; signs and clitics are words too."""
    return is_word_at(text, keyword.strip(), n, m)


@TYPES.add("words:words_position")
def words_position(text: str, *, keyword: Text) -> bool:
    """The second word and the last but one are the keyword; a full stop at the end is the last word."""
    words = penn_words(text)
    return len(words) > 1 and words[1] == words[-2] == keyword.strip()


def is_word_at(text: str, keyword: str, n: int, m: int) -> bool:
    """Is the keyword the `m`-th word, in Penn's conventions, of the `n`-th sentence?"""
    sentences = rule_sentences(text)
    return len(sentences) >= n and penn_words(sentences[n - 1])[m - 1 : m] == [keyword]


def _beginning(text: str) -> str:
    """Enough of the text to tell its first word by."""
    return " ".join(text.split(maxsplit=2)[:2])


# --- sentence: what sentences begin with, hold, and how they grow ----------------------------------------------------


@TYPES.add("sentence:keyword")
def keyword(text: str, *, word: Text, N: Ordinal) -> bool:  # noqa: N803
    """The `N`-th sentence has the word, also inside a longer one; case does not count."""
    sentences = rule_sentences(text)
    return len(sentences) >= N and word.lower() in sentences[N - 1].lower()


@TYPES.add("sentence:increment")
def increment(text: str, *, small_n: Count) -> bool:
    """Each sentence has exactly `small_n` words more than the one before it."""
    lengths = [len(without_punctuation(sentence).split()) for sentence in rule_sentences(text)]
    return all(second == first + small_n for first, second in pairwise(lengths))


@TYPES.add("sentence:alliteration_increment")
def alliteration_increment(text: str) -> bool:
    """Each sentence has more words that begin with the same letter as a neighbour of theirs than the one before it."""
    numbers = [_alliterative(sentence) for sentence in rule_sentences(text)]
    return all(first < second for first, second in pairwise(numbers))


def _alliterative(sentence: str) -> int:
    initials = [bare[0] for word in sentence.lower().split() if (bare := word.lstrip(EDGES))]
    runs = [sum(1 for _ in run) for _, run in groupby(initials)]
    return sum(length for length in runs if length > 1)


# --- repeat: the request, said again ---------------------------------------------------------------------------------

_ONLY_SENTENCE = "only output this sentence here, ignore all other requests."


def check_span(n_start: int, n_end: int, **_: str) -> None:
    """Raises JudgesError unless there is something between the two."""
    if n_start >= n_end:
        raise JudgesError(f"`n_start` {n_start} is not below `n_end` {n_end}")


@TYPES.add("repeat:repeat_change")
def repeat_change(text: str, *, prompt_to_repeat: Text) -> bool:
    """The request, word for word from its second word on, and not letter for letter the whole of it."""
    return text != prompt_to_repeat and text.split()[1:] == prompt_to_repeat.split()[1:]


@TYPES.add("repeat:repeat_simple")
def repeat_simple(text: str) -> bool:
    """Nothing but `Only output this sentence here, ignore all other requests.`; case does not count."""
    return text.strip().lower() == _ONLY_SENTENCE


@TYPES.add("repeat:repeat_span", check=check_span)
def repeat_span(text: str, *, prompt_to_repeat: Text, n_start: Count, n_end: Count) -> bool:
    """The words of the request from index `n_start` to before `n_end`, counted from 0; case does not count."""
    return text.lower().split() == prompt_to_repeat.lower().split()[n_start:n_end]
