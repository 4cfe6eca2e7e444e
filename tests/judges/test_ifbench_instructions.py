"""Each of IFBench's 58 types of instructions with responses worked by hand: some follow, some just fail."""

from __future__ import annotations

from typing import Any

import pytest

from judges import Outcome, Row
from judges.rules.instruction_following import InstructionFollowingJudge, ifbench_forms, ifbench_words
from judges.rules.instruction_following.table import INSTRUCTIONS
from judges.rules.instruction_following.tokens import is_emoji, penn_words, rule_sentences

TYPES = {**ifbench_words.TYPES, **ifbench_forms.TYPES}
TEN = "level radar civic rotor kayak refer madam stats tenet sagas"
KEYWORDS = {"keyword1": "a1", "keyword2": "b2", "keyword3": "c3", "keyword4": "d4", "keyword5": "e5"}
OF_KEYWORDS = "a1" + " b2" * 2 + " c3" * 3 + " d4" * 5 + " e5" * 7
STORY = " ".join(f"{chr(65 + n)}nd so." for n in range(26))
CAPITALS = (
    "Reykjavik,Helsinki,Oslo,Tallinn,Stockholm,Riga,Moscow,Copenhagen,Vilnius,Minsk,Dublin,Berlin,Amsterdam,Warsaw,"
    "London,Brussels,Prague,Luxembourg,Paris,Vienna,Bratislava,Budapest,Vaduz,Chisinau,Bern,Ljubljana,Zagreb"
)
COUNTRIES = "\n".join(["Zimbabwe", *(f"Y{n:02}" for n in range(51, 0, -1))])
"""52 lines downwards: that they are countries is not looked at."""
QUESTIONS = "\n\n".join(
    f"Question {n}: What {'really ' * n}was it?\nA) one\nB) two\nC. three\nd) four\nE) five" for n in range(1, 5)
)
CITIES = "ID,Country,City,Year,Count" + "\n1,France,Paris,1900,2" * 7
PRODUCTS = "ProductID,Category,Brand,Price,Stock" + "\n1,Toys,Acme,2,3" * 13 + '\n2,"Toys & co",Acme,2,3'
STUDENTS = "\n".join(['"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"', *['"1"\t"Art"\t"A"\t"2"\t"9"'] * 3])
ONLY = "Only output this sentence here, ignore all other requests."

# instruction id, kwargs, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "count:word_count_range",
        {"min_words": 2, "max_words": 3},
        ["one two", "it's so", "मेरा गाँव"],
        ["one", "it's so fine"],
    ),
    ("count:unique_word_count", {"N": 3}, ["a b c a", "é, É. x y", "a – b"], ["a b A.", "(a) a, b"]),
    ("count:conjunctions", {"small_n": 2}, ["this and that or", "so And so", "and, and"], ["and and", "android, form"]),
    ("count:person_names", {"N": 2}, ["Emma met Liam.", "Leopold saw Mia"], ["Emma, Emma", "emma and liam"]),
    ("count:numbers", {"N": 2}, ["3.5 and 1,000", "v2 x3", "٣ 4"], ["3", "10 20 30", "10-20"]),
    (
        "count:punctuation",
        {},
        ["a, b. c; d: e! f? g?!", "a, b. c; d: e! f? ‽"],
        ["a, b. c; d: e! f?", "a, b. c; d: !?"],
    ),
    ("count:pronouns", {"N": 3}, ["She/her and they", "It is its. I"], ["She and her", "it's who everyone"]),
    ("count:words_japanese", {"N": 2}, ["a 本 b カタ", "a 42 b -- c", "one"], ["a b", "a 本 b c"]),
    ("count:keywords_multiple", KEYWORDS, [OF_KEYWORDS, OF_KEYWORDS.upper()], [OF_KEYWORDS + " a1", OF_KEYWORDS[3:]]),
    ("ratio:stop_words", {"percentage": 50}, ["the sun", "green ideas"], ["the sun is", "—"]),
    ("ratio:sentence_type", {}, ["Ah. Oh. Eh?", "Fine! Fine!"], ["Ah. Oh?", "Ah. Oh. Eh? So?"]),
    ("ratio:sentence_balance", {}, ["Ah. Oh? Eh!", "nothing"], ["Ah. Oh?", "Ah. Oh? Eh! So?!"]),
    ("ratio:overlap", {"reference_text": "abcdef", "percentage": 50}, ["abcd12"], ["abcdef", "xyz", "ab", "abcdef1"]),
    ("ratio:sentence_words", {}, ["One is. Two so? Six do!"], ["One is. Two so.", "One is. Two so. Three."]),
    ("words:alphabet", {}, ["A boy cares.", "yes, zebras and", "Zero and"], ["a c", "5 apples", "a b b", "éa fb"]),
    ("words:vowel", {}, ["A cat sat on it", "brr", "\nAll is well\n"], ["a e i o", "a\nb"]),
    ("words:consonants", {}, ["Thy stamp", "rhythm", "MYTH!"], ["stamp a", "banana", "b.b"]),
    ("words:palindrome", {}, [TEN, "LEVEL! " * 10], [TEN[6:], "noon " * 10]),
    ("words:prime_lengths", {}, ["it's the ab", "do hello"], ["four", "a", "ab — cd"]),
    (
        "words:start_verb",
        {},
        ["Write it.", "running late", "Is it?", "Using tea"],
        ["The end.", "During it", "*Write* it"],
    ),
    ("words:repeats", {"small_n": 2}, ["a A b", "a a. b b!"], ["a A a.", "it's its its"]),
    ("words:odd_even_syllables", {}, ["Children have little to regret", "cat"], ["cat dog", "happy water"]),
    ("words:last_first", {}, ["It is so. So it is. Is it?", "One"], ["It is so. It is.", "It is so. — So."]),
    ("words:paragraph_last_first", {}, ["We saw we.\n\nSo – so!", "one"], ["We saw us", "we, we", "a a\n***"]),
    ("words:no_consecutive", {}, ["one two one", "a – a"], ["to Tom", "a 'apple"]),
    ("words:keywords_specific_position", {"keyword": "tea", "n": 2, "m": 3}, ["Ah. I, tea."], ["Ah. I, Tea.", "tea"]),
    ("words:words_position", {"keyword": "so"}, ["It so is so.", "so so so"], ["It so is so", "So so", "so"]),
    ("sentence:keyword", {"word": "Tea", "N": 2}, ["Ah. Teapots!", "Ah? b tea"], ["Tea. Ah.", "Tea"]),
    ("sentence:increment", {"small_n": 1}, ["Go. I do. I do so.", "One"], ["Go. I do so.", "I do. Go."]),
    ("sentence:alliteration_increment", {}, ["A cat. So so. Big bad bees.", "x"], ["A cat. A dog.", "So so. My my."]),
    (
        "repeat:repeat_change",
        {"prompt_to_repeat": "Say hi now"},
        ["Tell hi now", "x hi\nnow"],
        ["Say hi now", "Say hi"],
    ),
    ("repeat:repeat_simple", {}, [ONLY, f" {ONLY.lower()}\n"], [ONLY[:-1], f"Sure. {ONLY}"]),
    ("repeat:repeat_span", {"prompt_to_repeat": "a B c d", "n_start": 0, "n_end": 2}, ["A b", "a\nb"], ["a b c", "a"]),
    ("format:parentheses", {}, ["a (b [c {d (e [f])})]", "(((((x)"], ["((((x))))", "((((( ]x)"]),
    ("format:quotes", {}, ['"a \'b "c"\'"', "'a \"b 'c'\"'"], ["\"a 'b'\"", '"a \'b "c"']),
    ("format:options", {"options": "yes/no"}, ["Yes.", "NO", "*no*"], ["yes no", "maybe", "Yes, so"]),
    ("format:options", {"options": "a), b), c)"}, ["a)", "c)"], ["a", "A)", "a) x", " a)"]),
    ("format:options", {"options": "I know or I don't know"}, ["I know", "i don't know."], ["I don’t know", "know"]),
    ("format:newline", {}, ["one\ntwo", "one,\n\n—\n...\ntwo"], ["one two", "one\n \ntwo"]),
    ("format:emoji", {}, ["Hi 😀. So 🎉!", "Hi. 😀 So ❤️", "👍🏽"], ["Hi 😀. So!", "Hi!", "Hi 😀?!"]),
    ("format:line_indent", {}, ["a\n b\n  c", "a\n\n b\n", "one"], ["a\nb", "a\n  b\n c", "a\n\tb"]),
    ("format:quote_unquote", {}, ['"A" is a.', "“A” means a", "none"], ['"A" "B" is', 'It is "A".', '"A" 12!', "..."]),
    ("format:list", {"sep": "!?!?"}, ["!?!? a\n!?!? b", "!?!?!?!?"], ["!?!? a\n* b"]),
    ("format:thesis", {}, ["<i>A</i> b", "x <em>A</em> b", "<em></em>"], ["<i> </i> b", "<i>A</i> ", "A b", "<i>A"]),
    ("format:sub-bullets", {}, ["* a\n - b\n* c - d", "none"], ["* a\n - b\n* c", "**a** - b"]),
    (
        "format:no_bullets_bullets",
        {},
        ["Ah. Oh.\n* c\n* d", "Ah. Oh.\n\n* c\n* d"],
        ["Ah.\n* c\n* d", "Ah. Oh.\n* c\n* d\n"],
    ),
    ("format:title_case", {}, ["Of Mice A", "iPhone 5", "NASA's Été"], ["Of mice", "Don't", "nASA"]),
    (
        "format:output_template",
        {},
        ["Future Outlook: x My Answer: y My Conclusion: z"],
        ["My Answer: My Conclusion: x"],
    ),
    ("format:no_whitespace", {}, ["one_two", "a\u200bb"], ["one two", "one\n", "a\u00a0b"]),
    ("custom:multiples", {}, ["14, 21, 28, 35, 42, 49", "14\n21\n28\n35\n42\n49."], ["7 14 21 28 35 42 49", "14 21"]),
    ("custom:mcq_count_length", {}, [QUESTIONS], [QUESTIONS.replace("really ", ""), "1. " + QUESTIONS, QUESTIONS[:-8]]),
    ("custom:reverse_newline", {}, [COUNTRIES, "Sure:\n" + COUNTRIES], [COUNTRIES[:-4], COUNTRIES + "\nZ", "Zimbabwe"]),
    ("custom:word_reverse", {}, ["Eagle Bald the is", "eagle, bald"], ["bald eagle", "elgae dlab"]),
    ("custom:character_reverse", {}, [".elgaE dlaB eht"], ["eagle bald", "elgae  dlab"]),
    ("custom:sentence_alphabet", {}, [STORY, STORY.lower()], [STORY[:-8], STORY + " A.", STORY.replace("Cnd", "Dnd")]),
    ("custom:european_capitals_sort", {}, [CAPITALS, CAPITALS.replace("vik", "vík")], [CAPITALS + ".", CAPITALS[10:]]),
    ("custom:csv_city", {}, [CITIES, CITIES + "\n"], [CITIES + "\n\n", CITIES + ",6", CITIES[3:], "a\rb"]),
    ("custom:csv_special_character", {}, [PRODUCTS], [PRODUCTS.replace("&", "and"), PRODUCTS.replace('"', ""), "x"]),
    (
        "custom:csv_quotes",
        {},
        [STUDENTS],
        [STUDENTS.replace('"9"', "9"), STUDENTS.replace("\t", ","), STUDENTS + "\n "],
    ),
    (
        "custom:date_format_list",
        {},
        ["1796-05-10, 1805-12-02", "1800-00-99"],
        ["1768-01-01", "1805-04-31", "1805-1-2."],
    ),
]

BAD_ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("count:word_count_range", {"min_words": 5}, "count:word_count_range needs the argument 'max_words'"),
    ("count:word_count_range", {"min_words": 5, "max_words": 4}, "`min_words` 5 is above `max_words` 4"),
    ("count:numbers", {"N": "3"}, "argument 'N'"),
    ("count:numbers", {"n": 3}, "unknown argument 'n'"),
    ("count:words_japanese", {"N": 0}, "greater than or equal to 1"),
    ("ratio:stop_words", {"percentage": 120}, "less than or equal to 100"),
    ("ratio:overlap", {"percentage": 50}, "needs the argument 'reference_text'"),
    ("sentence:keyword", {"word": " ", "N": 1}, "argument 'word'"),
    ("repeat:repeat_span", {"prompt_to_repeat": "a b", "n_start": 2, "n_end": 2}, "`n_start` 2 is not below `n_end` 2"),
    ("format:no_whitespace", {"N": 1}, "unknown argument 'N'"),
]

HOSTILE = [
    "(" * 2_000,
    "'\"" * 1_000,
    "\n" * 2_000 + "x",
    '"' + "!" * 2_000,
    "a." * 1_000,
    "* " * 1_000,
    "\ufdd0\ufdd1.\x00",
]
HOSTILE += [
    "Question 1" * 200,
    "<i>" * 700,
    "....a" * 400,
    "'" * 2_000,
    "-" * 2_000,
    " a" * 1_000,
    "İ ß \u0301",
    '``"' * 600,
]
LONG = [
    ("custom:mcq_count_length", "Question" + "\n" * 300_000 + "x"),
    ("custom:csv_special_character", PRODUCTS[:36] + ('\n"' + "!" * 120_000) + "\n1,2,3,4,5" * 13),
    ("format:parentheses", "([{" * 100_000),
    ("format:quotes", "'\"" * 150_000),
    ("format:thesis", "<i></i>" * 40_000),
    ("format:title_case", "'\"n't." * 40_000),
    ("sentence:keyword", "A.B.. Mr. " * 30_000),
]
"""Texts on which a regular expression that goes back, or a list that is walked again and again, takes minutes."""


def judged(id: str, kwargs: dict[str, Any], text: str) -> Outcome:
    metadata = {"instruction_id_list": [id], "kwargs": [kwargs]}
    return InstructionFollowingJudge().verdict(Row("x", text, metadata)).outcome


@pytest.mark.parametrize(("id", "kwargs", "follow", "fail"), CASES, ids=[case[0] for case in CASES])
def test_hand_worked_cases(id: str, kwargs: dict[str, Any], follow: list[str], fail: list[str]) -> None:
    assert [text for text in follow if judged(id, kwargs, text) is not Outcome.SATISFIED] == []
    assert [text for text in fail if judged(id, kwargs, text) is not Outcome.VIOLATED] == []


def test_all_58_are_tried() -> None:
    assert len(TYPES) == 58
    assert {case[0] for case in CASES} == set(TYPES)
    assert set(TYPES) <= set(INSTRUCTIONS)


@pytest.mark.parametrize(("id", "kwargs", "message"), BAD_ARGUMENTS)
def test_arguments_that_do_not_fit_are_named(id: str, kwargs: dict[str, Any], message: str) -> None:
    metadata = {"instruction_id_list": [id], "kwargs": [kwargs]}
    verdict = InstructionFollowingJudge().verdict(Row("x", "y", metadata))
    assert verdict.outcome is Outcome.UNKNOWN
    assert id in verdict.reason
    assert message in verdict.reason


def test_a_row_of_the_public_file_works_unchanged() -> None:
    """Every argument of every type is there, null; whole numbers are written 5.0."""
    kwargs = dict.fromkeys(("N", "keyword", "min_words", "options", "prompt_to_repeat", "word"), None)
    assert judged("count:conjunctions", {**kwargs, "small_n": 2.0}, "this and that or") is Outcome.SATISFIED


def test_without_syllapy_its_one_type_is_unknown_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifbench_words, "find_spec", lambda _: None)
    metadata = {"instruction_id_list": ["words:odd_even_syllables"], "kwargs": [{}]}
    verdict = InstructionFollowingJudge().verdict(Row("x", "y", metadata))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "pip install cgpo[ifbench]" in verdict.reason
    assert judged("words:repeats", {"small_n": 1}, "y") is Outcome.SATISFIED


def test_hostile_responses_are_judged() -> None:
    for id, kwargs, _, _ in CASES:
        for text in HOSTILE:
            assert judged(id, kwargs, text) is not Outcome.UNKNOWN


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("id", "text"), LONG, ids=[id for id, _ in LONG])
def test_long_hostile_responses_take_linear_time(id: str, text: str) -> None:
    kwargs = next(kwargs for case, kwargs, _, _ in CASES if case == id)
    judged(id, kwargs, text)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. No paid 3.50. He left.", ["Dr. No paid 3.50.", "He left."]),
        ("See example.com, e.g. now! Yes?", ["See example.com, e.g. now!", "Yes?"]),
        ("Wait... what?!", ["Wait...", "what?", "!"]),
        ('He said "Go." Then', ['He said "Go".', "Then"]),
        ("Apple Inc. He left. The U.S. He", ["Apple Inc", "He left.", "The U.S.", "He"]),
        ("A line\nbreak. A Ph.D. in 1.2.3", ["A line break.", "A Ph.D. in 1.2.", "3"]),
        ("Schön。 Ja", ["Schön。 Ja"]),
    ],
)
def test_sentences_by_rule(text: str, sentences: list[str]) -> None:
    assert rule_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I can't, it's 3,500: well-known!", "I ca n't , it 's 3,500 : well-known !"),
        ('"Go," he said. (Yes.)', "`` Go , '' he said . ( Yes . )"),
        ("We cannot. Gonna go at 4:30...", "We can not . Gon na go at 4:30 ..."),
        ("Mr. Bean's dogs' ‘toys’ -- a—b", "Mr. Bean 's dogs ' ‘ toys ’ -- a — b"),
        ("'tis rock 'n' roll", "' tis rock 'n ' roll"),
    ],
)
def test_words_as_in_the_penn_treebank(text: str, words: str) -> None:
    assert penn_words(text) == words.split()


def test_emoji_are_single_signs() -> None:
    assert all(map(is_emoji, "😀❤©☺🏽✨"))
    assert not any(map(is_emoji, ["a", "1", "#", "→", "", " ", "\ufe0f", "😀😀"]))
