"""A plugin's own tests: the public contract, and what each judge is for."""

from __future__ import annotations

import pytest

from judges import Row
from judges.contract import check_judge
from judges.errors import JudgesError
from judges.registry import create
from judges.spec import JudgeSpec


@pytest.mark.parametrize("name", ["mentions", "plain_words"])
def test_the_contract_is_kept(name: str) -> None:
    assert [result for result in check_judge(JudgeSpec(name)) if not result.passed] == []


def test_case_counts_when_asked_for() -> None:
    row = Row("p", "a lion", {"must_mention": ["Lion"]})
    assert create("mentions").verdict(row).outcome == "satisfied"
    verdict = create("mentions", {"ignore_case": False}).verdict(row)
    assert (verdict.outcome, verdict.reason) == ("violated", "missing: Lion")


def test_long_words_are_counted() -> None:
    row = Row("p", "one two three four five six seven eight nine incomprehensible")
    assert create("plain_words").verdict(row).outcome == "satisfied"  # 1 of 10 is the limit
    assert create("plain_words", {"max_share": 0.05}).verdict(row).outcome == "violated"
    assert create("plain_words", {"max_letters": 4}).verdict(row).outcome == "violated"
    with pytest.raises(JudgesError, match="max_share must be from 0 to 1"):
        create("plain_words", {"max_share": 2.0})
