from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import Clock, identity_services

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database

CANARY = "canary-91d0"
SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]

CREATE = """
mutation ($input: CreateSecretInput!) { createSecret(input: $input) {
  secret { id name description lastUsedAt createdAt updatedAt workspace { id name } }
  userErrors { __typename message code path }
} }
"""
UPDATE = """
mutation ($input: UpdateSecretInput!) { updateSecret(input: $input) {
  secret { name description updatedAt } userErrors { code path }
} }
"""
DELETE = "mutation ($id: ID!) { deleteSecret(input: { id: $id }) { deletedSecretId userErrors { code path } } }"
LIST = """
query ($first: Int, $after: String) { viewer { workspaces { nodes { secrets(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { cursor node { name workspace { id } } }
} } } } }
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(database: Database, clock: Clock) -> Api:
    return Api(SCHEMA, identity_services(database, clock))


async def create(api: Api, caller: Principal, name: str = "KEY") -> str:
    answer = await api.run(CREATE, {"input": {"name": name, "value": CANARY, "description": "first"}}, caller=caller)
    assert answer.data["createSecret"]["userErrors"] == []
    assert CANARY not in str(answer)
    return answer.data["createSecret"]["secret"]["id"]


async def test_a_secret_is_stored_and_shown_without_its_value(api: Api, ada: Principal) -> None:
    secret_id = await create(api, ada)
    document = (
        "query ($id: ID!) { node(id: $id) { __typename ... on Secret { name description lastUsedAt createdAt } } }"
    )
    answer = await api.run(document, {"id": secret_id}, caller=ada)
    assert answer.data["node"] == {
        "__typename": "Secret",
        "name": "KEY",
        "description": "first",
        "lastUsedAt": None,
        "createdAt": "2026-11-22T12:00:00Z",
    }
    values = await api.services.secrets.values(next(iter(ada.roles)), ["KEY"])
    assert values == {"KEY": CANARY}


def test_no_type_of_the_schema_can_show_a_value() -> None:
    for name in ("Secret", "ConnectionProfile", "OpenaiCompatibleSettings", "HttpAuthSettings"):
        shown: Any = SCHEMA._schema.type_map[name]
        assert shown.fields.keys() & {"value", "ciphertext", "credential", "apiKey", "password", "token"} == set()


async def test_what_is_wrong_is_told_with_its_place_and_without_the_value(api: Api, ada: Principal) -> None:
    await create(api, ada)
    for name, value, code, path in [
        ("KEY", CANARY, "ALREADY_EXISTS", ["input", "name"]),
        ("key", CANARY, "INVALID_INPUT", ["input", "name"]),
        ("OTHER", "", "INVALID_INPUT", ["input", "value"]),
        ("OTHER", CANARY * 6_000, "LIMIT_EXCEEDED", ["input", "value"]),
        ("OTHER", f"{CANARY}\0", "INVALID_INPUT", ["input", "value"]),
    ]:
        answer = await api.run(CREATE, {"input": {"name": name, "value": value}}, caller=ada)
        errors = answer.data["createSecret"]["userErrors"]
        assert [(error["code"], error["path"]) for error in errors] == [(code, path)]
        assert CANARY not in str(answer)


async def test_absent_means_unchanged_and_null_means_cleared(api: Api, ada: Principal, clock: Clock) -> None:
    secret_id = await create(api, ada)
    clock.advance(hours=1)
    home = next(iter(ada.roles))
    unchanged = await api.run(UPDATE, {"input": {"id": secret_id}}, caller=ada)
    assert unchanged.data["updateSecret"]["secret"] == {
        "name": "KEY",
        "description": "first",
        "updatedAt": "2026-11-22T12:00:00Z",
    }
    cleared = await api.run(UPDATE, {"input": {"id": secret_id, "description": None}}, caller=ada)
    assert cleared.data["updateSecret"]["secret"]["description"] is None
    refused = await api.run(UPDATE, {"input": {"id": secret_id, "value": None}}, caller=ada)
    assert refused.data["updateSecret"]["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "value"]}]
    assert await api.services.secrets.values(home, ["KEY"]) == {"KEY": CANARY}
    changed = await api.run(UPDATE, {"input": {"id": secret_id, "value": "new"}}, caller=ada)
    assert changed.data["updateSecret"]["secret"]["updatedAt"] == "2026-11-22T13:00:00Z"
    assert await api.services.secrets.values(home, ["KEY"]) == {"KEY": "new"}


async def test_a_deleted_secret_is_gone(api: Api, ada: Principal) -> None:
    secret_id = await create(api, ada)
    deleted = await api.run(DELETE, {"id": secret_id}, caller=ada)
    assert deleted.data["deleteSecret"] == {"deletedSecretId": secret_id, "userErrors": []}
    again = await api.run(DELETE, {"id": secret_id}, caller=ada)
    assert again.data["deleteSecret"] == {
        "deletedSecretId": None,
        "userErrors": [{"code": "NOT_FOUND", "path": ["input", "id"]}],
    }


async def test_pages_by_name_load_all_their_workspaces_at_once(api: Api, ada: Principal, database: Database) -> None:
    for name in ("C", "A", "B"):
        await create(api, ada, name)
    statements: list[str] = []
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    answer = await api.run(LIST, {"first": 2}, caller=ada)
    # The page of workspaces, the page of secrets, the count, and one for the workspaces of all secrets together.
    assert len(statements) == 4
    page = answer.data["viewer"]["workspaces"]["nodes"][0]["secrets"]
    assert [edge["node"]["name"] for edge in page["edges"]] == ["A", "B"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    rest = await api.run(LIST, {"first": 2, "after": page["pageInfo"]["endCursor"]}, caller=ada)
    edges = rest.data["viewer"]["workspaces"]["nodes"][0]["secrets"]["edges"]
    assert [edge["node"]["name"] for edge in edges] == ["C"]


async def test_a_cursor_of_another_list_is_an_error(api: Api, ada: Principal) -> None:
    answer = await api.run(LIST, {"after": "bm9uZQ"}, caller=ada)
    assert answer.codes == ["CURSOR_INVALID"]
