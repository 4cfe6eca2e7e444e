"""The language of a response, by langdetect with a fixed seed."""

from __future__ import annotations

from judges.rules.instruction_following.arguments import Text


def response_language(text: str, *, language: Text) -> bool:
    """The whole response is in the language (ISO 639-1; `zh` means any Chinese).

    A text whose language cannot be told, such as one of digits only, does not follow; the public checker lets it pass.
    """
    found = detect(text)
    return found is not None and language.lower() in (found, found.partition("-")[0])


def detect(text: str) -> str | None:
    """Code of the text's language, or None when it has no letters to tell it by."""
    import langdetect

    langdetect.DetectorFactory.seed = 0  # its random trials must not change a verdict from one run to the next
    try:
        found = str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None
    return None if found == "unknown" else found
