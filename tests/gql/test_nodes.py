from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from domain.ids import Prefix, to_global
from gql import lookup
from gql.context import Context
from gql.lookup import register_node
from tests.support.probe import Sessions, Witness, probe_schema, probe_services, probe_settings, thing

if TYPE_CHECKING:
    from gql.context import Info

SETTINGS = probe_settings()
KNOWN = UUID(int=1)
ID = to_global(Prefix.RUN, KNOWN)


@pytest.fixture(autouse=True)
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(info: Info, value: UUID) -> object | None:
        return thing("a") if info.context.maybe_principal is not None and value == KNOWN else None

    monkeypatch.setattr(lookup, "_finders", {})
    register_node(Prefix.RUN, find)


async def ask(query: str, *, is_signed_in: bool = True, **variables: Any) -> Any:
    sessions = Sessions()
    principal = await sessions.authenticate(sessions.sign_in()[0]) if is_signed_in else None
    context = Context(probe_services(sessions, Witness(), SETTINGS), principal)
    return await probe_schema(SETTINGS).execute(query, variables, context)


async def test_an_object_is_found_by_its_id() -> None:
    result = await ask("query ($id: ID!) {node(id: $id) {__typename id ... on Thing {name}}}", id=ID)
    assert result.data == {"node": {"__typename": "Thing", "id": ID, "name": "a"}}


@pytest.mark.parametrize(
    "id_",
    ["", "run", "run_", "nope_01", ID[:-1], ID + "0", ID.upper(), "run_" + "8" + "0" * 25, "wf_" + ID.split("_")[1],
     to_global(Prefix.RUN, UUID(int=2)), "\0", "run_é" + "0" * 25, "x" * 10_000],
)  # fmt: skip
async def test_what_is_no_id_and_what_is_not_there_are_told_alike(id_: str) -> None:
    result = await ask("query ($id: ID!) {node(id: $id) {id}}", id=id_)
    assert (result.data, result.errors) == ({"node": None}, None)


async def test_nobody_finds_anything_without_signing_in() -> None:
    result = await ask("query ($id: ID!) {node(id: $id) {id}}", id=ID, is_signed_in=False)
    assert (result.data, result.errors) == ({"node": None}, None)


async def test_several_objects_come_in_the_order_asked_with_null_for_the_missing() -> None:
    result = await ask("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=["nope", ID, "wf_1", ID])
    assert result.data == {"nodes": [None, {"id": ID}, None, {"id": ID}]}


async def test_more_than_100_ids_are_refused() -> None:
    result = await ask("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=[ID] * 101)
    assert result.errors[0].extensions["code"] == "LIMIT_EXCEEDED"
