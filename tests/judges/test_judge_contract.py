"""The public contract tests, on the built-in judges and on judges that break them, each in one way."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from judges.contract import CheckResult, check_judge
from judges.errors import JudgesError
from judges.spec import JudgeSpec

CODE = """
    import itertools, os, random, subprocess, sys, threading, time
    from judges import Judge, Outcome, Row, Verdict, rule_judge

    ROW = Row("p", "r", {"n": 1, "list": [1]})

    class Fine(Judge):
        '''Breaks nothing.'''
        requires = frozenset({"n"})
        examples = ((ROW, Outcome.SATISFIED),)
        def judge(self, row):
            return Verdict.of(len(row.response) < 50, "short enough or not", 50 - len(row.response))

    class Mistaken(Fine):
        examples = ((ROW, Outcome.VIOLATED),)

    class OneText(Fine):
        requires = frozenset("number")

    class NoSet(Fine):
        requires = "n"

    class Chance(Fine):
        def judge(self, row): return Verdict.satisfied(score=random.random())

    class OfThisProcess(Fine):
        def judge(self, row): return Verdict.satisfied(f"in process {os.getpid()}")

    class Counts(Fine):
        def __init__(self): self.seen = itertools.count()
        def judge(self, row): return Verdict.satisfied(score=next(self.seen))

    class RemembersTexts(Fine):
        seen = set()
        def judge(self, row):
            new = row.response not in self.seen
            self.seen.add(row.response)
            return Verdict.of(new, "seen before or not")

    class OrderOfSets(Fine):
        def judge(self, row): return Verdict.satisfied(", ".join({"some", "words", "in", "any", "order", row.response}))

    class NeedsWhatItDoesNotSay(Fine):
        requires = frozenset()
        def judge(self, row): return Verdict.of(row.metadata["n"] > 0)

    class OverridesVerdict(Fine):
        def verdict(self, row): return Verdict.satisfied()

    class ChangesTheRow(Fine):
        def judge(self, row):
            row.metadata["list"].append(2)
            return Verdict.satisfied()

    class Prints(Fine):
        def judge(self, row):
            os.write(1, b"here I am")
            return Verdict.satisfied()

    class ReturnsBool(Fine):
        def judge(self, row): return True

    class ReturnsNone(Fine):
        def judge(self, row): pass

    class ReturnsText(Fine):
        def judge(self, row): return "satisfied"

    class ScoresNaN(Fine):
        def judge(self, row): return Verdict.satisfied(score=float("nan"))

    class ReasonIsNoText(Fine):
        def judge(self, row): return Verdict.satisfied(reason=3)

    class Raises(Fine):
        def judge(self, row):
            if row.response == "no": raise KeyError("a reason")
            return Verdict.satisfied()

    class SysExits(Fine):
        def judge(self, row): sys.exit(0)

    class Exits(Fine):
        def judge(self, row): os._exit(0)

    class Sleeps(Fine):
        timeout_seconds = 0.5
        def judge(self, row):
            if row.response == "no": time.sleep(60)
            return Verdict.satisfied()

    class LeavesThreads(Fine):
        def judge(self, row):
            threading.Thread(target=time.sleep, args=(60,), name="left-alone", daemon=True).start()
            return Verdict.satisfied()

    class LeavesProcesses(Fine):
        def judge(self, row):
            if row.response == "no": subprocess.Popen("sleep 60 & exit", shell=True)
            return Verdict.satisfied()

    class Chokes(Fine):
        timeout_seconds = 1.0
        def judge(self, row):
            row.response.encode()
            while len(row.response) > 1_000_000: pass
            return Verdict.satisfied()

    class BadMetadata(Fine):
        def judge(self, row):
            if row.metadata["n"] is None: os._exit(1)
            return Verdict.satisfied()

    class ThatIsEnough(Fine):
        '''What looks like a fault and is none.'''
        def prepare(self):
            self.helper = threading.Thread(target=time.sleep, args=(60,), daemon=True)
            self.helper.start()
        def judge(self, row):
            if not row.response.isascii(): return Verdict.unknown("only ASCII")
            thread = threading.Thread(target=time.sleep, args=(0.001,))
            thread.start()
            sys.stderr.write("a library's warning")
            return Verdict.satisfied(", ".join(sorted({"some", "words", "in", "order"})))

    def boolean(row: Row) -> bool: return True
"""


@pytest.mark.parametrize("name", ["math", "instruction_following", "refusal"])
def test_the_built_in_judges_keep_the_contract(name: str) -> None:
    assert [(r.name, r.explanation) for r in check_judge(JudgeSpec(name)) if not r.passed] == []


def failed(install, attribute: str) -> dict[str, str]:
    install("contract-judges", CODE, subject=attribute)
    results: list[CheckResult] = check_judge(JudgeSpec("subject"))
    return {result.name: result.explanation for result in results if not result.passed}


@pytest.mark.parametrize("attribute", ["Fine", "ThatIsEnough", "boolean"])
def test_judges_that_break_nothing_pass(install, attribute: str) -> None:
    assert failed(install, attribute) == {}


@pytest.mark.parametrize(
    ("attribute", "check", "explanation"),
    [
        ("Mistaken", "examples", "'r': expected violated, got satisfied (short enough or not, score 49)"),
        ("OneText", "declaration", "write {'key'} instead of 'key'"),
        ("NoSet", "declaration", "must be a set of metadata keys"),
        ("Chance", "deterministic", "no random numbers"),
        ("OfThisProcess", "deterministic", "process id"),
        ("Counts", "no state between rows", "satisfied (, score 0), then satisfied (, score"),
        ("RemembersTexts", "no state between rows", "then violated (seen before or not)"),
        ("OrderOfSets", "same in every process", "sort before you choose"),
        ("NeedsWhatItDoesNotSay", "missing metadata", "without any metadata: KeyError: 'n'. name the keys"),
        ("OverridesVerdict", "missing metadata", "without 'n': satisfied, not unknown"),
        ("ChangesTheRow", "row unchanged", "copy metadata"),
        ("Prints", "prints nothing", "'here I am'"),
        ("ReturnsBool", "verdicts", "the judge returned bool, not a Verdict"),
        ("ReturnsNone", "verdicts", "the judge returned NoneType, not a Verdict"),
        ("ReturnsText", "verdicts", "the judge returned str, not a Verdict"),
        ("ScoresNaN", "verdicts", "score is nan"),
        ("ReasonIsNoText", "verdicts", "malformed verdict"),
        ("Raises", "no exception escapes", "'no': KeyError: 'a reason'"),
        ("SysExits", "stays in its process", "tried to end the process: SystemExit: 0"),
        ("Exits", "stays in its process", "ended its process (exit status 0)"),
        ("Sleeps", "time limit", "'no': more than its limit of 0.5 s"),
        ("LeavesThreads", "leaves nothing behind", "thread left-alone"),
        ("LeavesProcesses", "leaves nothing behind", "process sleep 60"),
        ("BadMetadata", "bad metadata", "'n' = None: ended the process"),
    ],
)
def test_what_breaks_the_contract_is_found_and_explained(install, attribute: str, check: str, explanation: str) -> None:
    found = failed(install, attribute)
    assert explanation in found[check]


def test_an_order_that_matters_only_now_and_then_is_found(install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 32 orders of eight letters about four begin with a certain one, of the first four perhaps none."""
    monkeypatch.setattr("judges.contract.checks._SEEDS_SECONDS", 300.0)
    code = """
        def seldom(row):
            return list(set("abcdefgh"))[0] == "a"
    """
    install("seldom-judge", code, seldom="seldom")
    results = {result.name: result for result in check_judge(JudgeSpec("seldom"))}
    assert not results["same in every process"].passed
    assert results["deterministic"].passed


def test_hostile_texts_are_tried(install) -> None:
    found = failed(install, "Chokes")
    assert "lone surrogate: raised: UnicodeEncodeError" in found["hostile texts"]
    assert "a million spaces: more than its limit of 1 s" in found["time limit"]


def test_an_unknown_judge_is_an_error() -> None:
    with pytest.raises(JudgesError, match="Did you mean 'math'"):
        check_judge(JudgeSpec("maths"))


def test_a_judge_that_cannot_be_prepared_is_an_error(install) -> None:
    code = "from judges import Judge\nclass J(Judge):\n  def judge(self, row): pass\n  def prepare(self): 1 / 0\n"
    install("unprepared", code, unprepared="J")
    with pytest.raises(JudgesError, match="cannot be prepared: ZeroDivisionError"):
        check_judge(JudgeSpec("unprepared"))


def test_a_judge_in_a_file_is_checked_without_installing_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from judges import cli

    (tmp_path / "beside.py").write_text("LIMIT = 50\n")
    code = (
        "from beside import LIMIT\ndef short(row, limit: int = LIMIT) -> bool:\n    return len(row.response) < limit\n"
    )
    (tmp_path / "math.py").write_text(textwrap.dedent(code))  # must not be mistaken for the standard library's
    assert cli.main(["check", f"{tmp_path}/math.py:short", "--option", "short.limit=3"]) == 0
    assert "short: all checks passed" in capfd.readouterr().out
    assert cli.main(["check", f"{tmp_path}/math.py:shrt"]) == 2
    assert "has no function or class 'shrt'. Did you mean 'short'?" in capfd.readouterr().err
    assert cli.main(["check", f"{tmp_path}/nothing.py:short"]) == 2
    assert "No such file" in capfd.readouterr().err


MODEL_JUDGES = """
    import itertools
    from judges import Outcome, Row, Verdict
    from judges.running.asynchronous import AsyncJudge

    class Answers(AsyncJudge):
        requires = frozenset({"n"})
        examples = ((Row("p", "r", {"n": 1}), Outcome.SATISFIED),)
        async def judge_async(self, row): return Verdict.of(len(row.response) < 9, "short or not", 0.5)

    class NoAnswer(Answers):
        async def judge_async(self, row): return Verdict.unknown("nobody there")

    class Samples(Answers):
        count = itertools.count()
        async def judge_async(self, row): return Verdict.of(next(self.count) % 4 < 2)
"""


def test_a_judge_that_asks_a_model_is_checked_by_what_it_answers(install) -> None:
    install("model-judges", MODEL_JUDGES, answers="Answers", silent="NoAnswer", samples="Samples")
    assert [result for result in check_judge(JudgeSpec("answers")) if not result.passed] == []
    silent = {result.name: result for result in check_judge(JudgeSpec("silent"))}
    assert not silent["answers"].passed
    assert "nobody there" in silent["answers"].explanation
    assert "is the model there" in silent["answers"].explanation
    sampled = {result.name: result for result in check_judge(JudgeSpec("samples"))}
    assert not sampled["deterministic"].passed
