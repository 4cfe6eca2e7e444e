"""Finding judges by name: specs, options, plugins and what is wrong with them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from judges import Row, registry
from judges.errors import JudgesError
from judges.registry import JudgeSpec


def test_the_built_in_judges_are_registered() -> None:
    infos = {info.name: info for info in registry.describe()}
    assert {"math", "instruction_following", "refusal"} <= infos.keys()
    assert infos["math"].requires == ("answer",)
    assert infos["math"].kind == "rule"
    assert infos["math"].distribution.startswith("cgpo ")
    assert infos["math"].error is None


@pytest.mark.parametrize(
    "value", ["math", {"name": "math"}, {"name": "math", "format": "boxed", "n": [1, {"a": None}]}]
)
def test_a_spec_survives_configuration_and_pickling(value: object) -> None:
    spec = JudgeSpec.parse(value)
    assert JudgeSpec.parse(json.loads(json.dumps(spec.as_config()))) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert JudgeSpec.parse(spec) is spec
    assert len({spec, JudgeSpec.parse(value)}) == 1


@pytest.mark.parametrize(
    "value", [None, 3, True, [], ["math"], {}, {"name": 3}, {"name": ""}, "", {"name": "math", 3: 4}]
)
def test_what_is_no_spec_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="judge"):
        JudgeSpec.parse(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), {"a": {3: 4}}])
def test_options_are_plain_data(value: object) -> None:
    with pytest.raises(JudgesError, match=r"judge 'math', option 'x'"):
        JudgeSpec("math", {"x": value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fromat": "boxed"},
            "unknown option 'fromat' of judge 'math'. Did you mean 'format'? Allowed: format, phrase",
        ),
        ({"format": "bxed"}, "option 'format': Input should be 'phrase', 'boxed' or 'last_number'"),
        ({"phrase": 3}, "option 'phrase': Input should be a valid string"),
        ({"phrase": " "}, "`phrase` is empty"),
        ({"timeout_seconds": 0}, "option 'timeout_seconds': must be a number above 0, got 0"),
        ({"timeout_seconds": True}, "must be a number above 0"),
    ],
)
def test_wrong_options_name_judge_option_and_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(JudgesError) as error:
        registry.create("math", options)
    assert message in str(error.value)


def test_the_time_limit_is_the_judges_own_or_an_option() -> None:
    assert registry.timeout(JudgeSpec("math")) == 10.0
    assert registry.timeout(JudgeSpec("math", {"timeout_seconds": 2})) == 2.0
    registry.check(JudgeSpec("math", {"timeout_seconds": 2, "format": "boxed"}))


def test_a_judge_without_a_constructor_has_no_options() -> None:
    with pytest.raises(JudgesError, match=r"unknown option 'x' of judge 'refusal'"):
        registry.create("refusal", {"x": 1})


def test_a_plain_function_is_a_judge_with_options(install) -> None:
    install(
        "shorty",
        '''
        from judges import Row, Verdict, rule_judge
        @rule_judge(requires={"limit"}, timeout_seconds=3)
        def short(row: Row, factor: float = 1.0) -> bool:
            """Not too long."""
            return len(row.response) <= factor * row.metadata["limit"]
        ''',
        short="short",
    )
    judge = registry.create("short", {"factor": 2})
    assert judge.verdict(Row("p", "abcd", {"limit": 2})).outcome == "satisfied"
    assert judge.verdict(Row("p", "abcde", {"limit": 2})).outcome == "violated"
    assert judge.verdict(Row("p", "abcd")).reason == "missing metadata: limit"
    assert registry.timeout(JudgeSpec("short")) == 3
    info = next(info for info in registry.describe() if info.name == "short")
    assert (info.distribution, info.summary) == ("shorty 1.0", "Not too long.")
    with pytest.raises(JudgesError, match=r"unknown option 'fctor' of judge 'short'. Did you mean 'factor'"):
        registry.create("short", {"fctor": 2})
    with pytest.raises(JudgesError, match="valid number"):
        registry.create("short", {"factor": "much"})


def test_a_name_clash_names_both_packages(install) -> None:
    install("first-pack", "def f(row): return True", same="f")
    install("second-pack", "def g(row): return True", same="g")
    with pytest.raises(JudgesError, match=r"'same' is claimed by two packages") as error:
        registry.names()
    assert "first-pack 1.0" in str(error.value)
    assert "second-pack 1.0" in str(error.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module_at_all", "cannot be imported: ModuleNotFoundError"),
        ("x = 3", "neither a subclass of judges.Judge nor a function"),
        ("class x: pass", "neither a subclass of judges.Judge nor a function"),
    ],
)
def test_a_broken_plugin_is_listed_and_named(install, code: str, message: str) -> None:
    package = f"broken{abs(hash(code))}"
    install(package, code, broken="x")
    with pytest.raises(JudgesError, match=message) as error:
        registry.load("broken")
    assert f"{package} 1.0" in str(error.value)
    assert message in next(info.error or "" for info in registry.describe() if info.name == "broken")
    assert registry.create("math")  # one broken plugin stops no other judge


@pytest.mark.parametrize("option", ["threshold", "abstain_within", "timeout_seconds"])
def test_an_option_that_a_mixture_would_keep_for_itself_is_refused(install, option: str) -> None:
    package = f"greedy-{option.replace('_', '-')}"
    install(package, f"def f(row, {option}=1.0): return True", greedy="f")
    message = f"judge 'greedy' of {package} 1.0 has options named as those of every entry of a mixture: {option}"
    with pytest.raises(JudgesError) as error:
        registry.create("greedy")
    assert str(error.value) == message
    assert next(info.error for info in registry.describe() if info.name == "greedy") == message


def test_another_package_named_judges_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.shadowed() is None
    info = tmp_path / "judges-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: judges\nVersion: 0.3\n")
    (info / "RECORD").write_text("judges/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.shadowed() == "judges 0.3"


def test_judges_import_neither_cgpo_nor_heavy_libraries() -> None:
    program = (
        "import sys, judges.cli, judges.contract, judges.mixture, judges.files.rows\n"
        "import judges.running.worker, judges.running.runtime\n"
        "import judges.registry as r\n"
        "r.describe(); [r.create(n) for n in ('math', 'instruction_following', 'refusal')]\n"
        "print([m for m in ('cgpo', 'torch', 'vllm', 'deepspeed', 'transformers', 'datasets', 'mpmath', 'sympy',"
        " 'langdetect') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
