r"""One spelling for the many of the same sign: Unicode, plain text and LaTeX forms, as the reader wants them.

Small models write `√2`, `x²`, `½`, `2·3`, `x ⩾ 3`; data sets from other countries `\geqslant` and full-width digits.
All of these are signs of mathematics with one meaning, and become the LaTeX command or the ASCII sign for it.
"""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸᵃᵇᵏᵐᵗ", "0123456789+-=()nixyabkmt", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙₖₘᵢⱼ", "0123456789+-=()aeoxnkmij", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_GREEK_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕϵϑ"
_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi epsilon theta
"""
_COMMANDS = {
    "∞": "infty",
    "·": "cdot",
    "⋅": "cdot",
    "∙": "cdot",
    "•": "cdot",
    "×": "times",
    "÷": "div",
    "±": "pm",
    "∓": "mp",
    "∪": "cup",
    "∩": "cap",
    "∖": "setminus",
    "∈": "in",
    "∉": "notin",
    "∅": "emptyset",
    "⌀": "emptyset",
    "≤": "le",
    "⩽": "le",
    "≦": "le",
    "≥": "ge",
    "⩾": "ge",
    "≧": "ge",
    "≠": "ne",
    "≈": "approx",
    "≡": "equiv",
    "→": "to",
    "⇒": "implies",
    "∧": "land",
    "∨": "lor",
    "⌊": "lfloor",
    "⌋": "rfloor",
    "⌈": "lceil",
    "⌉": "rceil",
    "…": "ldots",
    "⟨": "langle",
    "⟩": "rangle",
    "∠": "angle",
    "△": "triangle",
    "∥": "parallel",
    "⊥": "perp",
    "ℝ": "mathbb{R}",
    "ℤ": "mathbb{Z}",
    "ℕ": "mathbb{N}",
    "ℚ": "mathbb{Q}",
    "ℂ": "mathbb{C}",
    "∑": "sum",
    "∏": "prod",
    "∫": "int",
    "∂": "partial",
    "∘": "circ",
    "⋯": "ldots",
    "≅": "cong",
    "⊂": "subset",
    "⊆": "subseteq",
    "µ": "mu",
    **dict(zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True)),
}
_ASCII = str.maketrans(
    {
        **dict.fromkeys("−–—‐‑﹣－", "-"),
        **dict.fromkeys("∕⁄／", "/"),
        **dict.fromkeys("∣❘｜ǀ‖", "|"),
        **dict.fromkeys("′’‘ʹ＇", "'"),
        **dict.fromkeys("″“”", "''"),
        "‴": "'''",
        "，": ",",
        "、": ",",
        "；": ";",
        "：": ":",
        "∶": ":",
        "．": ".",
        "＋": "+",
        "＝": "=",
        "＊": "*",
        "∗": "*",
        "＜": "<",
        "＞": ">",
        "％": "%",
        "（": "(",
        "）": ")",
        "［": "[",
        "］": "]",
        "｛": "{",
        "｝": "}",
        "º": "°",
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    }
)
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_ROOT = re.compile(r"([√∛∜])\s*(\{|\(|[0-9]+(?:\.[0-9]+)?|[A-Za-z]|\\[A-Za-z]+)?")
_INDEXED_ROOT = re.compile("([²³⁴])√")
_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))
_STYLED_LETTER = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5aℎ]")
_MULTI = re.compile("|".join(map(re.escape, _COMMANDS)))
_SYNONYMS = {
    **dict.fromkeys(("leq", "leqslant", "leqq"), "le"),
    **dict.fromkeys(("geq", "geqslant", "geqq"), "ge"),
    **dict.fromkeys(("neq", "not="), "ne"),
    **dict.fromkeys(("lt",), "lt"),
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), "frac"),
    **dict.fromkeys(("dbinom", "tbinom"), "binom"),
    **dict.fromkeys(("varnothing", "O"), "emptyset"),
    **dict.fromkeys(("land", "wedge"), "land"),
    **dict.fromkeys(("lor", "vee"), "lor"),
    **dict.fromkeys(("dots", "cdots", "dotsc", "dotsb"), "ldots"),
    **dict.fromkeys(("rightarrow", "longrightarrow"), "to"),
    **dict.fromkeys(("Rightarrow", "Longrightarrow"), "implies"),
    **dict.fromkeys(("tg",), "tan"),
    **dict.fromkeys(("ctg", "cotg"), "cot"),
    **dict.fromkeys(("arctg",), "arctan"),
    **dict.fromkeys(("asin",), "arcsin"),
    **dict.fromkeys(("varepsilon",), "epsilon"),
    **dict.fromkeys(("varphi",), "phi"),
    **dict.fromkeys(("vartheta",), "theta"),
    **dict.fromkeys(("ast", "star"), "cdot"),
    **dict.fromkeys(("degree",), "circ"),
    **dict.fromkeys(("backslash",), "setminus"),
    **dict.fromkeys(("bar",), "overline"),
    "lbrace": "{",
    "rbrace": "}",
}
_SIGNS = {
    **dict.fromkeys(("lvert", "rvert", "vert", "mid", "Vert", "lVert", "rVert"), "|"),
    "lbrack": "[",
    "rbrack": "]",
}
_REWRITES = (
    (re.compile(r"\{,\}|,\\!\s*"), ","),
    (re.compile(r"(?<![A-Za-z])\{:\}"), ":"),
    (re.compile(r"\.\.\."), r"\\ldots "),
    (re.compile(r"(?<![,;\s])\s*\\q?quad\s*(?=[A-Za-z](?:_\{?\w\}?)?\s*=)"), ", "),  # `x=1 \quad y=2`
    (re.compile(r"\\q?quad"), " "),  # also in `\quadx`
    (re.compile(r"\\not\s*="), r"\\ne "),
    (re.compile(r"\\not\s*\\in(?![A-Za-z])"), r"\\notin "),
    (re.compile(r"(?<=\s)!="), r"\\ne "),  # but `5!=120`
    (re.compile(r"\*\*"), "^"),
    (re.compile("<="), r"\\le "),
    (re.compile(">="), r"\\ge "),
    (re.compile(r"\\(?:mathbb|Bbb)\s*\{?\s*([RZNQC])\s*\}?(?![A-Za-z])"), r"\\mathbb{\1}"),
    (re.compile(r"\\[cdt]?frac\s*([0-9])\s*(?=\{)"), r"\\frac{\1}"),
)
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)|(.))", re.DOTALL)
_NOTHING = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle limits".split()  # noqa: SIM905
)
_SPACES = frozenset(",;:!> ") | {"\n"}


def unicode_as_latex(text: str) -> str:
    r"""`text` with Unicode's signs of mathematics as LaTeX or ASCII: `√2·x²` becomes `\sqrt{2}\cdot x^{2}`."""
    if text.isascii():
        return text
    text = _STYLED_LETTER.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _INDEXED_ROOT.sub(lambda match: {"²": "√", "³": "∛", "⁴": "∜"}[match[1]], text.translate(_INVISIBLE))
    text = "".join(_vulgar_fraction(sign) for sign in text).translate(_ASCII)
    text = _RAISED.sub(lambda match: "^{" + "".join(map(_SUPERSCRIPTS.__getitem__, match[0])) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + "".join(map(_SUBSCRIPTS.__getitem__, match[0])) + "}", text)
    text = _MULTI.sub(lambda match: f"\\{_COMMANDS[match[0]]} ", text)
    return _ROOT.sub(_root, text)


def one_spelling(text: str) -> str:
    r"""`text` with one command for each sign, and without sizes and spaces: `\left[1,\,2\right)` becomes `[1, 2)`."""
    text = unicode_as_latex(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return _COMMAND.sub(_command, text)


def _command(match: re.Match[str]) -> str:
    name, sign = match[1], match[2]
    if sign is not None:
        return " " if sign in _SPACES else ("|" if sign == "|" else match[0])
    if name in _NOTHING:
        return " "
    known = _SYNONYMS.get(name, name)
    return _SIGNS.get(name) or f"\\{known}"


def _vulgar_fraction(sign: str) -> str:
    r"""`½` as `\frac{1}{2}`; any other sign as it is."""
    if sign < "\xbc" or "VULGAR FRACTION" not in unicodedata.name(sign, ""):
        return sign
    top, _, bottom = unicodedata.normalize("NFKC", sign).partition("\u2044")
    return rf"\frac{{{top}}}{{{bottom}}}" if top.isdigit() and bottom.isdigit() else sign


def _root(match: re.Match[str]) -> str:
    command, under = _ROOTS[match[1]], match[2] or ""
    return f"{command}{under}" if under in ("{", "(", "") else f"{command}{{{under}}}"
