from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import Clock, identity_services, make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database

CANARY = "canary-a3f7"
SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]

CREATE = """
mutation ($input: CreateConnectionInput!) { createConnection(input: $input) {
  connection {
    id name kind hasCredential maxConcurrent requestsPerMinute createdAt updatedAt workspace { id }
    settings {
      __typename
      ... on OpenaiCompatibleSettings { baseUrl defaultModel }
      ... on HttpAuthSettings { scheme username parameter allowedOrigins }
    }
  }
  userErrors { __typename code path }
} }
"""
DELETE = "mutation ($id: ID!) { deleteConnection(input: { id: $id }) { deletedConnectionId userErrors { code path } } }"
BY_NAME = """
query ($id: ID!, $name: String!) { workspace(id: $id) {
  connection(name: $name) { name } connections { totalCount nodes { name } }
} }
"""
MODEL = {
    "openaiCompatible": {"baseUrl": "https://Models.example.com/v1/", "apiKey": CANARY, "defaultModel": "qwen-plus"}
}
BASIC = {
    "httpAuth": {
        "scheme": "BASIC",
        "username": "ada",
        "credential": CANARY,
        "allowedOrigins": ["https://api.example.com/"],
    }
}


@pytest.fixture
def api(database: Database) -> Api:
    return Api(SCHEMA, identity_services(database, Clock()))


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def create(api: Api, caller: Principal, **given: Any) -> dict[str, Any]:
    answer = await api.run(CREATE, {"input": {"name": "local", "settings": MODEL, **given}}, caller=caller)
    assert answer.errors == []
    assert CANARY not in str(answer)
    return answer.data["createConnection"]


async def test_a_model_connection_shows_everything_but_its_key(api: Api, ada: Principal) -> None:
    connection = (await create(api, ada, maxConcurrent=8))["connection"]
    assert connection["settings"] == {
        "__typename": "OpenaiCompatibleSettings",
        "baseUrl": "https://models.example.com/v1",
        "defaultModel": "qwen-plus",
    }
    assert (connection["kind"], connection["hasCredential"]) == ("OPENAI_COMPATIBLE", True)
    assert (connection["maxConcurrent"], connection["requestsPerMinute"]) == (8, None)
    found = await api.services.connections.chat_settings(next(iter(ada.roles)), "local")
    assert found.api_key == CANARY


async def test_a_credential_for_requests_shows_everything_but_itself(api: Api, ada: Principal) -> None:
    connection = (await create(api, ada, settings=BASIC))["connection"]
    assert connection["settings"] == {
        "__typename": "HttpAuthSettings",
        "scheme": "BASIC",
        "username": "ada",
        "parameter": None,
        "allowedOrigins": ["https://api.example.com"],
    }
    assert (connection["kind"], connection["hasCredential"]) == ("HTTP_AUTH", True)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": "a b"}, ["input", "name"]),
        ({"maxConcurrent": 0}, ["input", "maxConcurrent"]),
        ({"requestsPerMinute": -1}, ["input", "requestsPerMinute"]),
        (
            {"settings": {"openaiCompatible": {"baseUrl": "file:///etc"}}},
            ["input", "settings", "openaiCompatible", "baseUrl"],
        ),
        (
            {"settings": {"httpAuth": {"scheme": "BEARER", "allowedOrigins": ["https://a"]}}},
            ["input", "settings", "httpAuth", "credential"],
        ),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    api: Api, ada: Principal, given: dict[str, Any], path: list[str]
) -> None:
    payload = await create(api, ada, **given)
    assert payload["connection"] is None
    assert payload["userErrors"] == [{"__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": path}]


@pytest.mark.parametrize("settings", [{}, {**MODEL, **BASIC}, {"openaiCompatible": None}])
async def test_settings_are_of_exactly_one_kind(api: Api, ada: Principal, settings: dict[str, Any]) -> None:
    answer = await api.run(CREATE, {"input": {"name": "local", "settings": settings}}, caller=ada)
    assert answer.data is None
    assert len(answer.errors) == 1


async def test_a_connection_is_found_by_its_name_in_its_workspace(api: Api, ada: Principal) -> None:
    workspace_id = (await create(api, ada))["connection"]["workspace"]["id"]
    found = await api.run(BY_NAME, {"id": workspace_id, "name": "local"}, caller=ada)
    assert found.data["workspace"] == {
        "connection": {"name": "local"},
        "connections": {"totalCount": 1, "nodes": [{"name": "local"}]},
    }
    for name in ("missing", "nul\0", ""):
        nothing = await api.run(BY_NAME, {"id": workspace_id, "name": name}, caller=ada)
        assert nothing.data["workspace"]["connection"] is None


async def test_a_deleted_connection_is_gone(api: Api, ada: Principal) -> None:
    connection_id = (await create(api, ada))["connection"]["id"]
    deleted = await api.run(DELETE, {"id": connection_id}, caller=ada)
    assert deleted.data["deleteConnection"] == {"deletedConnectionId": connection_id, "userErrors": []}
    again = await api.run(DELETE, {"id": connection_id}, caller=ada)
    assert again.data["deleteConnection"]["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
