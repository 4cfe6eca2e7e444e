"""Reads with the `datasets` library: Parquet files, folders and data sets of the Hugging Face hub.

`datasets` is imported inside the functions: the command line must answer without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data.files import similar_file
from cgpo.errors import DataError, unknown_name
from judges.errors import JudgesError

Row = tuple[str, dict[str, Any]]
"""The place of a row, `name row 17`, and its values, without the nulls that a table adds."""


def parquet_rows(file: Path) -> Iterator[Row]:
    """The rows of a local Parquet file, streamed: nothing is copied into a cache that could go stale.

    Raises:
        DataError: not a Parquet file, or damaged; or a row may have had a null that is lost.
    """
    from datasets import load_dataset

    try:
        yield from _rows(str(file), load_dataset("parquet", data_files=[str(file)], split="train", streaming=True))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{str(file)!r} cannot be read as Parquet: {_first_line(error)}") from error


def load(settings: PromptSettings, where: str) -> Iterator[Row]:
    """The rows of one split of a folder or of a hub data set; what was downloaded once works offline afterwards.

    Raises:
        DataError: it cannot be loaded (with the library's reason), or has no such split (with those it has).
    """
    import datasets

    assert settings.path is not None
    folder = Path(settings.path).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            data = datasets.load_from_disk(str(folder))
        else:
            name = str(folder) if folder.is_dir() else settings.path
            # A slice such as `train[:100]` is the library's own syntax; a plain name is looked up below, because
            # only a data set loaded whole says which splits there are.
            split = None if re.fullmatch(r"[\w.-]+", settings.split) else settings.split
            data = _with_json(lambda **features: datasets.load_dataset(name, settings.name, split=split, **features))
    except Exception as error:
        raise DataError(_cannot_load(settings.path, where, error)) from error
    yield from _rows(settings.path, _split(data, settings.split, where))


def _rows(name: str, table: Any) -> Iterator[Row]:
    """The rows of a table of `datasets`.

    Raises:
        DataError: a row may have had a null that is lost; names it.
    """
    from judges.files.structs import as_given, has_struct

    kinds = {field.name: field.type for field in table.features.arrow_schema} if table.features else {}
    structs = {column: kind for column, kind in kinds.items() if has_struct(kind)}
    for number, values in enumerate(table, start=1):
        where = f"{name} row {number}"
        try:
            given = {column: as_given(values[column], kind, column) for column, kind in structs.items()}
        except JudgesError as error:
            raise DataError(f"{where}: {error}") from None
        yield where, {**values, **given}


def _with_json(load: Callable[..., Any]) -> Any:
    """A data set; where its files are JSON, with its objects as the files have them.

    A table gives all objects of a column the same keys, null where a row has none, and nobody can tell afterwards.
    `datasets` keeps objects as JSON text instead where it is told to.
    """
    import datasets

    from judges.files.structs import has_struct

    data = load()
    table = next(iter(data.values())) if isinstance(data, datasets.DatasetDict) else data
    objects = [field.name for field in table.features.arrow_schema if has_struct(field.type)]
    if table.info.builder_name != "json" or not objects:
        return data
    return load(features=datasets.Features({**table.features, **{name: datasets.Json() for name in objects}}))


def _split(data: Any, split: str, where: str) -> Any:
    import datasets

    if isinstance(data, datasets.DatasetDict) and split not in data:
        raise DataError(unknown_name("split", split, data, f"{where}.split"))
    return data[split] if isinstance(data, datasets.DatasetDict) else data


def _cannot_load(path: str, where: str, error: Exception) -> str:
    if Path(path).expanduser().is_dir():
        return f"{where}.path: the folder {path!r} cannot be read as a data set: {_first_line(error)}"
    return (
        f"{where}.path: {path!r} is no file or folder here, and could not be loaded from the Hugging Face hub: "
        f"{_first_line(error)}.{similar_file(Path(path))} Without network, only what was downloaded before can be used."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
