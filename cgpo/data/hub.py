"""Reads with the `datasets` library: Parquet files, folders and data sets of the Hugging Face hub.

`datasets` is imported inside the functions: the command line must answer without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data.files import similar_file
from cgpo.errors import DataError, unknown_name

Rows = Iterable[Mapping[str, Any]]


def parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a local Parquet file, streamed: nothing is copied into a cache that could go stale.

    Raises:
        DataError: not a Parquet file, or damaged.
    """
    from datasets import load_dataset

    try:
        yield from load_dataset("parquet", data_files=[str(file)], split="train", streaming=True)
    except Exception as error:
        raise DataError(f"{str(file)!r} cannot be read as Parquet: {_first_line(error)}") from error


def load(settings: PromptSettings, where: str) -> Rows:
    """One split of a folder or of a hub data set; what was downloaded once works offline afterwards.

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
            data = datasets.load_dataset(name, settings.name, split=split)
    except Exception as error:
        raise DataError(_cannot_load(settings.path, where, error)) from error
    return _split(data, settings.split, where)


def _split(data: Any, split: str, where: str) -> Rows:
    import datasets

    if isinstance(data, datasets.DatasetDict) and split not in data:
        raise DataError(unknown_name("split", split, data, f"{where}.split"))
    rows: Rows = data[split] if isinstance(data, datasets.DatasetDict) else data
    return rows


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
