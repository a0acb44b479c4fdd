"""The matrix below the roots: fields of other types that declare what they demand, by role and by scope.

It is generated from the schema; a field on a type that is not among `WAYS` fails and says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from domain.identity import ROLES_WITH, Permission, Role, Scope
from domain.ids import Prefix, to_global
from gql.fields import permission_of
from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Answer, Api
from tests.support.identity import PASSWORD
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from domain.identity import Principal

WAYS = {"Workspace": "workspace(id: $id)", "Viewer": "viewer"}
"""How an object of a type is reached from the root, with the id of a workspace."""

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]


class Nested(NamedTuple):
    """A field that declares a permission, and its type."""

    parent: str
    name: str
    permission: Permission


def nested() -> Iterator[Nested]:
    roots = {"Query", "Mutation", "Subscription"}
    for name, kind in SCHEMA._schema.type_map.items():
        definition = cast("Any", kind.extensions.get("strawberry-definition"))
        for declared in getattr(definition, "fields", ()) if name not in roots else ():
            if (found := permission_of(declared)) is not None:
                yield Nested(name, SCHEMA.config.name_converter.from_field(declared), found)


FIELDS = sorted(nested())


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncGenerator[Api]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Api(SCHEMA, services)


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (await api.services.identity.sign_up("ada@example.com", PASSWORD, "ada", None, address="")).principal


async def ask(api: Api, field: Nested, caller: Principal, workspace: str) -> Answer:
    way = WAYS.get(field.parent)
    assert way, f"The matrix does not know how to reach {field.parent}.{field.name}: add the type to WAYS."
    variable = "($id: ID!)" if "$id" in way else ""
    return await api.run(f"query {variable} {{ {way} {{ {field.name} {{ __typename }} }} }}", {"id": workspace}, caller=caller)  # fmt: skip


def test_the_fields_that_not_everybody_may_read_are_in_the_matrix() -> None:
    assert {
        Nested("Workspace", "apiKeys", Permission.READ),
        Nested("Workspace", "auditEntries", Permission.ADMIN),
        Nested("Viewer", "apiKeys", Permission.SIGNED_IN),
    } <= set(FIELDS)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.parent}.{field.name}")
async def test_a_nested_field_is_read_by_exactly_the_roles_and_scopes_that_it_declares(
    api: Api, ada: Principal, field: Nested
) -> None:
    home = next(iter(ada.roles))
    workspace = to_global(Prefix.WORKSPACE, home)
    for role in Role:
        answer = await ask(api, field, replace(ada, roles={home: role}), workspace)
        is_allowed = role in ROLES_WITH.get(field.permission, frozenset(Role))
        assert answer.codes == ([] if is_allowed else ["FORBIDDEN"]), role
    for scope in Scope:
        _, token = await api.services.api_keys.create(ada, None, "matrix", [scope])
        answer = await ask(api, field, await api.services.api_keys.authenticate(token), workspace)
        is_allowed = field.permission in {Permission.READ, Permission.SIGNED_IN, scope.value}
        assert answer.codes == ([] if is_allowed else ["FORBIDDEN"]), scope
