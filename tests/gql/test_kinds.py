from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
)

from domain.config_fields import fields_of, without_defaults
from domain.kinds import JSON_FIELD, Config, NodeContext, NodeKind, Result
from gql import schema as ours
from gql.kinds import DERIVED, UnknownConfig, derive
from runtime.registry import BUILT_IN
from runtime.settings import Settings
from tests.support.api import Api

DRAFT = build_schema((Path(__file__).parents[2] / "docs/design/schema.graphql").read_text())
SCHEMA = ours.build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
BUILT: GraphQLSchema = SCHEMA._schema

MODELS = [
    "LlmCallConfig",
    "LlmMessage",
    "HttpRequestConfig",
    "HttpBody",
    "NameValue",
    "TransformConfig",
    "TransformField",
    "FaissSearchConfig",
    "FaissUpsertConfig",
    "WaitConfig",
]
ENUMS = ["LlmRole", "ResponseFormat", "HttpMethod", "HttpParse", "SearchMode"]


def signature(kind: Any) -> dict[str, tuple[str, object, str | None]]:
    return {
        name: (str(field.type), getattr(field, "default", None) and field.default, field.description)
        for name, field in kind.fields.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_output_type_of_a_configuration_is_the_one_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[name], DRAFT.type_map[name]
    assert isinstance(built, GraphQLObjectType)
    assert built.description == draft.description
    assert signature(built) == signature(draft)


@pytest.mark.parametrize("name", MODELS)
def test_the_input_twin_of_a_configuration_is_the_one_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[f"{name}Input"], DRAFT.type_map[f"{name}Input"]
    assert isinstance(built, GraphQLInputObjectType)
    assert isinstance(draft, GraphQLInputObjectType)
    assert built.description == draft.description
    assert built.is_one_of == draft.is_one_of
    assert {key: (str(one.type), one.description) for key, one in built.fields.items()} == {
        key: (str(one.type), one.description) for key, one in draft.fields.items()
    }
    assert defaults(built) == defaults(draft)


def defaults(kind: GraphQLInputObjectType) -> dict[str, str]:
    from graphql import print_type  # noqa: PLC0415 - here alone

    printed = [line.strip() for line in print_type(kind).splitlines() if " = " in line]
    return {line.split(":")[0]: line.split(" = ")[1] for line in printed}


@pytest.mark.parametrize("name", ENUMS)
def test_the_enums_of_configurations_are_those_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[name], DRAFT.type_map[name]
    assert isinstance(built, GraphQLEnumType)
    assert isinstance(draft, GraphQLEnumType)
    assert {key: one.description for key, one in built.values.items()} == {
        key: one.description for key, one in draft.values.items()
    }


def test_each_kind_is_in_the_union_in_the_input_and_in_the_enum() -> None:
    union, given, enum = (BUILT.type_map[name] for name in ("NodeConfig", "NodeConfigInput", "NodeKind"))
    assert isinstance(union, GraphQLUnionType)
    assert isinstance(given, GraphQLInputObjectType)
    assert isinstance(enum, GraphQLEnumType)
    assert [one.name for one in union.types] == [*(kind.config.__name__ for kind in BUILT_IN), "UnknownConfig"]
    assert {name: str(one.type) for name, one in given.fields.items()} == {
        kind.name: f"{kind.config.__name__}Input" for kind in BUILT_IN
    }
    assert given.is_one_of
    assert list(enum.values) == [*(kind.kind for kind in BUILT_IN), "UNKNOWN"]


def test_members_of_the_union_that_share_a_field_agree_on_its_type() -> None:
    seen: dict[str, str] = {}
    union = BUILT.type_map["NodeConfig"]
    assert isinstance(union, GraphQLUnionType)
    for member in union.types:
        for name, field in member.fields.items():
            assert seen.setdefault(name, str(field.type)) == str(field.type), name


class Part(Config):
    """A part."""

    label: str
    """A label."""


class PluginConfig(Config):
    """A configuration that a plug-in brings."""

    from_: Annotated[str, JSON_FIELD] = "x"
    """A name that Python keeps for itself."""
    part: Part = Part(label="a")
    """A part with a default."""
    count: int | None = 3
    """A number that may be null."""


class DictConfig(Config):
    """A configuration without a GraphQL shape."""

    pairs: dict[str, str]
    """Pairs."""


async def run(config: Any, ctx: NodeContext) -> Result:
    del ctx
    return Result(config)


def kind_of(config: type[Config]) -> NodeKind:
    return NodeKind("PLUGIN", "plugin", "Plug-in", "Something.", config, None, run)


def test_a_configuration_without_a_graphql_shape_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"DictConfig\.pairs has no GraphQL shape"):
        derive([kind_of(DictConfig)])


def test_a_plug_in_is_derived_like_the_others() -> None:
    derived = derive([kind_of(PluginConfig)])
    shown = derived.shown("plugin", {"count": None})
    assert isinstance(shown, PluginConfig)
    assert (shown.part.label, shown.count) == ("a", None)
    assert [one.alias for one in fields_of(PluginConfig)] == ["from_", "part", "count"]


def test_a_kind_that_is_not_installed_is_shown_as_it_is_stored() -> None:
    shown = DERIVED.shown("gone", {"a": 1})
    assert isinstance(shown, UnknownConfig)
    assert (shown.kind, shown.raw) == ("gone", {"a": 1})
    assert DERIVED.kind_of("gone").name == "UNKNOWN"


def test_stored_configurations_say_nothing_that_goes_without_saying() -> None:
    model = DERIVED.kinds["httpRequest"].config
    written: dict[str, Any] = {
        "parse": "AUTO",
        "url": "https://x",
        "method": "GET",
        "headers": [],
        "body": {"json": None},
        "connection": None,
    }
    assert without_defaults(model, written) == {"url": "https://x", "body": {"json": None}}
    assert without_defaults(model, {"url": "x", "method": "POST"}) == {"method": "POST", "url": "x"}


async def test_everybody_may_see_what_nodes_can_do() -> None:
    api = Api(SCHEMA, None)  # type: ignore[arg-type]
    answer = await api.run(
        "{ nodeKinds { kind name title description configSchema outputSchema ports isIdempotent "
        "errorCodes { code description isRetryable } } }"
    )
    assert answer.errors == []
    kinds = {kind["name"]: kind for kind in answer.data["nodeKinds"]}
    assert list(kinds) == [kind.name for kind in BUILT_IN]
    http = kinds["httpRequest"]
    assert (http["kind"], http["ports"], http["isIdempotent"]) == ("HTTP_REQUEST", ["out"], False)
    assert http["configSchema"]["properties"]["url"]["x-template"] is True
    assert set(http["outputSchema"]["properties"]) == {"status", "headers", "body", "elapsedMs"}
    assert {"code": "ADDRESS_REFUSED", "isRetryable": False}.items() <= {
        key: value for code in http["errorCodes"] if code["code"] == "ADDRESS_REFUSED" for key, value in code.items()
    }.items()
