"""The shape of a node kind's configuration: which of its fields are templates, and its JSON Schema."""

from __future__ import annotations

import types
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, cast, get_args, get_origin

from domain.enum_texts import texts_of
from domain.kinds import Config, Expression, JsonField, Reference, SecretCapable, Static

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from domain.json_value import Json
    from domain.kinds import NodeKind


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that holds a value."""

    is_template: bool
    is_json: bool
    """Whether any JSON value may stand there; else a text, if it is a template."""
    is_expression: bool
    """Whether a bare expression stands there, of which only matters whether it holds."""
    is_secret_capable: bool
    reference_to: str | None
    """The kind of object whose name stands there."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object."""

    shape: Shape
    is_nullable: bool
    has_default: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """An object, its fields by the names that are written."""

    of: Mapping[str, Field]


Shape: TypeAlias = "Leaf | Items | Fields"


@cache
def shape_of(model: type[Config]) -> Fields:
    """Return the shape of a configuration."""
    return Fields({info.alias or name: _field(info) for name, info in model.model_fields.items()})


def config_schema(kind: NodeKind) -> Json:
    """Return the JSON Schema of a configuration, with the marks that an editor needs to make a form of it.

    `x-template`, `x-expression` and `x-secret` tell what takes those, `x-json` what takes any JSON, `x-reference` which
    kind of object is named, `x-enum-descriptions` what the values of an enum mean.
    """
    schema = kind.config.model_json_schema(by_alias=True)
    definitions = cast("dict[str, Any]", schema.get("$defs", {}))
    for model in (kind.config, *_nested(kind.config, set())):
        described = schema if model is kind.config else definitions.get(model.__name__, {})
        properties = described.get("properties", {})
        for (name, info), field in zip(model.model_fields.items(), shape_of(model).of.values(), strict=True):
            if (property_ := properties.get(info.alias or name)) is not None:
                property_["title"] = name.strip("_").replace("_", " ").capitalize()
                _mark(property_, field.shape)
        if model.is_one_of:
            described |= {"minProperties": 1, "maxProperties": 1}
        for enum in _enums(model):
            texts = {str(value.value): text for value, text in texts_of(enum).items()}
            definitions.get(enum.__name__, {})["x-enum-descriptions"] = texts
    return cast("Json", schema)


def output_schema(kind: NodeKind) -> Json:
    """Return the JSON Schema of the output; an open object where the author decides the shape."""
    if kind.output is None:
        return {"type": "object"}
    return cast("Json", kind.output.model_json_schema(by_alias=True, mode="serialization"))


def _field(info: FieldInfo) -> Field:
    annotation, marks, is_nullable = _unwrap(info.annotation, info.metadata)
    return Field(_shape(annotation, marks), is_nullable, not info.is_required())


def _unwrap(annotation: Any, marks: Iterable[object]) -> tuple[Any, list[object], bool]:
    """Take `Annotated` and `| None` off."""
    found, is_nullable = list(marks), annotation is Any
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            found += more
        elif origin is Union or origin is types.UnionType:
            parts = [part for part in get_args(annotation) if part is not types.NoneType]
            is_nullable |= len(parts) < len(get_args(annotation))
            if len(parts) != 1:
                return annotation, found, is_nullable
            annotation = parts[0]
        else:
            return annotation, found, is_nullable


def _shape(annotation: Any, marks: Sequence[object]) -> Shape:
    if get_origin(annotation) in {list, tuple}:
        inner, inner_marks, _ = _unwrap(get_args(annotation)[0], ())
        # a mark on the list is meant for what it holds
        return Items(_shape(inner, [*inner_marks, *(mark for mark in marks if isinstance(mark, _MARKS))]))
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return shape_of(annotation)
    is_json = any(isinstance(mark, JsonField) for mark in marks)
    reference = next((mark for mark in marks if isinstance(mark, Reference)), None)
    is_expression = any(isinstance(mark, Expression) for mark in marks)
    is_static = reference is not None or is_expression or any(isinstance(mark, Static) for mark in marks)
    return Leaf(
        is_template=not is_static and (is_json or annotation is str),
        is_json=is_json,
        is_expression=is_expression,
        is_secret_capable=any(isinstance(mark, SecretCapable) for mark in marks),
        reference_to=None if reference is None else reference.to,
    )


_MARKS = (Static, Expression, SecretCapable, JsonField, Reference)


def _nested(model: type[Config], seen: set[type[Config]]) -> list[type[Config]]:
    """Return the models inside a model, each once."""
    for info in model.model_fields.values():
        annotation, _, _ = _unwrap(info.annotation, ())
        while get_origin(annotation) in {list, tuple}:
            annotation, _, _ = _unwrap(get_args(annotation)[0], ())
        if isinstance(annotation, type) and issubclass(annotation, Config) and annotation not in seen:
            seen.add(annotation)
            _nested(annotation, seen)
    return sorted(seen, key=lambda nested: nested.__name__)


def _enums(model: type[Config]) -> Iterator[type[Enum]]:
    for info in model.model_fields.values():
        annotation, _, _ = _unwrap(info.annotation, ())
        while get_origin(annotation) in {list, tuple}:
            annotation, _, _ = _unwrap(get_args(annotation)[0], ())
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            yield annotation


def _mark(described: dict[str, Any], shape: Shape) -> None:
    if isinstance(shape, Items):
        described = described.get("items", described)
        shape = shape.of
    if isinstance(shape, Leaf):
        if shape.is_template:
            described["x-template"] = True
        if shape.is_expression:
            described["x-expression"] = True
        if shape.is_secret_capable:
            described["x-secret"] = True
        if shape.is_json:
            described["x-json"] = True
        if shape.reference_to is not None:
            described["x-reference"] = shape.reference_to
