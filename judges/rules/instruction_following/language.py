"""The language of a response, by langdetect with a fixed seed, as in the public checkers.

Languages that langdetect does not know are told by py3langid; for the public checkers they cannot be followed at all.
"""

from __future__ import annotations

from judges.rules.languages import Language, margin

_LANGDETECT_CODES = """
af ar bg bn ca cs cy da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro ru sk
sl so sq sv sw ta te th tl tr uk ur vi zh
"""
LANGDETECT = frozenset(_LANGDETECT_CODES.split())
"""Languages that langdetect tells apart (`zh`: it says which Chinese)."""


def response_language(text: str, *, language: Language) -> bool:
    """The whole response is in the language (ISO 639-1; `zh` means any Chinese).

    A text whose language cannot be told, such as one of digits only, does not follow; the public checker lets it pass.
    """
    if language not in LANGDETECT:
        return margin(text, language)[0] > 0
    detected = detect(text)
    return detected is not None and detected.partition("-")[0] == language


def detect(text: str) -> str | None:
    """Code of the text's language, or None when it has no letters to tell it by."""
    import langdetect

    langdetect.DetectorFactory.seed = 0  # its random trials must not change a verdict from one run to the next
    try:
        detected = str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None
    return None if detected == "unknown" else detected
