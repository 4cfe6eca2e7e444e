"""Options of a command from one declaration: a dataclass whose fields are the options.

A field's type says how an option is read, its default is the option's, and the docstring below it is the help; a field
without a default is an option that must be given. `Annotated[int, Form(count, "N")]` adds what the type does not say:
how a text is read and checked, and what stands for the value in the help. For `cgpo`'s commands and for the judges';
nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Form:
    """How an option is written.

    Attributes:
        read: makes the value of a text; raises ValueError, or ArgumentTypeError with what is wrong.
        metavar: what stands for the value in the help.
        default: words for a default that the option's value does not show, such as one computed from other options.
    """

    read: Callable[[str], Any]
    metavar: str
    default: str = ""


def add_options(parser: argparse.ArgumentParser, declaration: type[Any]) -> None:
    """Adds an option `--like-this` for each field `like_this` of a dataclass, those of its base classes first.

    Args:
        parser: gets the options.
        declaration: the dataclass; every field is annotated with a `Form` and has a docstring.

    Raises:
        TypeError: a field without a form or docstring; that is a mistake in the program.
    """
    hints = get_type_hints(declaration, include_extras=True)
    helps = field_docstrings(declaration)
    for field in fields(declaration):
        form = next((part for part in get_args(hints[field.name])[1:] if isinstance(part, Form)), None)
        if get_origin(hints[field.name]) is not Annotated or form is None or field.name not in helps:
            raise TypeError(
                f"{declaration.__name__}.{field.name}: an option needs Annotated[…, Form(…)] and a docstring"
            )
        required = field.default is MISSING
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=form.read,
            required=required,
            default=None if required else field.default,
            metavar=form.metavar,
            help=helps[field.name].replace("%", "%%") + _default_words(field, form),
        )


def read_options(args: argparse.Namespace, declaration: type[T]) -> T:
    """The declaration with the values of parsed arguments."""
    return declaration(**{field.name: getattr(args, field.name) for field in fields(declaration)})  # type: ignore[arg-type]


def field_docstrings(declaration: type[Any]) -> dict[str, str]:
    """Field → the text that stands below it in the source, in one line; of base classes too."""
    found: dict[str, str] = {}
    for owner in (base for base in reversed(declaration.__mro__) if base is not object):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, below in pairwise(definition.body):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.split())
    return found


def _default_words(field: Field[Any], form: Form) -> str:
    if form.default:
        return f" (default: {form.default})"
    if field.default is MISSING or field.default is None:
        return ""
    return " (default: %(default)g)" if isinstance(field.default, float) else " (default: %(default)s)"
