"""The 29 instructions of open-instruct's training data (IFEvalG) beside IFEval's, a checker each, and one of turns.

`multi-turn:constrained_start` is switched off in the public tables of IFEval and open-instruct, whose prompts have a
single turn.

A checker means what the public one does, with its oddities; the differences are in docs/judges/ifbench.md. Sentences
are `tokens.rule_sentences`, words in Penn's conventions are `tokens.penn_words`.
"""

from __future__ import annotations

import re
from itertools import pairwise

from judges.errors import JudgesError
from judges.rules.instruction_following import ifeval
from judges.rules.instruction_following.arguments import Count, Ordinal, Relation, Text, Words, compare
from judges.rules.instruction_following.ifbench_words import check_span, is_word_at
from judges.rules.instruction_following.instruction_type import Types
from judges.rules.instruction_following.tokens import penn_words, rule_sentences

TYPES = Types()
OneWord = Text | Words
"""A word; of a list the first counts, as some rows of the data have it."""


def _word(given: str | list[str]) -> str:
    return (given if isinstance(given, str) else given[0]).strip()


# --- copy, new: the request, a phrase or a part of the request, said again -------------------------------------------

_DIVIDER = "******"


def _check_phrase(phrase: str, small_n: int) -> None:
    if len(phrase.split()) < 3:
        raise JudgesError(f"`phrase` needs a word between its first and its last, unlike {phrase!r}")


@TYPES.add("copy:repeat_phrase", check=_check_phrase)
def repeat_phrase(text: str, *, phrase: Text, small_n: Ordinal) -> bool:
    """The phrase `small_n` times, each with at most one word changed between its first and last, the last time one."""
    wanted = phrase.split()
    found = [said.split() for line in text.split("\n") for said in _spans(line, wanted[0] + " ", " " + wanted[-1])]
    if len(found) != small_n or any(len(said) != len(wanted) for said in found):
        return False
    changes = [sum(1 for one, other in zip(said, wanted, strict=True) if one != other) for said in found]
    return max(changes) == 1 == changes[-1]


@TYPES.add("copy:copy")
@TYPES.add("copy:copying_simple")
def copy(text: str, *, prompt_to_repeat: Text) -> bool:
    """The request and nothing else; case does not count."""
    return _same(text, prompt_to_repeat)


@TYPES.add("copy:copying_multiple")
def copying_multiple(text: str, *, prompt_to_repeat: Text, N: Ordinal) -> bool:  # noqa: N803
    """The request `N` times, divided by `******`, and nothing else; case does not count."""
    copies = text.split(_DIVIDER)
    return len(copies) == N and all(_same(said, prompt_to_repeat) for said in copies)


@TYPES.add("new:copy_span_idx", check=check_span)
def copy_span_idx(text: str, *, prompt_to_repeat: Text, n_start: Count, n_end: Count) -> bool:
    """The characters of the request from index `n_start` to before `n_end`, counted from 0; case does not count."""
    return _same(text, prompt_to_repeat[n_start:n_end])


def _same(text: str, other: str) -> bool:
    return text.strip().lower() == other.strip().lower()


def _spans(line: str, start: str, end: str) -> list[str]:
    """From each `start` to the first `end` after it, left to right, without overlap."""
    spans: list[str] = []
    position = line.find(start)
    while position >= 0 and (stop := line.find(end, position + len(start))) >= 0:
        spans.append(line[position : stop + len(end)])
        position = line.find(start, stop + len(end))
    return spans


# --- keywords, letters -----------------------------------------------------------------------------------------------

TYPES.add("keywords:word_count_different_numbers")(ifeval.frequency)
TYPES.add("letters:letter_counting2")(ifeval.letter_frequency)


@TYPES.add("keywords:word_once")
def word_once(text: str, *, keyword: Text) -> bool:
    """The keyword occurs exactly once, also inside a longer word; case does not count."""
    return _occurrences(text, keyword) == 1


@TYPES.add("keywords:exclude_word_harder")
def exclude_word_harder(text: str, *, keyword: Text) -> bool:
    """The keyword does not occur between two spaces, letter for letter."""
    return f" {keyword.strip()} " not in text


@TYPES.add("keywords:no_adjacent_consecutive")
def no_adjacent_consecutive(text: str) -> bool:
    """No run between white space begins with the sign after the one that the run before begins with (`a`, `b`)."""
    initials = [word[0].lower() for word in text.split()]
    return all(len(a) == len(b) == 1 and ord(b) - ord(a) != 1 for a, b in pairwise(initials))


@TYPES.add("keywords:palindrome")
def palindrome(text: str) -> bool:
    """A run between white space reads the same backwards; one letter does."""
    return any(word == word[::-1] for word in text.split())


@TYPES.add("keywords:keyword_specific_position")
def keyword_specific_position(text: str, *, keyword: OneWord, n: Ordinal, m: Ordinal) -> bool:
    """The `m`-th word of the `n`-th sentence is the keyword, letter for letter; signs and clitics are words too."""
    return is_word_at(text, _word(keyword), n, m)


@TYPES.add("keywords:start_end")
def start_end(text: str) -> bool:
    """The first and the last word are the same; a full stop at the end is the last word, case does not count."""
    words = penn_words(text)
    return len(words) > 1 and words[0].lower() == words[-1].lower()


@TYPES.add("letters:letter_counting")
def letter_counting(text: str, *, N: Count, relation: Relation) -> bool:  # noqa: N803
    """How many letters from a to z there are, of either case."""
    return compare(len(re.findall("[a-zA-Z]", text)), relation, N)


def _occurrences(text: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword.strip()), text, re.IGNORECASE))


# --- count: words ----------------------------------------------------------------------------------------------------

_PARAGRAPH_DIVIDER = re.compile(r"\s?\*\*\*\s?")


@TYPES.add("count:lowercase_counting")
def lowercase_counting(text: str, *, N: Count) -> bool:  # noqa: N803
    """At most `N` words of nothing but small letters from a to z."""
    return sum(1 for _ in re.finditer(r"\b[a-z]+\b", text)) <= N


@TYPES.add("count:counting_composition")
def counting_composition(text: str, *, n_sent: Ordinal, n_words: Ordinal) -> bool:
    """Three paragraphs, divided by `***`, of `n_sent` sentences of `n_words` words; a full stop is a word."""
    paragraphs = _PARAGRAPH_DIVIDER.split(text)
    if len(paragraphs) != 3:
        return False
    sentences = [rule_sentences(paragraph) for paragraph in paragraphs]
    if any(len(paragraph) != n_sent for paragraph in sentences):
        return False
    return all(len(penn_words(sentence)) == n_words for paragraph in sentences for sentence in paragraph)


@TYPES.add("count:count_unique")
def count_unique(text: str) -> bool:
    """No word occurs twice, letter for letter; commas and full stops are words too."""
    words = penn_words(text)
    return len(words) == len(set(words))


@TYPES.add("count:count_increment_word")
def count_increment_word(text: str, *, keyword1: Text, keyword2: Text) -> bool:
    """The first keyword occurs once and the second twice, also inside longer words; case does not count."""
    return _occurrences(text, keyword1) == 1 and _occurrences(text, keyword2) == 2


# --- paragraphs, first_word, last_word -------------------------------------------------------------------------------


@TYPES.add("paragraphs:paragraphs")
def paragraphs(text: str) -> bool:
    """Two paragraphs, divided by `***`; an empty one counts as a fault, except at either end."""
    return ifeval.number_paragraphs(text, num_paragraphs=2)


@TYPES.add("paragraphs:paragraphs2")
def paragraphs2(text: str) -> bool:
    """Two paragraphs, divided by an empty line; an empty one counts as a fault, except at either end."""
    parts = [bool(part.strip()) for part in text.split("\n\n")]
    return all(parts[1:-1]) and sum(parts) == 2


@TYPES.add("first_word:first_word_sent")
def first_word_sent(text: str, *, first_word: OneWord) -> bool:
    """The word begins every sentence; case does not count, signs that touch it do."""
    wanted = _word(first_word).lower()
    return all(sentence.split()[:1] and sentence.split()[0].lower() == wanted for sentence in rule_sentences(text))


@TYPES.add("first_word:first_word_answer")
def first_word_answer(text: str, *, first_word: OneWord) -> bool:
    """The word begins the response; case does not count, signs that touch it do."""
    return text.split(maxsplit=1)[0].lower() == _word(first_word).lower()


@TYPES.add("last_word:last_word_sent")
def last_word_sent(text: str, *, last_word: OneWord) -> bool:
    """The word ends every sentence; neither case nor the signs that touch it count."""
    return all(_is_last(sentence, _word(last_word)) for sentence in rule_sentences(text))


@TYPES.add("last_word:last_word_answer")
def last_word_answer(text: str, *, last_word: OneWord) -> bool:
    """The word ends the response; neither case nor the signs that touch it count."""
    return _is_last(text, _word(last_word))


def _is_last(text: str, word: str) -> bool:
    last = text.split()[-1:]
    return bool(last) and re.sub(r"[^\w\s]", "", last[0]).lower() == word.lower()


# --- multi-turn ------------------------------------------------------------------------------------------------------


@TYPES.add("multi-turn:constrained_start", several_turns=True)
def constrained_start(text: str, *, starter: Text) -> bool:
    """A line of the response begins with the phrase, as all do in this conversation; indentation does not count."""
    return any(line.lstrip().startswith(starter.strip()) for line in text.split("\n"))


# --- detectable_format, punctuation ----------------------------------------------------------------------------------


@TYPES.add("detectable_format:sentence_hyphens")
def sentence_hyphens(text: str) -> bool:
    """Between two sentences stands a hyphen and no space, and there is no hyphen within a sentence."""
    sentences = rule_sentences(text.replace("-", " "))
    return all(part == sentence for part, sentence in zip(text.split("-"), sentences, strict=False))


@TYPES.add("detectable_format:square_brackets")
def square_brackets(text: str) -> bool:
    """Every run between white space begins with `[` and ends with `]`."""
    return all(word.startswith("[") and word.endswith("]") for word in text.split())


@TYPES.add("detectable_format:bigram_wrapping")
def bigram_wrapping(text: str) -> bool:
    """Of the words two by two, the first begins with `<<` and the second ends with `>>`; one left over is free."""
    words = text.split()
    return all(
        first.startswith("<<") and second.endswith(">>") for first, second in zip(words[::2], words[1::2], strict=False)
    )


@TYPES.add("punctuation:punctuation_dot")
def punctuation_dot(text: str) -> bool:
    """No full stop anywhere."""
    return "." not in text


@TYPES.add("punctuation:punctuation_exclamation")
def punctuation_exclamation(text: str) -> bool:
    """No exclamation mark anywhere."""
    return "!" not in text
