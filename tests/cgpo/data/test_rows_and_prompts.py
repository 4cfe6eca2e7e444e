"""Prompts from data sets: four file formats, exact places in every error, nothing guessed."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cgpo.config import PromptSettings
from cgpo.data.prompts import Lacks, check_disjoint, load_prompts
from cgpo.data.rows import read_rows
from cgpo.errors import CgpoError, ConfigError, DataError
from cgpo.types import Prompt
from judges import Outcome, Row
from judges.files import open_source
from judges.rules.json_schema import JsonSchemaJudge


def math_needs_answer(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """The stratum's judge needs `answer`."""
    return {} if "answer" in metadata else {"math": ["answer"]}


def nothing_needed(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """No judge needs anything."""
    return {}


def load(path: Path | str, lacks: Lacks = nothing_needed, **settings: Any) -> list[Prompt]:
    given = PromptSettings(path=str(path), **settings)
    return load_prompts(given, stratum="math", heldout=False, seed=0, lacks=lacks)


def error_of(path: Path | str, lacks: Lacks = nothing_needed, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, lacks, **settings)
    return str(caught.value)


def write_jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {"prompt": "One plus one?", "answer": "2", "metadata": {"level": "easy"}},
        {"prompt": "Two plus two?", "answer": "4", "metadata": {"level": "hard"}},
    ]


def summary(prompts: list[Prompt]) -> list[tuple[str, Any, Any]]:
    return [(p.text, p.metadata["answer"], p.metadata["level"]) for p in prompts]


EXPECTED = [("One plus one?", "2", "easy"), ("Two plus two?", "4", "hard")]


# --- the formats ---------------------------------------------------------------------------------------------------


def test_jsonl_reads_prompts_with_metadata_and_place(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    prompts = load(write_jsonl(tmp_path / "p.jsonl", *rows), math_needs_answer)
    assert summary(prompts) == EXPECTED
    assert prompts[0].messages == ({"role": "user", "content": "One plus one?"},)
    assert prompts[1].source == f"{tmp_path / 'p.jsonl'} row 2"
    assert prompts[0].baseline is None


def test_compressed_jsonl(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert summary(load(path)) == EXPECTED


@pytest.mark.parametrize("lines", [False, True])
def test_json_holds_a_list_or_lines(tmp_path: Path, rows: list[dict[str, Any]], lines: bool) -> None:
    path = tmp_path / "p.json"
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=2))
    assert summary(load(path, math_needs_answer)) == EXPECTED


def test_json_with_one_line_is_one_row(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(rows[0]))
    assert summary(load(path)) == EXPECTED[:1]


def test_parquet(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    prompts = load(write_parquet(tmp_path / "p.parquet", *rows), math_needs_answer)
    assert summary(prompts) == EXPECTED
    assert prompts[1].source.endswith("p.parquet row 2")


@pytest.mark.parametrize(("name", "separator"), [("p.csv", ","), ("p.tsv", "\t")])
def test_csv_keeps_cells_as_text_and_decodes_metadata(tmp_path: Path, name: str, separator: str) -> None:
    path = tmp_path / name
    lines = [
        ["prompt", "answer", "metadata"],
        ["One plus one?", "007", '"{""level"": ""easy""}"'],
        ["Two plus two?", "", '"{""answer"": 4}"'],
    ]
    path.write_text("\n".join(separator.join(line) for line in lines) + "\n")
    first, second = load(path, math_needs_answer)
    assert first.metadata == {"answer": "007", "level": "easy"}
    assert second.metadata == {"answer": 4}, "an empty cell is no value, and explicit metadata wins"


def test_csv_rows_are_named_by_line_even_after_a_cell_with_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('prompt,answer\n"a\nb",1\nlast,2\n')
    assert [p.source for p in load(path)] == [f"{path} row 2", f"{path} row 4"]


def test_glob_reads_files_in_order_of_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", {"prompt": "second"})
    write_jsonl(tmp_path / "a.jsonl", {"prompt": "first"})
    assert [p.text for p in load(tmp_path / "*.jsonl")] == ["first", "second"]


def test_a_folder_with_splits_is_read_by_datasets(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", rows[0])
    write_jsonl(folder / "test.jsonl", rows[1])
    assert [p.text for p in load(folder, split="test")] == ["Two plus two?"]
    assert "unknown split 'tests' at strata.math.prompts.split. Did you mean 'test'? Allowed: test, train" in error_of(
        folder, split="tests"
    )


def test_a_folder_saved_by_datasets(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    import datasets

    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk(str(tmp_path / "saved"))
    assert summary(load(tmp_path / "saved")) == EXPECTED


# --- prompts, metadata, baselines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_conversations_keep_their_turns(tmp_path: Path, write: Any) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "How are you?"},
    ]
    (prompt,) = load(write(tmp_path / "p.data", {"chat": turns}).rename(tmp_path / _name(write)), prompt_column="chat")
    assert [dict(m) for m in prompt.messages] == turns
    assert prompt.text == "Be brief.\n\nHi\n\nHello.\n\nHow are you?"


def _name(write: Any) -> str:
    return "p.parquet" if write is write_parquet else "p.jsonl"


def test_an_answer_may_be_a_number_in_one_row_and_text_in_the_next(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a", "answer": 2}, {"prompt": "b", "answer": "two"})
    assert [p.metadata["answer"] for p in load(path, math_needs_answer)] == [2, "two"]


def test_keys_that_arrow_fills_with_none_are_absent_at_every_depth(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "p.parquet",
        {"prompt": "a", "metadata": {"kwargs": [{"num_words": 3}, {"relation": "at least"}], "answer": None}},
        {"prompt": "b", "metadata": {"answer": "4", "kwargs": None}},
    )
    first, second = load(path)
    assert first.metadata == {"kwargs": [{"num_words": 3}, {"relation": "at least"}]}
    assert second.metadata == {"answer": "4"}
    assert "row 1: stratum 'math' uses the judge 'math'" in error_of(path, math_needs_answer)


NULLS = {"json_schema": {"properties": {"a": {"const": None}, "b": {"enum": [None, 1]}}}, "absent": None}
"""A schema for which a null is something, beside a key without a value."""


@pytest.mark.parametrize("form", ["jsonl", "json", "gz", "csv", "folder", "parquet text", "saved"])
def test_nulls_that_a_row_has_inside_are_kept(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    others = {"json_schema": {"required": ["c"], "properties": {"c": {"const": 1, "type": "integer"}}}}
    rows: list[dict[str, Any]] = [{"prompt": "a", "metadata": NULLS}, {"prompt": "b", "metadata": others}]
    text = [{"prompt": row["prompt"], "metadata": json.dumps(row["metadata"])} for row in rows]
    path = tmp_path / "p"
    if form == "csv":
        path = tmp_path / "p.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["prompt", "metadata"], *(row.values() for row in text)])
    elif form == "parquet text":
        write_parquet(path := tmp_path / "p.parquet", *text)
    elif form == "saved":
        path = tmp_path / "saved"
        datasets.Dataset.from_list(rows, on_mixed_types="use_json").save_to_disk(str(path))
    elif form == "gz":
        path = tmp_path / "p.jsonl.gz"
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    elif form == "json":
        (path := tmp_path / "p.json").write_text(json.dumps(rows))
    else:
        folder = tmp_path / "rows"
        folder.mkdir()
        write_jsonl(path := folder / "p.jsonl", *rows)
        path = folder if form == "folder" else path
    first, second = (prompt.metadata for prompt in load(path))
    assert first == {"json_schema": NULLS["json_schema"]}
    assert second == others


def test_a_folder_of_json_gives_objects_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all rows have the same keys, and `datasets` makes a struct of them by itself."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": None}}}
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "7"}]
    (tmp_path / "rows").mkdir()
    rows = [{"prompt": messages, "metadata": NULLS, "n": n} for n in range(3)]
    write_jsonl(tmp_path / "rows" / "train.jsonl", *rows)
    prompts = load(tmp_path / "rows")
    assert [prompt.metadata for prompt in prompts] == [{"json_schema": NULLS["json_schema"], "n": n} for n in range(3)]
    assert prompts[0].messages == tuple(messages)


def test_what_a_struct_cannot_say_is_refused_alike_in_training_and_by_the_judges(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "p.parquet", {"prompt": "a", "response": "{}", "metadata": NULLS})
    problem = "`metadata.json_schema.properties.a.const` is null in an Arrow struct"
    assert error_of(path).startswith(f"{path} row 1: {problem}")
    (row,) = open_source(path).rows()
    assert row.problem.startswith(problem)


@pytest.mark.parametrize("response", ['{"a": null}', '{"a": 1}', '{"a": null, "b": 2}'])
def test_training_and_the_command_give_the_same_verdict(tmp_path: Path, response: str) -> None:
    judge = JsonSchemaJudge()
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a", "response": response, "metadata": NULLS})
    (prompt,), (row,) = load(path), open_source(path).rows()
    assert row.row is not None
    trained = judge.judge(Row(prompt.messages, response, prompt.metadata))
    assert trained == judge.judge(row.row)
    assert (trained.outcome is Outcome.SATISFIED) == (response == '{"a": null}')


def test_explicit_metadata_wins_over_a_column_of_the_same_name(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a", "answer": 1, "extra": {"answer": 2, "more": 3}})
    assert load(path, metadata_column="extra")[0].metadata == {"answer": 2, "more": 3}


def test_baseline_column(tmp_path: Path) -> None:
    given = ({"gold": "fine"}, {"gold": None}, {"gold": ""}, {})
    path = write_jsonl(tmp_path / "p.jsonl", *({"prompt": "a"} | row for row in given))
    prompts = load(path, baseline_column="gold")
    assert [p.baseline for p in prompts] == ["fine", None, None, None]
    assert all("gold" not in p.metadata for p in prompts)


def test_size_takes_the_first_rows(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", *({"prompt": str(i)} for i in range(5)))
    assert [p.text for p in load(path, size=2)] == ["0", "1"]
    assert "strata.math.prompts.size: 9 prompts asked for, but" in error_of(path, size=9)


def test_ids_are_unique_stable_and_independent_of_other_rows(tmp_path: Path) -> None:
    short = load(write_jsonl(tmp_path / "a.jsonl", {"prompt": "x"}, {"prompt": "y"}))
    long = load(write_jsonl(tmp_path / "b.jsonl", {"prompt": "y"}, {"prompt": "x"}, {"prompt": "x"}))
    assert [p.id for p in long] == [short[1].id, short[0].id, f"{short[0].id}.1"]


def test_blank_lines_count_as_lines_but_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": "b"}\n')
    assert [p.source.rpartition(" ")[2] for p in load(path)] == ["1", "3"]


# --- errors --------------------------------------------------------------------------------------------------------


def test_missing_metadata_names_file_row_stratum_judge_and_key(tmp_path: Path) -> None:
    given = ({"answer": 1}, {"anwser": 2}, {})
    path = write_jsonl(tmp_path / "p.jsonl", *({"prompt": "a"} | row for row in given))
    assert error_of(path, math_needs_answer) == (
        f"{path} row 2: stratum 'math' uses the judge 'math', which needs the metadata 'answer' (a misspelling of it: "
        "'anwser'?); this row has: anwser. Rows that lack something: 2 of 3"
    )


def test_missing_column_lists_the_columns_and_the_nearest(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"promt": "a", "answer": 1})
    assert error_of(path) == (
        f"unknown column 'prompt' at {path} row 1. Did you mean 'promt'? Allowed: answer, promt "
        "(set by strata.math.prompts.prompt_column)"
    )
    assert "unknown column 'meta'" in error_of(path, prompt_column="promt", metadata_column="meta")
    assert "unknown column 'gold'" in error_of(path, prompt_column="promt", baseline_column="gold")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "the prompt must be text or a list of messages, not null"),
        ("  ", "the prompt is empty"),
        (7, "the prompt must be text or a list of messages, not a number (7)"),
        ({"role": "user"}, "the prompt must be text or a list of messages, not an object"),
        ([], "the prompt is an empty list of messages"),
        (["hi"], "message 1 of the prompt must be an object with `role` and `content`, not text"),
        ([{"role": "user"}], "message 1 of the prompt has no `content`"),
        ([{"content": "hi"}], "message 1 of the prompt has no `role`"),
        ([{"role": "user", "content": 3}], "message 1 of the prompt must be text, not a number (3)"),
        ([{"role": "user", "content": ""}], "message 1 of the prompt is empty"),
        (
            [{"role": "assistant", "content": "hi"}],
            "the last message of a prompt must be the user's or a tool's, not the",
        ),
        ("\ud800", "the prompt has characters that are no Unicode text"),
    ],
)
def test_malformed_prompts_name_the_row(tmp_path: Path, value: Any, problem: str) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "fine"}, {"prompt": value})
    assert error_of(path).startswith(f"{path} row 2: {problem}")


def test_an_unknown_role_names_the_allowed_ones(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": [{"role": "usr", "content": "hi"}]})
    message = error_of(path)
    assert f"unknown role 'usr' at {path} row 1, message 1 of the prompt. Did you mean 'user'?" in message
    assert "Allowed: assistant, system, tool, user" in message


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [("{broken", "is text, but not a JSON object"), ("[1]", "must be an object, not a list"), (3, "must be an object")],
)
def test_malformed_metadata_names_the_row(tmp_path: Path, metadata: Any, problem: str) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a", "metadata": metadata})
    message = error_of(path)
    assert message.startswith(f"{path} row 1: column 'metadata' {problem}")


def test_baseline_of_the_wrong_type(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a", "gold": 5})
    assert error_of(path, baseline_column="gold") == f"{path} row 1: column 'gold' must be text, not a number (5)"


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": \n')
    assert error_of(path).startswith(f"{path} row 2: not valid JSON (")
    path.write_text('["a"]\n')
    assert error_of(path) == f"{path} row 1: must be an object with named columns; found a list"


def test_broken_json_lists_and_other_shapes(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('[{"prompt": "a"},\n')
    assert error_of(path).startswith(f"{path}: not valid JSON (")
    path.write_text('{\n"prompt": "a"\n}')
    assert "must be a list of objects, or one object a line; found an object" in error_of(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{"prompt": "\xff"}\n')
    assert error_of(path).startswith(f"{path} row 2: not UTF-8 text")
    path = tmp_path / "p.parquet"
    path.write_bytes(b"no parquet")
    assert error_of(path).startswith(f"{str(path)!r} cannot be read as Parquet:")
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(b"no gzip")
    assert f"{str(path)!r} cannot be read" in error_of(path)


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert error_of(tmp_path / name) == f"strata.math.prompts: {str(tmp_path / name)!r} is empty, it has no rows"


def test_too_many_cells(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt\nfine\nnot, fine\n")
    assert error_of(path) == f"{path} row 3: more cells than the 1 columns of the first line"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prompt,b\nfine,1\ncut off\n", " row 3: fewer cells than the 2 columns of the first line"),
        ('prompt,b\nfine,1\n"never closed,2\nlost,3\n', " row 3: unexpected end of data; cells with"),
        ("prompt,b,prompt\na,b,c\n", ": the first line names the column 'prompt' twice"),
    ],
)
def test_a_csv_in_which_cells_are_missing_or_doubtful(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    assert error_of(path).startswith(f"{path}{problem}")


def test_ragged_lines_of_a_csv_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('prompt,b\none,"1\n"\nshort\n\nlong,1,2\nlast,\n')
    problems: list[str] = []
    rows = list(read_rows(PromptSettings(path=str(path)), "here", problems.append))
    assert [row.values for row in rows] == [{"prompt": "one", "b": "1\n"}, {"prompt": "last", "b": None}]
    assert [problem.partition(": ")[0] for problem in problems] == [f"{path} row 4", f"{path} row 6"]


def test_missing_files_name_the_nearest(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "prompts.jsonl", {"prompt": "a"})
    wrong = tmp_path / "prompt.jsonl"
    assert error_of(wrong) == (
        f"strata.math.prompts.path: no such file: {str(wrong)!r}. Did you mean {str(tmp_path / 'prompts.jsonl')!r}?"
    )
    assert "The folder" in error_of(tmp_path / "none" / "p.jsonl")
    assert "no file matches" in error_of(tmp_path / "*.csv")


def test_unreadable_types_and_splits_of_files(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("hi")
    assert "Allowed: .csv, .json, .jsonl, .ndjson, .parquet, .tsv" in error_of(tmp_path / "p.txt")
    path = write_jsonl(tmp_path / "p.jsonl", {"prompt": "a"})
    assert "unknown split 'test' at strata.math.prompts: a file has one split. Allowed: train" in error_of(
        path, split="test"
    )


def test_a_hub_name_without_network_is_one_clear_message(tmp_path: Path) -> None:
    code = """
from cgpo.config import PromptSettings
from cgpo.data.prompts import load_prompts
from cgpo.errors import DataError
try:
    load_prompts(PromptSettings(path="owner/some-set"), stratum="a", heldout=True, seed=0, lacks=lambda _: {})
except DataError as error:
    print(error)
"""
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("strata.a.heldout.path: 'owner/some-set' is no file or folder here, and could not be")
    assert done.stdout.strip().endswith("Without network, only what was downloaded before can be used.")
    assert "Traceback" not in done.stderr


# --- generators through the same door ------------------------------------------------------------------------------


def test_generated_prompts_are_checked_like_rows() -> None:
    settings = PromptSettings(generator="chat", size=3)
    with pytest.raises(DataError, match="chat generator item 1: stratum 'math' uses the judge 'math', which needs the"):
        load_prompts(settings, stratum="math", heldout=False, seed=0, lacks=math_needs_answer)


def test_generator_errors_name_the_setting() -> None:
    def message(**settings: Any) -> str:
        with pytest.raises(CgpoError) as caught:
            load_prompts(PromptSettings(**settings), stratum="sums", heldout=True, seed=0, lacks=lambda _: {})
        assert isinstance(caught.value, DataError if settings["size"] > 1 else ConfigError)
        return str(caught.value)

    unknown = message(generator="maths", size=1)
    assert unknown.startswith("unknown prompt generator 'maths' at strata.sums.heldout.generator. Did you mean 'math'?")
    option = message(generator="math", size=1, options={"term": 3})
    assert option.startswith("strata.sums.heldout: unknown option of the math generator 'term'. Did you mean 'terms'?")
    assert "held-out prompts with these options, not 1000000" in message(generator="chat", size=1000000)


def test_check_disjoint_finds_prompts_in_both_sets(tmp_path: Path) -> None:
    train = load(write_jsonl(tmp_path / "a.jsonl", {"prompt": "x"}, {"prompt": "y"}))
    held = load(write_jsonl(tmp_path / "b.jsonl", {"prompt": "z"}, {"prompt": "y"}))
    check_disjoint(train, held[:1], stratum="math")
    with pytest.raises(DataError, match=r"1 of 2 held-out prompts are also training .*b\.jsonl row 2"):
        check_disjoint(train, held, stratum="math")


def test_damage_that_is_no_syntax_error_is_named_too(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows * 50).encode())
    spoilt = bytearray(whole)
    spoilt[30] ^= 0xFF  # within the deflated data: zlib's own error, no OSError
    spoilt[40] ^= 0x5A
    (tmp_path / "spoilt.jsonl.gz").write_bytes(bytes(spoilt))
    assert "spoilt.jsonl.gz' cannot be read:" in error_of(tmp_path / "spoilt.jsonl.gz")
    (tmp_path / "number.jsonl").write_text('{"prompt": "x", "n": ' + "9" * 5000 + "}\n")
    assert "number.jsonl row 1: not valid JSON" in error_of(tmp_path / "number.jsonl")
    (tmp_path / "number.json").write_text('[{"prompt": "x", "n": ' + "9" * 5000 + "}]")
    assert "number.json: not valid JSON" in error_of(tmp_path / "number.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert "deep.json: not valid JSON" in error_of(tmp_path / "deep.json")
