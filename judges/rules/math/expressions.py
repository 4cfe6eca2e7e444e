r"""Reads sums, products and powers, in LaTeX and in plain text.

A product is written by putting factors side by side; `/` divides by the next factor only (`1/2x` is x/2). `x^23` is
plain text for the 23rd power.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from judges.rules.math.tokens import Token
from judges.rules.math.tree import MINUS_ONE, ONE, Node, UnreadableError, negative, number, product, symbol, total

MAX_DEPTH = 100
_MAX_CHAIN = 20
RELATIONS = {
    "=": "=",
    "~": "sim",
    **dict.fromkeys(("<", r"\lt"), "<"),
    **dict.fromkeys((">", r"\gt"), ">"),
    **{f"\\{name}": name for name in ("le", "ge", "ne", "approx", "equiv", "sim", "in", "notin", "to", "implies")},
    **{f"\\{name}": name for name in ("subset", "subseteq", "iff", "parallel", "perp", "cong", "propto", "simeq")},
}
_SET_OPERATIONS = {r"\cup": "union", r"\cap": "intersection", r"\setminus": "minus"}
_TIMES = frozenset({r"\cdot", r"\times", "*"})
_OVER = frozenset({"/", r"\div", ":"})
_STRUCTURE = frozenset(
    {r"\begin", r"\end", r"\\", r"\{", r"\}", r"\rfloor", r"\rceil", r"\rangle", r"\pm", r"\mp", r"\land", r"\lor"}
    | {r"\%", r"\$", r"\#", r"\_", r"\boxed", r"\middle", r"\&", r"\pmod", r"\mod", r"\bmod", r"\text"}
)
_AFTER_WORDS = _TIMES | {"+", "-", "/", "(", r"\frac", r"\sqrt"}
NO_FACTORS = _STRUCTURE | RELATIONS.keys() | _SET_OPERATIONS.keys() | _TIMES | _OVER
"""Commands and signs that cannot begin a factor."""


class ExpressionReader(ABC):
    """A recursive descent over tokens; what the brackets hold is read by a subclass."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.bars = 0
        self.depth = 0

    @abstractmethod
    def statement(self) -> Node:
        """What may stand within brackets."""

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def have(self, *texts: str) -> bool:
        """Takes the next token when it is one of these signs or commands."""
        if self.token.text in texts and self.token.kind in ("sign", "command"):
            self.at += 1
            return True
        return False

    def expect(self, *texts: str) -> str:
        text = self.token.text
        if not self.have(*texts):
            raise UnreadableError(f"{text or 'the end'} in place of {' or '.join(texts)}")
        return text

    def expression(self) -> Node:
        """A sum, or sets joined by ∪, ∩ and ∖."""
        self.descend()
        left = self.sum()
        for _ in range(_MAX_CHAIN):
            if self.token.text not in _SET_OPERATIONS:
                break
            operation = _SET_OPERATIONS[self.next().text]
            right = self.sum()
            left = Node(operation, (*left.args, right) if left.op == operation != "minus" else (left, right))
        self.depth -= 1
        return left

    def descend(self) -> None:
        """One level deeper; nobody nests an answer more deeply than this reads."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("nested too deeply")

    def sum(self) -> Node:
        terms: list[Node] = []
        while True:
            sign = self.sign() if self.token.text in ("+", "-", r"\pm", r"\mp") else ""
            if terms and not sign:
                return total(terms)
            term = self.product()
            if sign in ("+", "-", ""):
                terms.append(negative(term) if sign == "-" else term)
            else:
                terms.append(Node("pm", (term,), 1 if sign == r"\pm" else -1))

    def sign(self) -> str:
        sign = self.next().text
        while self.token.text in ("+", "-") and sign in ("+", "-"):
            raise UnreadableError("two signs")
        return sign

    def product(self) -> Node:
        factors = [self.factor()]
        while True:
            if self.token.text in _TIMES:
                self.next()
                factors.append(self.signed_factor())
            elif self.token.text in _OVER:
                colon = self.next().text == ":"
                divisor = self.signed_factor()
                if colon and self.token.text == ":":
                    factors = [self.proportion(product(factors), divisor)]
                else:
                    factors.append(Node("pow", (divisor, MINUS_ONE)))
            elif self.starts_factor():
                factors.append(self.factor())
            else:
                return product(factors)

    def proportion(self, first: Node, second: Node) -> Node:
        """`1:2:3`, of which two parts are read."""
        parts = [first, second]
        while self.have(":"):
            parts.append(self.signed_factor())
        return Node("call", tuple(parts), "ratio")

    def signed_factor(self) -> Node:
        return negative(self.factor()) if self.have("-") else self.factor()

    def starts_factor(self) -> bool:
        token = self.token
        if token.kind in ("letter", "name", "set"):
            return True
        if token.kind == "text":
            return self.words_go_on()
        if token.kind == "number":
            # `4 2` is no product of numbers, `x 2` and `2\cdot 3` are
            return self.tokens[self.at - 1].kind != "number"
        if token.kind == "command":
            return token.text not in NO_FACTORS
        return token.text in ("(", "[", "{") or (token.text == "|" and not self.bars)

    def words_go_on(self) -> bool:
        r"""Whether mathematics follows the words at hand: `6\text{ m} \times 4`; else they are a unit or an answer."""
        following = self.tokens[self.at + 1]
        return following.kind in ("number", "letter", "name") or following.text in _AFTER_WORDS

    def factor(self) -> Node:
        node = self.atom()
        for _ in range(_MAX_CHAIN):
            if self.token.text == "^":
                self.next()
                node = self.raised(node)
            elif self.have("!"):
                node = Node("call", (node,), "factorial2" if self.have("!") else "factorial")
            elif self.token.text == "°":
                self.next()
                node = Node("degree", (node,))
            elif self.have("%", r"\%"):
                node = product([node, number(Fraction(1, 100))])
            else:
                break
        return node

    def raised(self, node: Node) -> Node:
        start = self.at
        braces = self.have("{")
        if self.token.text in (r"\circ", "°"):
            self.next()
            if braces:
                self.expect("}")
            return Node("degree", (node,))
        self.at = start
        exponent = self.argument(signed=True)
        if self.token.text == "^":
            self.next()
            self.descend()
            exponent = self.raised(exponent)
            self.depth -= 1
        return Node("pow", (node, exponent))

    def argument(self, signed: bool = False) -> Node:
        r"""What a command, `^` or `_` takes: a group in braces, or one number, letter or command."""
        token = self.token
        if token.text == "{" and token.kind == "sign":
            return self.group()
        if token.text in ("-", "+") and signed:
            self.next()
            inner = self.argument()
            return negative(inner) if token.text == "-" else inner
        if token.kind == "number":
            self.next()
            return number(token.text)
        if token.kind == "letter":
            self.next()
            return letter(token.text)
        return self.atom()

    def group(self) -> Node:
        self.expect("{")
        bars, self.bars = self.bars, 0
        if self.have("}"):
            self.bars = bars
            return ONE
        node = self.statement()
        self.expect("}")
        self.bars = bars
        return Node("set", node.args) if node.op == "list" else node

    def atom(self) -> Node:
        self.descend()
        node = self.atom_at(self.next())
        self.depth -= 1
        return node

    @abstractmethod
    def atom_at(self, token: Token) -> Node:
        """What begins with `token`, which has been taken: a number, a symbol, brackets, a command."""


def letter(text: str) -> Node:
    """The symbol or constant that a single letter is."""
    return Node("const", value=text) if text in ("e", "i") else symbol(text)
