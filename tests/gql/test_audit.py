from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Unauthenticated
from domain.identity import Role, Scope
from domain.ids import MemberId, Prefix, from_global, to_global
from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import PASSWORD
from tests.support.query_count import counting
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
ENTRY = "id at action actor { id name } apiKey { name } targetId targetName address"
LOG = f"""
query ($id: ID!, $filter: AuditFilter, $first: Int, $after: String) {{ workspace(id: $id) {{
  auditEntries(filter: $filter, first: $first, after: $after) {{
    totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ENTRY} }}
}} }} }}
"""
CHANGES = [
    """ mutation { createSecret(input: { name: "A", value: "canary" }) { secret { id } userErrors { code } } } """,
    """ mutation ($secret: ID!) { updateSecret(input: { id: $secret, value: "b" }) { secret { id } userErrors { code } } } """,
    """ mutation ($secret: ID!) { deleteSecret(input: { id: $secret }) { deletedSecretId userErrors { code } } } """,
    """ mutation { createConnection(input: { name: "c", settings: { openaiCompatible: { baseUrl: "https://models.example.com/v1", apiKey: "canary" } } }) { connection { id } userErrors { code } } } """,
    """ mutation ($connection: ID!) { deleteConnection(input: { id: $connection }) { deletedConnectionId userErrors { code } } } """,
    """ mutation { createWorkflow(input: { name: "One", graph: { nodes: [{ key: "one", config: { transform: { fields: [] } } }], edges: [] } }) { workflow { id } userErrors { code } } } """,
    """ mutation ($workflow: ID!) { publishWorkflow(input: { id: $workflow, expectedRevision: 1 }) { version { id } userErrors { code } } } """,
    """ mutation ($workflow: ID!) { publishWorkflow(input: { id: $workflow, expectedRevision: 1 }) { version { id } userErrors { code } } } """,
    """ mutation ($workflow: ID!) { deleteWorkflow(input: { id: $workflow }) { deletedWorkflowId userErrors { code } } } """,
    """ mutation { createCollection(input: { name: "docs" }) { collection { id } userErrors { code } } } """,
    """ mutation ($collection: ID!) { deleteCollection(input: { id: $collection }) { deletedCollectionId userErrors { code } } } """,
    """ mutation { createDataTable(input: { name: "rows", columns: [{ name: "a", type: TEXT }] }) { dataTable { id } userErrors { code } } } """,
    """ mutation ($dataTable: ID!) { deleteDataTable(input: { id: $dataTable }) { deletedDataTableId userErrors { code } } } """,
]
LOGGED = [
    ("SIGNED_IN", None),
    ("SECRET_WRITTEN", "A"),
    ("SECRET_WRITTEN", "A"),
    ("SECRET_DELETED", "A"),
    ("CONNECTION_WRITTEN", "c"),
    ("CONNECTION_DELETED", "c"),
    ("WORKFLOW_PUBLISHED", "One"),
    ("WORKFLOW_DELETED", "One"),
    ("COLLECTION_DELETED", "docs"),
    ("DATA_TABLE_DELETED", "rows"),
]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncGenerator[Api]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Api(SCHEMA, services)


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (
        await api.services.identity.sign_up("ada@example.com", PASSWORD, "ada", None, address="192.0.2.5")
    ).principal


async def log(api: Api, caller: Principal, **variables: object) -> dict[str, Any]:
    home = to_global(Prefix.WORKSPACE, next(iter(caller.roles)))
    answer = await api.run(LOG, {"id": home, **variables}, caller=caller)
    assert answer.errors == []
    return answer.data["workspace"]["auditEntries"]


async def change(api: Api, caller: Principal) -> dict[str, str]:
    """Do all of `CHANGES`; gives the id of what each object was."""
    ids: dict[str, str] = {}
    for document in CHANGES:
        answer = await api.run(document, {name: ids[name] for name in ids if f"${name}" in document}, caller=caller)
        assert answer.errors == []
        (payload,) = answer.data.values()
        assert payload.pop("userErrors") == [], document
        ((name, made),) = payload.items()
        ids |= {name: made["id"]} if isinstance(made, dict) else {}
    return ids


async def test_secrets_connections_publishing_and_deletions_are_in_the_log_with_actor_target_and_address(
    api: Api, ada: Principal
) -> None:
    ids = await change(api, ada)
    shown = await log(api, ada)
    entries = shown["nodes"][::-1]
    assert [(entry["action"], entry["targetName"]) for entry in entries] == LOGGED
    assert shown["totalCount"] == len(LOGGED)
    assert "canary" not in str(shown)
    assert {entry["actor"]["name"] for entry in entries} == {"ada"}
    assert [entry["address"] for entry in entries] == ["192.0.2.5", *["192.0.2.1"] * (len(LOGGED) - 1)]
    assert [entry["targetId"] for entry in entries[1:4]] == [ids["secret"]] * 3
    assert entries[-1]["targetId"] == ids["dataTable"]


async def test_what_was_refused_is_not_in_the_log(api: Api, ada: Principal) -> None:
    await api.run(CHANGES[0], caller=ada)
    again = await api.run(CHANGES[0], caller=ada)
    assert again.data["createSecret"]["userErrors"] == [{"code": "ALREADY_EXISTS"}]
    assert [entry["action"] for entry in (await log(api, ada))["nodes"]] == ["SECRET_WRITTEN", "SIGNED_IN"]


async def test_an_entry_names_the_key_that_was_used(api: Api, ada: Principal) -> None:
    _, token = await api.services.api_keys.create(ada, None, "robot", [Scope.ADMIN])
    await api.run(CHANGES[0], caller=await api.services.api_keys.authenticate(token))
    newest = (await log(api, ada, first=1))["nodes"][0]
    assert (newest["action"], newest["actor"]["name"], newest["apiKey"]) == ("SECRET_WRITTEN", "ada", {"name": "robot"})


async def test_the_log_comes_in_pages_and_is_filtered(api: Api, ada: Principal) -> None:
    ids = await change(api, ada)
    first = await log(api, ada, first=3)
    second = await log(api, ada, first=100, after=first["pageInfo"]["endCursor"])
    assert first["pageInfo"]["hasNextPage"] is True
    actions = [entry["action"] for entry in (first["nodes"] + second["nodes"])[::-1]]
    assert actions == [action for action, _ in LOGGED]

    async def found(**chosen: object) -> list[str]:
        page = await log(api, ada, filter=chosen)
        assert page["totalCount"] == len(page["nodes"])
        return [entry["action"] for entry in page["nodes"]]

    assert await found(actions=["WORKFLOW_PUBLISHED", "SIGNED_IN"]) == ["WORKFLOW_PUBLISHED", "SIGNED_IN"]
    assert await found(targetId=ids["connection"]) == ["CONNECTION_DELETED", "CONNECTION_WRITTEN"]
    assert await found(targetId="no id") == []
    assert len(await found(actorId=to_global(Prefix.USER, ada.user.id))) == len(LOGGED)
    assert await found(at={"until": "2020-01-01T00:00:00Z"}) == []
    assert len(await found(at={"from": "2020-01-01T00:00:00Z", "until": None})) == len(LOGGED)
    home = to_global(Prefix.WORKSPACE, next(iter(ada.roles)))
    for wrong in ({"actorId": "secret_1"}, {"targetId": "x" * 201}, {"targetId": "\0"}):
        answer = await api.run(LOG, {"id": home, "filter": wrong}, caller=ada)
        assert answer.codes in (["NOT_FOUND"], ["INVALID_INPUT"]), wrong


async def test_an_entry_is_found_by_its_id_by_owners_and_admins_alone(api: Api, ada: Principal) -> None:
    (entry,) = (await log(api, ada))["nodes"]
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on AuditEntry {{ {ENTRY} }} }} }}"
    for role in Role:
        actor = replace(ada, roles=dict.fromkeys(ada.roles, role))
        found = await api.run(document, {"id": entry["id"]}, caller=actor)
        assert found.data == {"node": entry if role in {Role.OWNER, Role.ADMIN} else None}


async def test_a_page_of_the_log_takes_the_same_statements_for_one_key_as_for_ten(api: Api, ada: Principal) -> None:
    counts: list[int] = []
    for number in range(10):
        _, token = await api.services.api_keys.create(ada, None, f"robot {number}", [Scope.ADMIN])
        caller = await api.services.api_keys.authenticate(token)
        await api.services.secrets.create(caller, None, f"S_{number}", "value", None)
        with counting() as statements:
            assert len((await log(api, ada, first=100))["nodes"]) == 2 * number + 3
        counts.append(statements.count)
    assert counts == [5] * 10  # the workspace, its page, people, keys, and the count


async def test_who_came_who_went_and_what_they_may_do_is_logged_and_a_removed_members_keys_end(
    api: Api, ada: Principal
) -> None:
    people, home = api.services.people, next(iter(ada.roles))
    invited, token = await people.invitations.invite(ada, home, "ben@example.com", Role.EDITOR, None)
    withdrawn, _ = await people.invitations.invite(ada, home, "cleo@example.com", Role.VIEWER, None)
    await people.invitations.revoke(ada, withdrawn.id)
    ben = (
        await api.services.identity.sign_up("ben@example.com", PASSWORD, "ben", token, address="192.0.2.6")
    ).principal
    (row,) = [one for one in (await members(api, ada)) if one["user"]["id"] == to_global(Prefix.USER, ben.user.id)]
    member_id = MemberId(from_global(Prefix.MEMBER, row["id"]))
    await people.members.set_role(ada, member_id, Role.ADMIN)
    ben = replace(ben, roles={home: Role.ADMIN})
    made = await api.run(
        """ mutation { createApiKey(input: { name: "of Ben", scopes: [READ] }) { token userErrors { code } } } """,
        caller=ben,
    )
    assert made.data["createApiKey"]["userErrors"] == []
    await people.members.remove(ada, member_id)
    entries = (await log(api, ada, first=50))["nodes"]
    told = [(one["action"], one["actor"]["name"], one["targetName"]) for one in reversed(entries)]
    assert told[1:] == [
        ("MEMBER_INVITED", "ada", "ben@example.com"),
        ("MEMBER_INVITED", "ada", "cleo@example.com"),
        ("INVITATION_REVOKED", "ada", "cleo@example.com"),
        ("MEMBER_JOINED", "ben", "ben@example.com"),
        ("SIGNED_IN", "ben", None),
        ("ROLE_CHANGED", "ada", "ADMIN"),
        ("API_KEY_CREATED", "ben", "of Ben"),
        ("API_KEY_REVOKED", "ada", "of Ben"),
        ("MEMBER_REMOVED", "ada", None),
    ]
    assert entries[-2]["targetId"] == to_global(Prefix.INVITATION, invited.id)
    with pytest.raises(Unauthenticated):
        await api.services.api_keys.authenticate(made.data["createApiKey"]["token"])
    keys = await api.run("{ viewer { workspaces { nodes { apiKeys { nodes { name revokedAt } } } } } }", caller=ada)
    (key,) = keys.data["viewer"]["workspaces"]["nodes"][0]["apiKeys"]["nodes"]
    assert key["revokedAt"] is not None


async def test_one_workspaces_refusal_leaves_the_logs_of_others_alone(api: Api, ada: Principal) -> None:
    ben = (await api.services.identity.sign_up("ben@example.com", PASSWORD, "ben", None, address="")).principal
    (own,), (others,) = ben.roles, ada.roles
    ben = replace(ben, roles={**ben.roles, others: Role.VIEWER})
    document = """ query ($own: ID!, $others: ID!) {
      own: workspace(id: $own) { name auditEntries { totalCount nodes { action } } }
      others: workspace(id: $others) { name auditEntries { totalCount nodes { action } } }
    } """
    ids = {"own": to_global(Prefix.WORKSPACE, own), "others": to_global(Prefix.WORKSPACE, others)}
    answer = await api.run(document, ids, caller=ben)
    assert answer.codes == ["FORBIDDEN"]
    assert answer.data["others"] is None
    assert answer.data["own"]["auditEntries"] == {"totalCount": 1, "nodes": [{"action": "SIGNED_IN"}]}


async def members(api: Api, caller: Principal) -> list[dict[str, Any]]:
    found = await api.run("{ viewer { workspaces { nodes { members { nodes { id user { id } } } } } } }", caller=caller)
    return found.data["viewer"]["workspaces"]["nodes"][0]["members"]["nodes"]
