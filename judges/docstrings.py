"""The docstrings below a class's fields, read when they are shown: parsing them at import would cost every start."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise


def field_docstrings(owner: type) -> dict[str, str]:
    """Field → the text that stands below it in the source, in one line; of base classes too.

    Of a class without source, such as one typed into an interpreter, nothing is known.
    """
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if inspect.get_annotations(base):
            found |= _own_docstrings(base)
    return found


def _own_docstrings(owner: type) -> dict[str, str]:
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError):
        return {}
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, below in pairwise(definition.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
