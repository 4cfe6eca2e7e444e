"""The public contract tests, on the built-in judges and on judges that break them."""

from __future__ import annotations

import pytest

from judges.contract import check_judge
from judges.errors import JudgesError
from judges.spec import JudgeSpec


@pytest.mark.parametrize("name", ["math", "instruction_following", "refusal"])
def test_the_built_in_judges_keep_the_contract(name: str) -> None:
    results = check_judge(JudgeSpec(name))
    assert [(r.name, r.explanation) for r in results if not r.passed] == []
    assert len(results) == 8


def test_what_breaks_the_contract_is_found(install) -> None:
    install(
        "breakers",
        """
        import itertools
        from judges import Judge, Outcome, Row, Verdict

        class Counts(Judge):
            '''Keeps state, is wrong about its example, and ignores that its metadata is missing.'''
            requires = frozenset({"n"})
            examples = ((Row("p", "r", {"n": 1}), Outcome.UNKNOWN),)
            def __init__(self): self.seen = itertools.count()
            def verdict(self, row): return Verdict.satisfied(score=next(self.seen))
            def judge(self, row): raise NotImplementedError

        class Chokes(Judge):
            timeout_seconds = 1.0
            examples = ((Row("p", "r"), Outcome.SATISFIED),)
            def judge(self, row):
                row.response.encode()
                while len(row.response) > 10 ** 5: pass
                return Verdict.satisfied()
        """,
        counts="Counts",
        chokes="Chokes",
    )
    failed = {result.name for result in check_judge(JudgeSpec("counts")) if not result.passed}
    assert {"examples", "deterministic", "batch equals single", "missing metadata"} <= failed
    hostile = {result.name: result for result in check_judge(JudgeSpec("chokes"))}["hostile texts"]
    assert not hostile.passed
    assert "lone surrogate: unknown (UnicodeEncodeError" in hostile.explanation
    assert "a million spaces: unknown (timed out after 1 s)" in hostile.explanation


def test_an_unknown_judge_is_an_error() -> None:
    with pytest.raises(JudgesError, match="Did you mean 'math'"):
        check_judge(JudgeSpec("maths"))
