"""The pairs that a prompt gives, by hand: judges, rewards, unknown, ties, and what the report says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from cgpo.compose import compose
from cgpo.config import PreferencesSettings
from cgpo.errors import LimitError
from cgpo.pairs.limits import check_samples
from cgpo.pairs.pair import PreferencePair
from cgpo.pairs.ranked_pairs import ranked_pairs
from cgpo.pairs.ranking import NoPair, rank_prompt
from cgpo.pairs.report import length_of_pairs, preferences_report, report_lines
from cgpo.pairs.response_file import SampledResponse
from judges import Outcome

OUTCOMES = {"+": Outcome.SATISFIED, "-": Outcome.VIOLATED, "?": Outcome.UNKNOWN}


def responses(text: str, prompt: str = "q", stratum: str = "math") -> list[SampledResponse]:
    """`a+2 b-1 c?0 d+none`: text, outcome and reward of each."""
    return [
        SampledResponse(
            stratum=stratum,
            prompt_id=prompt,
            prompt=({"role": "user", "content": prompt},),
            index=i,
            seed=i,
            response=word[0],
            tokens=1,
            finish_reason="stop",
            outcome=OUTCOMES[word[1]],
            verdicts={},
            rewards={},
            reward=None if word[2:] == "none" else float(word[2:]),
        )
        for i, word in enumerate(text.split())
    ]


def ranked(text: str, **settings: Any) -> list[tuple[str, str]] | NoPair:
    """`[(chosen over rejected, by)]`, or the reason why not."""
    decisions, reason = rank_prompt(responses(text), PreferencesSettings(**settings), seed=0)
    assert (reason is None) is bool(decisions)
    return reason or [(f"{d.chosen.response}>{d.rejected.response}", d.by) for d in decisions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a+2 b+5 c-9 d-1", [("b>d", "judges")]),  # the highest satisfied over the lowest violated, as in CODPO
        ("a+2 b+5 c+3", [("b>a", "reward")]),
        ("a+2 b?5 c?-9 d+1", [("a>d", "reward")]),  # unknown is neither the best nor the worst
        ("a+2 b?5", "unknown"),
        ("a-2 b-5", "none satisfied"),
        ("a+2 b+2", "tie"),
        ("a+none b-none", [("a>b", "judges")]),  # judges need no score
        ("a+none b+1", "missing score"),
        ("a+none b+1 c+3", [("c>b", "reward")]),
        ("a+1 a-2", "same text"),
    ],
)
def test_judges_then_reward(text: str, expected: Any) -> None:
    assert ranked(text) == expected


def test_reward_alone_does_not_ask_the_judges_and_reward_first_outvotes_them() -> None:
    assert ranked("a+1 b-3 c?7", rank_by=["reward"]) == [("c>a", "reward")]
    assert ranked("a+1 b-3", rank_by=["reward", "judges"]) == "tie"  # the better one by reward must not be chosen
    assert ranked("a+1 b-3", rank_by=["reward", "judges"], chosen_must_satisfy=False) == [("b>a", "reward")]
    assert ranked("a+1 b-1", rank_by=["reward", "judges"]) == [("a>b", "judges")]
    assert ranked("a+1 b-none", rank_by=["reward", "judges"]) == "missing score"


def test_small_differences_are_ties() -> None:
    assert ranked("a+1 b+1.4 c+1.2", min_reward_difference=0.5) == "tie"
    assert ranked("a+1 b+1.5 c+1.2", min_reward_difference=0.5) == [("b>a", "reward")]
    assert ranked("a+1 b-1.4", min_reward_difference=0.5) == [("a>b", "judges")]


def test_violated_responses_are_ranked_only_if_asked_for() -> None:
    assert ranked("a-2 b-5", chosen_must_satisfy=False) == [("b>a", "reward")]


def test_all_pairs_the_most_decided_first() -> None:
    everything = [("b>c", "judges"), ("a>c", "judges"), ("b>a", "reward")]
    assert ranked("a+2 b+5 c-1", pairs_per_prompt="all") == everything
    assert ranked("a+2 b+5 c-1", pairs_per_prompt="all", max_pairs_per_prompt=2) == everything[:2]


def test_best_over_a_random_one_is_the_same_with_the_same_seed() -> None:
    found = {
        rank_prompt(responses("a+9 b+5 c-1 d+3", f"q{n}"), PreferencesSettings(pairs_per_prompt="best_random"), 0)[0][
            0
        ].rejected.response
        for n in range(40)
    }
    assert found == {"b", "c", "d"}
    assert ranked("a+9 b+5 c-1", pairs_per_prompt="best_random") == ranked(
        "a+9 b+5 c-1", pairs_per_prompt="best_random"
    )


def test_limits_count_all_responses_and_wait_for_enough() -> None:
    settings = compose(["experiment=quickstart", "preferences.rank_by=[judges,reward]"]).settings

    def some(known: int, unknown: int, missing: int = 0) -> list[SampledResponse]:
        said = {"math": {"verdict": "unknown", "reason": "timed out", "score": None}}
        text = " ".join(["a+1"] * known + ["a?1"] * unknown + ["a+none"] * missing)
        return [
            replace(r, verdicts=said if r.outcome is Outcome.UNKNOWN else {}, rewards={"helpfulness": r.reward})
            for r in responses(text)
        ]

    check_samples(some(14, 3), settings, "now", last=False)  # 3 of 17, below the limit of a fifth
    check_samples(some(2, 2), settings, "now", last=False)  # a half, but of four only
    with pytest.raises(LimitError, match=r"now: judge 'math' of stratum 'math' gave no verdict on 2 of 2.*timed out"):
        check_samples(some(2, 2), settings, "now", last=True)
    with pytest.raises(LimitError, match=r"limit strata\.math\.max_unknown_rate is 0\.2"):
        check_samples(some(18, 6), settings, "now", last=False)
    check_samples(some(18, 0, 2), settings, "now", last=False)  # a tenth is allowed
    with pytest.raises(LimitError, match=r"reward 'helpfulness' gave no finite score for 3 of 20"):
        check_samples(some(17, 0, 3), settings, "now", last=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank_by": ["judges", "judges"]}, "names something twice"),
        ({"rank_by": []}, "at least 1 item"),
        ({"max_pairs_per_prompt": 2}, "belongs to pairs_per_prompt: all"),
        ({"rank_by": ["judges"], "min_reward_difference": 1.0}, "does not name `reward`"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PreferencesSettings(**settings)


def test_counts_of_the_report_by_hand() -> None:
    settings = compose(["experiment=quickstart", "preferences.rank_by=[judges,reward]"]).settings
    sampled = [
        *responses("a+2 b-1", "q0"),
        *responses("a+2 b+2", "q1"),
        *responses("a?2 b+none", "q2"),
        *responses("a+2 b+0.5", "q3", "chat"),
        *responses("a+2 b-1", "q0", "chat"),  # the same words to the same text in another stratum: one pair
    ]
    made = ranked_pairs(sampled, settings)
    report = preferences_report(settings, made, [])
    assert report["strata"]["math"] == {
        "prompts": 3,
        "responses": 6,
        "outcomes": {"satisfied": 4, "violated": 1, "unknown": 1},
        "missing_scores": 1,
        "prompts_without_pair": {"tie": 1, "unknown": 1},
        "pairs": {"judged": 1},
    }
    assert report["strata"]["chat"]["pairs"] == {"reward": 1}
    assert (report["pairs"], report["duplicates"], report["contradictions"]) == (2, 1, 0)
    assert [p.margin for p in made.pairs] == [1.0, 1.5]
    lines = report_lines(report)
    assert "    prompts without a pair: tie 1, unknown 1" in lines
    assert "  left out: 1 duplicates" in lines


def test_a_warning_when_the_longer_one_mostly_wins() -> None:
    def pairs(longer: int, shorter: int, equal: int = 0) -> list[PreferencePair]:
        asked = ({"role": "user", "content": "q"},)
        texts = [("a b c", "a")] * longer + [("a", "a b c")] * shorter + [("a", "b")] * equal
        return [PreferencePair(asked, chosen, rejected) for chosen, rejected in texts]

    found = length_of_pairs(pairs(70, 30, 50))
    assert found["longer_is_chosen"]["rate"] == 0.7  # equal lengths say nothing
    assert found["longer_is_chosen"]["n"] == 100
    assert found["chosen_words"] == pytest.approx((70 * 3 + 30 + 50) / 150)
    assert found["warning"].startswith("in 70% of 100 pairs the longer response is the better one")
    assert length_of_pairs(pairs(60, 40))["warning"] is None
    assert length_of_pairs(pairs(4, 1))["warning"] is None  # 0.8, but the interval of five reaches below one half
    assert length_of_pairs([])["chosen_words"] is None
