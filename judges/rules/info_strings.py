"""The language that the info string of a fenced block names: what stands behind the opening fence.

CommonMark leaves its form open, and tools write much besides the language: options (`python,linenos`, `python{1,3}`),
a file (`python:main.py`, `main.py`), attributes of Pandoc (`{.python #id}`), chunks of R Markdown (`{python, echo=F}`),
directives of MyST (`{code-cell} ipython3`), versions (`python3.11`).
"""

from __future__ import annotations

import re

PYTHON_TAGS = frozenset({"python", "python3", "py", "py3", "ipython", "ipython3"})
"""What blocks with a Python program are marked with, as `language` gives it."""

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_QUOTES = "\"'<>“”«»"
_BRACES = re.compile(r"\{([^{}]{0,500})\}?")
_DIRECTIVES = frozenset({"code-cell", "code-block", "code", "sourcecode"})
_DECORATIONS = frozenset({".numberlines", ".number-lines", ".line-numbers", ".linenos"})
_NAMED = re.compile(r"lang(?:uage)?[-=:]")
_SCRIPT = re.compile(r"(?:[\w.-]+[/\\])*[\w.-]*\.py")
_VERSION = re.compile(r"(i?python|py)[-_]?([23]?)(?:\.[0-9x]+)*")
_END = re.compile(r"[,:;{|=!(\[&?]|#.")


def language(info: str) -> str:
    """The language in lower case, without version and options; empty when the info string names none."""
    info = info.translate(_INVISIBLE).strip().lower()
    braces = _BRACES.match(info)
    if braces is None:
        return _name(info)
    inside = braces[1].replace(",", " ").split()
    if inside and inside[0] in _DIRECTIVES:
        return _name(info[braces.end() :])
    classes = [word for word in inside if word.startswith(".") and word not in _DECORATIONS]
    words = [word for word in inside if word[0].isalpha() and "=" not in word]
    return _name((classes or words or [""])[0].removeprefix("."))


def _name(info: str) -> str:
    word = info.split(None, 1)[0] if info.strip() else ""
    word = _NAMED.sub("", word, count=1).strip(_QUOTES) if _NAMED.match(word) else word.strip(_QUOTES)
    end = _END.search(word)
    word = word[: end.start()].strip(_QUOTES) if end else word
    if word.endswith("py") and _SCRIPT.fullmatch(word):
        return "py"
    version = _VERSION.fullmatch(word)
    return version[1] + version[2] if version else word
