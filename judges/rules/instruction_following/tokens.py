"""Sentences, words and emoji as the public checkers of IFBench and open-instruct split them.

Their sentences come from a list of rules about full stops, not from trained data; `rule_sentences` keeps those rules
with their oddities, because what they count is what their prompts were made for. Their words are NLTK's (the Penn
Treebank's conventions), which `penn_words` follows. Every function takes linear time, whatever the text.
"""

from __future__ import annotations

import re
import string
import unicodedata

from judges.rules.instruction_following.sentences import split_as_punkt

PUNCTUATION = string.punctuation
"""The signs of ASCII."""
EDGES = PUNCTUATION + " "
"""What is cut off either end of a word, line or answer."""
_NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)


def without_punctuation(text: str) -> str:
    """The text without the signs of ASCII; typographic quotation marks and dashes stay."""
    return text.translate(_NO_PUNCTUATION)


def plain_words(text: str) -> list[str]:
    """Runs between white space, small letters, without the signs of ASCII."""
    return without_punctuation(text.lower()).split()


def ascii_letters(text: str) -> str:
    """The text without accents and without what has no ASCII form."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


# --- sentences -------------------------------------------------------------------------------------------------------

_KEPT = "\ufdd0"
"""In place of a full stop that ends no sentence. Noncharacters: no text has them for a reason."""
_END = "\ufdd1"
_MARKS = str.maketrans({_KEPT: "\ufffd", _END: "\ufffd", "\n": " "})
_STARTER = r"(?:Mr|Mrs|Ms|Dr|Prof|Capt|Cpt|Lt|Wherever|(?:He|She|It|They|Their|Our|We|But|However|That|This)\s)"
_RULES = [
    (re.compile(pattern), replacement.replace("K", _KEPT).replace("E", _END))
    for pattern, replacement in (
        (r"(Mr|St|Mrs|Ms|Dr)\.", r"\1K"),
        (r"\.(com|net|org|io|gov|edu|me)", r"K\1"),
        (r"([0-9])\.([0-9])", r"\1K\2"),
    )
]
_DOTS = re.compile(r"\.{2,}")
_LATER_RULES = [
    (re.compile(pattern), replacement.replace("K", _KEPT).replace("E", _END))
    for pattern, replacement in (
        (r"\s([A-Za-z])\. ", r" \1K "),
        (rf"([A-Z]\.[A-Z]\.(?:[A-Z]\.)?) ({_STARTER})", r"\1E \2"),
        (r"([A-Za-z])\.([A-Za-z])\.([A-Za-z])\.", r"\1K\2K\3K"),
        (r"([A-Za-z])\.([A-Za-z])\.", r"\1K\2K"),
        (rf" (Inc|Ltd|Jr|Sr|Co)\. ({_STARTER})", r" \1E \2"),  # the full stop itself is lost
        (r" (Inc|Ltd|Jr|Sr|Co)\.", r" \1K"),
        (r" ([A-Za-z])\.", r" \1K"),
    )
]
_CLOSED = ((".”", "”."), ('."', '".'), ('!"', '"!'), ('?"', '"?'))


def rule_sentences(text: str) -> list[str]:
    """The sentences, without white space at either end; one of them may be empty.

    Every `.`, `!` and `?` ends one, at whatever place: `?!` ends two. Not ends: the full stops of titles, of numbers,
    of initials and abbreviations such as `e.g.`, and those before `com`, `org` and the like. A run of full stops is
    one end and a line break none. A closing quotation mark goes before the sign that it follows.
    """
    text = f" {text}  ".translate(_MARKS)
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    text = _DOTS.sub(lambda dots: _KEPT * len(dots[0]) + _END, text).replace("Ph.D.", f"Ph{_KEPT}D{_KEPT}")
    for rule, replacement in _LATER_RULES:
        text = rule.sub(replacement, text)
    for closed, swapped in _CLOSED:
        text = text.replace(closed, swapped)
    for sign in ".?!":
        text = text.replace(sign, sign + _END)
    sentences = [sentence.strip() for sentence in text.replace(_KEPT, ".").split(_END)]
    return sentences if sentences[-1] else sentences[:-1]


# --- words -----------------------------------------------------------------------------------------------------------

_CLOSERS = "])}>\"'»”’ "
_OPEN_APOSTROPHE = r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)"
_TOKEN = re.compile(
    rf"""
      (?P<quote>"|'')
    | `` | ` | \.\.+ | -- | {_OPEN_APOSTROPHE}
    | [«“‘„»”’;@#$%&?!*()\[\]{{}}<>\u2012-\u2015]
    | [,:](?![0-9])
    | (?P<word>(?: [^\s`«“‘„»”’;@#$%&?!*()\[\]{{}}<>\u2012-\u2015.,:\-"']
               | \.(?!\.) | -(?!-) | [,:](?=[0-9]) | (?!{_OPEN_APOSTROPHE})'(?!') )+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_GLUED = re.compile(
    r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(more)('n)\b", re.I
)
_ENDINGS = (
    re.compile(r"(?<=[^'])'(?:[sSmMdD]?)\Z"),
    re.compile(r"(?<=[^'])(?:'(?:ll|LL|re|RE|ve|VE)|n't|N'T)\Z"),
)


def penn_words(text: str) -> list[str]:
    """Words and signs, each a token of its own, in the conventions of the Penn Treebank.

    `don't` is `do` and `n't`, `it's` is `it` and `'s`, `cannot` is `can` and `not`; a full stop is a token where it
    ends a sentence, and part of its word elsewhere; opening double quotation marks are two grave accents, closing ones
    two apostrophes; `well-known` and `3,500` are one token each.
    """
    return [token for sentence in split_as_punkt(text) for token in _sentence_words(" ".join(sentence))]


def _sentence_words(sentence: str) -> list[str]:
    body, closers = _final_stop(sentence)
    tokens: list[str] = []
    for match in _TOKEN.finditer(body):
        if match["quote"]:
            adjacent = body[match.start() - 1 : match.start()]
            opens = adjacent in " ([{<«“‘„`" if adjacent else match[0] == '"'
            tokens.append("``" if opens or body[: match.end()] == '""' else "''")
        elif match["word"]:
            tokens += _parts(match["word"])
        else:
            tokens.append(match[0])
    return tokens if closers is None else [*tokens, ".", *_closers(closers)]


def _final_stop(sentence: str) -> tuple[str, str | None]:
    """The sentence before its full stop, and the closing signs after it; None where no full stop is split off."""
    core = sentence.rstrip(_CLOSERS)
    closers = sentence[len(core) :]
    opens = ' "' in closers or " ''" in closers
    if core.endswith(".") and core[-2:-1] not in ("", ".") and not opens:
        return core[:-1], closers
    return sentence, None


def _closers(closers: str) -> list[str]:
    """The tokens of the signs that close a sentence after its full stop."""
    return ["''" if sign == '"' else sign for sign in closers.replace("''", '"') if sign != " "]


def _parts(word: str) -> list[str]:
    """A word without its clitic, and the clitic; the two halves of `cannot` and its like."""
    endings: list[str] = []
    for ending in _ENDINGS:
        match = ending.search(word)
        if match:
            endings.insert(0, match[0])
            word = word[: match.start()]
    halves = _GLUED.sub(lambda match: " {} {} ".format(*filter(None, match.groups())), word).split()
    return [*halves, *endings]


# --- emoji -----------------------------------------------------------------------------------------------------------

_EMOJI = re.compile(
    "[©®‼⁉™ℹ↔-↙↩↪⌚⌛⌨⏏⏩-⏳⏸-⏺Ⓜ▪▫▶◀◻-◾☀-☄☎☑☔☕☘☝☠☢☣☦☪☮☯☸-☺♀♂♈-♓♟♠♣♥♦♨♻♾♿⚒-⚗⚙⚛⚜⚠⚡⚧⚪⚫⚰⚱⚽⚾⛄⛅⛈⛎⛏⛑⛓⛔⛩⛪⛰-⛵⛷-⛺⛽✂✅✈-✍✏✒✔✖✝✡✨✳✴❄❇❌❎❓-❕❗"
    "❣❤➕-➗➡➰➿⤴⤵⬅-⬇⬛⬜⭐⭕〰〽㊗㊙\U0001f004\U0001f0cf\U0001f170-\U0001f171\U0001f17e-\U0001f17f\U0001f18e"
    "\U0001f191-\U0001f19a\U0001f201-\U0001f202\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f250-\U0001f251"
    "\U0001f300-\U0001f321\U0001f324-\U0001f393\U0001f396-\U0001f397\U0001f399-\U0001f39b\U0001f39e-\U0001f3f0"
    "\U0001f3f3-\U0001f3f5\U0001f3f7-\U0001f4fd\U0001f4ff-\U0001f53d\U0001f549-\U0001f54e\U0001f550-\U0001f567"
    "\U0001f56f\U0001f570\U0001f573-\U0001f57a\U0001f587\U0001f58a-\U0001f58d\U0001f590\U0001f595\U0001f596\U0001f5a4"
    "\U0001f5a5\U0001f5a8\U0001f5b1\U0001f5b2\U0001f5bc\U0001f5c2-\U0001f5c4\U0001f5d1-\U0001f5d3\U0001f5dc-\U0001f5de"
    "\U0001f5e1\U0001f5e3\U0001f5e8\U0001f5ef\U0001f5f3\U0001f5fa-\U0001f64f\U0001f680-\U0001f6c5\U0001f6cb-\U0001f6d2"
    "\U0001f6d5-\U0001f6d9\U0001f6dc-\U0001f6e5\U0001f6e9\U0001f6eb\U0001f6ec\U0001f6f0\U0001f6f3-\U0001f6fc"
    "\U0001f7e0-\U0001f7eb\U0001f7f0\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001f9ff\U0001fa70-\U0001fa7c"
    "\U0001fa80-\U0001fac6\U0001fac8\U0001facc-\U0001fadd\U0001fadf-\U0001faeb\U0001faef-\U0001fafa]"
)


def is_emoji(character: str) -> bool:
    """Can the character stand alone as an emoji (Unicode's property, digits and regional indicators left out)?"""
    return _EMOJI.fullmatch(character) is not None
