"""What readers of other scripts, of Markdown and of capitals take for granted: rows with the verdict they must get.

Each block holds rows of one kind of mistake that verifiers make: texts in capitals taken for another language, phrases
with marks at their edges, fences read in another way than Markdown's, words and sentences of other scripts, and types
that are looser or stricter than they say.
"""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest

from judges import Row
from judges.rules.instruction_following import InstructionFollowingJudge

Case = tuple[str, dict[str, Any], str, bool]
"""Instruction id, its arguments, a response, whether it follows."""

CAPITAL = "change_case:english_capital"
LANGUAGE = "language:response_language"
CAPITALS: list[Case] = [
    *(
        (CAPITAL, {}, text, True)
        for text in (
            "PLEASE CLOSE THE WINDOW BEFORE YOU LEAVE THE OFFICE.",
            "OUR GARDEN HAS ROSES, TULIPS AND A SMALL POND.",
            "SHE READS TWO BOOKS EVERY MONTH.",
            "THE BAKERY OPENS AT SEVEN AND CLOSES AT NOON.",
            "WASH THE RICE, BOIL WATER AND ADD SALT.",
            "NEVER SHARE YOUR PASSWORD WITH STRANGERS.",
            "MANY BIRDS FLY SOUTH WHEN WINTER COMES.",
            "HIS OLD CAR NEEDS NEW TYRES AND A GOOD CLEAN.",
            "A LONG WALK CLEARS THE MIND; A SHORT NAP HELPS TOO.",
            "WHY DO CATS SLEEP SO MUCH? NOBODY REALLY KNOWS!",
            "**TIP:** KEEP RECEIPTS FOR 30 DAYS.",
            "TURN LEFT AT THE CHURCH.",
            "HAPPY BIRTHDAY!",
        )
    ),
    (CAPITAL, {}, "BITTE SCHLIESSEN SIE DAS FENSTER, BEVOR SIE GEHEN.", False),
    (CAPITAL, {}, "LA PANADERÍA ABRE A LAS SIETE Y CIERRA AL MEDIODÍA.", False),
    (CAPITAL, {}, "CHIUDETE LA FINESTRA PRIMA DI USCIRE.", False),
    (CAPITAL, {}, "Please Close The Window.", False),
    (CAPITAL, {}, "PLEASE CLOSE THE WINDOW before YOU LEAVE.", False),
    (LANGUAGE, {"language": "en"}, "THE LIBRARY IS CLOSED ON SUNDAYS AND ON PUBLIC HOLIDAYS.", True),
    (LANGUAGE, {"language": "de"}, "DIE BIBLIOTHEK IST SONNTAGS UND AN FEIERTAGEN GESCHLOSSEN.", True),
    (LANGUAGE, {"language": "fr"}, "LA BIBLIOTHÈQUE EST FERMÉE LE DIMANCHE ET LES JOURS FÉRIÉS.", True),
    (LANGUAGE, {"language": "it"}, "LA BIBLIOTECA È CHIUSA LA DOMENICA E NEI GIORNI FESTIVI.", True),
    (LANGUAGE, {"language": "pt"}, "A BIBLIOTECA ESTÁ FECHADA AOS DOMINGOS E FERIADOS.", True),
    (LANGUAGE, {"language": "pl"}, "BIBLIOTEKA JEST ZAMKNIĘTA W NIEDZIELE I ŚWIĘTA.", True),
    (LANGUAGE, {"language": "sv"}, "BIBLIOTEKET ÄR STÄNGT PÅ SÖNDAGAR OCH HELGDAGAR.", True),
    (LANGUAGE, {"language": "fi"}, "KIRJASTO ON SULJETTU SUNNUNTAISIN JA JUHLAPÄIVINÄ.", True),
    (LANGUAGE, {"language": "hu"}, "A KÖNYVTÁR VASÁRNAP ÉS ÜNNEPNAPOKON ZÁRVA TART.", True),
    (LANGUAGE, {"language": "tr"}, "KÜTÜPHANE PAZAR GÜNLERİ VE RESMÎ TATİLLERDE KAPALIDIR.", True),
    (LANGUAGE, {"language": "ru"}, "БИБЛИОТЕКА ЗАКРЫТА ПО ВОСКРЕСЕНЬЯМ И ПРАЗДНИКАМ.", True),
    (LANGUAGE, {"language": "uk"}, "БІБЛІОТЕКА ЗАЧИНЕНА В НЕДІЛЮ ТА НА СВЯТА.", True),
    (LANGUAGE, {"language": "el"}, "Η ΒΙΒΛΙΟΘΗΚΗ ΕΙΝΑΙ ΚΛΕΙΣΤΗ ΤΗΝ ΚΥΡΙΑΚΗ ΚΑΙ ΤΙΣ ΑΡΓΙΕΣ.", True),
    (LANGUAGE, {"language": "vi"}, "THƯ VIỆN ĐÓNG CỬA VÀO CHỦ NHẬT VÀ NGÀY LỄ.", True),
    (LANGUAGE, {"language": "is"}, "BÓKASAFNIÐ ER LOKAÐ Á SUNNUDÖGUM OG HÁTÍÐISDÖGUM.", True),
    (LANGUAGE, {"language": "ko"}, normalize("NFD", "우리는 매일 아침 강가를 산책합니다."), True),
    (LANGUAGE, {"language": "sv"}, normalize("NFD", "Biblioteket är stängt på söndagar och helgdagar."), True),
    (LANGUAGE, {"language": "de"}, "THE LIBRARY IS CLOSED ON SUNDAYS AND ON PUBLIC HOLIDAYS.", False),
    (LANGUAGE, {"language": "en"}, "DIE BIBLIOTHEK IST SONNTAGS UND AN FEIERTAGEN GESCHLOSSEN.", False),
    (LANGUAGE, {"language": "es"}, "A BIBLIOTECA ESTÁ FECHADA AOS DOMINGOS E FERIADOS.", False),
]

START, END, FIRST = "cgpo:start_phrase", "startend:end_checker", "length_constraints:nth_paragraph_first_word"
PHRASES: list[Case] = [
    (START, {"phrase": '"Stop!"'}, '"Stop!" cried the guard.', True),
    (START, {"phrase": '"Stop!"'}, "“Stop!” cried the guard.", True),
    (START, {"phrase": '"Stop!"'}, "Stop! cried the guard.", False),
    (START, {"phrase": "# Report"}, "# Report\n\nAll is well.", True),
    (START, {"phrase": "# Report"}, "## Report\n\nAll is well.", False),
    (START, {"phrase": "# Report"}, "# Reports", False),
    (START, {"phrase": "##"}, "## Report", True),
    (START, {"phrase": "##"}, "### Report", False),
    (START, {"phrase": "**Warning:**"}, "\n**Warning:** hot", True),
    (START, {"phrase": "**Warning:**"}, "**Warning** hot", False),
    (START, {"phrase": "_Dear reader_"}, "_Dear reader_, hello", True),
    (START, {"phrase": "`make`"}, "`make` builds it", True),
    (START, {"phrase": "> Note"}, "> Note this", True),
    (START, {"phrase": "'Twas"}, "’Twas the night", True),
    (START, {"phrase": "- first"}, "- first\n- second", True),
    (START, {"phrase": "Report"}, "**Report** of today", True),
    (START, {"phrase": "Report"}, '> "Report" of today', True),
    (START, {"phrase": "Dear Ann"}, "Dear\nAnn, hello", True),
    (START, {"phrase": "Dear Ann"}, "Dear\u00a0Ann, hello", True),
    (START, {"phrase": "कम"}, "कम लोग आए", True),
    (START, {"phrase": "कम"}, "कमी है", False),
    (END, {"end_phrase": '"Amen."'}, 'They said "Amen."', True),
    (END, {"end_phrase": '"Amen."'}, "They said “Amen.”", True),
    (END, {"end_phrase": '"Amen."'}, "They said Amen.", False),
    (END, {"end_phrase": 'over"'}, '"It is not over"', True),
    (END, {"end_phrase": "over"}, '"It is not over"', True),
    (END, {"end_phrase": 'over"'}, '"He said: "not over""', True),
    (END, {"end_phrase": "**The end**"}, "So. **The end**", True),
    (END, {"end_phrase": "'Bye'"}, "She said 'bye'", True),
    (FIRST, {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Don't"}, "Don't go.", True),
    (FIRST, {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Don't"}, "Don’t go.", True),
    (FIRST, {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Don't"}, "Do go.", False),
    (FIRST, {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Mr."}, "Mr. Hill left.", True),
]

JSON, YAML, CSV, CODE, TABLE = "cgpo:json_keys", "cgpo:yaml", "cgpo:csv", "cgpo:code_block", "cgpo:markdown_table"
BULLETS, NUMBERS, HEADINGS = "cgpo:bullets", "cgpo:numbered_list", "cgpo:headings"
KEY = {"required_keys": ["name"]}
FENCES: list[Case] = [
    (JSON, KEY, '```json\r\n{"name": 1}\r\n```\r\n', True),
    (JSON, KEY, '~~~\n{"name": 1}\n~~~', True),
    (JSON, KEY, '````json\n{"name": "```"}\n````', True),
    (JSON, KEY, '```json {.numberLines}\n{"name": 1}\n```', True),
    (JSON, KEY, '  ```json\n  {"name": 1}\n  ```', True),
    (JSON, KEY, '```json\n{"name": 1}\n```\nDone.', False),
    (JSON, KEY, '```json\n{"name": 1}\n```\n```json\n{"name": 2}\n```', False),
    (JSON, KEY, '```json\n{"name": 1}', False),
    (JSON, KEY, '```json\n{"name": 1}\n~~~', False),
    (YAML, KEY, "````yaml\nname: |\n  ```\n````", True),
    (YAML, KEY, "~~~yaml\r\nname: x\r\n~~~", True),
    (CSV, {"columns": 2}, "~~~csv\na,b\n1,2\n~~~", True),
    (CSV, {"columns": 2}, '```csv file="x.csv"\n\na,b\n1,2\n\n```', True),
    (CSV, {"columns": 2, "delimiter": "\t"}, "a\tb\n1\t", True),
    (CODE, {}, "````\nx\n````", True),
    (CODE, {}, "````markdown\n```\nx\n```\n````", True),
    (CODE, {}, "~~~\nx\n```", False),
    (CODE, {}, "~~~\n\n~~~", False),
    (CODE, {}, "```\na\n```\n~~~\nb\n~~~", False),
    (CODE, {"language": "python"}, "~~~Python linenos\nx\n~~~", True),
    (CODE, {"language": "javascript"}, "```js\nx\n```", True),
    (CODE, {"language": "java"}, "```js\nx\n```", False),
    (BULLETS, {"exactly": 1}, "- a\n~~~\n- b\n~~~", True),
    (BULLETS, {"exactly": 1}, "- a\n````\n```\n- b\n````", True),
    (BULLETS, {"exactly": 2}, "- a\n```\nx\n```\n- b", True),
    (BULLETS, {"exactly": 1}, "- a\n```\n- b", True),
    (NUMBERS, {"exactly": 2}, "1. a\n```\n1. x\n2. y\n```\n2. b", True),
    (HEADINGS, {"exactly": 1}, "# A\n````\n```\n# x\n````", True),
    (HEADINGS, {"exactly": 2}, "# A\n```a`b\n# B", True),
    (TABLE, {"rows": 1}, "~~~\n|a|b|\n|-|-|\n|1|2|\n~~~", False),
    (TABLE, {"rows": 1}, "```\nx\n```\n|a|b|\n|-|-|\n|1|2|", True),
    ("cgpo:alphabetical_list", {}, "- b\n```\n- a\n```\n- c", True),
]

FREQUENCY, ORDER, ONCE = "cgpo:word_frequency", "cgpo:keyword_order", "cgpo:no_repeated_words"
WORDS: list[Case] = [
    (ONCE, {}, "पानी पान", True),
    (ONCE, {}, "पानी और पानी", False),
    (ONCE, {}, "தமிழ் தமிழகம்", True),
    (ONCE, {}, "বই বইমেলা", True),
    (ONCE, {}, "cafe\u0301 cafe", True),
    (ONCE, {}, "cafe\u0301 café", False),
    (ONCE, {}, "don't don’t", False),
    (ONCE, {}, "İzmir izmir", False),
    (ONCE, {"min_letters": 5}, "don't say don't", True),
    (FREQUENCY, {"word": "पान", "exactly": 0}, "पानी ठंडा है", True),
    (FREQUENCY, {"word": "पान", "exactly": 1}, "यह पान है।", True),
    (FREQUENCY, {"word": "naïve", "exactly": 1}, "so nai\u0308ve", True),
    (FREQUENCY, {"word": "nai", "exactly": 0}, "so nai\u0308ve", True),
    (FREQUENCY, {"word": "we're", "exactly": 2}, "We’re late and we're wet", True),
    (FREQUENCY, {"word": "ice cream", "exactly": 2}, "ice\ncream, Ice  \n  Cream", True),
    (FREQUENCY, {"word": "ice cream", "exactly": 0}, "ice\n\ncream", True),
    (FREQUENCY, {"word": "ice cream", "exactly": 1}, "cold **ice** cream", True),
    (FREQUENCY, {"word": "well-known", "exactly": 1}, "a well\u2011known fact", True),
    (FREQUENCY, {"word": "river", "exactly": 1}, "the ri\u00adver", True),
    (FREQUENCY, {"word": "river", "exactly": 1}, "the __river__", True),
    (FREQUENCY, {"word": "river", "exactly": 0}, "river_bank = 1", True),
    (FREQUENCY, {"word": "GROSS", "exactly": 1}, "sehr groß", True),
    (FREQUENCY, {"word": "茶", "exactly": 2}, "我喜欢茶，绿茶。", True),
    (FREQUENCY, {"word": "AI", "exactly": 1}, "私はAIを使う", True),
    (FREQUENCY, {"word": "ชา", "exactly": 1}, "ฉันดื่มชาเย็น", True),
    (FREQUENCY, {"word": "Σοφος", "exactly": 1}, "ο ΣΟΦΟΣ", True),
    (FREQUENCY, {"word": "c++", "exactly": 1}, "I like C++.", True),
    (ORDER, {"keywords": ["sun", "rain"]}, "_sun_ then *rain*", True),
    (ORDER, {"keywords": ["it's", "late night"]}, "It’s a late\nnight", True),
    (ORDER, {"keywords": ["कम", "है"]}, "कमी है", False),
    ("cgpo:characters", {"exactly": 4}, "cafe\u0301", True),
    ("cgpo:characters", {"exactly": 1}, "👍🏽", True),
]

SENTENCES, SCRIPT, DIGITS, LINES = "cgpo:sentences", "cgpo:script", "cgpo:no_digits", "cgpo:line_start"
STRICTNESS: list[Case] = [
    (DIGITS, {}, "a ¼ cup", False),
    (DIGITS, {}, "step ⑫", False),
    (DIGITS, {}, "x⁴", False),
    (DIGITS, {}, "H₂O", False),
    (DIGITS, {}, "chapter Ⅳ", False),
    (DIGITS, {}, "一个苹果，二〇二四年", True),
    (DIGITS, {}, "three – four", True),
    (SCRIPT, {"script": "latin"}, "the 3ª edition, 10 µg, ʻokina, ⅷ", True),
    (SCRIPT, {"script": "latin"}, "x¹ yⁿ zₐ ﬁn", True),
    (SCRIPT, {"script": "latin"}, "the 𝛼 value", False),
    (SCRIPT, {"script": "latin"}, "5 µ", False),
    (SCRIPT, {"script": "cyrillic"}, "об'єкт, м’ята, 5 µ", True),
    (SCRIPT, {"script": "japanese"}, "人々はコーヒーを飲む。", True),
    (SCRIPT, {"script": "chinese"}, "二〇二四年", True),
    (LINES, {"prefix": "- "}, "- a\n-\tb\n-", True),
    (LINES, {"prefix": "- "}, "-a", False),
    (LINES, {"prefix": "# "}, "#tag", False),
    (LINES, {"prefix": "2) "}, "2)x", False),
    (LINES, {"prefix": "It's"}, "It’s so\nIt's not", True),
    (LINES, {"prefix": "-"}, "-a\n- b", True),
    (NUMBERS, {"exactly": 2}, "1)\ta\n2)\tb", True),
    (BULLETS, {"exactly": 2}, "-\ta\n*\tb", True),
    (BULLETS, {"exactly": 2}, "- a\n\n* * *\n\n- b", True),
    (HEADINGS, {"exactly": 2}, "#\tA\n  ## B", True),
    (JSON, KEY, '{"name": -Infinity}', False),
    (JSON, KEY, '{"name": 1, "name": 2}', False),
    (JSON, KEY, '{"name": {"x": 1, "x": 1}}', False),
    (JSON, KEY, '{"name": [{"x": 1}, {"x": 1}]}', True),
    (JSON, KEY, '{"name": ' + "7" * 5000 + "}", True),
    (YAML, KEY, "name: 1\nname: 2", False),
    (YAML, KEY, "name: &x {y: 1}\nother: *x", True),
    (TABLE, {"columns": 2}, "|a|b|\n|-|-|\n|1|2|\n|3|", False),
    (TABLE, {"columns": 2}, "|a|b|\n|-|-|\n|1|2|3|", False),
    (TABLE, {"columns": 2}, "|a|b|\n|-|-|\n|1||", True),
    (SENTENCES, {"exactly": 3}, "मैं आया। तुम गए! कौन रहा?", True),
    (SENTENCES, {"exactly": 2}, "আমি যাব। তুমি থাকো।", True),
    (SENTENCES, {"exactly": 2}, "کیا حال ہے؟ میں ٹھیک ہوں۔", True),
    (SENTENCES, {"exactly": 3}, "你好！今天好吗？我很好。", True),
    (SENTENCES, {"exactly": 2}, "雨です。傘を持って！", True),
    (SENTENCES, {"exactly": 2}, "真的？！我不信。", True),
    (SENTENCES, {"exactly": 2}, "ሰላም። ደህና ነኝ።", True),
    (SENTENCES, {"exactly": 2}, "We live at No. 7. They live at No. 9.", True),
    (SENTENCES, {"exactly": 2}, "See fig. 3. Then see pp. 4.", True),
    (SENTENCES, {"exactly": 2}, "He said no. We left.", True),
    (SENTENCES, {"exactly": 2}, "It closes at 6 p.m. Nobody stays.", True),
    (SENTENCES, {"exactly": 2}, "It opens at 8 a.m. Bring cash.", True),
    (SENTENCES, {"exactly": 1}, "It opens at 8 a.m. Monday.", True),
    (SENTENCES, {"exactly": 1}, "It opens at 8 a.m. Eastern time.", True),
    (SENTENCES, {"exactly": 2}, "She moved to the U.S. Everybody cheered.", True),
    (SENTENCES, {"exactly": 1}, "The U.S. Senate met.", True),
    (SENTENCES, {"exactly": 2}, "He works at Acme Inc. Perhaps you know it.", True),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "मैं आया। तुम गए।", True),
]


@pytest.mark.parametrize("cases", [CAPITALS, PHRASES, FENCES, WORDS, STRICTNESS], ids=lambda cases: cases[0][0])
def test_rows(cases: list[Case]) -> None:
    wrong = [case for case in cases if followed(case) is not case[3]]
    assert wrong == []


def followed(case: Case) -> bool:
    id, arguments, response, _ = case
    verdict = InstructionFollowingJudge().verdict(
        Row("q", response, {"instruction_id_list": [id], "kwargs": [arguments]})
    )
    assert verdict.outcome in ("satisfied", "violated"), verdict.reason
    return verdict.outcome == "satisfied"
