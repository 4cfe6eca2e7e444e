r"""Reads what sums and products are made of: numbers, symbols, brackets, fractions, roots, functions, sum signs.

Letters are symbols of one letter each, with index (`a_{n+1}`), primes (`y''`) and accents (`\hat x`) as part of the
name; `e`, `\pi` and `i` are the constants. `2\frac{1}{2}` is a mixed number.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from fractions import Fraction

from judges.rules.math.expressions import NO_FACTORS, ExpressionReader, letter
from judges.rules.math.tokens import FUNCTIONS, Token
from judges.rules.math.tree import (
    INFINITY,
    MINUS_ONE,
    TWO,
    Node,
    UnreadableError,
    key,
    number,
    product,
    quotient,
    symbol,
    total,
)

_ACCENTS = frozenset(
    r"\overline \hat \vec \tilde \dot \ddot \widehat \widetilde \overrightarrow \underline \check \overset".split()  # noqa: SIM905
)
_LOOPS = frozenset({r"\sum", r"\prod"})
_AS_TEXT_ONLY = frozenset({r"\int", r"\iint", r"\oint", r"\lim", r"\limsup", r"\liminf", r"\bigcup", r"\bigcap"})
_FENCES = {r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
_APPLIED = frozenset("fg")
_BRACKETS = {"(": ")", "[": "]"}
_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sinh": "arcsinh"}
_NAMES = frozenset(f"\\{name}" for name in FUNCTIONS)


class AtomReader(ExpressionReader):
    """Reads atoms; sets and matrices, which hold whole statements, are read by a subclass."""

    def atom_at(self, token: Token) -> Node:
        if token.kind == "number":
            return self.numeral(token)
        if token.kind == "letter":
            return self.named(token.text)
        if token.kind == "name":
            return self.function(token.text)
        if token.kind == "text":
            return self.named(f"text {token.text}")
        if token.kind == "set":
            return Node("const", value=token.text)
        if token.kind == "command":
            return self.command(token)
        if token.kind == "sign" and token.text in _BRACKETS:
            return self.brackets(token.text)
        if token.kind == "sign" and token.text == "{":
            self.at -= 1
            return self.group()
        if token.text == "|" and token.kind == "sign":
            return self.absolute()
        raise UnreadableError(f"{token.text or 'the end'} where a number or symbol should be")

    def numeral(self, token: Token) -> Node:
        text = token.text
        if self.token.text == "_":
            self.next()
            base = self.argument(signed=True)
            if base.op == "num":
                return Node("based", value=(text, int(base.value)))
            raise UnreadableError("a number with an index")
        if self.token.text == ".":  # `0.\overline{3}`, `12.`
            raise UnreadableError("a point within a number")
        mixed = self.mixed(text)
        return mixed or number(text)

    def mixed(self, whole: str) -> Node | None:
        r"""`2\frac{1}{2}`: digits before a proper fraction of digits."""
        if not whole.isdigit() or self.token.text != r"\frac":
            return None
        ahead = [token.text for token in self.tokens[self.at + 1 : self.at + 7]]
        digits = ahead[1::3] if ahead[::3] == ["{", "{"] and ahead[2::3] == ["}", "}"] else ahead[:2]
        if len(digits) < 2 or not all(text.isdigit() for text in digits) or not 0 < int(digits[0]) < int(digits[1]):
            return None
        self.next()
        return total([number(whole), quotient(self.argument(), self.argument())])

    def named(self, letter: str) -> Node:
        """A symbol with its index and primes; or the function `f` with its arguments."""
        if letter in ("e", "i") and self.token.text not in ("_", "'"):
            return Node("const", value=letter)
        name = letter
        while True:
            if self.token.text == "_":
                self.next()
                name += f"_{self.index()}"
            elif self.have("'"):
                name += "'"
            elif self.token.text == "^" and self.primes():
                name += "'" * self.primes()
                self.skip_argument()
            else:
                break
        if self.token.text == "(" and (
            letter in _APPLIED or letter.startswith("text ") or name.endswith("'") or self.several_in_brackets()
        ):
            self.next()
            return self.applied(name, self.brackets("("))
        if letter in _APPLIED and self.token.text == "^" and self.tokens[self.at + 1].text in ("{", "("):
            inverse = [token.text for token in self.tokens[self.at + 1 : self.at + 5]]
            if inverse == ["{", "-", "1", "}"] and self.tokens[self.at + 5].text == "(":
                self.at += 6
                return self.applied(f"{name}^-1", self.brackets("("))
        return symbol(name)

    def several_in_brackets(self) -> bool:
        """Whether a comma stands in the brackets at hand: `P(a, b)` is a value of P, `h(a+b)` a product."""
        depth = 0
        for token in self.tokens[self.at :]:
            depth += (token.text in ("(", "[", "{", r"\{")) - (token.text in (")", "]", "}", r"\}"))
            if depth == 0:
                return False
            if depth == 1 and token.text == ",":
                return True
        return False

    def applied(self, name: str, arguments: Node) -> Node:
        return Node("call", arguments.args if arguments.op == "brackets" else (arguments,), f"{name}()")

    def primes(self) -> int:
        r"""How many primes the power at hand is: `^{\prime\prime}`, `^{''}`."""
        texts = []
        at = self.at + 1
        braces = self.tokens[at].text == "{"
        for token in self.tokens[at + braces : at + 6]:
            if token.text not in ("'", r"\prime"):
                break
            texts.append(token.text)
            if not braces:
                break
        return len(texts)

    def skip_argument(self) -> None:
        self.next()
        if not self.have("{"):
            self.next()
            return
        while not self.have("}"):
            if self.next().kind == "end":
                raise UnreadableError("a brace is not closed")

    def index(self) -> str:
        """The name of an index: the same for `1` and `{1}`, for `n+1` and `1+n`."""
        if self.token.text == "{":
            start = self.at
            try:
                return key(self.group())
            except UnreadableError:
                self.at = start
                self.next()
                words = []
                while not self.have("}"):
                    if self.token.kind == "end":
                        raise
                    words.append(self.next().text)
                return "".join(words)
        token = self.next()
        if token.kind == "number":
            return str(Fraction(token.text))
        if token.kind == "letter":
            return key(letter(token.text))
        if token.kind in ("command", "text", "name"):
            return token.text
        raise UnreadableError("an index is missing")

    def absolute(self) -> Node:
        self.bars += 1
        inner = self.statement()
        self.bars -= 1
        self.expect("|")
        return Node("call", (inner,), "abs")

    def brackets(self, opening: str) -> Node:
        """What stands in brackets of which the first has been taken: one expression, or several in order."""
        bars, self.bars = self.bars, 0
        inner = self.statement()
        closing = self.expect(")", "]")
        self.bars = bars
        if inner.op == "list":
            return Node("brackets", inner.args, opening + closing)
        if _BRACKETS[opening] != closing:
            raise UnreadableError("brackets that do not match")
        return inner

    def command(self, token: Token) -> Node:
        name = token.text
        special: dict[str, Callable[[], Node]] = {
            r"\frac": self.fraction,
            r"\sqrt": self.root,
            r"\binom": lambda: Node("call", (self.argument(), self.argument()), "binomial"),
            r"\{": self.set,
            r"\langle": self.vector,
            r"\begin": self.matrix,
        }
        if name in special:
            return special[name]()
        if name in _FENCES:
            inner = self.statement()
            self.expect(_FENCES[name][0])
            return Node("call", (inner,), _FENCES[name][1])
        if name in _LOOPS:
            return self.loop(name[1:])
        if name in _AS_TEXT_ONLY:
            return self.rest(name)
        if name in _NAMES:
            return self.function(name[1:])
        if name in _ACCENTS:
            return self.accented(name[1:])
        if name == r"\pi":
            return Node("const", value="pi")
        if name in (r"\infty", r"\infinity"):
            return INFINITY
        if name in (r"\emptyset",):
            return Node("set")
        if name in NO_FACTORS or not name[1:].isalpha():
            raise UnreadableError(f"{name} where a number or symbol should be")
        return self.named(name)

    @abstractmethod
    def set(self) -> Node:
        r"""What stands behind `\{`, up to its end."""

    @abstractmethod
    def matrix(self) -> Node:
        r"""What stands behind `\begin`, up to its `\end`."""

    def vector(self) -> Node:
        inner = self.statement()
        self.expect(r"\rangle")
        return Node("brackets", inner.args if inner.op == "list" else (inner,), "()")

    def fraction(self) -> Node:
        top, bottom = self.argument(), self.argument()
        marks = [_first(part) for part in (top, bottom)]
        if marks[0] == marks[1] and marks[0] in ("d", r"\partial") and bottom.op == "mul":
            return Node("opaque", value=f"{key(top)}/{key(bottom)}")  # a derivative: its d does not cancel
        return quotient(top, bottom)

    def root(self) -> Node:
        index = TWO
        if self.have("["):
            index = self.expression()
            self.expect("]")
        return Node("root", (index, self.argument()))

    def accented(self, accent: str) -> Node:
        r"""`\hat{x}` is another symbol than x; `\overline{AB}` is the line AB, and i, j, k need no hat."""
        start = self.at
        inner = self.argument()
        names = [arg.value for arg in (inner.args if inner.op == "mul" else (inner,)) if arg.op in ("sym", "const")]
        text = "".join(str(name) for name in names)
        if accent in ("overline", "underline") and re.fullmatch("[A-Z]{2,}", text):
            return inner
        if accent in ("hat", "vec", "overset") and text in ("i", "j", "k"):
            return inner
        if self.at == start or inner.op not in ("sym", "const", "mul"):
            return Node("opaque", value=f"{accent} {key(inner)}")
        return self.named(f"{accent} {text}")

    def function(self, name: str) -> Node:
        """A function with its index, power and argument: `\\log_2 8`, `\\sin^2 x`, `\\ln|x|`, `\\max(a, b)`."""
        base = None
        if self.token.text == "_":
            self.next()
            base = self.argument(signed=True)
        power = None
        if self.token.text == "^":
            self.next()
            power = self.argument(signed=True)
        if power == MINUS_ONE and name in _INVERSES:
            name, power = _INVERSES[name], None
        arguments = self.arguments()
        if base is not None:
            if name != "log" or len(arguments) != 1:
                raise UnreadableError(f"{name} with an index")
            arguments.append(base)
        node = Node("call", tuple(arguments), name)
        return node if power is None else Node("pow", (node, power))

    def arguments(self) -> list[Node]:
        opening = self.token.text
        if opening in ("(", "[", "{", r"\{"):
            inner = self.atom()
            return list(inner.args) if inner.op in ("brackets", "set") else [inner]
        factors = [self.signed_factor()]
        while self.starts_factor() and self.token.kind != "name" and self.token.text not in _NAMES | {"(", "["}:
            factors.append(self.factor())
        return [product(factors)]

    def loop(self, kind: str) -> Node:
        """A sum or product sign with its variable, its bounds and the term behind it."""
        self.expect("_")
        self.expect("{")
        variable = self.named(self.next().text) if self.token.kind in ("letter", "command") else None
        name = variable.value if variable is not None and variable.op in ("sym", "const") else None
        if name is None or not self.have("="):
            raise UnreadableError("a sum over something else than a range")
        low = self.expression()
        self.expect("}")
        self.expect("^")
        high = self.argument(signed=True)
        body = self.product()
        return Node("loop", (low, high, _bound(body, name)), (kind, name))

    def rest(self, name: str) -> Node:
        """An integral or limit: everything to the end of this part, as text."""
        texts = [name]
        depth = 0
        while self.token.kind != "end":
            depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(self.token.text, 0)
            if depth < 0 or (depth == 0 and self.token.text in ("=", ",", ";")):
                break
            texts.append(self.next().text)
        return Node("opaque", value=" ".join(texts))


def _first(node: Node) -> str:
    first = node.args[0] if node.op == "mul" else node
    first = first.args[0] if first.op == "pow" else first
    return str(first.value) if first.op == "sym" else ""


def _bound(node: Node, name: str) -> Node:
    """In a sum over i, `i` is its variable and not the imaginary unit."""
    if node.op == "const" and node.value == name:
        return symbol(name)
    return Node(node.op, tuple(_bound(arg, name) for arg in node.args), node.value) if node.args else node
