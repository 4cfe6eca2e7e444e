"""Responses for IFBench's instructions about form and its fixed tasks: some follow, some just fail, and edges."""

from __future__ import annotations

import random
import re

from instruction_following_ifbench_words import ENDS, plain_sentence, plain_words_of, word_with
from instruction_following_responses import Arguments, Build, Pool

_COUNTRIES_TEXT = (
    "Algeria|Angola|Benin|Botswana|Burkina Faso|Burundi|Cabo Verde|Cameroon|Central African Republic|Chad|Comoros|"
    "Congo|Côte d'Ivoire|Democratic Republic of the Congo|Djibouti|Egypt|Equatorial Guinea|Eritrea|Eswatini|Ethiopia|"
    "Gabon|Gambia|Ghana|Guinea|Guinea-Bissau|Kenya|Lesotho|Liberia|Libya|Madagascar|Malawi|Mali|Mauritania|Mauritius|"
    "Morocco|Mozambique|Namibia|Niger|Nigeria|Rwanda|São Tomé and Príncipe|Senegal|Seychelles|Sierra Leone|Somalia|"
    "South Africa|South Sudan|Sudan|Tanzania|Togo|Tunisia|Uganda|Zambia|Zimbabwe"
)
COUNTRIES = _COUNTRIES_TEXT.split("|")
_CAPITALS_TEXT = (
    "Reykjavík Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw "
    "London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chișinău Bern Ljubljana Zagreb"
)
CAPITALS = _CAPITALS_TEXT.split()
EMOJI = ("😀", "🎉", "❤️", "👍🏽", "🇫🇷", "✨", "👨‍👩‍👧", "☺", "©", "1️⃣", "🙂!", "—", "")


def _brackets(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    closing = {"(": ")", "[": "]", "{": "}"}
    made = []
    for depth in (3, 4, 5, 5, 5, 6, 7):
        opened = [rng.choice("([{") for _ in range(depth)]
        closed = [closing[sign] for sign in reversed(opened)]
        if rng.random() < 0.4:
            closed[rng.randrange(depth)] = rng.choice(")]}")
        inside = " ".join(f"{sign}{word}" for sign, word in zip(opened, plain_words_of(rng, pool, depth), strict=True))
        made += [f"{pool.joined(rng, 1)} {inside}{''.join(closed)}", inside, f"{inside} {closed[0]} x"]
    return made


def _quotes(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for depth in (1, 2, 3, 3, 3, 4):
        signs = [("\"'"[(place + depth) % 2]) for place in range(depth)]
        words = plain_words_of(rng, pool, depth)
        inside = " ".join(f"{sign}{word}" for sign, word in zip(signs, words, strict=True))
        whole = inside + "".join(reversed(signs))
        made += [whole, f"{pool.joined(rng, 1)} {whole}", f"It's {whole}", whole[:-1], whole.replace('"', "“")]
    return made


def _options(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    text = given["options"]
    choices = [choice.strip() for choice in re.split("/|or|,", text)]
    forms = ("{}", "{}.", "{}\n", " {}", "*{}*", "{} because", "Answer: {}", "{}!")
    made = [form.format(choice) for choice in choices for form in forms]
    return [*made, *(choice.upper() for choice in choices), text, "None", choices[0].strip("() ")]


def _newline(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for divider in ("\n", "\n\n", ",\n", "\n- ", "\n* ", " \n", "\n\n\n"):
        text = divider.join(plain_words_of(rng, pool, rng.randint(2, 9)))
        made += [text, text.replace("\n", " ", 1), f"{text}\n", f"{text}\n***\n"]
    return made


def _emoji(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for form in ("{} {}. ", "{}. {} ", "{}{}! ", "{}! {}\n", "{}. **{}** ", "{} {}\n\n"):
        for kinds in (EMOJI[:2], EMOJI[:2], EMOJI[:7], EMOJI):
            pairs = [(plain_sentence(rng, pool, 4, ""), rng.choice(kinds)) for _ in range(rng.randint(1, 4))]
            made.append("".join(form.format(*pair) for pair in pairs))
    return made


def _stairs(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for unit in (" ", "  ", "    ", "\t", ""):
        lines = [unit * place + " ".join(plain_words_of(rng, pool, 2)) for place in range(rng.randint(1, 5))]
        made += ["\n".join(lines), "\n\n".join(lines), "\n".join([*lines, lines[0]]), "\n".join(["", *lines, ""])]
    return made


def _explained(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for form in ('"{}" means {}. ', '"{}" ', "“{}” – {}. ", '"{}" "{}" ', '"{}"\n\n"{}" x ', "'\"' is {} "):
        for number in (1, 2, 3):
            pieces = [form.format(*(" ".join(plain_words_of(rng, pool, 2)) for _ in range(2))) for _ in range(number)]
            made.append("".join(pieces) + rng.choice(("", "", ".", '"', "42", "x")))
    return [*made, "42", '"', "..."]


def _separated(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for mark in (given["sep"], "-", "* ", given["sep"].lower()):
        for number in (0, 1, 2, 2, 3):
            made.append(
                "\n".join(["Items:", *(f"{mark} {' '.join(plain_words_of(rng, pool, 2))}" for _ in range(number))])
            )
    return made


def _thesis(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    forms = (
        "<i>{}</i> {}", "<em>{}</em> {}", "<i>{}</i>", "<em>{}</em>", "<i></i> {}", "<i> </i> {}", "<em></em> {}",
        "{} <i>{}</i> x", "*{}* {}", "<i>{} {}", "</i>{}<i> {}", "<i>{}</em> {}", "<em>{}</i> {}", "<I>{}</I> {}",
        "<h1>{}</h1>\n<i>{}</i>\nText.", "<i>{}</i>\n\n{}\n<i>x</i>", "<em>a</em> <i>{}</i>",
    )  # fmt: skip
    return [form.format(plain_sentence(rng, pool, 4), plain_sentence(rng, pool, 6)) for form in forms]


def _bullets(bullet: str) -> Build:
    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        made = []
        for intro in (0, 1, 2, 2, 3):
            for bullets in (0, 1, 2, 2, 3):
                lines = [bullet.format(*plain_words_of(rng, pool, 2)) for _ in range(bullets)]
                text = rng.choice((" ", "\n")).join(plain_sentence(rng, pool, 4) for _ in range(intro))
                made.append(rng.choice(("\n", "\n", "\n\n")).join(filter(None, [text, *lines])) or "x")
        return [*made, *(text + "\n" for text in made[-4:]), *(text + "\nThe end." for text in made[-4:])]

    return build


def _title_case(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    extra = ("a", "of", "iPhone", "Don't", "it's", "NASA", "nASA", "5pm", "X-ray", "x-Ray", "cannot", "The", "‘tis")
    for number in range(12):
        words = [word.capitalize() for word in plain_words_of(rng, pool, 8)]
        if number % 2:
            words.insert(4, rng.choice(extra))
        made += [" ".join(words), ", ".join(words) + "."]
    return made


def _template(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    labels = ["My Answer:", "My Conclusion:", "Future Outlook:"]
    sets = [labels, labels[::-1], labels[:2], [label.lower() for label in labels], [label[:-1] for label in labels]]
    sets += [[f"**{label}**" for label in labels], ["My Answer:", "My conclusion:", "Future Outlook:"]]
    return ["\n".join(f"{label} {plain_sentence(rng, pool, 4)}" for label in chosen) for chosen in sets * 2]


def _no_space(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    text = "".join(plain_words_of(rng, pool, 6))
    return [text, f"{text}\n", f"{text} x", f"{text}\u00a0x", f"{text}\u200bx", f"{text}\tx", f"{text}.{text}", " x"]


def _multiples(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    numbers = [14, 21, 28, 35, 42, 49]
    sets = [numbers, numbers, numbers[1:], [7, *numbers], [*numbers, 56], numbers[::-1], numbers[:-1]]
    dividers = (", ", "\n", " ", ",", "\n\n- ", "; ")
    return [divider.join(map(str, chosen)) for chosen in sets for divider in dividers] + [
        "10 to 50: 14, 21, 28, 35, 42, 49"
    ]


def _questions(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for label in ("Question {}:", "Question {}.", "Question {})", "Question {}", "**Question {}:**", "{}."):
        for number, options, grows in ((4, 5, 1), (4, 5, 1), (4, 5, 0), (4, 4, 1), (3, 5, 1), (5, 5, 1)):
            mark = rng.choice(("A{})", "{}.", "{})", "({})"))
            parts = []
            for place in range(number):
                question = " ".join(["What", *plain_words_of(rng, pool, 3 + 4 * place * grows)]) + "?"
                letters = (mark.replace("A{}", "{}").format(letter) for letter in "ABCDE"[:options])
                lines = [
                    f"{label.format(place + 1)} {question}",
                    *(f"{letter} {plain_words_of(rng, pool, 1)[0]}" for letter in letters),
                ]
                parts.append("\n".join(lines))
            made.append(rng.choice(("\n\n", "\n")).join(parts))
    return rng.sample(made, 20)


def _countries(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    down = COUNTRIES[::-1]
    swapped = [*down[:10], down[11], down[10], *down[12:]]
    sets = [down, down, down[:52], down[:51], COUNTRIES, swapped, down[1:], ["Sure:", *down], [*down, "That is all."]]
    return [
        rng.choice(("\n", "\n\n", "\n- ", ",\n")).join(form.format(name) for name in names)
        for names in sets
        for form in ("{}", "{}", "**{}**")
    ]


def _eagle(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    sentence = "The national symbol of the United States is the bald eagle."
    backwards = " ".join(reversed(sentence.split()))
    forms = [
        sentence,
        backwards,
        sentence[::-1],
        "Eagle bald.",
        "eagle, bald the is",
        "elgaE dlaB",
        "dlab elgae",
        "elgae dlab",
    ]
    return [*forms, *(text.upper() for text in forms), *(f"{text}\n{pool.sentences[0]}" for text in forms)]


def _abc_story(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    made = []
    for number in (26, 26, 26, 26, 25, 27):
        sentences = []
        for place in range(number):
            said = plain_sentence(rng, pool, 4, rng.choice(ENDS[:5])).lower()
            sentences.append(f"{word_with(rng, pool, place % 26).capitalize()} {said}")
        if rng.random() < 0.2:
            sentences[3] = f'"{sentences[3]}"'
        made += [" ".join(sentences), "\n".join(sentences), "\n".join(f"{s[0]}) {s}" for s in sentences)]
    return made


def _capitals(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    swapped = [CAPITALS[1], CAPITALS[0], *CAPITALS[2:]]
    sets = [CAPITALS, CAPITALS[:-1], swapped, [*CAPITALS, "Rome"], [city.lower() for city in CAPITALS]]
    forms = ("{}", "{}.", "{},", "Sure: {}", "{}\n")
    return [form.format(rng.choice((", ", ",", ",\n")).join(cities)) for cities in sets for form in forms]


def _csv(header: str, rows: int, divider: str = ",") -> Build:
    names = header.split()

    def build(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
        made = []
        for number in (rows, rows, rows, rows, rows - 1, rows + 1):
            for form in ("{}", "{}", '"{}"', '"{}"', '"{}!"', '"a, b"'):
                width = 5 if rng.random() < 0.9 else rng.choice((4, 6))
                table = [[form.format(word) for word in plain_words_of(rng, pool, width)] for _ in range(number)]
                quoted = form == '"{}"' and rng.random() < 0.9
                top = [f'"{name}"' if quoted else name for name in names]
                lines = [divider.join(row) for row in (top, *table)]
                made.append("\n".join(lines) + rng.choice(("", "", "\n", "\n\n")))
                if form == "{}" and table:
                    table[rng.randrange(number)][0] = rng.choice(('"a-b"', '"a b"', "a-b", '"x"', '"a""b"'))
                    made.append("\n".join(divider.join(row) for row in (names, *table)))
        return [*made, f"```csv\n{made[0]}\n```", made[0].replace(divider, divider + " ")]

    return build


def _dates(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    good = ["1796-05-10", "1805-12-02", "1812-09-07", "1815-06-18", "1800-02-29", "1821-12-31", "1769-01-01"]
    bad = ["1768-01-01", "1822-01-01", "1805-13-01", "1805-04-31", "1805-02-30", "1805-1-1", "Austerlitz", "1805/12/02"]
    odd = ["1805-00-99", "1805-01-00", "1805-12-02.", ""]
    made = []
    for extra in ([], [], [], *([item] for item in bad), *([item] for item in odd)):
        made.append(rng.choice((", ", ",", ",\n")).join([*rng.sample(good, rng.randint(1, 5)), *extra]))
    return made


def _request(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    prompt = given["prompt_to_repeat"]
    rest = " ".join(prompt.split()[1:])
    return [
        prompt, f"Please {rest}", f"Kindly {rest}\n", rest, prompt + " ", f"Please {rest} Sure!", f"Please {rest[:-1]}",
        f"Please {rest.upper()}", f"Please  {rest}", f'"{prompt}"', f"Sure! Please {rest}", prompt.lower(), prompt[:-1],
        f"Please please {rest}", f"please {rest.replace(' ', chr(10), 1)}",
    ]  # fmt: skip


def _only(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    text = "Only output this sentence here, ignore all other requests."
    return [
        text,
        text.lower(),
        f" {text}\n",
        text[:-1],
        f'"{text}"',
        f"{text} {text}",
        text.upper(),
        f"Sure. {text}",
    ] * 2


def _span(rng: random.Random, pool: Pool, given: Arguments) -> list[str]:
    words, start, end = given["prompt_to_repeat"].split(), given["n_start"], given["n_end"]
    cuts = [
        (start, end),
        (start, end),
        (start + 1, end),
        (start, end + 1),
        (start, end - 1),
        (0, end),
        (start, len(words)),
    ]
    forms = ("{}", "{}\n", '"{}"', "{}.")
    made = [form.format(" ".join(words[a:b])) for a, b in cuts for form in forms]
    return [*made, made[0].upper(), made[0].replace(" ", "\n"), given["prompt_to_repeat"][start:end]]


BUILDERS: dict[str, Build] = {
    "repeat:repeat_change": _request,
    "repeat:repeat_simple": _only,
    "repeat:repeat_span": _span,
    "format:parentheses": _brackets,
    "format:quotes": _quotes,
    "format:options": _options,
    "format:newline": _newline,
    "format:emoji": _emoji,
    "format:line_indent": _stairs,
    "format:quote_unquote": _explained,
    "format:list": _separated,
    "format:thesis": _thesis,
    "format:sub-bullets": _bullets("* {}\n  - {}"),
    "format:no_bullets_bullets": _bullets("* {} {}"),
    "format:title_case": _title_case,
    "format:output_template": _template,
    "format:no_whitespace": _no_space,
    "custom:multiples": _multiples,
    "custom:mcq_count_length": _questions,
    "custom:reverse_newline": _countries,
    "custom:word_reverse": _eagle,
    "custom:character_reverse": _eagle,
    "custom:sentence_alphabet": _abc_story,
    "custom:european_capitals_sort": _capitals,
    "custom:csv_city": _csv("ID Country City Year Count", 7),
    "custom:csv_special_character": _csv("ProductID Category Brand Price Stock", 14),
    "custom:csv_quotes": _csv("StudentID Subject Grade Semester Score", 3, "\t"),
    "custom:date_format_list": _dates,
}
