"""Errors of a configuration in words: where, what was given, what is allowed."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cgpo.errors import nearest, unknown_name
from judges.docstrings import field_docstrings


def explain(
    error: ValidationError, root: type[BaseModel], prefix: str = "", extra_root_names: Sequence[str] = ()
) -> list[str]:
    """One line for each problem.

    Args:
        error: what validating a `root` raised.
        root: the model class that was validated.
        prefix: path of `root` within the whole tree.
        extra_root_names: further names a user may have meant at the top (Hydra's groups).
    """
    return [_line(detail, root, prefix, extra_root_names) for detail in error.errors()]


def _line(detail: ErrorDetails, root: type[BaseModel], prefix: str, extra_root_names: Sequence[str]) -> str:
    loc = [part for part in detail["loc"] if part != "[key]"]
    # Which class of a union was meant stands in the place of an error, but is no setting's name.
    names = [p for i, p in enumerate(loc) if _tagged(_annotation_at(root, loc[:i]), p) is None]
    path = ".".join(filter(None, [prefix, *map(str, names)]))
    kind = detail["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_tag(detail, _annotation_at(root, loc), path)
    if kind == "extra_forbidden":
        names_beside = extra_root_names if len(loc) == 1 and not prefix else ()
        return _unknown_setting(root, loc, path.rpartition(".")[0], names_beside)
    if kind == "missing":
        return f"{path}: is required. {_doc_at(root, loc)}".rstrip()
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind == "value_error":
        return f"{path}: {message}" if path else message
    meant = ""
    if kind == "literal_error" and isinstance(detail["input"], str):
        expected = [a for a in get_args(_annotation_at(root, loc)) if isinstance(a, str)]
        close = nearest(detail["input"], expected)
        meant = f" Did you mean {close!r}?" if close else ""
    return f"{path} = {detail['input']!r}: {message}.{meant} {_doc_at(root, loc)}".rstrip()


def _unknown_setting(root: type[BaseModel], loc: Sequence[Any], parent: str, names_beside: Sequence[str]) -> str:
    """There is no such setting; where one of its name is a level below, that is said too."""
    name = str(loc[-1])
    allowed = sorted({*_fields_at(root, loc[:-1]), *names_beside} - {name})
    message = unknown_name("setting", name, allowed, parent or "the top level")
    below = _inside(_annotation_at(root, loc[:-1]), name)
    return f"{message}. There is {', '.join('.'.join(filter(None, [parent, p])) for p in below)}" if below else message


def _wrong_tag(detail: ErrorDetails, annotation: Any, path: str) -> str:
    """The setting that chooses one of several classes is missing or has no such value."""
    field, tags = _tags(annotation)
    if detail["type"] == "union_tag_not_found":
        return f"{path}.{field}: is required. Allowed: {', '.join(sorted(tags))}"
    return unknown_name(field, str(detail["input"][field]), tags, f"{path}.{field}")


def _inside(annotation: Any, name: str) -> list[str]:
    """Where a setting of that name is, one level below; NAME stands for the name of an element."""
    model = _model_in(annotation)
    paths = []
    for field, info in (model.model_fields if model else {}).items():
        element = _element_of(info.annotation)
        classes = [_model_in(info.annotation), _model_in(element), *_tags(element)[1].values()]
        if any(name in inner.model_fields for inner in classes if inner):
            paths.append(f"{field}{'' if element is None else '.NAME'}.{name}")
    return paths


def _fields_at(root: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    annotation = _annotation_at(root, loc)
    model = _model_in(annotation)
    return sorted(model.model_fields) if model else []


def _doc_at(root: type[BaseModel], loc: Sequence[Any]) -> str:
    """The docstring of the setting at `loc`, or of the nearest one around it."""
    model: type[BaseModel] | None = root
    doc = ""
    for i, part in enumerate(loc):
        if model is not None and isinstance(part, str) and part in model.model_fields:
            doc = model.model_fields[part].description or field_docstrings(model).get(part, "")
        model = _model_in(_annotation_at(root, loc[: i + 1]))
    return " ".join(doc.split())


def _annotation_at(root: type[BaseModel], loc: Sequence[Any]) -> Any:
    annotation: Any = root
    for part in loc:
        model = _model_in(annotation)
        if (chosen := _tagged(annotation, part)) is not None:
            annotation = chosen
        elif model is not None and isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
        elif (inner := _element_of(annotation)) is not None:
            annotation = inner
        else:
            return None
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class an annotation means: through Annotated and `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origin = get_origin(annotation)
    if origin is Annotated:
        return _model_in(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return next((m for a in get_args(annotation) if (m := _model_in(a))), None)
    return None


def _tags(annotation: Any) -> tuple[str, dict[str, type[BaseModel]]]:
    """The field that tells the classes of a union apart, and value → class; an empty name where there is none."""
    if get_origin(annotation) is not Annotated:
        return "", {}
    union, *notes = get_args(annotation)
    field = next((n.discriminator for n in notes if isinstance(getattr(n, "discriminator", None), str)), "")
    if not field:
        return "", {}
    return field, {get_args(m.model_fields[field].annotation)[0]: m for m in get_args(union)}


def _tagged(annotation: Any, part: Any) -> type[BaseModel] | None:
    """The class of a union that `part` of an error's place stands for."""
    return _tags(annotation)[1].get(part)


def _element_of(annotation: Any) -> Any:
    """The value type of a mapping or sequence annotation, or None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _element_of(get_args(annotation)[0])
    if origin in (dict, list):
        return get_args(annotation)[-1]
    return None
