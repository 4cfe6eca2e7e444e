"""The 25 instructions of IFEval, a checker each: does the text follow the instruction?

In the order of IFEval's families. The language of a response is told by langdetect with a fixed seed, as in the public
checkers, with two exceptions. Languages that langdetect does not know are told by py3langid; for the public checkers
they cannot be followed at all. A text mostly in capitals is read in small letters, and both are asked: langdetect has
hardly seen capitals, and finds English, German or Turkish in a sentence of any language.
"""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import takewhile

from judges.rules.instruction_following.arguments import Count, Ordinal, Relation, Text, Words, compare
from judges.rules.instruction_following.instruction_type import Types
from judges.rules.instruction_following.phrases import begins, seen
from judges.rules.instruction_following.sentences import count_as_punkt
from judges.rules.languages import Language, margin

TYPES = Types()

# --- keywords: words and letters that must or must not occur; case never counts --------------------------------------


@TYPES.add("keywords:existence")
def existence(text: str, *, keywords: Words) -> bool:
    """Every keyword occurs, also inside a longer word."""
    return all(_occurrences(text, keyword) > 0 for keyword in keywords)


@TYPES.add("keywords:frequency")
def frequency(text: str, *, keyword: Text, frequency: Count, relation: Relation) -> bool:
    """How often a keyword occurs, also inside longer words."""
    return compare(_occurrences(text, keyword.strip()), relation, frequency)


@TYPES.add("keywords:forbidden_words")
def forbidden_words(text: str, *, forbidden_words: Words) -> bool:
    """None of the words occurs as a word of its own."""
    return not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in forbidden_words)


@TYPES.add("keywords:letter_frequency")
def letter_frequency(text: str, *, letter: Text, let_frequency: Count, let_relation: Relation) -> bool:
    """How often a letter or sign occurs."""
    return compare(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _occurrences(text: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword), text, re.IGNORECASE))


# --- language --------------------------------------------------------------------------------------------------------

_LANGDETECT_CODES = """
af ar bg bn ca cs cy da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro ru sk
sl so sq sv sw ta te th tl tr uk ur vi zh
"""
LANGDETECT = frozenset(_LANGDETECT_CODES.split())
"""Languages that langdetect tells apart (`zh`: it says which Chinese)."""


@TYPES.add("language:response_language")
def response_language(text: str, *, language: Language) -> bool:
    """The whole response is in the language (ISO 639-1; `zh` means any Chinese).

    A text whose language cannot be told, such as one of digits only, does not follow; the public checker lets it pass.
    """
    text = unicodedata.normalize("NFC", text)  # neither library knows Korean or accents in pieces
    if not _mostly_capitals(text):
        return _in_language(text, language)
    small = text.lower().replace("i\u0307", "i")  # what is left of a Turkish İ
    return _in_language(small, language) or margin(small, language)[0] > 0


def _in_language(text: str, language: str) -> bool:
    if language not in LANGDETECT:
        return margin(text, language)[0] > 0
    detected = detect(text)
    return detected is not None and detected.partition("-")[0] == language


def _mostly_capitals(text: str) -> bool:
    capitals = sum(map(str.isupper, text))
    return capitals > sum(map(str.islower, text))


def detect(text: str) -> str | None:
    """Code of the text's language, or None when it has no letters to tell it by."""
    import langdetect

    langdetect.DetectorFactory.seed = 0  # its random trials must not change a verdict from one run to the next
    try:
        detected = str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None
    return None if detected == "unknown" else detected


# --- length_constraints: numbers of sentences, paragraphs and words --------------------------------------------------

_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_ENDS_A_WORD = frozenset(".,?!'\"")


@TYPES.add("length_constraints:number_sentences")
def number_sentences(text: str, *, num_sentences: Count, relation: Relation) -> bool:
    """How many sentences there are."""
    return compare(count_as_punkt(text), relation, num_sentences)


@TYPES.add("length_constraints:number_paragraphs")
def number_paragraphs(text: str, *, num_paragraphs: Count) -> bool:
    """Exactly so many paragraphs, divided by `***`; an empty one counts as a fault, except at either end."""
    paragraphs = _DIVIDER.split(text)
    inner = paragraphs[1:-1]
    if any(not paragraph.strip() for paragraph in inner):
        return False
    return sum(1 for paragraph in paragraphs if paragraph.strip()) == num_paragraphs


@TYPES.add("length_constraints:number_words")
def number_words(text: str, *, num_words: Count, relation: Relation) -> bool:
    """How many words there are: runs of letters, digits and underscores."""
    return compare(sum(1 for _ in re.finditer(r"\w+", text)), relation, num_words)


@TYPES.add("length_constraints:nth_paragraph_first_word")
def nth_paragraph_first_word(text: str, *, num_paragraphs: Count, nth_paragraph: Ordinal, first_word: Text) -> bool:
    """Exactly so many paragraphs, divided by an empty line, the n-th of which begins with a word."""
    paragraphs = text.split("\n\n")
    filled = sum(1 for paragraph in paragraphs if paragraph.strip())
    if filled != num_paragraphs or nth_paragraph > filled:
        return False
    words = paragraphs[nth_paragraph - 1].split()
    if not words:
        return False
    if not _ENDS_A_WORD.isdisjoint(first_word):  # `Don't`, `"Hello,"`: never what stands before the first sign
        return begins(paragraphs[nth_paragraph - 1], first_word)
    word = words[0].lstrip("'").lstrip('"')
    return "".join(takewhile(lambda letter: letter not in _ENDS_A_WORD, word)).lower() == first_word.lower()


# --- detectable_content: placeholders and postscripts ----------------------------------------------------------------

_MARKERS = {
    "P.P.S": re.compile(r"p\.\s?p\.\s?s", re.IGNORECASE),
    "P.S.": re.compile(r"p\.\s?s\.", re.IGNORECASE),
}


@TYPES.add("detectable_content:number_placeholders")
def number_placeholders(text: str, *, num_placeholders: Count) -> bool:
    """At least so many placeholders in square brackets, each within one line."""
    return sum(_brackets(line) for line in text.split("\n")) >= num_placeholders


@TYPES.add("detectable_content:postscript")
def postscript(text: str, *, postscript_marker: Text) -> bool:
    """A postscript with this marker; `P.S.` and `P.P.S` may have spaces inside."""
    marker = postscript_marker.strip()
    pattern = _MARKERS.get(marker) or re.compile(re.escape(marker), re.IGNORECASE)
    return pattern.search(text) is not None


def _brackets(line: str) -> int:
    """Pairs `[…]` from left to right. No regular expression: on `[[[[…` that takes quadratic time."""
    count, position = 0, line.find("[")
    while position >= 0 and (end := line.find("]", position)) >= 0:
        count += 1
        position = line.find("[", end)
    return count


# --- detectable_format: lists, highlights, sections, JSON, title, a fixed answer -------------------------------------

CONSTRAINED_RESPONSES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")


@TYPES.add("detectable_format:number_bullet_lists")
def number_bullet_lists(text: str, *, num_bullets: Count) -> bool:
    """Exactly so many bullet points: lines that begin with `-`, or with one `*` and something after it."""
    lines = (line.lstrip() for line in text.split("\n"))
    return sum(1 for line in lines if line.startswith("-") or re.match(r"\*[^*]", line)) == num_bullets


@TYPES.add("detectable_format:constrained_response")
def constrained_response(text: str) -> bool:
    """One of the three fixed answers occurs."""
    return any(answer in text for answer in CONSTRAINED_RESPONSES)


@TYPES.add("detectable_format:number_highlighted_sections")
def number_highlighted_sections(text: str, *, num_highlights: Count) -> bool:
    """At least so many highlights, `*…*` or `**…**`, not empty and within one line."""
    single = sum(1 for highlight in re.findall(r"\*([^\n*]*)\*", text) if highlight.strip())
    double = sum(1 for highlight in re.findall(r"\*\*([^\n*]*)\*\*", text) if highlight.strip())
    return single + double >= num_highlights


@TYPES.add("detectable_format:multiple_sections")
def multiple_sections(text: str, *, section_spliter: Text, num_sections: Count) -> bool:
    """At least so many sections, each begun by the section word and a number."""
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


@TYPES.add("detectable_format:json_format")
def json_format(text: str) -> bool:
    """The whole response is JSON, perhaps in a fenced code block."""
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


@TYPES.add("detectable_format:title")
def title(text: str) -> bool:
    """A title in double angular brackets, not empty and within one line."""
    return any(_title(line) for line in text.split("\n"))


def _title(line: str) -> bool:
    """By position and not by a regular expression, which takes quadratic time on `<<<<…`."""
    start, end = line.find("<<"), line.rfind(">>")
    return start >= 0 and end > start + 2 and bool(line[start : end + 2].lstrip("<").rstrip(">").strip())


# --- combination: two responses, the prompt repeated first -----------------------------------------------------------


@TYPES.add("combination:two_responses")
def two_responses(text: str) -> bool:
    """Two different responses divided by `******`; nothing empty between dividers."""
    parts = [part.strip() for part in text.split("******")]
    if not all(parts[1:-1]):
        return False
    filled = [part for part in parts if part]
    return len(filled) == 2 and filled[0] != filled[1]


@TYPES.add("combination:repeat_prompt")
def repeat_prompt(text: str, *, prompt_to_repeat: Text) -> bool:
    """The response begins with the request, word for word; case does not count."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


# --- startend: how the response starts and ends ----------------------------------------------------------------------


@TYPES.add("startend:end_checker")
def end_checker(text: str, *, end_phrase: Text) -> bool:
    """The response ends with the phrase; case and quotation marks around the response do not count."""
    text, phrase = text.strip().lower(), end_phrase.strip().lower()
    if phrase.endswith('"'):
        text = seen(text)  # typographic marks serve as well; without, no response could follow
    body, core = text.rstrip('"'), phrase.rstrip('"')
    return body.endswith(core) and len(text) - len(body) >= len(phrase) - len(core)


@TYPES.add("startend:quotation")
def quotation(text: str) -> bool:
    """The whole response stands in double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


# --- change_case: capital and small letters --------------------------------------------------------------------------

_SIGNS = re.compile(r"[;@#$%&*?!()\[\]{}<>\"“”’–—]|[,:](?![0-9])|\.\.\.|--")
_CLITICS = re.compile(
    r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))\b|(?<=\bcan)not\b|(?<=\b[gw][oa]n)na\b|(?<=\b(?:lem|gim))me\b|(?<=\bgot)ta\b",
    re.IGNORECASE,
)


@TYPES.add("change_case:capital_word_frequency")
def capital_word_frequency(text: str, *, capital_frequency: Count, capital_relation: Relation) -> bool:
    """How many words are all capitals, split as in the Penn Treebank: `IT'S` and `GONNA` are two, `WELL-KNOWN` one."""
    words = _CLITICS.sub(r" \g<0>", _SIGNS.sub(" ", text)).split()
    return compare(sum(1 for word in words if word.isupper()), capital_relation, capital_frequency)


@TYPES.add("change_case:english_capital")
def english_capital(text: str) -> bool:
    """English, without a small letter."""
    return text.isupper() and response_language(text, language="en")


@TYPES.add("change_case:english_lowercase")
def english_lowercase(text: str) -> bool:
    """English, without a capital letter."""
    return text.islower() and response_language(text, language="en")


# --- punctuation -----------------------------------------------------------------------------------------------------


@TYPES.add("punctuation:no_comma")
def no_comma(text: str) -> bool:
    """No comma anywhere."""
    return "," not in text
