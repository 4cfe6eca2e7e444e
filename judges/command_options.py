"""Options of a command from one declaration: a dataclass whose fields are the options.

A field's type says how an option is read, its default is the option's, and the docstring below it is the help; a field
without a default is an option that must be given:

    @dataclass(frozen=True, kw_only=True)
    class Options:
        output: Annotated[Path, Form(Path, "DIR")]
        \"""a folder that does not exist yet\"""
        keep: Literal["random", "newest"] = "random"
        \"""which rows stay\"""
        json: bool = False
        \"""print JSON instead of tables\"""

`add_options(parser, Options)` adds `--output DIR`, `--keep {random,newest}` and `--json`; `read_options(args, Options)`
is the declaration with what was given, and its own defaults for the rest. A field whose type is such a dataclass too is
a group of options, with its docstring as the title.

For `cgpo`'s commands and for the judges'. Over argparse, with its messages: the libraries that make a command line of
types take 0.1 to 0.25 s to import, argparse 0.01 s. Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, NoReturn, Protocol, TypeVar, get_args, get_origin, get_type_hints

from judges.docstrings import field_docstrings
from judges.errors import did_you_mean
from judges.printing import showable

T = TypeVar("T")


class _Writes(Protocol):
    """What argparse writes to."""

    def write(self, text: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Form:
    """How an option is written, where its type does not say it.

    Attributes:
        read: makes the value of a text; raises ValueError, or ArgumentTypeError with what is wrong.
        metavar: what stands for the value in the help.
        default: words for a default that the option's value does not show, such as one computed from other options.
        name: the option, where it is not `--` and the field's name.
        short: one letter that may stand for it, `-m`.
        positional: it is given by its place, not by a name.
        collect: it may be given several times, and this makes the field's value of the list of them: `tuple`, `dict`.
        either: options with the same word here exclude each other.
    """

    read: Callable[[str], Any] = str
    metavar: str = ""
    default: str = ""
    name: str = ""
    short: str = ""
    positional: bool = False
    collect: Callable[[list[Any]], Any] | None = None
    either: str = ""


class Parser(argparse.ArgumentParser):
    """Says the nearest match for a misspelt command, choice or option, and all it says in characters that only show."""

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message, and exits with status 2."""
        before, listed, choices = message.partition("(choose from ")
        unknown = message.removeprefix("unrecognized arguments: ")
        meant = ""
        if listed:
            given = before.rstrip().rpartition("invalid choice: ")[2].strip("'")
            meant = did_you_mean(given, choices.rstrip(")").replace("'", "").split(", "))
        elif unknown != message:
            meant = did_you_mean(unknown.split()[0].partition("=")[0], _option_names(self))
        super().error(f"{message}.{meant}" if meant else message)

    def _print_message(self, message: str, file: _Writes | None = None) -> None:
        """Where argparse prints: usage, help, errors, the version."""
        super()._print_message(showable(message), file)


def add_options(parser: argparse._ActionsContainer, declaration: type[Any]) -> None:
    """Adds the options of a declaration, those of its base classes last.

    Args:
        parser: gets the options; a parser, or a group of one.
        declaration: the dataclass; every field has a docstring, and a `Form` where its type is neither `bool` nor a
            `Literal` nor another declaration.

    Raises:
        TypeError: a field without form or docstring; that is a mistake in the program.
    """
    helps = field_docstrings(declaration)
    exclusive: dict[str, argparse._ActionsContainer] = {}
    for option in _options(declaration):
        if option.field.name not in helps:
            raise TypeError(f"{declaration.__name__}.{option.field.name}: an option needs a docstring")
        text = helps[option.field.name]
        if option.is_group:
            add_options(parser.add_argument_group(text), option.kind)
            continue
        either = option.form.either
        if either and either not in exclusive:
            exclusive[either] = parser.add_mutually_exclusive_group()
        target = exclusive.get(either, parser)
        target.add_argument(
            *option.names(), **option.keywords(), help=(text + option.default_words()).replace("%", "%%")
        )


def read_options(args: argparse.Namespace, declaration: type[T]) -> T:
    """The declaration with the values of parsed arguments; what was not given has its default."""
    values: dict[str, Any] = {}
    for option in _options(declaration):
        if option.is_group:
            values[option.field.name] = read_options(args, option.kind)
        elif option.destination in args:
            value = getattr(args, option.destination)
            values[option.field.name] = option.form.collect(value) if option.form.collect else value
    return declaration(**values)


@dataclass(frozen=True, slots=True)
class _Option:
    """One field of a declaration.

    Attributes:
        field: the field.
        kind: its type, without form and `None`.
        form: how it is written.
    """

    field: Field[Any]
    kind: Any
    form: Form

    @property
    def destination(self) -> str:
        """Where argparse keeps the value: a name that no two options of a parser share."""
        return (self.form.name.lstrip("-") or self.field.name).replace("-", "_")

    @property
    def required(self) -> bool:
        """Whether the field has no default."""
        return self.field.default is MISSING and self.field.default_factory is MISSING

    @property
    def is_group(self) -> bool:
        """Whether it stands for the options of another declaration."""
        return is_dataclass(self.kind)

    def names(self) -> list[str]:
        """The names under which argparse adds it."""
        if self.form.positional:
            return [self.field.name]
        name = self.form.name or f"--{self.field.name.replace('_', '-')}"
        return [self.form.short, name] if self.form.short else [name]

    def keywords(self) -> dict[str, Any]:
        """How argparse reads it. The default is left to the declaration; a positional's has to be named."""
        if self.kind is bool:
            return {"action": "store_true", "default": argparse.SUPPRESS}
        words: dict[str, Any] = {"type": self.form.read, "metavar": self.form.metavar or None}
        if get_origin(self.kind) is Literal:
            words["choices"] = get_args(self.kind)
        if not self.form.positional:
            action = "append" if self.form.collect else "store"
            return {**words, "required": self.required, "default": argparse.SUPPRESS, "action": action}
        if self.form.collect:
            words["nargs"] = "+" if self.required else "*"
        elif not self.required:
            words["nargs"] = "?"
        return words if self.required else {**words, "default": self.field.default}

    def default_words(self) -> str:
        """The default, for the help."""
        value = self.field.default
        if self.form.default:
            return f" (default: {self.form.default})"
        if value in (MISSING, None, (), "") or self.kind is bool:
            return ""
        if isinstance(value, tuple):
            value = ", ".join(map(str, value))
        return f" (default: {value:g})" if isinstance(value, float) else f" (default: {value})"


def _options(declaration: type[Any]) -> Iterator[_Option]:
    hints = get_type_hints(declaration, include_extras=True)
    owners = {name: base for base in reversed(declaration.__mro__) for name in inspect.get_annotations(base)}
    for field in sorted(fields(declaration), key=lambda field: declaration.__mro__.index(owners[field.name])):
        hint = hints[field.name]
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        some = [part for part in get_args(kind) if part is not type(None)]
        if type(None) in get_args(kind) and len(some) == 1:
            (kind,) = some
        form = next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Form)), None)
        if form is None and not (kind is bool or get_origin(kind) is Literal or is_dataclass(kind)):
            raise TypeError(f"{declaration.__name__}.{field.name}: an option needs Annotated[…, Form(…)]")
        yield _Option(field, kind, form or Form())


def _option_names(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its sub-commands."""
    names: set[str] = set()
    for action in parser._actions:
        names.update(name for name in action.option_strings if name.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            names.update(*(_option_names(command) for command in action.choices.values()))
    return names
