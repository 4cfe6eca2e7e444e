r"""Cuts an answer into numbers, letters, commands and signs; letters written together are products, or a word.

`2ab`, `xyz` and `mgh` are products of symbols of one letter; `Tuesday` and `isn't` are words. There is no sure sign of
either, so the rule is: up to three letters are a product unless they are a common word; more are one where they are
capitals (`ABCD`), have no vowel behind the first letter (`wxyz`), follow the alphabet (`abcde`), or are made of the
symbols of the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from judges.rules.math.tree import InWordsError, UnreadableError

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth ln log lg exp max min gcd lcm det "  # noqa: SIM905
    "dim ker deg Re Im arg floor ceil abs sgn arcsinh arccosh arctanh".split()
)
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "acot": "arccot"}
_GREEK_NAMES = frozenset(
    "alpha beta gamma delta theta lambda sigma omega Delta Gamma Omega phi psi rho tau mu nu epsilon infinity".split()  # noqa: SIM905
)
_OPERATORS = frozenset({"+", "-", "*", "/", "=", "<", ">", r"\cdot", r"\times", r"\le", r"\ge"})
_CONNECTIVES = frozenset({"or", "and"})
_WORDS = """
the is are was no not yes an it its of to in at on by be we he you one two six ten all any our out if so do as am has
had but nor via per up odd set sum day old new for can may now see she who why how her his him let got get too off few
us me my only both each maybe then than them they try isn arent isnt dont none true false sky fly dry ugly myth inch
arms acts ends odds eggs ants left most best cost lost first almost know begin ghost km cm mm kg mi ft
"""
_COMMON_WORDS = frozenset(_WORDS.split())
_LONGEST_PRODUCT = 8
_INNER_FUNCTION = re.compile("arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt")
_TOKEN = re.compile(
    r"""(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    |(?P<text>\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|mbox|hbox|rm|bf
                  |operatorname|boldsymbol|bm|pmb)(?![A-Za-z])\s*\*?\s*\{(?P<inner>[^{}]*)\})
    |(?P<environment>\\(?:begin|end)\s*\{\s*(?P<what>[a-z]+)\*?\s*\}(?:\s*\{[lcr|\s]*\})?)
    |(?P<letters>[A-Za-z]+)
    |(?P<command>\\[A-Za-z]+|\\[^A-Za-z\s]|\\\\)
    |(?P<sign>[^\s])""",
    re.VERBOSE,
)
_BLACKBOARD = {"R": "Reals", "Z": "Integers", "N": "Naturals", "Q": "Rationals", "C": "Complexes"}
_KINDS = ("number", "text", "environment", "letters", "command", "sign")
MAX_TOKENS = 1200


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer.

    Attributes:
        kind: `number`, `letter`, `name` (a function in plain letters), `command`, `sign`, `text`, `or`, `and`, `end`.
        text: the piece; of a `text` what stands between the braces.
        gap: white space stands before it.
    """

    kind: str
    text: str
    gap: bool = False


def tokens(text: str, symbols: frozenset[str] = frozenset()) -> list[Token]:
    """The tokens of `text`, with an `end`.

    Args:
        text: an answer in one spelling.
        symbols: letters that are known to be symbols, because the reference has them.

    Raises:
        InWordsError: words of a language stand in it.
        UnreadableError: it is too long.
    """
    found: list[Token] = []
    end, depth = 0, 0
    while match := _TOKEN.match(text, end + _blank(text, end)):
        gap = match.start() > end
        end = match.end()
        kind = next(name for name in _KINDS if match[name] is not None)
        piece = match[0]
        if kind == "number" and "," in piece:
            piece, end = _grouped(match, depth)
        if kind == "letters":
            found += _letters(piece, gap, symbols, attached=_attached(found, gap, text[end : end + 1]))
        elif kind == "text":
            found += _marked(piece, match["inner"], gap)
        elif kind == "environment":
            found.append(Token("command", piece[: piece.index("{")].strip()))
            found.append(Token("environment", match["what"]))
        elif kind == "number" and len(piece) == 2 and found and found[-1].text == r"\frac":
            found += [Token(kind, digit) for digit in piece]  # `\frac12`
        else:
            depth += (piece in ("(", "[", r"\{")) - (piece in (")", "]", r"\}"))
            found.append(Token(kind, piece, gap))
        if len(found) > MAX_TOKENS:
            raise UnreadableError("too long")
    return [*found, Token("end", "")]


def _blank(text: str, start: int) -> int:
    return len(text) - start - len(text[start:].lstrip()) if text[start : start + 1].isspace() else 0


def _grouped(match: re.Match[str], depth: int) -> tuple[str, int]:
    """A number with commas between thousands; within brackets, a comma divides instead."""
    if depth <= 0:
        return match[0].replace(",", ""), match.end()
    first = match[0].partition(",")[0]
    return first, match.start() + len(first)


def _attached(found: list[Token], gap: bool, following: str) -> bool:
    """Whether letters belong to mathematics before or behind them: `2abcd`, `v + at`, `abcd^2`."""
    if following in ("^", "_", "/", "*", "+"):
        return True
    if not found:
        return False
    return found[-1].text in _OPERATORS if gap else found[-1].text not in (",", "(", "{")


def _letters(run: str, gap: bool, symbols: frozenset[str], attached: bool) -> list[Token]:
    if run.lower() in _CONNECTIVES:
        return [Token(run.lower(), run, gap)]
    run = _ALIASES.get(run, run)
    if run in FUNCTIONS or run in _GREEK_NAMES or run in ("pi", "sqrt"):
        return [Token("name" if run in FUNCTIONS else "command", run if run in FUNCTIONS else f"\\{run}", gap)]
    if _is_product(run, symbols, attached):
        return [Token("letter", letter, gap and i == 0) for i, letter in enumerate(run)]
    pieces = _with_functions(run)
    if pieces:
        return [Token(kind, text, gap and i == 0) for i, (kind, text) in enumerate(pieces)]
    raise InWordsError(f"a word: {run}")


def _is_product(run: str, symbols: frozenset[str], attached: bool) -> bool:
    if len(run) == 1:
        return True
    if symbols.issuperset(run) and len(run) <= _LONGEST_PRODUCT:
        return True
    if attached and len(run) == 2:
        return True
    if run.lower() in _COMMON_WORDS or len(run) > _LONGEST_PRODUCT or _INNER_FUNCTION.search(run):
        return False
    if run.startswith("pi"):
        return False
    if run.isupper():
        return True
    if re.fullmatch("[A-Z][a-z]{2,}", run):
        return False
    if len(run) <= (4 if attached else 3):
        return True
    return not re.search("[aeiou]", run[1:].lower()) or list(run) == sorted(set(run))


def _with_functions(run: str) -> list[tuple[str, str]]:
    """`xsinx` as x, sin, x; nothing where too many letters are left over for that."""
    if run.startswith("pi") and len(run) <= 4:
        return [("command", r"\pi"), *(("letter", letter) for letter in run[2:])]
    if run.lower() in _COMMON_WORDS:
        return []
    pieces: list[tuple[str, str]] = []
    end = 0
    for match in _INNER_FUNCTION.finditer(run):
        pieces += [("letter", letter) for letter in run[end : match.start()]]
        pieces.append(("command", r"\sqrt") if match[0] == "sqrt" else ("name", match[0]))
        end = match.end()
    pieces += [("letter", letter) for letter in run[end:]]
    letters = sum(kind == "letter" for kind, _ in pieces)
    return pieces if end and letters <= 2 else []


def _marked(piece: str, inner: str, gap: bool) -> list[Token]:
    r"""What stands in `\text{…}` or another font: a connective, a symbol or function, or words."""
    content = inner.strip()
    bare = content.strip(", ").lower()
    if bare in _CONNECTIVES:
        return [Token(bare, bare, gap)]
    if piece.startswith(r"\mathbb") and content in _BLACKBOARD:
        return [Token("set", _BLACKBOARD[content], gap)]
    if piece.startswith((r"\mathcal", r"\mathbb")):
        return [Token("letter", f"{piece[1:8]} {content}", gap)]
    if content in (",", ":", ";"):
        return [Token("sign", content, gap)]
    content = _ALIASES.get(content, content)
    if content in FUNCTIONS:
        return [Token("name", content, gap)]
    if not piece.startswith((r"\text", r"\mbox", r"\hbox")):
        if re.fullmatch("[A-Za-z]", content):
            return [Token("letter", content, gap)]
        if content.isdigit():
            return [Token("number", content, gap)]
    return [Token("text", " ".join(inner.replace("~", " ").split()), gap)] if content else []
