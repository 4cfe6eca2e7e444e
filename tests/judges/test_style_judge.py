"""The style judge, rule by rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.style import Rule, StyleJudge

BROKEN = [
    ("emojis", "Well done 😊"),
    ("emojis", "✅ Done"),
    ("emojis", "Go ➡️ there"),
    ("emojis", "Flag: 🇵🇪"),
    ("emojis", "❤️"),
    ("headings", "# Title\ntext"),
    ("headings", "text\n\n### Part 2\n"),
    ("headings", "Title\n=====\n"),
    ("bold", "This is **bold**."),
    ("bold", "This is __bold__."),
    ("lists", "- one\n- two"),
    ("lists", "1. one\n2. two"),
    ("lists", "So:\n  * one\n  * two"),
    ("tables", "| a | b |\n|---|---|\n| 1 | 2 |"),
    ("tables", "a | b\n--- | ---\n1 | 2"),
    ("capitals", "This is VERY VERY IMPORTANT, I think."),
    ("capitals", "ABSOLUTELY! Go on."),
    ("exclamations", "One! Two! Three!"),
    ("exclamations", "One!!"),
    ("exclamations", "What?!!"),
    ("em_dashes", "It is — I think — so."),
    ("stock_openings", "Certainly! It is Lima."),
    ("stock_openings", "**Sure!** It is Lima."),
    ("stock_openings", "Great question! It is Lima."),
    ("stock_openings", "That's a really good question. It is Lima."),
    ("stock_openings", "I’d be happy to help you. It is Lima."),
    ("stock_openings", "Thanks for asking! It is Lima."),
    ("stock_openings", "You're absolutely right, it is Lima."),
    ("filler_closings", "It is Lima. Let me know if you need more."),
    ("filler_closings", "It is Lima. I hope this helps!"),
    ("filler_closings", "It is Lima.\n\nFeel free to ask me anything."),
    ("filler_closings", "It is Lima. Please don’t hesitate to ask! 😊"),
    ("filler_closings", "It is Lima. If you have any more questions, I'm here to help."),
    ("filler_closings", "It is Lima. Would you like me to draw a map?"),
    ("filler_closings", "It is Lima. Happy travelling!"),
    ("ai_disclaimers", "As an AI language model, I cannot travel."),
    ("ai_disclaimers", "Well, I’m just an AI."),
    ("ai_disclaimers", "I don't have personal opinions on towns."),
    ("ai_disclaimers", "My knowledge cutoff is last year."),
    ("cliches", "Let us delve into the matter."),
    ("cliches", "A rich tapestry of towns."),
    ("cliches", "It’s important to note that Lima is large."),
    ("cliches", "In today's fast-paced world, towns grow."),
]

KEPT = [
    ("emojis", "5 * 3 # © 2024 ™ → 1"),
    ("headings", "#hashtag and C# and issue #3"),
    ("headings", "one\n\n---\n\ntwo"),
    ("headings", "| a |\n|---|"),
    ("bold", "2 ** 3 ** 2 and a*b*c"),
    ("bold", "snake__case__name and __init__x"),
    ("lists", "- a single remark"),
    ("lists", "It rose by 3.5 in 1999.\nThen it fell - slowly."),
    ("tables", "a | b\n---\n"),
    ("capitals", "NASA and the USA"),
    ("capitals", "Louis XIV and Henry VIII"),
    ("capitals", "The HTTP API returns JSON"),
    ("exclamations", "One! Two! 5! = 120 and a != b"),
    ("em_dashes", "2019–2024, well-known"),
    ("stock_openings", "Surely it is Lima."),
    ("stock_openings", "Good questions of that kind are rare."),
    ("stock_openings", "It is Lima. Certainly!"),
    ("stock_openings", "Great ideas come from walks."),
    ("stock_openings", "Absolutely nothing is known."),
    ("filler_closings", "Let me know if it rains, he said. Then he left. It rained. He came back."),
    ("filler_closings", "It is Lima."),
    ("filler_closings", "They let me know it."),
    ("ai_disclaimers", "An AI is a program. The main idea is old."),
    ("ai_disclaimers", "I do not have a car."),
    ("cliches", "At the end of the day she had 3 apples. He noted that it is important."),
]


def judged(rule: str, response: str) -> Verdict:
    return StyleJudge(rules=(rule,)).verdict(Row("q", response))  # type: ignore[arg-type]


@pytest.mark.parametrize(("rule", "response"), BROKEN)
def test_broken_rules_are_named(rule: str, response: str) -> None:
    verdict = judged(rule, response)
    assert verdict.outcome == "violated"
    assert verdict.reason.startswith(f"{rule}: ")


@pytest.mark.parametrize(("rule", "response"), KEPT)
def test_what_only_looks_like_it_is_satisfied(rule: str, response: str) -> None:
    verdict = judged(rule, response)
    assert verdict.outcome == "satisfied", verdict.reason


def test_a_line_of_white_space_is_searched_for_tables_in_linear_time() -> None:
    assert judged("tables", " " * 200_000 + "x").outcome == "satisfied"


def test_every_rule_has_a_case_on_either_side() -> None:
    assert {rule for rule, _ in BROKEN} == set(get_args(Rule)) == {rule for rule, _ in KEPT}


def test_code_is_not_looked_at() -> None:
    response = "So:\n```python\n# HEADING\nprint('😊 — **bold** DO NOT STOP!!')\n```\nand `a — b`."
    assert StyleJudge(rules=get_args(Rule)).verdict(Row("q", response)).outcome == "satisfied"


def test_the_reason_names_every_rule_and_the_line() -> None:
    reason = StyleJudge(rules=("em_dashes", "emojis")).verdict(Row("q", "One.\nTwo — three.\n😊")).reason
    assert reason == "em_dashes: '—' in line 2; emojis: '😊' in line 3"


def test_the_number_of_exclamations_is_an_option() -> None:
    row = Row("q", "One! Two! Three!")
    assert StyleJudge(max_exclamations=3).verdict(row).outcome == "satisfied"
    assert StyleJudge(max_exclamations=2).verdict(row).outcome == "violated"


@pytest.mark.parametrize(
    "options", [{"rules": []}, {"rules": ["emoji"]}, {"rules": ["bold", "bold"]}, {"max_exclamations": -1}]
)
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises((JudgesError, ValueError)):
        create("style", options)


def test_rules_come_as_a_list_from_settings() -> None:
    assert create("style", {"rules": ["bold"]}).verdict(Row("q", "**x**")).outcome == "violated"


@given(st.text(max_size=200))
def test_no_text_makes_a_rule_fail(text: str) -> None:
    assert StyleJudge(rules=get_args(Rule)).verdict(Row("q", text)).outcome in ("satisfied", "violated")


def test_the_page_lists_every_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "judges" / "text.md").read_text(encoding="utf-8")
    section = page.split("## `style`")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(get_args(Rule))
