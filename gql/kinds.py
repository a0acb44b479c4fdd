"""Node kinds in the schema: for each model of a configuration an output type and an input twin, derived from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

import strawberry
import strawberry.pydantic
from pydantic import ConfigDict, Field, create_model
from strawberry.scalars import JSON

from domain import kinds as domain
from domain.config_fields import ConfigField, fields_of
from domain.enum_texts import texts_of
from domain.kinds import Config
from domain.validation import ports_of
from domain.versions import VersionTrack
from domain.workflow import GraphNode
from gql.enums import expose
from gql.filters import FilterInput
from runtime.registry import load_registry

_UNION = "The configuration of a node. Equal field names have equal types in all members, so one document can select them all."
_UNKNOWN = "UNKNOWN"
_WRITTEN_AS: Mapping[str, type[Any]] = {"FilterInput": FilterInput}
"""Inputs that are designed by hand, by the names that a `JsonField` gives."""


@strawberry.type(description="The configuration of a node whose kind is not installed here; it cannot be run.")
class UnknownConfig:
    """The configuration of a node whose kind is not installed."""

    kind: str = strawberry.field(description="The kind's name, as `NodeConfigInput` would have it.")
    raw: JSON = strawberry.field(description="The configuration as it is stored.")


@dataclass(frozen=True, slots=True)
class Derived:
    """What the schema says of the kinds."""

    kinds: Mapping[str, domain.NodeKind]
    config: Any
    """The union `NodeConfig`."""
    config_input: type[Any]
    """The input `NodeConfigInput`, of which exactly one field is set."""
    kind_enum: type[Enum]
    """The enum `NodeKind`."""
    inputs: Mapping[str, type[Any]]
    """The input twins of the models by the models' names, for other fields that take the same."""
    outputs: Mapping[str, type[Any]]
    """The output types of the models by the models' names; instances of the models are their values."""

    def shown(self, name: str, values: Mapping[str, Any]) -> object:
        """Return a stored configuration as a member of the union."""
        kind = self.kinds.get(name)
        return UnknownConfig(kind=name, raw=cast("JSON", values)) if kind is None else _built(kind.config, values)

    def ports_of(self, node: GraphNode) -> tuple[str, ...]:
        """Return the ports that edges can leave a node from."""
        return ports_of(node, self.kinds.get(node.kind))

    def kind_of(self, name: str) -> Enum:
        """Return a kind as a value of the enum."""
        kind = self.kinds.get(name)
        return self.kind_enum[_UNKNOWN if kind is None else kind.kind]


def derive(kinds: Iterable[domain.NodeKind]) -> Derived:
    """Derive the types of the kinds.

    Raises:
        TypeError: a configuration has a field without a GraphQL shape.
    """
    by_name = {kind.name: kind for kind in kinds}
    types = _Types()
    members = [*(types.output(kind.config) for kind in by_name.values()), UnknownConfig]
    fields: dict[str, Any] = {
        name: (_described(types.input(kind.config) | None, name, _sentence(kind.description)), _absent(name))
        for name, kind in by_name.items()
    }
    config_input: Any = create_model("NodeConfigInput", __config__=_PLAIN, **fields)
    return Derived(
        kinds=by_name,
        config=Annotated[Union[tuple(members)], strawberry.union("NodeConfig", description=_UNION)],  # noqa: UP007 - made at run time
        config_input=strawberry.pydantic.input(
            config_input,
            one_of=True,
            description="The configuration of a node; the field that is given decides the kind.",
        ),
        kind_enum=_kind_enum(by_name.values()),
        inputs=types.inputs,
        outputs=types.outputs,
    )


# Names in Python style inside, the aliases are what is stored.
_PLAIN = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True, protected_namespaces=())


class _Types:
    """Makes each type once, since models share parts such as `NameValue`."""

    def __init__(self) -> None:
        self._outputs: dict[type[Config], type[Any]] = {}
        self._inputs: dict[type[Config], type[Any]] = {}

    @property
    def inputs(self) -> Mapping[str, type[Any]]:
        """The input twins by the names of their models."""
        return {model.__name__: twin for model, twin in self._inputs.items()}

    @property
    def outputs(self) -> Mapping[str, type[Any]]:
        """The output types by the names of their models."""
        return {model.__name__: twin for model, twin in self._outputs.items()}

    def output(self, model: type[Config]) -> type[Any]:
        """Return the output type of a model; the model's own instances are its values."""
        if model not in self._outputs:
            fields: dict[str, Any] = {
                one.name: (_described(self._shape(one, self.output, one.is_optional), one.alias, one.description), ...)
                for one in fields_of(model)
            }
            twin: Any = create_model(model.__name__, __config__=_PLAIN, **fields)
            twin.is_type_of = _is_instance_of(model)
            self._outputs[model] = strawberry.pydantic.type(twin, description=_sentence_of(model))
        return self._outputs[model]

    def input(self, model: type[Config]) -> type[Any]:
        """Return the input twin of a model; it has no constraints, which `domain.validation` checks."""
        if model not in self._inputs:
            fields: dict[str, Any] = {one.name: self._input_field(one) for one in fields_of(model)}
            twin: Any = create_model(f"{model.__name__}Input", __config__=_PLAIN, **fields)
            description = _sentence_of(model)
            if model.is_one_of:
                description = f"{description.removesuffix('; exactly one field is set.').removesuffix('.')}."
            self._inputs[model] = strawberry.pydantic.input(twin, one_of=model.is_one_of, description=description)
        return self._inputs[model]

    def _input_field(self, one: ConfigField) -> tuple[Any, Any]:
        # A value of no parts shows its default in the schema; a list or an object that may be left out is nullable.
        is_nullable = one.is_optional or (
            not one.is_required and (one.is_list or one.default is None or _is_model(one))
        )
        annotation = _described(self._shape(one, self.input, is_nullable), one.alias, one.description)
        if one.is_required and not is_nullable:
            return annotation, Field(alias=one.alias)
        if one.is_required or one.default is None or one.is_list or _is_model(one):
            return annotation, _absent(one.alias)
        return annotation, Field(default=one.default, alias=one.alias)

    def _shape(self, one: ConfigField, nested: Any, is_nullable: bool) -> Any:
        inner: Any = JSON if one.is_json else one.type
        if one.written_as is not None and nested == self.input:
            inner = _WRITTEN_AS[one.written_as]
        if _is_model(one):
            inner = nested(one.type)
        elif isinstance(inner, type) and issubclass(inner, Enum):
            _expose_values(inner)
        shape = cast("Any", list[inner] if one.is_list else inner)
        return shape | None if is_nullable or (one.is_json and not one.is_list) else shape


def _is_model(one: ConfigField) -> bool:
    return not one.is_json and issubclass(one.type, Config)


def _is_instance_of(model: type[Config]) -> Callable[[object, object], bool]:
    def is_type_of(value: object, _info: object) -> bool:
        return isinstance(value, model)

    return staticmethod(is_type_of)


def _described(annotation: Any, alias: str, description: str | None) -> Any:
    return Annotated[annotation, strawberry.field(name=alias, description=description)]


def _absent(alias: str) -> Any:
    # A factory leaves the schema without a default: what is absent stays unset.
    return Field(default_factory=lambda: None, alias=alias)


def _built(model: type[Config], values: Mapping[str, Any]) -> Config:
    """Return an instance of a model as it was stored: where a template stands for a value, nothing can be validated."""
    built: dict[str, Any] = {}
    for one in fields_of(model):
        value = values.get(one.alias, [] if one.is_list and not one.is_optional else None)
        if one.alias not in values and not one.is_required:
            value = model.model_fields[one.name].get_default(call_default_factory=True, validated_data={})
        elif value is not None and not one.is_json:
            value = [_item(one, item) for item in value] if one.is_list else _item(one, value)
        built[one.name] = value
    return model.model_construct(**built)


def _item(one: ConfigField, value: Any) -> Any:
    if _is_model(one):
        return _built(one.type, value)
    return one.type(value) if issubclass(one.type, Enum) else value


def _kind_enum(kinds: Iterable[domain.NodeKind]) -> type[Enum]:
    listed = list(kinds)
    enum: Any = StrEnum("NodeKind", {**{kind.kind: kind.kind for kind in listed}, _UNKNOWN: _UNKNOWN})
    descriptions = {enum[kind.kind]: kind.description for kind in listed}
    descriptions[enum[_UNKNOWN]] = "A kind that is not installed here; the node cannot be run."
    return expose(enum, description="What nodes can do.", values=descriptions)


@cache
def _expose_values(enum: type[Enum]) -> None:
    """Make an enum of a configuration part of the schema; the text under each value describes it.

    Raises:
        ValueError: a value has no text under it.
    """
    expose(enum, description=_sentence_of(enum), values=texts_of(enum))


def _sentence_of(described: type[Any]) -> str:
    return (inspect.getdoc(described) or "").split("\n\n", 1)[0].replace("\n", " ")


def _sentence(text: str) -> str:
    return text.split(". ", 1)[0].removesuffix(".") + "."


DERIVED = derive(load_registry())
NodeConfig: Any = DERIVED.config
if TYPE_CHECKING:
    # Made at run time; to a type checker they look like this.
    NodeKind = Enum

    class NodeConfigInput:
        """The configuration of a node; the field that is given decides the kind."""

    class VersionChoiceInput:
        """A version of a workflow."""

        track: VersionTrack | None
        number: int | None

    class NameValueInput:
        """A name with a text."""

        name: str
        value: str

    NameValue = domain.NameValue
else:
    NodeKind = DERIVED.kind_enum
    NodeConfigInput = DERIVED.config_input
    VersionChoiceInput = DERIVED.inputs["VersionChoice"]
    NameValueInput = DERIVED.inputs["NameValue"]
    NameValue = DERIVED.outputs["NameValue"]
