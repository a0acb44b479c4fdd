from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, to_global
from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import Clock, identity_services

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
      ... on OpenaiCompatibleSettings {
        baseUrl defaultModel prices { model inputPerMillion outputPerMillion currency }
      }
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
        "prices": [],
    }
    assert (connection["kind"], connection["hasCredential"]) == ("OPENAI_COMPATIBLE", True)
    assert (connection["maxConcurrent"], connection["requestsPerMinute"]) == (8, None)
    found = await api.services.connections.chat_settings(next(iter(ada.roles)), "local")
    assert found.api_key == CANARY


def priced(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"openaiCompatible": {**MODEL["openaiCompatible"], "prices": list(prices)}}


async def test_what_the_models_of_a_connection_cost_is_shown_as_it_was_given(api: Api, ada: Principal) -> None:
    prices = [
        {"model": "qwen-*", "inputPerMillion": "0.40", "outputPerMillion": 3},
        {"model": "qwen-plus", "inputPerMillion": "1e2", "outputPerMillion": "0", "currency": "CNY"},
    ]
    connection = (await create(api, ada, settings=priced(*prices)))["connection"]
    assert connection["settings"]["prices"] == [
        {"model": "qwen-*", "inputPerMillion": "0.4", "outputPerMillion": "3", "currency": "USD"},
        {"model": "qwen-plus", "inputPerMillion": "100", "outputPerMillion": "0", "currency": "CNY"},
    ]


async def test_every_price_that_is_none_is_told_with_its_place(api: Api, ada: Principal) -> None:
    fine = {"model": "m", "inputPerMillion": "1", "outputPerMillion": "1"}
    wrong = [fine, {**fine, "inputPerMillion": "-1"}, {**fine, "model": "n", "currency": "dollars"}]
    payload = await create(api, ada, settings=priced(*wrong))
    place = ["input", "settings", "openaiCompatible", "prices"]
    assert payload["connection"] is None
    assert [(error["code"], error["path"]) for error in payload["userErrors"]] == [
        ("INVALID_INPUT", [*place, "1", "inputPerMillion"]),
        ("INVALID_INPUT", [*place, "2", "currency"]),
        ("INVALID_INPUT", [*place, "1", "model"]),
    ]
    payload = await create(api, ada, settings=priced(*[{**fine, "model": f"m{place}"} for place in range(201)]))
    assert [(error["code"], error["path"]) for error in payload["userErrors"]] == [("LIMIT_EXCEEDED", place)]
    assert await api.services.connections.names(next(iter(ada.roles))) == frozenset()


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


UPDATE = """
mutation ($input: UpdateConnectionInput!) { updateConnection(input: $input) {
  connection { name hasCredential maxConcurrent settings { ... on OpenaiCompatibleSettings { defaultModel } } }
  userErrors { code path }
} }
"""
DEFAULT = "{ viewer { workspaces(first: 1) { nodes { defaultConnection { name } } } } }"


async def test_a_connection_is_changed_where_something_is_given(api: Api, ada: Principal) -> None:
    made = (await create(api, ada, maxConcurrent=8))["connection"]
    settings = {"openaiCompatible": {"baseUrl": "https://models.example.com/v1", "defaultModel": "qwen-max"}}
    change = {"id": made["id"], "settings": settings, "maxConcurrent": None}
    changed = (await api.run(UPDATE, {"input": change}, caller=ada)).data["updateConnection"]
    shown = {"name": "local", "hasCredential": True, "maxConcurrent": None, "settings": {"defaultModel": "qwen-max"}}
    assert changed == {"connection": shown, "userErrors": []}
    same = (await api.run(UPDATE, {"input": {"id": made["id"], "name": None, "settings": None}}, caller=ada)).data
    assert same["updateConnection"]["connection"] == shown
    wrong = (await api.run(UPDATE, {"input": {"id": made["id"], "name": "-"}}, caller=ada)).data["updateConnection"]
    assert wrong["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "name"]}]


async def test_a_key_that_is_left_out_stays_where_it_is_and_null_removes_it(api: Api, ada: Principal) -> None:
    made = (await create(api, ada))["connection"]
    away: dict[str, object] = {"baseUrl": "https://elsewhere.example.com/v1"}

    async def changed(settings: dict[str, object]) -> Any:
        change = {"id": made["id"], "settings": {"openaiCompatible": settings}}
        return (await api.run(UPDATE, {"input": change}, caller=ada)).data["updateConnection"]

    path = ["input", "settings", "openaiCompatible", "apiKey"]
    assert (await changed(away))["userErrors"] == [{"code": "INVALID_INPUT", "path": path}]
    assert not (await changed({**away, "apiKey": None}))["connection"]["hasCredential"]


async def test_a_workspace_shows_its_default_connection(api: Api, ada: Principal) -> None:
    await create(api, ada)
    assert (await api.run(DEFAULT, caller=ada)).data["viewer"]["workspaces"]["nodes"] == [{"defaultConnection": None}]
    chosen = """ mutation ($id: ID!) { updateWorkspace(input: { id: $id, defaultConnection: "local" }) { userErrors { code } } } """
    changed = await api.run(chosen, {"id": to_global(Prefix.WORKSPACE, ada.workspace(None))}, caller=ada)
    assert changed.data["updateWorkspace"]["userErrors"] == []
    shown = (await api.run(DEFAULT, caller=ada)).data["viewer"]["workspaces"]["nodes"]
    assert shown == [{"defaultConnection": {"name": "local"}}]
