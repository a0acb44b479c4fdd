"""The fields of a configuration, one by one: what GraphQL types are derived from, and what is left out when it is stored."""

from __future__ import annotations

import types
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic_core import PydanticUndefined

from domain.kinds import Config, JsonField

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo

    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.workflow import Definition

_NO_DEFAULT: Final = object()


@dataclass(frozen=True, slots=True)
class ConfigField:
    """One field of a configuration."""

    name: str
    alias: str
    """The name as it is written, in camelCase."""
    description: str | None
    type: Any
    """A scalar type, an enum or a `Config`; of a list, its items' type; Any for JSON."""
    is_list: bool
    is_json: bool
    written_as: str | None
    """Of JSON, the GraphQL input that it is written as; None = `JSON`."""
    is_optional: bool
    """Whether null may stand there."""
    is_required: bool
    default: Any
    """The default as JSON; meaningless for a required field."""


@cache
def fields_of(model: type[Config]) -> tuple[ConfigField, ...]:
    """Return the fields of a configuration, in order.

    Raises:
        TypeError: a field that has no GraphQL shape: a dict, a list of lists, a union.
    """
    return tuple(_field(model, name, info) for name, info in model.model_fields.items())


def without_defaults(model: type[Config], values: Mapping[str, Json]) -> dict[str, Json]:
    """Return a sound configuration as it is stored: in the order of its fields, without what says nothing.

    Files leave defaults out, GraphQL fills them in: stored, both are the same.
    """
    kept: dict[str, Json] = {}
    for one in fields_of(model):
        value = values.get(one.alias)
        if isinstance(value, Enum):
            value = cast("Json", value.value)
        if value is not None and not one.is_json and isinstance(one.type, type) and issubclass(one.type, Config):
            value = _nested(one, value)
        is_default = not one.is_required and (value is None or (value == one.default and not one.is_json))
        # Of a `OneOf`, the field that is there is the choice: `{json: null}` sends `null`.
        if one.alias in values and (model.is_one_of or not is_default):
            kept[one.alias] = value
    return kept


def canonical(definition: Definition, kinds: Mapping[str, NodeKind]) -> Definition:
    """Return a sound definition as it is stored: every configuration without its defaults.

    What is not known of a kind that is not installed is left as it is.
    """
    nodes = [
        # Also where both are equal: dicts are, whatever the order of their keys.
        node.model_copy(update={"config": {node.kind: without_defaults(kinds[node.kind].config, node.values)}})
        if node.kind in kinds
        else node
        for node in definition.graph.nodes
    ]
    graph = definition.graph.model_copy(update={"nodes": tuple(nodes)})
    return definition.model_copy(update={"graph": graph})


def _nested(one: ConfigField, value: Json) -> Json:
    if one.is_list and isinstance(value, list | tuple):
        return [without_defaults(one.type, cast("Mapping[str, Json]", item)) for item in cast("list[Json]", value)]
    return without_defaults(one.type, cast("Mapping[str, Json]", value))


def _field(model: type[Config], name: str, info: FieldInfo) -> ConfigField:
    inner, marks, is_optional = _unwrap(info.annotation, info.metadata)
    is_list = get_origin(inner) in {list, tuple}
    if is_list:
        inner, item_marks, _ = _unwrap(get_args(inner)[0], ())
        marks = [*marks, *item_marks]
    json_marks = [mark for mark in marks if isinstance(mark, JsonField)]
    is_json = bool(json_marks)
    if not is_json and not isinstance(inner, type):
        raise TypeError(f"{model.__name__}.{name} has no GraphQL shape: {inner}.")
    return ConfigField(
        name=name,
        alias=info.alias or name,
        description=info.description,
        type=inner,
        is_list=is_list,
        is_json=is_json,
        written_as=json_marks[0].written_as if json_marks else None,
        is_optional=is_optional or inner is Any,
        is_required=info.is_required(),
        default=_default(info),
    )


def _unwrap(annotation: Any, marks: Iterable[object]) -> tuple[Any, list[object], bool]:
    """Take `Annotated` and `| None` off."""
    found, is_optional = list(marks), False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            found += more
        elif origin is Union or origin is types.UnionType:
            parts = [part for part in get_args(annotation) if part is not types.NoneType]
            is_optional = is_optional or len(parts) < len(get_args(annotation))
            if len(parts) != 1:
                return annotation, found, is_optional
            annotation = parts[0]
        else:
            return annotation, found, is_optional


def _default(info: FieldInfo) -> Any:
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return _NO_DEFAULT
    if isinstance(default, Config):
        return default.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return list(cast("tuple[Any, ...]", default)) if isinstance(default, tuple) else default
