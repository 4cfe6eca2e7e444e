"""Instructions of IFBench about the form of a response, and its fixed tasks, a checker each.

A checker means what the public one does, with its oddities; the differences are in docs/judges/ifbench.md. Sentences
are `tokens.rule_sentences`.
"""

from __future__ import annotations

import csv
import io
import re
import string
from collections.abc import Sequence
from itertools import pairwise

from judges.rules.instruction_following.arguments import Text
from judges.rules.instruction_following.instruction_type import Types
from judges.rules.instruction_following.tokens import (
    EDGES,
    ascii_letters,
    is_emoji,
    penn_words,
    plain_words,
    rule_sentences,
    without_punctuation,
)

TYPES = Types()

# --- format: brackets, quotation marks, lists, lines, templates ------------------------------------------------------

_BRACKETS = {")": "(", "]": "[", "}": "{"}
_DEPTH = 5
_QUOTES = 3
_LETTERED = re.compile(r"\W*[aA]\W*[bB]\W*[cC]")
_LABELS = ("My Answer:", "My Conclusion:", "Future Outlook:")
_AFTER_QUOTES = string.digits + string.punctuation.replace('"', "")


@TYPES.add("format:parentheses")
def parentheses(text: str) -> bool:
    """A bracket closes when five or more have been open at once; one that closes another kind starts the count anew."""
    opened: list[str] = []
    deepest = 0
    for sign in text:
        if sign in "([{":
            opened.append(sign)
            deepest = max(deepest, len(opened))
        elif sign in _BRACKETS:
            if not opened or opened.pop() != _BRACKETS[sign]:
                opened, deepest = [], 0
            elif deepest >= _DEPTH:
                return True
    return False


@TYPES.add("format:quotes")
def quotes(text: str) -> bool:
    """Double and single quotation marks within each other, three deep, all closed again; an apostrophe is one too."""
    opened: list[str] = []
    deepest = 0
    for sign in text:
        if opened and sign == opened[-1]:
            opened.pop()
            if deepest - len(opened) >= _QUOTES:
                return True
        elif sign in "\"'":
            opened.append(sign)
            deepest = max(deepest, len(opened))
    return False


@TYPES.add("format:options")
def options(text: str, *, options: Text) -> bool:
    """One of the options and nothing else.

    They are divided by `/`, else by `or`, else by commas. Where they are lettered (`a), b), c)`) every sign counts;
    elsewhere neither case nor the signs around do.
    """
    divider = next((sign for sign in ("/", "or") if sign in options), ",")
    choices = [choice.strip() for choice in options.split(divider)]
    if _LETTERED.match(options):
        return text in choices
    return text.strip(EDGES).lower() in [choice.strip(EDGES).lower() for choice in choices]


@TYPES.add("format:newline")
def newline(text: str) -> bool:
    """As many lines that are not empty as words; lines of signs alone are empty."""
    text = without_punctuation(text).strip()
    return sum(1 for line in text.split("\n") if line) == len(text.split())


@TYPES.add("format:emoji")
def emoji(text: str) -> bool:
    """Every sentence ends with an emoji, or the next one begins with it; signs of ASCII do not count."""
    sentences = [without_punctuation(sentence).strip() for sentence in rule_sentences(text)]
    if not all(sentences):
        return False
    return all(
        any(map(is_emoji, sentence[-2:])) or is_emoji(follower[:1])
        for sentence, follower in zip(sentences, [*sentences[1:], " "], strict=True)
    )


@TYPES.add("format:line_indent")
def line_indent(text: str) -> bool:
    """Every line that is not blank begins with more spaces than the one before it."""
    indents = [len(line) - len(line.lstrip(" ")) for line in text.split("\n") if line.strip()]
    return all(first < second for first, second in pairwise(indents))


@TYPES.add("format:quote_unquote")
def quote_unquote(text: str) -> bool:
    """No two double quotation marks meet, and something other than digits and signs stands after the last of them."""
    signs = "".join(text.replace("“", '"').replace("”", '"').replace("'\"'", "").split())
    end = signs.rstrip(_AFTER_QUOTES)
    return bool(end) and not end.endswith('"') and '""' not in signs


@TYPES.add("format:list")
def marked_list(text: str, *, sep: Text) -> bool:
    """The separator occurs at least twice, at whatever place."""
    return text.count(sep) >= 2


@TYPES.add("format:thesis")
def thesis(text: str) -> bool:
    """A text in `<i>` or `<em>` that is not blank, with something after it.

    The first `<i>` counts, or without one the first `<em>`, and the first `</i>` or `</em>` after it in the same way.
    Four characters are taken for the closing tag, so that `</em>` always has something after it.
    """
    start = _first(text, "<i>", "<em>")
    end = _first(text, "</i>", "</em>", start)
    return 0 <= start < end and bool(text[start + 3 : end].strip()) and bool(text[end + 4 :].strip())


@TYPES.add("format:sub-bullets")
def sub_bullets(text: str) -> bool:
    """After every `*`, and before the next one, there is a `-`; a text without `*` will do."""
    return all("-" in bullet for bullet in text.split("*")[1:])


@TYPES.add("format:no_bullets_bullets")
def no_bullets_bullets(text: str) -> bool:
    """Two sentences or more, then two lines or more that begin with `*`, then nothing, not even a line break.

    The sentences end with the first bullet or, before it, with the first blank line.
    """
    lines = [line.strip() for line in text.split("\n")]
    bullets = next((number for number, line in enumerate(lines) if line.startswith("*")), len(lines))
    blank = next((number for number, line in enumerate(lines[:bullets]) if not line), bullets)
    sentences = sum(len(rule_sentences(line)) for line in lines[:blank])
    rest = lines[blank + 1 if blank < bullets else bullets :]
    return sentences >= 2 and len(rest) >= 2 and all(line.startswith("*") for line in rest)


@TYPES.add("format:title_case")
def title_case(text: str) -> bool:
    """No word of two letters or more begins with a small letter; `n't` is a word, `iPhone` will do."""
    return not any(word[0].islower() and (word[1:].islower() or word[1:].isupper()) for word in penn_words(text))


@TYPES.add("format:output_template")
def output_template(text: str) -> bool:
    """The labels `My Answer:`, `My Conclusion:` and `Future Outlook:` occur, in whatever order."""
    return all(label in text for label in _LABELS)


@TYPES.add("format:no_whitespace")
def no_whitespace(text: str) -> bool:
    """No white space anywhere, line breaks included."""
    return not any(map(str.isspace, text))


def _first(text: str, tag: str, other: str, start: int = 0) -> int:
    """Where the tag stands from `start` on, or without it the other one; -1 for neither."""
    found = text.find(tag, max(start, 0))
    return found if found >= 0 else text.find(other, max(start, 0))


# --- custom: fixed tasks ---------------------------------------------------------------------------------------------

_MULTIPLES = ["14", "21", "28", "35", "42", "49"]
_QUESTION = re.compile(r"Question \d+[.|):;]?")
_OPTION = re.compile(r"[A-Ea-e][.|)]\s*\w")
_AFRICAN_COUNTRIES = 52
_NORTHERN = """
Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw London
Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb
"""
_CAPITALS = _NORTHERN.split()
"""Those north of 45 degrees, from north to south."""
_CITIES = ("ID", "Country", "City", "Year", "Count")
_PRODUCTS = ("ProductID", "Category", "Brand", "Price", "Stock")
_STUDENTS = ("StudentID", "Subject", "Grade", "Semester", "Score")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_LIFE = range(1769, 1822)
"""Napoleon's years."""
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@TYPES.add("custom:multiples")
def multiples(text: str) -> bool:
    """The numbers in it are 14, 21, 28, 35, 42 and 49, in this order."""
    return re.findall(r"\d+", text) == _MULTIPLES


@TYPES.add("custom:mcq_count_length")
def mcq_count_length(text: str) -> bool:
    """Four questions, labelled `Question 1` and so on, with five options `A)` to `E)`, each longer than the last.

    Nothing stands before the first label. A question is what comes before its first option.
    """
    if not text.startswith("Question"):
        return False
    questions = [question for part in _QUESTION.split(text) if (question := part.strip())]
    lengths = [_question_length(question) for question in questions]
    return len(lengths) == 4 and all(first < second for first, second in pairwise([-1, *lengths]))


@TYPES.add("custom:reverse_newline")
def reverse_newline(text: str) -> bool:
    """From the first line with `Zimbabwe` on, 52 lines or more, each not after the one before it in the alphabet."""
    lines = [line for part in text.split("\n") if (line := part.strip(EDGES))]
    first = next((number for number, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    countries = [ascii_letters(line) for line in lines[first:]]
    return len(countries) >= _AFRICAN_COUNTRIES and all(before >= after for before, after in pairwise(countries))


@TYPES.add("custom:word_reverse")
def word_reverse(text: str) -> bool:
    """Read word by word from the end it has `bald eagle`; case and signs do not count."""
    return "bald eagle" in " ".join(reversed(plain_words(text)))


@TYPES.add("custom:character_reverse")
def character_reverse(text: str) -> bool:
    """It has `elgae dlab`; case does not count."""
    return "elgae dlab" in text.lower()


@TYPES.add("custom:sentence_alphabet")
def sentence_alphabet(text: str) -> bool:
    """26 sentences, the first beginning with `a`, the next with `b` and so on; case does not count."""
    initials = [sentence[:1].lower()[:1] for sentence in rule_sentences(text)]
    return initials == list(string.ascii_lowercase)


@TYPES.add("custom:european_capitals_sort")
def european_capitals_sort(text: str) -> bool:
    """The 27 capitals north of 45 degrees, north to south, commas between, and nothing else; accents do not count."""
    return [city for part in ascii_letters(text).split(",") if (city := part.strip())] == _CAPITALS


@TYPES.add("custom:csv_city")
def csv_city(text: str) -> bool:
    """CSV: the header `ID,Country,City,Year,Count` and seven rows of five fields."""
    table = _table(text)
    return len(table) == 8 and table[0] == list(_CITIES) and all(len(row) == 5 for row in table[1:])


@TYPES.add("custom:csv_special_character")
def csv_special_character(text: str) -> bool:
    """CSV: the header of `ProductID` to `Stock`, 14 rows, and a field in double quotation marks with a sign in it.

    Rows after the first with such a field are not looked at further.
    """
    if not _has_header(text, ",[ \t]*", _PRODUCTS):
        return False
    table = _table(_kept_quotes(text))
    if len(table) != 15:
        return False
    for row in table[1:]:
        if len(row) != 5:
            return False
        if any(map(_is_special, row)):
            return True
    return False


@TYPES.add("custom:csv_quotes")
def csv_quotes(text: str) -> bool:
    """Tab-separated: the header of `StudentID` to `Score` and three rows, every field in double quotation marks."""
    if not _has_header(text, "\t *", _STUDENTS):
        return False
    table = [[field.strip() for field in row] for row in _table(_kept_quotes(text), "\t")]
    return len(table) == 4 and all(
        len(row) == 5 and all(field.startswith('"') and field.endswith('"') for field in row) for row in table
    )


@TYPES.add("custom:date_format_list")
def date_format_list(text: str) -> bool:
    """Dates `YYYY-MM-DD` from 1769 to 1821, commas between, and nothing else; month and day may be `00`."""
    return all(_is_date(part.strip()) for part in text.split(","))


def _question_length(question: str) -> int:
    """Characters of the question before its options; -1 unless it has five of them."""
    lines = [line.strip() for line in question.split("\n")]
    numbers = [number for number, line in enumerate(lines) if _OPTION.match(line)]
    return len(" ".join(lines[: numbers[0]]).strip()) if len(numbers) == 5 else -1


def _has_header(text: str, divider: str, names: Sequence[str]) -> bool:
    """Is the first line these names, each perhaps in double quotation marks?"""
    pattern = divider.join(f'(?:{name}|"{name}")' for name in names)
    return re.fullmatch(pattern, text.partition("\n")[0].strip()) is not None


def _kept_quotes(text: str) -> str:
    """The text with quotation marks that the CSV reader leaves in the fields."""
    return text.replace('"', '"""')


def _table(text: str, delimiter: str = ",") -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []


def _is_special(field: str) -> bool:
    """Does the first line begin with a quotation mark and have a sign between it and the last one?"""
    line = field.partition("\n")[0]
    inside = line[1 : line.rfind('"')] if line.startswith('"') else ""
    return re.search(r"[^\w\s]", inside) is not None


def _is_date(text: str) -> bool:
    date = _DATE.fullmatch(text)
    if date is None:
        return False
    year, month, day = map(int, date.groups())
    return year in _LIFE and (month == 0 or (month <= 12 and day <= _DAYS[month - 1]))
