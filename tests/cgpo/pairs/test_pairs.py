"""Preference pairs: what is made from responses, what a user's file may hold, and that the split never leaks."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from cgpo.config import RewardPairSettings
from cgpo.errors import DataError
from cgpo.pairs.cleaning import without_duplicates
from cgpo.pairs.corruption import CORRUPTIONS, EMPTY_ANSWERS
from cgpo.pairs.pair import PreferencePair, counts_by_kind, prompt_key, read_pairs, split, write_pairs
from cgpo.pairs.response_file import SampledResponse
from cgpo.pairs.synthetic import synthetic_pairs
from judges import Message, Outcome

TEXT = "The river rises in the hills, passes two old mills and meets the sea near a quiet town."


def question(stratum: str, number: int) -> tuple[Message, ...]:
    return ({"role": "user", "content": f"{stratum} question {number}"},)


def response(stratum: str, number: int, index: int, text: str, *, complete: bool, outcome: Outcome) -> SampledResponse:
    """A judged response to question `number` of a stratum."""
    return SampledResponse(
        stratum=stratum,
        prompt_id=f"{stratum}-{number}",
        prompt=question(stratum, number),
        index=index,
        seed=0,
        response=text,
        tokens=1,
        finish_reason="stop" if complete else "length",
        outcome=outcome,
        verdicts={},
        rewards={},
        reward=None,
    )


def responses(prompts: int = 20) -> list[SampledResponse]:
    outcomes = (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.UNKNOWN)
    return [
        response(stratum, n, k, f"Response {k} to {stratum} {n}: {TEXT}", complete=k != 1, outcome=outcomes[k])
        for stratum in ("math", "chat")
        for n in range(prompts)
        for k in range(3)
    ]


def test_pairs_follow_from_the_seed_whatever_the_order_of_responses() -> None:
    settings = RewardPairSettings()
    first = synthetic_pairs(responses(), settings, seed=3)
    shuffled = random.Random(0).sample(responses(), len(responses()))
    assert synthetic_pairs(shuffled, settings, seed=3) == first
    assert synthetic_pairs(responses(), settings, seed=4) != first


def test_every_kind_gets_its_share_with_provenance() -> None:
    pairs = synthetic_pairs(responses(), RewardPairSettings(corruptions_per_prompt=2), seed=0)
    counts = dict(counts_by_kind(pairs))
    assert counts.pop("judged") == 40
    assert sorted(counts) == ["empty", "loop", "shuffle", "swap", "truncate"]
    assert sum(counts.values()) == 80
    assert all(14 <= count <= 18 for count in counts.values())
    for pair in pairs:
        assert pair.prompt_id.startswith(f"{pair.stratum}-")
        # only the satisfied response, k = 0, is worth a corruption; unknown verdicts make no pair
        assert pair.chosen == f"Response 0 to {pair.prompt_id.replace('-', ' ')}: {TEXT}"
        assert pair.chosen != pair.rejected
        if pair.kind == "judged":
            assert pair.rejected.startswith("Response 1 ")


def test_the_split_is_by_prompt_and_swaps_do_not_cross_it() -> None:
    pairs = synthetic_pairs(responses(), RewardPairSettings(heldout_share=0.25), seed=0)
    heldout = {prompt_key(p.prompt) for p in pairs if p.heldout}
    trained = {prompt_key(p.prompt) for p in pairs if not p.heldout}
    assert not heldout & trained
    assert len(heldout) == 10  # a quarter of each stratum's 20 prompts
    texts = {p.chosen for p in pairs if p.heldout}
    assert not texts & {p.rejected for p in pairs if not p.heldout}
    assert not {p.chosen for p in pairs if not p.heldout} & {p.rejected for p in pairs if p.heldout}


def test_the_same_prompt_under_two_ids_is_one_prompt() -> None:
    twice = [PreferencePair(question("math", n % 5), "good answer", f"bad {n}", prompt_id=str(n)) for n in range(10)]
    pairs = split(twice, 0.4, seed=1)
    for n in range(5):
        assert pairs[n].heldout == pairs[n + 5].heldout
    assert sum(p.heldout for p in pairs) == 4


def test_violated_and_cut_off_responses_make_no_misleading_pairs() -> None:
    bad = [response("math", n, 0, f"{TEXT} {n}", complete=False, outcome=Outcome.VIOLATED) for n in range(10)]
    kinds = counts_by_kind(synthetic_pairs(bad, RewardPairSettings(corruptions_per_prompt=5), seed=0))
    assert "swap" not in kinds  # the other prompt's response might be the better one
    assert "truncate" not in kinds  # it would only say that longer is better
    assert kinds["shuffle"] == 10


def test_empty_and_identical_responses_make_no_pairs() -> None:
    same = [
        response("math", n, k, "  " if n == 0 else "yes", complete=True, outcome=o)
        for n in range(3)
        for k, o in enumerate((Outcome.SATISFIED, Outcome.VIOLATED))
    ]
    pairs = synthetic_pairs(same, RewardPairSettings(corruptions_per_prompt=5), seed=0)
    assert {p.kind for p in pairs} == {"empty"}
    assert without_duplicates(pairs * 2) == pairs


@pytest.mark.parametrize("kind", sorted(CORRUPTIONS))
def test_corruptions(kind: str) -> None:
    others = ["Another answer altogether."]
    spoilt = CORRUPTIONS[kind](TEXT, others, random.Random(0))
    assert spoilt == CORRUPTIONS[kind](TEXT, others, random.Random(0))
    assert spoilt is not None
    words, before = spoilt.split(), TEXT.split()
    if kind == "shuffle":
        assert sorted(words) == sorted(before)
        assert words != before
    elif kind == "truncate":
        assert len(before) // 3 <= len(words) <= 2 * len(before) // 3
        assert TEXT.startswith(spoilt)
    elif kind == "loop":
        assert len(before) <= len(words) < len(before) + 8
        assert len(set(words)) < len(set(before))
    elif kind == "swap":
        assert spoilt == others[0]
    else:
        assert spoilt in EMPTY_ANSWERS


def test_what_is_too_short_is_not_corrupted() -> None:
    for kind in ("shuffle", "truncate", "loop", "swap"):
        assert CORRUPTIONS[kind]("Yes.", ["Yes."], random.Random(0)) is None


def test_pairs_survive_the_disk(tmp_path: Path) -> None:
    pairs = [*synthetic_pairs(responses(4), RewardPairSettings(), seed=0)]
    pairs.append(PreferencePair(({"role": "user", "content": "x"},), "lone \udc80", "\x00"))
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl") == pairs


def test_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = [
        {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"},
        {"prompt": turns, "chosen": "Hello!", "rejected": ""},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    first, second = read_pairs(file)
    assert first.prompt == ({"role": "user", "content": "Hi"},)
    assert first.kind == "given"
    assert [dict(m) for m in second.prompt] == turns


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"mine\.jsonl line 2 is no JSON"),
        ("[1]", r"line 2: must be an object"),
        ('{"prompt": "a", "chosen": "b", "reject": "c"}', r"line 2: 'rejected' must be a string.*'reject'"),
        ('{"prompt": "a", "chosen": 3, "rejected": "c"}', r"line 2: 'chosen' must be a string, got 3"),
        ('{"prompt": "", "chosen": "b", "rejected": "c"}', r"line 2: 'prompt' must be a string or a list"),
        ('{"prompt": [{"role": "user"}], "chosen": "b", "rejected": "c"}', r"line 2: 'prompt' must be"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / "mine.jsonl")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has none"):
        read_pairs(tmp_path / "pairs.jsonl")
    with pytest.raises(DataError, match=r"no such file .*Did you mean 'pairs\.jsonl'"):
        read_pairs(tmp_path / "pair.jsonl")
    with pytest.raises(DataError, match="at least 2 are needed"):
        split([PreferencePair(({"role": "user", "content": "x"},), "a", "b")], 0.5, seed=0)
