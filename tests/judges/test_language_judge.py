"""The language judge on plain sentences, mixtures, code, quotations and what is too short to be in a language."""

from __future__ import annotations

from typing import Any

import pytest

from judges import Outcome, Row, Verdict
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.language import LanguageJudge
from judges.rules.languages import LANGUAGES, identifier, language_code, margin

TEXTS = {
    "en": "The weather was fine this morning, and we walked along the river until noon.",
    "de": "Das Wetter war heute Morgen schön, und wir gingen bis zum Mittag am Fluss entlang.",
    "fr": "Il faisait beau ce matin, et nous avons marché le long de la rivière jusqu'à midi.",
    "es": "Hacía buen tiempo esta mañana y caminamos junto al río hasta el mediodía.",
    "ru": "Сегодня утром была хорошая погода, и мы гуляли вдоль реки до полудня.",
    "zh": "今天早上天气很好，我们沿着河边一直走到中午。",
    "ja": "今朝は天気がよかったので、昼まで川沿いを歩きました。",
    "ko": "오늘 아침은 날씨가 좋아서 우리는 정오까지 강가를 걸었습니다.",
    "hr": "Jutros je bilo lijepo vrijeme i šetali smo uz rijeku sve do podneva.",
}


def judged(response: str, language: Any = None, **options: Any) -> Verdict:
    metadata = {} if language is None else {"language": language}
    return LanguageJudge(**options).verdict(Row("q", response, metadata))


@pytest.mark.parametrize("language", TEXTS)
def test_each_text_is_in_its_language_and_in_no_other(language: str) -> None:
    outcomes = {wanted: judged(TEXTS[language], wanted).outcome for wanted in TEXTS}
    assert outcomes == {wanted: "satisfied" if wanted == language else "violated" for wanted in TEXTS}


def test_the_score_is_a_margin_whose_sign_is_the_verdict() -> None:
    right, wrong = judged(TEXTS["de"], "de"), judged(TEXTS["de"], "fr")
    assert right.score is not None
    assert wrong.score is not None
    assert 0.9 < right.score <= 1
    assert -1 <= wrong.score < -0.9
    assert wrong.reason == "in de, not in fr"


def test_the_option_outweighs_metadata_and_needs_none() -> None:
    assert judged(TEXTS["de"], language="de").outcome == "satisfied"
    judge = LanguageJudge(language="de")
    assert judge.verdict(Row("q", TEXTS["de"], {})).outcome == "satisfied"
    assert judge.verdict(Row("q", TEXTS["de"], {"language": "fr"})).outcome == "satisfied"
    assert LanguageJudge().verdict(Row("q", TEXTS["de"], {})) == Verdict.unknown("missing metadata: language")


@pytest.mark.parametrize(
    "response", ["42", "ok", "👍👍👍", "3.14 = π", "`print(x)`", "https://example.com/some/long/path"]
)
def test_what_is_too_short_to_be_in_a_language_is_not_judged(response: str) -> None:
    assert judged(response, "ko").outcome == "not_applicable"


def test_few_chinese_characters_are_enough() -> None:
    assert judged("我们去河边走走", "zh").outcome == "satisfied"
    assert judged("我们去河边走走", "zh", min_letters=22).outcome == "not_applicable"


def test_an_empty_response_is_in_no_language() -> None:
    assert judged(" \n", "en") == Verdict.violated("empty response")


def test_babble_is_not_the_wanted_language() -> None:
    verdict = judged("bzk trf mpl qwx " * 20, "en")
    assert verdict.outcome == "violated"
    assert verdict.score is not None
    assert verdict.score < 0


def test_a_long_passage_in_another_language_violates_until_it_is_allowed() -> None:
    mixed = f"{TEXTS['en']} {TEXTS['en']}\n\n{TEXTS['ru']}"
    verdict = judged(mixed, "en")
    assert verdict.outcome == "violated"
    assert "of the text is in ru, not in en" in verdict.reason
    assert judged(mixed, "en", max_other=0.5).outcome == "satisfied"


def test_foreign_names_and_a_foreign_word_do_no_harm() -> None:
    text = f"{TEXTS['en']} We met Jürgen Müller there, and he told us about the years that he spent in São Paulo."
    assert judged(text, "en").outcome == "satisfied"


def test_code_is_left_out_unless_it_counts() -> None:
    comments = f"# {TEXTS['de']}\n" * 2
    text = f"Here is the code:\n```python\n{comments}```\nIt prints nothing at all."
    assert judged(text, "en").outcome == "satisfied"
    assert judged(text, "en", ignore_code=False).outcome == "violated"


@pytest.mark.parametrize("quoted", ['"{}"', "“{}”", "„{}“", "«{}»", "\n> {}\n"])
def test_quotations_can_be_left_out(quoted: str) -> None:
    text = f"{TEXTS['fr']} {quoted.format(TEXTS['en'])} {TEXTS['fr']}"
    assert judged(text, "fr").outcome == "violated"
    assert judged(text, "fr", ignore_quotes=True).outcome == "satisfied"


@pytest.mark.parametrize(("language", "reason"), [("xx", "unknown language"), (3, "must be text, not int")])
def test_metadata_that_names_no_language_is_unknown(language: Any, reason: str) -> None:
    verdict = judged(TEXTS["en"], language)
    assert verdict.outcome == Outcome.UNKNOWN
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "eng"}, "Did you mean 'en'?"),
        ({"language": "deu"}, "unknown language 'deu'. Did you mean 'de'? Allowed: "),
        ({"language": "French"}, "Did you mean 'fr'?"),
        ({"max_other": 1.5}, "less than or equal to 1"),
        ({"min_letters": 0}, "greater than or equal to 1"),
        ({"langauge": "en"}, "Did you mean 'language'?"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(JudgesError, match=message.replace("?", r"\?")):
        create("language", options)


def test_codes_may_have_regions_and_old_names() -> None:
    assert [language_code(code) for code in ("pt-BR", "zh_CN", "EN", "nb", "iw")] == ["pt", "zh", "en", "no", "he"]


def test_the_listed_languages_are_those_of_the_model() -> None:
    assert set(identifier().labels) - {"zxx"} == LANGUAGES


def test_chinese_is_any_chinese() -> None:
    for text in ("我们今天早上去河边散步", "我哋今朝去咗河邊散步，好開心"):
        assert margin(text, "zh")[0] > 0.5


def test_a_megabyte_is_told_as_a_sentence_is() -> None:
    assert judged(f"{TEXTS['en']} " * 12_000, "en").outcome == "satisfied"
