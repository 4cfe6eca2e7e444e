"""Reads one number as people and language models write it: `1,234.50`, `-3/4`, `\\frac{1}{2}`, `12 %`, `18 dollars`.

Only a finished number counts. Sums, lists, alternatives and equations are not numbers here, because a model that is
paid for `17 + 25` when the answer is 42 stops calculating.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd

from judges.rules.units import disagree, known_unit

_LONGEST = 200
_MAX_EXPONENT = 300


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was read.

    Attributes:
        value: its exact value, without regard to a percent sign.
        percent: it was written with a percent sign.
        ratio: it was written as a fraction.
        reduced: no fraction, or one in lowest terms (`1/2`, `3 1/2`): not `3/6`, `84/2`, `3 7/2`.
        unit: the unit that was written with it, as judges/rules/units.py knows it.
    """

    value: Fraction
    percent: bool = False
    ratio: bool = False
    reduced: bool = True
    unit: tuple[str, str, str] = ("", "", "")

    def equals(self, other: Number) -> bool:
        """Equal in value and not in different units; where only one has a percent sign, 50 % equals 50 and 0.5."""
        if disagree(self.unit, other.unit):
            return False
        if self.percent == other.percent:
            return self.value == other.value
        percent, plain = (self, other) if self.percent else (other, self)
        return plain.value in (percent.value, percent.value / 100)


_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_SPACED = r"[0-9]{1,3}(?:[ '’][0-9]{3})+(?![0-9])"
"""Thousands set apart by a space (of any width, also `\\,`) or an apostrophe: `12 345`, `12'345`."""
_SIGNED = r"[+-]?\s*[0-9]+"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[+-])?\s*(?:(?P<currency>[$€£¥])\s*)?(?P<late_sign>-)?
    (?:
        (?P<whole>{_DIGITS})?\s*\\frac\s*(?:\{{\s*(?P<top>{_SIGNED})\s*\}}\s*\{{\s*(?P<bottom>{_SIGNED})\s*\}}
                                          |(?P<top_digit>[0-9])\s*(?P<bottom_digit>[0-9]))
        | (?:(?P<whole_text>{_DIGITS})\s+)?(?P<top_text>{_DIGITS})\s*/\s*(?P<bottom_text>{_DIGITS})
        | (?P<before_period>[0-9]*\.[0-9]*)\\(?:overline|bar)\s*
          (?:\{{\s*(?P<period>[0-9]+)\s*\}}|(?P<period_digit>[0-9]))
        | (?<![0-9])10\s*\^\s*(?:(?P<power_of_ten>[0-9]{{1,2}})|\{{\s*(?P<braced_power_of_ten>-?[0-9]{{1,2}})\s*\}})
        | (?P<decimal>(?:{_SPACED}|{_DIGITS})?(?:\.[0-9]+)?)
          (?:[eE](?P<exponent>[+-]?[0-9]{{1,3}})|\s*[×x*]\s*10\s*\^\s*\{{?\s*(?P<power>-?[0-9]{{1,3}})\s*\}}?)?
    )
    (?P<rest>.*)
    """,
    re.VERBOSE | re.DOTALL,
)
# Letters only, a power of two or three at the end at most: `4 or3` and `4 plus-3` are no numbers with a unit.
_UNIT_WORD = r"[A-Za-z°]+(?:['’][A-Za-z]+)?(?:/[A-Za-z]+)?(?:[²³]|\^\{?[23]\}?)?"
_UNIT = re.compile(rf"(?P<gap>\s*)(?P<words>{_UNIT_WORD}(?:\s+{_UNIT_WORD}){{0,5}})")
_ATTACHED = frozenset("° °C °F m mm cm km g kg mg s h min ms l L ml mL ft in lb oz mph am pm".split())  # noqa: SIM905
_SINGLE = frozenset("mgshlLJNWVAKCF°")
_SHORT_UNIT_WORDS = """
km cm mm nm kg mg mL ml cl dl ft in lb oz yd mi hr pm am AM PM Hz kW MW GB MB kB KB TB kJ kN Pa mA mV kV eV ms ns ha
dB pt qt kWh mph rpm lbs hrs yds kmh kph bpm fps pcs pts
"""
_SHORT_UNITS = frozenset(_SHORT_UNIT_WORDS.split())
_NOT_UNIT_WORDS = """
or and either maybe perhaps possibly probably not no where if but to plus minus times divided over is isn't are was also
then than because since so which pi e i sqrt theta infinity log ln sin cos tan mod half dozen hundred thousand million
billion trillion zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
isn't aren't wasn't isnt arent wasnt don't dont wrong incorrect false true
squared cubed factorial dozens halves thirds quarters fourths fifths tenths hundreds thousands millions billions
"""
_NOT_UNITS = frozenset(_NOT_UNIT_WORDS.split())
_CURRENCIES = frozenset("$€£¥")
_REWRITES = (
    (re.compile(r"\\[cdt]frac"), r"\\frac"),
    (re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\{,\}|,\\!\s*"), ","),
    (re.compile(r"\\[,!;: ]|\\quad|~|[\u00a0\u2009\u202f]"), " "),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\\(?:times|cdot)"), "×"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree"), "°"),
    (re.compile(r"[−–]"), "-"),
)


def read_number(text: str) -> Number | None:
    """The number that is all of `text`; a currency sign, percent sign or unit may be with it. None for all else."""
    if len(text) > _LONGEST:
        return None
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    part = match.groupdict()
    rest = part["rest"].strip()
    percent = rest in ("%", "percent")
    if rest and not percent and rest not in _CURRENCIES and not is_unit(part["rest"]):
        return None
    if part["sign"] and part["late_sign"]:
        return None
    number = _ratio(part) or _repeating(part) or _power_of_ten(part) or _decimal(part)
    if number is None:
        return None
    negative = "-" in (part["sign"], part["late_sign"])
    unit = known_unit("" if percent else rest or part["currency"] or "")
    return replace(number, value=-number.value if negative else number.value, percent=percent, unit=unit)


def _ratio(part: dict[str, str | None]) -> Number | None:
    above = part["top"] or part["top_digit"] or part["top_text"]
    below = part["bottom"] or part["bottom_digit"] or part["bottom_text"]
    if above is None or below is None or _integer(below) == 0:
        return None
    top, bottom, whole = _integer(above), _integer(below), part["whole"] or part["whole_text"]
    if whole and (top < 0 or bottom < 0):
        return None
    reduced = gcd(top, bottom) == 1 and not (whole and top > bottom)
    return Number(Fraction(top, bottom) + (_integer(whole) if whole else 0), ratio=True, reduced=reduced)


def _repeating(part: dict[str, str | None]) -> Number | None:
    r"""`0.1\overline{6}`: the digits under the line repeat without end."""
    before, period = part["before_period"], part["period"] or part["period_digit"]
    if not before or not period:
        return None
    whole, fixed = before.split(".")
    repeated = Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return Number(Fraction(f"{whole or 0}.{fixed or 0}") + repeated)


def _power_of_ten(part: dict[str, str | None]) -> Number | None:
    power = part["power_of_ten"] or part["braced_power_of_ten"]
    return Number(Fraction(10) ** int(power)) if power else None


def _decimal(part: dict[str, str | None]) -> Number | None:
    digits = part["decimal"]
    if not digits:
        return None
    exponent = int(part["exponent"] or part["power"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        return None
    return Number(Fraction(re.sub(r"[, '’]", "", digits)) * Fraction(10) ** exponent)


def _integer(digits: str) -> int:
    return int(re.sub(r"[,\s]", "", digits))


def is_unit(rest: str) -> bool:
    """Whether what follows a number is a unit or a noun, and not more mathematics or a second thought."""
    match = _UNIT.fullmatch(rest.rstrip())
    if match is None:
        return False
    words = match["words"].replace("’", "'").split()
    if not match["gap"] and words[0].rstrip("²³^{}23") not in _ATTACHED:
        return False
    return not any(word.lower() in _NOT_UNITS or _is_symbols(word) for word in words)


def _is_symbols(word: str) -> bool:
    """Whether a short word is symbols rather than a unit: `x`, `mv^2`, `xyz`; but `m`, `kg`, `men`."""
    letters = word.rstrip("²³^{}23")
    if len(letters) == 1:
        return letters not in _SINGLE
    short = len(letters) == 2 or (len(letters) == 3 and not re.search("[aeiouy]", letters))
    return short and letters.isalpha() and letters not in _SHORT_UNITS
