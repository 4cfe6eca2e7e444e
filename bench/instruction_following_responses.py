"""Responses for measuring the instruction judge: for any instruction some that follow it, some that do not, and edges.

Three sources, mixed by a seeded generator: responses built for the instruction's type at, below and above its
threshold; texts of public data sets; and mutations of both. Nothing here asks a checker, so neither side is favoured.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Arguments = dict[str, Any]
Build = Callable[[random.Random, "Pool", Arguments], list[str]]

FOREIGN = {
    "kn": "ನನ್ನ ಊರು ಬಹಳ ಸುಂದರವಾಗಿದೆ. ನಾವು ಪ್ರತಿದಿನ ಬೆಳಿಗ್ಗೆ ನದಿಯ ಬಳಿ ನಡೆಯುತ್ತೇವೆ. ಇಂದು ಮಳೆ ಬರುತ್ತದೆ.",
    "pa": "ਮੇਰਾ ਪਿੰਡ ਬਹੁਤ ਸੋਹਣਾ ਹੈ। ਅਸੀਂ ਹਰ ਰੋਜ਼ ਸਵੇਰੇ ਨਦੀ ਦੇ ਕੋਲ ਸੈਰ ਕਰਦੇ ਹਾਂ। ਅੱਜ ਮੀਂਹ ਪਵੇਗਾ।",
    "mr": "माझे गाव खूप सुंदर आहे. आम्ही रोज सकाळी नदीच्या काठावर फिरायला जातो. आज पाऊस पडणार आहे.",
    "hi": "मेरा गाँव बहुत सुंदर है। हम हर सुबह नदी के किनारे टहलने जाते हैं। आज बारिश होगी।",
    "fa": "روستای من بسیار زیباست. ما هر روز صبح کنار رودخانه قدم می‌زنیم. امروز باران خواهد بارید.",
    "ur": "میرا گاؤں بہت خوبصورت ہے۔ ہم ہر روز صبح دریا کے کنارے سیر کرتے ہیں۔ آج بارش ہوگی۔",
    "vi": "Làng của tôi rất đẹp. Mỗi buổi sáng chúng tôi đi dạo bên bờ sông. Hôm nay trời sẽ mưa.",
    "ko": "우리 마을은 매우 아름답습니다. 우리는 매일 아침 강가를 산책합니다. 오늘은 비가 올 것입니다.",
    "sw": "Kijiji changu ni kizuri sana. Kila asubuhi tunatembea kando ya mto. Leo mvua itanyesha.",
    "ru": "Моя деревня очень красивая. Каждое утро мы гуляем вдоль реки. Сегодня будет дождь.",
    "bg": "Моето село е много красиво. Всяка сутрин се разхождаме край реката. Днес ще вали дъжд.",
    "de": "Mein Dorf ist sehr schön. Jeden Morgen gehen wir am Fluss spazieren. Heute wird es regnen.",
    "fr": "Mon village est très beau. Chaque matin nous marchons le long de la rivière. Il va pleuvoir.",
    "es": "Mi pueblo es muy bonito. Todas las mañanas caminamos junto al río. Hoy va a llover.",
    "ar": "قريتي جميلة جدا. نمشي كل صباح بجانب النهر. سوف تمطر السماء اليوم.",
    "zh": "我的村庄非常美丽。我们每天早上沿着河边散步。今天会下雨。",
    "gu": "મારું ગામ ખૂબ સુંદર છે. અમે દરરોજ સવારે નદી કિનારે ફરવા જઈએ છીએ. આજે વરસાદ પડશે.",
    "ta": "என் கிராமம் மிகவும் அழகானது. நாங்கள் தினமும் காலையில் ஆற்றங்கரையில் நடக்கிறோம்.",
    "te": "మా ఊరు చాలా అందంగా ఉంటుంది. మేము ప్రతి ఉదయం నది పక్కన నడుస్తాము.",
    "bn": "আমার গ্রাম খুব সুন্দর। আমরা প্রতিদিন সকালে নদীর ধারে হাঁটি। আজ বৃষ্টি হবে।",
    "th": "หมู่บ้านของฉันสวยมาก เราเดินเล่นริมแม่น้ำทุกเช้า วันนี้ฝนจะตก",
    "ne": "मेरो गाउँ धेरै राम्रो छ। हामी हरेक बिहान नदीको किनारमा हिँड्छौं। आज पानी पर्नेछ।",
    "pt": "A minha aldeia é muito bonita. Todas as manhãs passeamos junto ao rio. Hoje vai chover.",
    "it": "Il mio villaggio è molto bello. Ogni mattina camminiamo lungo il fiume. Oggi pioverà.",
}
"""The same few plain sentences; other languages serve as near misses."""
TRICKY_SENTENCES = (
    "Dr. Smith and Mrs. Jones met at 5 p.m. on Tuesday.",
    "It costs 3.50 dollars, i.e. less than before.",
    "Use fruit, e.g. apples and pears, etc. for the cake.",
    'He said, "Stop!" and left.',
    "Really?!",
    "Wait... is that so?",
    "The U.S. economy grew.",
    "J. R. Miller wrote it (in 1999).",
    "See www.example.com for more.",
    "**Bold words.**",
    '"This is quoted."',
    "It happened in St. Louis vs. the others.",
    "Version 2.0 of Node.js is out!",
    "No. 5 is alive.",
    "1. Mix the flour.",
    "- A bullet point without a full stop",
    "# A heading",
    "i like it. you too.",
    "Apple Inc. and Ford Co. merged.",
    "She has a Ph.D. in chemistry.",
    "It is sunny :) today!",
    "Oh no!!! What now???",
    "(That was the plan.)",
    "Ends with an ellipsis…",
    "Meet me at 10 a.m. Bring tea.",
)
CAPITALS = (
    "I", "A", "NASA", "U.S.", "WELL-KNOWN", "IT'S", "CAN'T", "CANNOT", "HTML5", "OK.", "**NOTE**", "# TITLE", "A/B",
    "(SEE)", "\"YES\"", "GO!", "WHAT?", "5PM", "COVID-19", "R&D", "AT&T", "e.g.", "Hello", "iPhone", "McDonald", "X,Y",
    "I'm", "I'LL", "THE END...", "<<TITLE>>", "[NAME]", "A.B.C.", "É", "C++", "*WOW*", "P.S.", "$USD", "NOTE:", "10AM:",
    "`CODE`", "_UNDER_", "SNAKE_CASE", "DON'T", "WON'T", "GONNA", "WANNA", "Y'ALL", "THE—END", "U.K", "A--B",
)  # fmt: skip


class Pool:
    """Texts of public data sets found under a folder, and their sentences."""

    def __init__(self, folder: Path, awkward: float = 0.05) -> None:
        """`awkward`: share of `TRICKY_SENTENCES` where sentences are joined."""
        self.folder = folder
        self.awkward = awkward
        self.texts = sorted(set(_texts(folder)))
        self.sentences = sorted({piece for text in self.texts for piece in re.split(r"(?<=[.!?])\s+", text) if piece})

    def text(self, rng: random.Random) -> str:
        return rng.choice(self.texts)

    def words(self, rng: random.Random, number: int) -> list[str]:
        words: list[str] = []
        while len(words) < number:
            words += self.text(rng).split()
        return words[:number]

    def joined(self, rng: random.Random, number: int) -> str:
        """So many sentences, some of them awkward, joined by spaces and line breaks."""
        chosen = [
            rng.choice(TRICKY_SENTENCES if rng.random() < self.awkward else self.sentences) for _ in range(number)
        ]
        return "".join(sentence + rng.choice((" ", " ", " ", "\n", "\n\n")) for sentence in chosen).strip()


def responses(build: Build, arguments: Arguments, pool: Pool, rng: random.Random) -> list[str]:
    """At least 20 different responses for one instruction; `build` makes those for its type."""
    built = build(rng, pool, arguments)
    natural = [pool.text(rng) for _ in range(5)] + [pool.joined(rng, rng.randint(1, 8)) for _ in range(2)]
    seen = dict.fromkeys(text for text in built + natural if text.strip())
    while len(seen) < max(20, len(built) + 12):
        seen.setdefault(mutated(rng, pool, rng.choice(list(seen))))
    return [text for text in seen if text.strip()]


def mutated(rng: random.Random, pool: Pool, text: str) -> str:
    """The text changed in one of the ways models change theirs."""
    words = text.split(" ")
    ways: tuple[Callable[[], str], ...] = (
        text.upper,
        text.lower,
        lambda: f'"{text}"',
        lambda: f"Sure! Here is my answer:\n\n{text}",
        lambda: f"{text}\n\nI hope this helps!",
        lambda: f"```\n{text}\n```",
        lambda: text.replace(",", ""),
        lambda: text.replace("\n", " "),
        lambda: text.replace(". ", ".\n\n"),
        lambda: f"**{text}**",
        lambda: text[: rng.randint(1, len(text))],
        lambda: " ".join(words[: rng.randint(1, len(words))]),
        lambda: f"{text} {rng.choice(pool.sentences)}",
        lambda: f"<<{pool.words(rng, 1)[0]}>>\n{text}",
        lambda: f"{text}\nP.S. {rng.choice(pool.sentences)}",
        lambda: "\n".join(f"* {line}" for line in text.split("\n")),
        lambda: f"{text}\n***\n{rng.choice(pool.sentences)}",
        lambda: f"{text} ",
    )
    return rng.choice(ways)()


def _texts(folder: Path) -> Iterable[str]:
    for line in _lines(folder / "gsm8k" / "example_model_solutions.jsonl"):
        yield from (value["solution"] for value in line.values() if isinstance(value, dict))
    for line in _lines(folder / "gsm8k" / "test.jsonl"):
        yield from (line["question"], line["answer"])
    for line in _lines(folder / "mt_bench" / "question.jsonl"):
        yield from line["turns"]
    for path in sorted((folder / "xstest").glob("completions_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            yield from (row["completion"].strip() for row in csv.DictReader(file) if row["completion"].strip())


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _around(number: int) -> list[int]:
    return [count for count in (0, number - 2, number - 1, number, number + 1, number + 2, 2 * number) if count >= 0]


def _existence(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    words = given["keywords"]
    inside = [" ".join(words), " ".join(words[:-1]), " ".join(words).upper(), "s ".join(words) + "s", "un" + words[0]]
    return [_with(rng, pool, text) for text in inside] + [_with(rng, pool, ", ".join(reversed(words)))]


def _with(rng: random.Random, pool: Pool, text: str) -> str:
    return f"{rng.choice(pool.sentences)} {text} {rng.choice(pool.sentences)}"


def _frequency(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    word = given["keyword"].strip()
    forms = (word, word.upper(), f"{word}s", word.capitalize(), f"({word})")
    return [
        " ".join(f"{rng.choice(forms)} {' '.join(pool.words(rng, 3))}" for _ in range(n)) or pool.text(rng)
        for n in _around(given["frequency"])
    ]


def _forbidden(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    forms = ("{}", "{}s", "un{}", "{}.", '"{}"', "{}-like", "{}_x", "*{}*", "x{}x")
    return [_with(rng, pool, form.format(rng.choice(given["forbidden_words"]))) for form in forms]


def _letters(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    letter = given["letter"]
    others = [word for word in pool.words(rng, 200) if letter.lower() not in word.lower()]
    forms = (letter, letter.upper(), f"x{letter}")
    return [" ".join(others[:9] + [rng.choice(forms) for _ in range(n)]) for n in _around(given["let_frequency"])]


def _language(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    wanted = FOREIGN[given["language"]]
    pieces = re.split(r"(?<=[.।۔])\s+", wanted)
    others = [FOREIGN[code] for code in rng.sample(sorted(FOREIGN), 6)]
    english = pool.text(rng)
    exact = [wanted, *pieces, wanted * 3, f"{wanted}\n{english}", f"{english[:40]} {wanted}", f"Answer: {wanted}", "42"]
    return exact + others + [f"{pieces[0]} {rng.choice(others)}"]


def _sentences(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    return [pool.joined(rng, n) for n in _around(given["num_sentences"]) for _ in range(2) if n]


def _paragraphs(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    dividers = ("\n***\n", " *** ", "\n\n***\n\n", "\n\n", "***")
    texts = [
        rng.choice(dividers[:3]).join(pool.joined(rng, 1) for _ in range(n)) for n in _around(given["num_paragraphs"])
    ]
    plain = [divider.join(pool.joined(rng, 2) for _ in range(given["num_paragraphs"])) for divider in dividers]
    return [*texts, *plain, f"***\n{texts[3]}\n***", f"{texts[3]}\n***\n***\nx", f"{texts[3]}\n****\nx"]


def _words(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    return [" ".join(pool.words(rng, n)) for n in _around(given["num_words"]) for _ in range(2) if n]


def _nth_paragraph(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    number, at, word = given["num_paragraphs"], given["nth_paragraph"], given["first_word"]
    made = []
    for first in (
        word,
        word.capitalize(),
        f'"{word}"',
        f"{word},",
        f"{word}'s",
        f"{word}s",
        f"**{word}**",
        "The",
        word,
    ):
        paragraphs = [pool.joined(rng, 1).replace("\n\n", " ") for _ in range(number + rng.choice((0, 0, 0, 1, -1)))]
        place = min(at, len(paragraphs)) - 1
        if paragraphs:
            paragraphs[place] = f"{first} {paragraphs[place]}"
        made.append(rng.choice(("\n\n", "\n\n", "\n\n\n", "\n")).join(paragraphs) or word)
    return made


def _placeholders(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    forms = ("[name]", "[the address]", "[]", "[a\nb]", "[[x]]", "[open", "{name}")
    exact = [" ".join(["[name]"] * n) or "none" for n in _around(given["num_placeholders"])]
    return exact + [
        " ".join(f"{rng.choice(forms)} {pool.words(rng, 1)[0]}" for _ in range(given["num_placeholders"]))
        for _ in range(5)
    ]


def _postscript(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    markers = ("P.S.", "P.P.S", "P.P.S.", "PS:", "p.s.", "P. S.", "P.S", "p. p. s.", "PPS", "**P.S.**", "P.P. S")
    return [f"{pool.joined(rng, 3)}\n\n{marker} {rng.choice(pool.sentences)}" for marker in markers]


def _bullets(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    marks = ("* ", "- ", "  * ", "** ", "*", "-", "+ ", "1. ", "• ", "    - ", "--- ", "*\t")
    exact = [_list(rng, pool, "* ", n) for n in _around(given["num_bullets"]) if n]
    return exact + [_list(rng, pool, mark, given["num_bullets"]) for mark in marks]


def _list(rng: random.Random, pool: Pool, mark: str, number: int) -> str:
    lines = [f"{mark}{' '.join(pool.words(rng, 4))}" for _ in range(number)]
    return "\n".join([rng.choice(pool.sentences), *lines])


def _constrained(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    answers = ("My answer is yes.", "My answer is no", "my answer is maybe.", "My answer is maybe. ", "Yes.")
    return [*answers, *(_with(rng, pool, answer) for answer in answers)]


def _highlights(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    forms = ("*x y*", "**bold**", "* *", "****", "*a\nb*", "***c***", "*d* *e*", "* item", "_f_")
    exact = [_spread(rng, pool, ("*x y*",), n) for n in _around(given["num_highlights"])]
    bold = [_spread(rng, pool, ("**bold**",), n) for n in _around(given["num_highlights"])]
    return exact + bold + [_spread(rng, pool, forms, given["num_highlights"]) for _ in range(6)]


def _spread(rng: random.Random, pool: Pool, forms: tuple[str, ...], number: int) -> str:
    return " ".join(f"{' '.join(pool.words(rng, 2))} {rng.choice(forms)}" for _ in range(number)) or "none"


def _sections(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    word = given["section_spliter"].strip()
    forms = ("{} {}", "{}{}", "**{} {}**", "# {} {}:", "{}  {}")
    exact = [_numbered(rng, pool, word, "{} {}", n) for n in _around(given["num_sections"]) if n]
    odd = [_numbered(rng, pool, word, form, given["num_sections"]) for form in forms]
    cased = [_numbered(rng, pool, w, "{} {}", given["num_sections"]) for w in (word.lower(), word.upper(), word[:-1])]
    return exact + odd + cased + [f"{word} one\n{word} two\n{word} three", f"{word} I\n{word} II"]


def _numbered(rng: random.Random, pool: Pool, word: str, form: str, number: int) -> str:
    return "\n".join(f"{form.format(word, n + 1)}\n{rng.choice(pool.sentences)}" for n in range(number))


def _json(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    data = {"text": rng.choice(pool.sentences), "list": [1, 2.5, None, True], "inner": {"a": "b"}}
    text = json.dumps(data)
    pretty = json.dumps(data, indent=2, ensure_ascii=False)
    fences = [f"```{name}\n{text}\n```" for name in ("json", "JSON", "Json", "", "js", "python")]
    broken = [text[:-1], text.replace('"', "'"), f"{pretty[:-1]},}}", f"{text}\n{text}", f"Here: {text}", "{}", "[]"]
    return [text, pretty, *fences, *broken, '"text"', "12", "NaN", "null", f"```json\n{text}", f"{text}```", "{a: 1}"]


def _title(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    titles = (
        "<<a poem>>",
        "<a poem>",
        "<<>>",
        "<< >>",
        "<<a\nb>>",
        "<<<a>>>",
        "«a»",
        "<<a> >",
        "<<a",
        ">>a<<",
        "<<>>>",
    )
    return [f"{title}\n{pool.joined(rng, 2)}" for title in titles] + ["x <<1+1=2>> <<2>>", "<<>>>"]


def _two_responses(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    a, b, c = (pool.text(rng) for _ in range(3))
    star = "******"
    joined = [f"{a}\n{star}\n{b}", f"{a}{star}{b}", f"{star}{a}{star}{b}{star}", f"{a} {star} {a}", f"{a}\n***\n{b}"]
    return [
        *joined,
        f"{a}{star}{b}{star}{c}",
        f"{a}{star}\n{star}{b}",
        f"{a}*******{b}",
        f"{a}{star}",
        f"{a}\n*****\n{b}",
    ]


def _repeat(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    prompt, answer = given["prompt_to_repeat"], pool.text(rng)
    cut = prompt[:-1], prompt[1:], prompt.replace(" ", "  ", 1), prompt.replace(".", ""), prompt.replace("'", "’")
    whole = prompt, prompt.upper(), f"  {prompt}\n", f'"{prompt}"', f"Request: {prompt}", f"**{prompt}**"
    return [f"{start} {answer}" for start in (*cut, *whole)] + [prompt, f"{answer} {prompt}"]


def _end(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    phrase = given["end_phrase"]
    ends = (
        phrase,
        phrase.upper(),
        f'"{phrase}"',
        f"{phrase}\n",
        f"{phrase}.",
        f"**{phrase}**",
        f"{phrase} Bye",
        phrase[:-1],
    )
    return [f"{pool.text(rng)} {end}" for end in ends] + [
        phrase,
        f'"{pool.text(rng)} {phrase}"',
        f"“{phrase}”",
        f"{phrase}'",
    ]


def _quotation(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    text = pool.text(rng)
    return [
        f'"{text}"',
        f"'{text}'",
        f"“{text}”",
        f'"{text}',
        f'{text}"',
        f' "{text}"\n',
        f'"{text}".',
        '"',
        '""',
        f"«{text}»",
    ]


def _capital_words(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in (*_around(given["capital_frequency"]), *[given["capital_frequency"]] * 6):
        low = " ".join(pool.words(rng, 12)).lower().split()
        made.append(" ".join(rng.sample([*low, *(rng.choice(CAPITALS) for _ in range(number))], len(low) + number)))
    return made


def _cased(change: Callable[[str], str]) -> Build:
    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        texts = [change(pool.text(rng)) for _ in range(5)] + [change(pool.joined(rng, n)) for n in (1, 2, 4)]
        foreign = [change(FOREIGN[code]) for code in ("de", "fr", "ru", "zh", "sw")]
        return [*texts, *foreign, change("ok"), change("Yes!"), f"{texts[0]} x X", "123", f"{texts[1]} ß", "Ok", "👍"]

    return build


def _no_comma(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    text = pool.text(rng)
    return [text.replace(",", ""), text.replace(",", "，"), text.replace(",", "،"), f"{text},", "1,000", "a; b", "、"]


BUILDERS: dict[str, Build] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat,
    "startend:end_checker": _end,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _cased(str.upper),
    "change_case:english_lowercase": _cased(str.lower),
    "punctuation:no_comma": _no_comma,
}
