"""Style: named prohibitions that users put on how a response is written; which of them hold is an option.

| rule | what it forbids |
|---|---|
| `emojis` | pictographs, also signs such as ✅ and ➡️ |
| `headings` | Markdown headings: `# …`, or a line underlined with `===` or `---` |
| `bold` | Markdown bold: `**…**`, `__…__` |
| `lists` | Markdown bullets and numbered lists (two items or more) |
| `tables` | Markdown tables |
| `capitals` | shouting: three words in capitals in a row, or one of eight letters or more with an exclamation mark |
| `exclamations` | more than `max_exclamations` sentences that end with `!`; any `!!` |
| `em_dashes` | the dash — |
| `stock_openings` | "Certainly!", "Great question", "I'd be happy to help" at the beginning |
| `filler_closings` | "Let me know if", "I hope this helps", "Feel free to ask" at the end |
| `ai_disclaimers` | "As an AI language model", "my knowledge cutoff", "I don't have personal opinions" |
| `cliches` | "delve into", "rich tapestry", "in today's fast-paced world", "it's important to note" |

Code, in fences or in backticks, is not looked at. The phrases are English.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

import regex

from judges.judge import Judge, Row
from judges.rules.prose import sentences, without_code
from judges.verdict import Outcome, Verdict

Rule = Literal[
    "emojis",
    "headings",
    "bold",
    "lists",
    "tables",
    "capitals",
    "exclamations",
    "em_dashes",
    "stock_openings",
    "filler_closings",
    "ai_disclaimers",
    "cliches",
]
DEFAULT_RULES: tuple[Rule, ...] = (
    "capitals",
    "exclamations",
    "stock_openings",
    "filler_closings",
    "ai_disclaimers",
    "cliches",
)
_SHOWN = 60

# ASCII digits, #, * and the signs ©®™ count as emoji in Unicode only with a variation selector.
_EMOJI = regex.compile(
    r"[\p{Extended_Pictographic}--[\u0000-\u00ff™↔↕↖-↙↩↪〰〽]]|[\u0000-\u00ff™↔↕↖-↙↩↪]\uFE0F|\p{RI}\p{RI}", regex.V1
)
_HEADING = re.compile(r"(?m)^ {0,3}#{1,6}[ \t]+\S.*$|^[^\s|>#-].*\n {0,3}(?:={3,}|-{3,})[ \t]*$")
_BOLD = re.compile(r"\*\*(?=[^\s*])[^*\n]{1,500}\*\*|(?<!\w)__(?=[^\s_])[^_\n]{1,500}__(?!\w)")
_LIST_ITEM = re.compile(r"(?m)^[ \t]*(?:[-*+•‣◦][ \t]+\S|[0-9]{1,3}[.)][ \t]+\S)")
_TABLE_LINE = re.compile(r"(?m)^[ \t]*+(?:\|[ \t]*+)?:?-{3,}:?[ \t]*\|[-:| \t]*$")
_SHOUTED = re.compile(
    r"(?<![\w])[A-Z]{2,}(?:['’][A-Z]+)?(?:[ \t]+[A-Z]{1,30}(?:['’][A-Z]+)?,?){2,}(?![\w])|\b[A-Z]{8,}!"
)
_EM_DASH = re.compile("—")
_EXCLAMATION = re.compile(r"(?<![0-9])!(?=[\"'”’)*_]*(?:\s|$))")
_EXCLAMATIONS = re.compile(r"[!¡！?]*[!！]{2,}[!?！]*")

_STOCK_OPENING = re.compile(
    r"(?:oh,? |ah,? |wow,? |well,? )?(?:"
    r"(?:certainly|absolutely|definitely|of course|sure(?: thing)?|no problem|gladly|happy to help"
    r"|indeed)\b ?(?:[!.,:—–-]|$)"
    r"|(?:what an? |that(?:'s| is) an? |this is an? )?(?:really |very |such an? |truly )?(?:great|good|excellent"
    r"|fantastic|wonderful"
    r"|interesting|fascinating|thoughtful|insightful|amazing|brilliant|awesome|important) (?:question|point|idea"
    r"|choice|observation"
    r"|topic|request)\b(?! (?:of|that|which|is|was|in|for|to|from|about|here|with))"
    r"|(?:i(?:'d| would) be|i(?:'m| am)) (?:more than |very |so |really )?(?:happy|glad|delighted|pleased"
    r"|excited) to (?:help|assist"
    r"|answer|provide|explain|share|write|create)"
    r"|thank(?:s| you)(?: so much| very much)? for (?:asking|your (?:question|message|query|inquiry|request)"
    r"|reaching out|sharing)"
    r"|you(?:'re| are) (?:absolutely|completely|totally|so) right"
    r"|i(?:'d| would) love to (?:help|assist)"
    r"|let(?:'s| us) dive (?:in|into)"
    r"|here(?:'s| is) (?:a|the) (?:comprehensive|detailed|complete) (?:answer|response|guide|overview)"
    r")"
)
_FILLER_CLOSING = re.compile(
    r"(?:(?:so|and|but|also|please|as always|remember|otherwise),? )*(?:"
    r"let me know (?:if|how|what|whether|when)|just let me know"
    r"|(?:i )?(?:really |truly )?hope (?:this|that|it|these|the above)(?: \w+){0,3} (?:help|helps|helped"
    r"|is helpful|was helpful|clarif\w+"
    r"|answers|answered|useful|makes sense)"
    r"|(?:feel|please feel) free to (?:ask|reach|let|contact|share|come|message)"
    r"|(?:do not|don't|never) hesitate to (?:ask|reach|contact|let)"
    r"|(?:is|are) there (?:anything|something) (?:else|more|specific)|anything else (?:i can|you)"
    r"|(?:would|do) you (?:like|want) (?:me to|more|to know|any|some|help|further)"
    r"|if you (?:have|need|want|would like|'d like|ever need|'ve got)[^.!?]{0,60}(?:let me know|feel free"
    r"|(?:don't|do not) hesitate|just ask"
    r"|i'm (?:here|happy)|i am (?:here|happy)|reach out)"
    r"|i(?:'m| am) (?:always |just )?(?:here|happy|glad) (?:to help|for you|if you|whenever|to assist|to answer)"
    r"|(?:good luck|best of luck|happy \w+ing|enjoy|have fun|stay curious)!?(?: with[^.!?]{0,40})?$"
    r"|in (?:conclusion|summary),? (?:this|these|it is clear)"
    r")"
)
_AI_DISCLAIMER = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|llm|virtual assistant|digital assistant"
    r"|machine|chatbot)\b"
    r"|\bi(?:'m| am) (?:just |only |merely |simply )?an? (?:ai|artificial intelligence|(?:large )?language model"
    r"|llm|chatbot"
    r"|virtual assistant|computer program)\b"
    r"|\bmy (?:knowledge cut-?off|training data|last (?:training )?update|programming)\b"
    r"|\bi (?:do not|don't) have (?:any )?(?:personal )?(?:opinions?|feelings|emotions|beliefs|experiences|preferences"
    r"|consciousness|real-time (?:access|information|data)|access to real-time)\b"
    r"|\bi was (?:trained|created|developed|made) by \w+"
)
_CLICHE = re.compile(
    r"\bdelv(?:e|es|ed|ing) (?:into|deeper)\b|\b(?:rich|vibrant|intricate|complex) tapestry\b|\btapestry of\b"
    r"|\b(?:stands as |is |serves as )?a testament to\b"
    r"|\bin today(?:'s| s) (?:fast-paced|digital|modern|ever-changing|rapidly)"
    r"|\bever-(?:evolving|changing) (?:landscape|world)\b|\bnavigat(?:e|ing) the (?:complexities|intricacies"
    r"|landscape)\b"
    r"|\bit(?:'s| is) (?:important|worth|crucial|essential) (?:to (?:note|remember)|noting)\b|\bgame[- ]changer\b"
    r"|\bunlock(?:ing)? the (?:secrets|power|potential|full)\b|\bembark(?:ing)? on (?:a|an|this|your) journey\b"
    r"|\bneedless to say\b|\bit goes without saying\b|\ba beacon of\b|\bin the realm of\b"
    r"|\bthe power of\b[^.!?\n]{0,40}\bcannot be overstated\b|\bnot just\b[^.!?\n]{0,60}[,;—–-] ?it(?:'s| is)\b"
)
_TYPOGRAPHY = str.maketrans("’‘", "''")


class StyleJudge(Judge):
    """The response keeps the chosen rules of style: no stock openings, no shouting, no emoji, …

    Args:
        rules: which rules hold; the names are in the table at the top of this file and in docs/judges/text.md.
        max_exclamations: how many sentences may end with an exclamation mark, for the rule `exclamations`.
    """

    examples = (
        (Row("A tip?", "Water it twice a week, and in the morning."), Outcome.SATISFIED),
        (Row("A tip?", "Certainly! Water it twice a week."), Outcome.VIOLATED),
        (Row("A tip?", "Water it twice a week. I hope this helps!"), Outcome.VIOLATED),
        (Row("A tip?", "As an AI language model, I water nothing."), Outcome.VIOLATED),
        (Row("A tip?", "Water it! Every day! With love! And care! Now!"), Outcome.VIOLATED),
    )

    def __init__(self, rules: tuple[Rule, ...] = DEFAULT_RULES, max_exclamations: int = 2) -> None:
        if not rules or len(set(rules)) < len(rules):
            raise ValueError(f"`rules` must name one rule or more, each once; there are {', '.join(get_args(Rule))}")
        if max_exclamations < 0:
            raise ValueError(f"`max_exclamations` must be 0 or more, got {max_exclamations}")
        self.rules = rules
        self.max_exclamations = max_exclamations

    def judge(self, row: Row) -> Verdict:
        text = without_code(row.response)
        broken = [(rule, place) for rule in self.rules if (place := self._broken(rule, text))]
        if broken:
            return Verdict.violated("; ".join(f"{rule}: {place}" for rule, place in broken))
        return Verdict.satisfied(f"keeps {len(self.rules)} rules of style")

    def _broken(self, rule: Rule, text: str) -> str:
        """Where the text breaks a rule; empty when it keeps it."""
        if rule == "exclamations":
            return exclamations(text, self.max_exclamations)
        return RULES[rule](text)


def exclamations(text: str, limit: int) -> str:
    """More sentences ending with `!` than the limit, or several marks in one place."""
    doubled = _EXCLAMATIONS.search(text)
    if doubled:
        return _place(text, doubled)
    ends = list(_EXCLAMATION.finditer(text))
    return f"{len(ends)} sentences end with '!', at most {limit} may" if len(ends) > limit else ""


def stock_openings(text: str) -> str:
    """A stock phrase at the very beginning."""
    opening = text.lstrip(" \t\n*_#\"'")[:300]
    match = _STOCK_OPENING.match(opening.translate(_TYPOGRAPHY).lower())
    return f"{opening[: match.end()]!r} at the beginning" if match else ""


def filler_closings(text: str) -> str:
    """A stock phrase that begins one of the last two sentences."""
    for sentence in sentences(text[-1000:])[-2:]:
        plain = sentence.translate(_TYPOGRAPHY).lower().strip("*_ \t#\"'")
        if _FILLER_CLOSING.match(plain.rstrip(".!? 😊🙂")):
            return f"{sentence[:_SHOWN]!r} at the end"
    return ""


def lists(text: str) -> str:
    """Two list items or more."""
    items = list(_LIST_ITEM.finditer(text))
    return f"{len(items)} list items, the first {_place(text, items[0])}" if len(items) > 1 else ""


def capitals(text: str) -> str:
    """Shouted words; Roman numerals and single letters do not make one."""
    for match in _SHOUTED.finditer(text):
        words = re.findall(r"[A-Z]{2,}", match[0])
        if not all(re.fullmatch(r"[IVXLCDM]+", word) for word in words) and (len(words) > 2 or match[0].endswith("!")):
            return _place(text, match)
    return ""


def _first(pattern: re.Pattern[str] | regex.Pattern[str]) -> Callable[[str], str]:
    """A rule that is broken where the pattern occurs."""

    def find(text: str) -> str:
        match = pattern.search(text)
        return _place(text, match) if match else ""

    return find


def _first_folded(pattern: re.Pattern[str]) -> Callable[[str], str]:
    """As `_first`, in small letters and with plain apostrophes."""

    def find(text: str) -> str:
        # Character by character, as lower() of a whole text may change its length.
        plain = "".join(c.lower() if len(c.lower()) == 1 else c for c in text.translate(_TYPOGRAPHY))
        match = pattern.search(plain)
        return _place(text, match) if match else ""

    return find


RULES: dict[Rule, Callable[[str], str]] = {
    "emojis": _first(_EMOJI),
    "headings": _first(_HEADING),
    "bold": _first(_BOLD),
    "lists": lists,
    "tables": _first(_TABLE_LINE),
    "capitals": capitals,
    "em_dashes": _first(_EM_DASH),
    "stock_openings": stock_openings,
    "filler_closings": filler_closings,
    "ai_disclaimers": _first_folded(_AI_DISCLAIMER),
    "cliches": _first_folded(_CLICHE),
}


def _place(text: str, match: re.Match[str] | regex.Match[str]) -> str:
    line = text.count("\n", 0, match.start()) + 1
    return f"{text[match.start() : match.end()].strip()[:_SHOWN]!r} in line {line}"
