"""Patterns of JSON Schema: ECMAScript's regular expressions (ECMA-262, with the flag `u`), run by the `regex` package.

JSON Schema takes its patterns from ECMAScript, where much that Python writes alike means something else: `\\d`, `\\w`
and `\\b` know ASCII only, `\\s` has a list of its own, `$` does not match before a final line break, `.` stops at four
line breaks, `[]` matches nothing and `[^]` everything, a reference to a group that took no part is empty. A pattern is
translated to what `regex` reads, because `regex` can stop a search that takes too long.

Where ECMAScript refuses what Python allows – `\\A`, `\\Z`, `(?P<n>…)`, `{,3}`, atomic groups, possessive repetitions –
the pattern is read as Python reads it, because many schemas are written for validators in Python. Of what ECMAScript
allows without `u` only, unnecessary escapes (`\\-`, `\\_`) and brackets and braces that stand for themselves are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import regex

_SPACES = r"\t\n\x0b\x0c\r\x20\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_BREAKS = r"\n\r\u2028\u2029"
_WORD = "[A-Za-z0-9_]"
_CLASSES = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": _WORD,
    "W": "[^A-Za-z0-9_]",
    "s": f"[{_SPACES}]",
    "S": f"[^{_SPACES}]",
}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_EDGE = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_EDGE = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"
_ASSERTIONS = {"b": _EDGE, "B": _NO_EDGE, "A": r"\A", "Z": r"\Z", "z": r"\Z"}
_ANYTHING, _NOTHING = r"[\s\S]", "(?!)"

_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|c([A-Za-z])")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})")
_PROPERTY = re.compile(r"([pP])(?:\{(\^?[A-Za-z0-9_=:. -]{1,80})\}|([A-Z]))")
_REFERENCE = re.compile(r"([1-9][0-9]{0,3})|k<([^<>]{1,100})>")
_OPENING = re.compile(
    r"\((?:\?(?:P?<(?![=!])(?P<name>[^<>()]{1,100})>|P=(?P<again>[^<>()]{1,100})\)|(?P<kind>[:=!>]|<[=!])"
    r"|(?P<on>[ims]*)(?:-(?P<off>[ims]+))?(?P<end>[:)]))|(?!\?))"
)
"""Of Python's forms also `(?P<name>…)`, `(?P=name)`, `(?>…)` and flags that hold from here on, `(?i)`."""

_REPEATED = re.compile(r"[*+?][?+]?|\{([0-9]{1,9})?(,)?([0-9]{1,9})?\}[?+]?")


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, ready to search with. Raises `regex.error` when it is no regular expression."""
    return regex.compile(translated(pattern), regex.V1)


def translated(pattern: str) -> str:
    """The pattern in the syntax of `regex`, version 1. Raises `regex.error`."""
    return "".join(_Translation(pattern, *_groups(pattern)).pieces())


def _groups(pattern: str) -> tuple[int, dict[str, int]]:
    """How many groups the pattern captures, and the numbers of those with a name."""
    number, names, in_class, position = 0, dict[str, int](), False, 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character in "[]":
            in_class = character == "["
        elif character == "(" and not in_class:
            opening = _OPENING.match(pattern, position)
            if opening and (opening[0] == "(" or opening["name"]):
                number += 1
                names.setdefault(opening["name"], number)
        position += 1
    return number, names


@dataclass(slots=True)
class _Translation:
    """One pass over a pattern from left to right.

    Attributes:
        number: how many groups are captured in all.
        open: of each group that is open, its number (0: captures nothing) and the flags outside of it.
        flags: which of `i`, `m` and `s` hold.
    """

    pattern: str
    number: int
    names: dict[str, int]
    position: int = 0
    begun: int = 0
    open: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    flags: frozenset[str] = frozenset()

    def pieces(self) -> Iterator[str]:
        while self.position < len(self.pattern):
            yield self._piece(self.pattern[self.position])
        if self.open:
            raise self._error("a group is not closed")

    def _piece(self, character: str) -> str:
        match character:
            case "\\":
                return self._escaped()
            case "[":
                return self._class()
            case "(":
                return self._opened()
            case ")":
                return self._closed()
            case "^" | "$" | ".":
                self.position += 1
                return self._anchor(character)
            case "|":
                self.position += 1
                return "|"
            case "*" | "+" | "?" | "{":
                return self._repeated()
        self.position += 1
        return _literal(ord(character))

    def _anchor(self, character: str) -> str:
        if character == ".":
            return _ANYTHING if "s" in self.flags else f"[^{_BREAKS}]"
        if "m" in self.flags:
            return f"(?<![^{_BREAKS}])" if character == "^" else f"(?![^{_BREAKS}])"
        return r"\A" if character == "^" else r"\Z"

    def _repeated(self) -> str:
        found = _REPEATED.match(self.pattern, self.position)
        if not found or (found[0].startswith("{") and not (found[1] or found[3])):
            self.position += 1
            return _literal(ord("{"))
        self.position = found.end()
        if not found[0].startswith("{"):
            return found[0]
        at_least, at_most = found[1] or "0", (found[3] or "") if found[2] else found[1]
        if at_most and int(at_least) > int(at_most):
            raise self._error("numbers out of order in {}")
        return f"{{{at_least},{at_most}}}{found[0].rpartition('}')[2]}"

    def _opened(self) -> str:
        found = _OPENING.match(self.pattern, self.position)
        if not found:
            raise self._error("no group begins like this")
        self.position = found.end()
        if found["again"]:
            return self._reference(self._numbered(found["again"]))
        captures = found[0] == "(" or bool(found["name"])
        self.begun += captures
        if found["end"] != ")":
            self.open.append((self.begun if captures else 0, self.flags))
        if found["end"]:
            return self._flagged(found["on"], found["off"] or "", found["end"])
        return "(" if captures else f"(?{found['kind']}"

    def _flagged(self, on: str, off: str, end: str) -> str:
        """`(?i:` or, from here to the end of the group, `(?i)`; `m` and `s` are heeded by what is translated."""
        self.flags = (self.flags | set(on)) - set(off)
        for_case = ("i" if "i" in on else "") + ("-i" if "i" in off else "")
        return f"(?{for_case}{end}" if for_case or end == ":" else ""

    def _closed(self) -> str:
        if not self.open:
            raise self._error("a bracket ) closes no group")
        _, self.flags = self.open.pop()
        self.position += 1
        return ")"

    def _numbered(self, name: str) -> int:
        if name not in self.names:
            raise self._error(f"no group is called {name!r}")
        return self.names[name]

    def _reference(self, number: int) -> str:
        """A back-reference: nothing, where the group has not matched."""
        if number > self.begun or any(number == begun for begun, _ in self.open):
            return "(?:)"
        return rf"(?:(?({number})\g<{number}>|))"

    def _escaped(self) -> str:
        after = self.pattern[self.position + 1 : self.position + 2]
        if after in _ASSERTIONS and after:
            self.position += 2
            return _ASSERTIONS[after]
        reference = _REFERENCE.match(self.pattern, self.position + 1)
        if reference:
            number = int(reference[1]) if reference[1] else self._numbered(reference[2])
            if number > self.number:
                raise self._error(f"there is no group {number}")
            self.position = reference.end()
            return self._reference(number)
        meant = self._escape()
        return meant if isinstance(meant, str) else _literal(meant)

    def _escape(self) -> int | str:
        """What is escaped here, inside of a class or not: a code point, or a class of characters."""
        start = self.position + 1
        after = self.pattern[start : start + 1]
        if found := _PROPERTY.match(self.pattern, start):
            self.position = found.end()
            return rf"\{found[1]}{{{found[2] or found[3]}}}"
        if found := _HEX.match(self.pattern, start):
            self.position = found.end()
            return self._code_point(found)
        self.position = start + 1
        if after in _CLASSES and after:
            return _CLASSES[after]
        if after == "0" and self.pattern[start + 1 : start + 2].isdecimal():
            raise self._error("an octal escape")
        if after in _CONTROLS and after:
            return _CONTROLS[after]
        if not after or (after.isascii() and after.isalnum()):
            raise self._error(f"an escape that means nothing: \\{after}")
        return ord(after)

    def _code_point(self, found: re.Match[str]) -> int:
        if found[4]:
            return ord(found[4]) % 32
        code = int(found[1] or found[2] or found[3], 16)
        low = _LOW_SURROGATE.match(self.pattern, self.position)
        if 0xD800 <= code < 0xDC00 and low:
            self.position = low.end()
            return 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code > 0x10FFFF:
            raise self._error("no such character")
        return code

    def _class(self) -> str:
        self.position += 1
        negated = self.pattern.startswith("^", self.position)
        self.position += negated
        items = []
        while not self.pattern.startswith("]", self.position):
            items.append(self._item())
        self.position += 1
        if not items:
            return _ANYTHING if negated else _NOTHING
        return f"[{'^' * negated}{''.join(items)}]"

    def _item(self) -> str:
        """A character, a class or a range within brackets."""
        first = self._member()
        if not self.pattern.startswith("-", self.position) or self.pattern.startswith("-]", self.position):
            return first if isinstance(first, str) else _literal(first)
        self.position += 1
        last = self._member()
        if isinstance(first, str) or isinstance(last, str):  # [\d-x]: no range
            texts = (item if isinstance(item, str) else _literal(item) for item in (first, ord("-"), last))
            return "".join(texts)
        if first > last:
            raise self._error("a range out of order")
        return f"{_literal(first)}-{_literal(last)}"

    def _member(self) -> int | str:
        if self.position >= len(self.pattern):
            raise self._error("a class [ is not closed")
        character = self.pattern[self.position]
        if character != "\\":
            self.position += 1
            return ord(character)
        if self.pattern.startswith("b", self.position + 1):
            self.position += 2
            return 8
        return self._escape()

    def _error(self, problem: str) -> regex.error:
        return regex.error(problem, self.pattern, min(self.position, len(self.pattern)))


def _literal(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else rf"\U{code:08x}"
