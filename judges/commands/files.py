"""Judges that are not installed, named `path/to/file.py:function` (or `:Class`) instead.

For the time of the command such a judge gets what an installed package has, metadata with an entry point, in a
temporary folder on `sys.path`; worker processes get that path too. Its name is that of the function, its version
the hash of the file.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from judges import registry
from judges.errors import JudgesError

_FILE = re.compile(r"(?P<path>.+\.py):(?P<attribute>[^:/]+)")
_LOADER = """import importlib.util as _util, sys as _sys
_sys.path.append({folder!r})  # what the file imports from beside itself
_spec = _util.spec_from_file_location({module!r}, {path!r})
_module = _util.module_from_spec(_spec)
_sys.modules[{module!r}] = _module
_spec.loader.exec_module(_module)
if not hasattr(_module, {attribute!r}):
    from judges.errors import JudgesError as _Error, did_you_mean as _did_you_mean
    _own = [name for name, value in vars(_module).items() if getattr(value, "__module__", None) == {module!r}]
    raise _Error({shown!r} + " has no function or class {attribute!r}." + _did_you_mean({attribute!r}, _own))
{attribute} = _module.{attribute}
"""


@contextmanager
def judge_files(names: Iterable[str]) -> Iterator[list[str]]:
    """Within it the judges of files have names; gives all names as the registry knows them.

    Raises:
        JudgesError: there is no such file, or what it is asked for cannot be a Python name.
    """
    with tempfile.TemporaryDirectory(prefix="judge-files-") as folder:
        registered = [_registered(name, Path(folder)) for name in names]
        files = any(Path(folder).iterdir())
        if files:
            sys.path.append(folder)
        try:
            yield registered
        finally:
            if files:
                sys.path.remove(folder)


def _registered(name: str, folder: Path) -> str:
    match = _FILE.fullmatch(name)
    if match is None and name.endswith(".py"):
        raise JudgesError(f"{name!r} is a file: name the function or class in it too, {name}:FUNCTION")
    if match is None:
        return name
    path, attribute = Path(match["path"]).resolve(), match["attribute"]
    if not attribute.isidentifier():
        raise JudgesError(f"{name!r}: {attribute!r} is no name of a function or class")
    try:
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise JudgesError(f"{match['path']}: {error.strerror}") from error
    module = f"_judge_file_{hashlib.sha256(f'{path}:{attribute}:{version}'.encode()).hexdigest()[:12]}"
    loader = _LOADER.format(
        folder=str(path.parent), module=f"{module}_source", path=str(path), attribute=attribute, shown=match["path"]
    )
    info = folder / f"{module}-0.dist-info"
    if info.exists():  # asked twice, with different options
        return attribute
    info.mkdir()
    (folder / f"{module}.py").write_text(loader)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {path.name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{attribute} = {module}:{attribute}\n")
    return attribute
