"""Units after a number: which are certainly different. Only the common ones are known; a noun is no unit here."""

from __future__ import annotations

import re

_KNOWN = {
    "kilometre": "km kilometer kilometre",
    "metre": "m meter metre",
    "centimetre": "cm centimeter centimetre",
    "millimetre": "mm millimeter millimetre",
    "mile": "mi mile",
    "yard": "yd yard",
    "foot": "ft foot feet",
    "inch": "in inch inches",
    "kilogram": "kg kilogram kilo",
    "gram": "g gram",
    "milligram": "mg milligram",
    "pound": "lb lbs",
    "ounce": "oz ounce",
    "ton": "ton tonne",
    "litre": "l liter litre",
    "millilitre": "ml milliliter millilitre",
    "gallon": "gal gallon",
    "second": "s sec second",
    "minute": "min mins minute",
    "hour": "h hr hrs hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "yr yrs year",
    "dollar": "$ dollar usd buck",
    "cent": "cent ¢",
    "euro": "€ euro eur",
    "pound sterling": "£ gbp quid",
    "yen": "¥ yen jpy",
    "celsius": "c celsius centigrade",
    "fahrenheit": "f fahrenheit",
}
_UNITS = {alias: unit for unit, aliases in _KNOWN.items() for alias in aliases.split()}
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "²": "2", "³": "3"}
_DEGREES = frozenset({"degree", "degrees", "°"})
_POWER = re.compile(r"(?P<name>.+?)(?:\^\{?(?P<power>[23])\}?|(?P<sign>[²³]))?")


def known_unit(words: str) -> tuple[str, str, str]:
    """(unit, power, unit after "per" or `/`) that the words after a number name; empty where there is none known."""
    before, _, per = re.sub(r"\s+(?:per|an?)\s+|\s*/\s*", "/", words.strip()).partition("/")
    unit, power = _unit(before)
    return unit, power, _unit(per)[0] if unit else ""


def disagree(first: tuple[str, str, str], second: tuple[str, str, str]) -> bool:
    """Whether both name a unit, and different ones; what only one of them says does not count, powers do."""
    if not (first[0] and second[0]):
        return False
    return first[:2] != second[:2] or bool(first[2] and second[2] and first[2] != second[2])


def _unit(words: str) -> tuple[str, str]:
    names = words.replace("°", "° ").split()
    power = ""
    while names and names[0].lower() in _POWERS.keys() | _DEGREES:
        power = _POWERS.get(names.pop(0).lower(), power)
    match = _POWER.fullmatch(names[0]) if names else None
    if match is None:
        return "", ""
    name = match["name"].lower()
    unit = _UNITS.get(name) or (_UNITS.get(name.removesuffix("s"), "") if len(name) > 2 else "")
    return unit, (match["power"] or _POWERS.get(match["sign"] or "", power)) if unit else ""
