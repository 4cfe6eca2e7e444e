r"""Reads a whole answer: expressions with the relations, lists, brackets, sets and matrices that they stand in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from judges.rules.math.atoms import AtomReader
from judges.rules.math.expressions import RELATIONS
from judges.rules.math.kinds import is_name
from judges.rules.math.spelling import one_spelling
from judges.rules.math.tokens import Token, tokens
from judges.rules.math.tree import Node, UnreadableError, key, symbol
from judges.rules.units import known_unit

_SEPARATORS = {",": ",", ";": ";", r"\land": "and", r"\lor": "or", "&": "and"}
_ROWS_AS_STATEMENTS = frozenset({"cases", "aligned", "align", "gathered", "split", "rcases"})
_MODULI = (r"\pmod", r"\mod", r"\bmod")
_BASED = re.compile(
    r"\(?\s*(?P<digits>[0-9A-Z]+)\s*\)?\s*_\s*(?:\{\s*\(?(?:\\(?:text|mathrm)\s*\{)?\s*(?P<braced>[0-9]{1,2}|[a-z]+)\s*\}?\)?\s*\}"
    r"|(?P<base>[0-9]{1,2}))"
)
_IN_BASE = re.compile(r"(?<=[0-9A-Z])\s*\(?\s*(?:in\s+)?base\s+([0-9]{1,2}|[a-z]+)\)?$")
_BASE_NAMES = dict(
    zip("two three four five six seven eight nine ten eleven twelve sixteen".split(), [*range(2, 13), 16], strict=True)  # noqa: SIM905
)
_UNIT_AT_END = re.compile(
    r"(?<=[0-9A-Za-z)}\]])\s+(?P<unit>(?:(?:square|cubic|sq)\s+)?[A-Za-z]{2,}(?:\s+(?:squared|cubed))?(?:/[a-z]+)?"
    r"(?:\^\{?[23]\}?)?)$"
)
_SHORT_UNITS = frozenset("km cm mm kg mg mi ft yd lb lbs oz ml".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as it was read.

    Attributes:
        node: its tree.
        unit: the unit behind it, as judges/rules/units.py knows it.
    """

    node: Node
    unit: tuple[str, str, str] = ("", "", "")

    @property
    def words(self) -> frozenset[str]:
        """The texts that the answer has as words."""
        return frozenset(_words(self.node))


@lru_cache(maxsize=2048)
def read(text: str, symbols: frozenset[str] = frozenset(), words: frozenset[str] = frozenset()) -> Reading:
    r"""What `text` says.

    Args:
        text: an answer without the markup around it.
        symbols: letters that the reference has as symbols: runs of them are products, whatever they look like.
        words: texts that the reference has as words: they are words here too, without `\text{…}`.

    Raises:
        InWordsError: it has words in it that the reference has not.
        UnreadableError: it is no mathematics.
    """
    spelled = one_spelling(text)
    if "$" in spelled.replace(r"\$", ""):
        raise UnreadableError("more than one formula")
    based = _based(spelled)
    if based is not None:
        return Reading(based)
    for phrase in sorted(words, key=len, reverse=True):
        pattern = r"(?<![A-Za-z{\\])" + r"[\s-]+".join(map(re.escape, phrase.split())) + r"(?![A-Za-z}])"
        spelled = re.sub(pattern, lambda match: rf"\text{{{match[0]}}}", spelled, flags=re.IGNORECASE)
    spelled, unit = _without_unit(spelled.strip(), symbols)
    reader = _Reader(tokens(spelled.replace(r"\$", " "), symbols))
    node = reader.statement()
    if reader.token.kind != "end":
        raise UnreadableError(f"{reader.token.text} where the answer should end")
    return Reading(node, known_unit(unit or " ".join(reader.units)))


class _Reader(AtomReader):
    def __init__(self, found: list[Token]) -> None:
        super().__init__(found)
        self.units: list[str] = []

    def statement(self) -> Node:
        """Items with commas, `and`, `or` between them; one item is itself."""
        self.descend()
        items, between = [self.item()], []
        while separator := self.separator():
            between.append(separator)
            items.append(self.item())
        self.depth -= 1
        return items[0] if len(items) == 1 else _joined(items, between)

    def separator(self) -> str:
        token = self.token
        found = token.kind if token.kind in ("or", "and") else _SEPARATORS.get(token.text, "")
        if not found or token.kind == "text":
            return ""
        self.next()
        if found in (",", ";") and self.token.kind in ("or", "and"):
            found = self.next().kind
        return found

    def item(self) -> Node:
        """One statement: an expression, or several with relations between them."""
        if self.token.kind == "text" and not self.words_go_on():
            named = self.words()
            if self.token.text not in RELATIONS:
                return named
            parts = [symbol(f"text {named.value}")]
        else:
            parts = [self.expression()]
        signs: list[str] = []
        self.unit()
        while self.token.text in RELATIONS and self.token.kind in ("sign", "command"):
            signs.append(RELATIONS[self.next().text])
            parts.append(self.words() if self.token.kind == "text" else self.expression())
            self.unit()
        if self.token.text in _MODULI:
            self.next()
            signs.append("mod")
            parts.append(self.argument())
        return Node("relation", tuple(parts), tuple(signs)) if signs else parts[0]

    def words(self) -> Node:
        r"""`\text{Evelyn}`, `\text{no solution}`: what is compared as words."""
        text = [self.next().text]
        while self.token.kind == "text":
            text.append(self.next().text)
        return Node("words", value=_normal(" ".join(text)))

    def unit(self) -> None:
        r"""A unit or noun behind an expression, `5\pi\text{ cm}^2`; it counts only where both sides have one."""
        while self.token.kind == "text":
            self.units.append(self.next().text)
            if self.token.text == "^":
                self.next()
                power = self.argument()
                self.units[-1] += f"^{power.value}"

    def set(self) -> Node:
        if self.have(r"\}"):
            return Node("set")
        built = self.builder(r"\}")
        if built is not None:
            return built
        bars, self.bars = self.bars, 0
        inner = self.statement()
        self.expect(r"\}")
        self.bars = bars
        return Node("set", inner.args if inner.op == "list" else (inner,))

    def group(self) -> Node:
        """What stands in braces; in plain text also a set, `{x | x > 3}`."""
        start = self.at
        self.expect("{")
        built = self.builder("}")
        if built is not None:
            return built
        self.at = start
        return super().group()

    def builder(self, closing: str) -> Node | None:
        r"""`\{x \mid x > 3\}`, also with `x \in \mathbb{R}` before the bar."""
        start = self.at
        if self.token.kind != "letter":
            return None
        name = self.next().text
        domain = None
        if self.have(r"\in"):
            domain = self.sum()
        if not self.have("|", ":"):
            self.at = start
            return None
        condition = self.statement()
        self.expect(closing)
        if domain is not None and domain != Node("const", value="Reals"):
            condition = Node("and", (condition, Node("relation", (symbol(name), domain), ("in",))))
        return Node("builder", (condition,), name)

    def matrix(self) -> Node:
        name = self.next().text
        rows: list[list[Node]] = [[]]
        while not self.have(r"\end"):
            if self.have(r"\\"):
                rows.append([])
            elif not self.have("&", r"\hline"):
                rows[-1].append(self.item())
            if self.token.kind == "end":
                raise UnreadableError("a matrix is not closed")
        if self.next().text != name:
            raise UnreadableError("a matrix is not closed")
        rows = [row for row in rows if row]
        if name in _ROWS_AS_STATEMENTS:
            return Node("list", tuple(cell for row in rows for cell in row), "and")
        if "matrix" not in name and name != "array":
            raise UnreadableError(name)
        return Node("matrix", tuple(Node("row", tuple(row)) for row in rows))


def _joined(items: list[Node], between: list[str]) -> Node:
    """A list; or alternatives of several values each: `x=1, y=2 or x=3, y=4`, with `;` for `or` too."""
    related = all(item.op == "relation" for item in items)
    weakest = "or" if "or" in between else ";"
    if weakest in between and set(between) - {weakest} and related and items[0].args[0] != items[1].args[0]:
        groups: list[list[Node]] = [[items[0]]]
        for separator, item in zip(between, items[1:], strict=True):
            if separator == weakest:
                groups.append([])
            groups[-1].append(item)
        parts = [Node("list", tuple(group), ",") if len(group) > 1 else group[0] for group in groups]
        return Node("list", tuple(parts), "or")
    kinds = {separator for separator in between if separator not in (",", ";")}
    return Node("list", tuple(items), kinds.pop() if len(kinds) == 1 else ("," if not kinds else "mixed"))


def _based(text: str) -> Node | None:
    r"""`204_5`, `A3_{16}`, `1011_{\text{two}}`: a number in a base."""
    match = _BASED.fullmatch(_IN_BASE.sub(r"_{\1}", text.strip()))
    if match is None:
        return None
    named = match["braced"] or match["base"]
    base = int(named) if named.isdigit() else _BASE_NAMES.get(named, 0)
    digits = match["digits"]
    if not 2 <= base <= 36 or (digits.isalpha() and (base <= 10 or len(digits) < 2)):
        return None
    if any(int(digit, 36) >= base for digit in digits):
        return None
    return Node("based", value=(digits, base))


def _without_unit(text: str, symbols: frozenset[str]) -> tuple[str, str]:
    """A known unit at the end, in plain letters, taken off: `2\\sqrt{3} cm`."""
    match = _UNIT_AT_END.search(text)
    if match is None or not known_unit(match["unit"])[0]:
        return text, ""
    if len(match["unit"]) <= 3 and (match["unit"] not in _SHORT_UNITS or symbols.issuperset(match["unit"])):
        return text, ""
    return text[: match.start()], match["unit"]


def _normal(text: str) -> str:
    return " ".join(text.replace("-", " ").strip(" .,;:!?()").casefold().split())


def _words(node: Node) -> list[str]:
    own = [node.value] if node.op == "words" else []
    return own + [word for arg in node.args for word in _words(arg)]


def name_of(text: str) -> str:
    """The key of the name that `text` is, as of `x` in `x = 5`; empty when it is none."""
    try:
        node = read(text).node
    except UnreadableError:
        return ""
    return key(node) if is_name(node) else ""
