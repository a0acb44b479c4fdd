from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.identity import ROLES_WITH, Permission, Scope, scope_for
from domain.ids import Prefix, to_global
from gql.credentials import find_caller
from gql.schema import build_schema
from runtime.settings import Settings
from tests.gql.test_permissions import FIELDS, codes, permission, prefix_of, values
from tests.support.api import Api
from tests.support.identity import PASSWORD
from tests.support.query_count import counting
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
KEY = "id name prefix scopes workspace { id } createdBy { email } expiresAt lastUsedAt revokedAt createdAt"
CREATE = f"""
mutation ($input: CreateApiKeyInput!) {{ createApiKey(input: $input) {{
  token apiKey {{ {KEY} }} userErrors {{ __typename code path }}
}} }}
"""
ROTATE = """
mutation ($input: RotateApiKeyInput!) { rotateApiKey(input: $input) {
  token apiKey { id prefix } userErrors { code path }
} }
"""
REVOKE = """
mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { apiKey { id revokedAt } userErrors { code path } } }
"""
OWN = """
query ($first: Int, $after: String) { viewer { scopes workspaces { nodes { id role } }
  apiKeys(first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor } nodes { name } } } }
"""
OF_WORKSPACES = """
{ viewer { workspaces { nodes { apiKeys(first: 50) { totalCount nodes { id createdBy { name } workspace { name } } } } } } }
"""
MUTATIONS = [each for each in FIELDS if each.operation == "mutation"]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncGenerator[Api]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Api(SCHEMA, services)


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (await api.services.identity.sign_up("ada@example.com", PASSWORD, "ada", None, address="")).principal


async def create(api: Api, caller: Principal, *scopes: Scope, **more: object) -> dict[str, Any]:
    given = {"name": "CI", "scopes": [scope.value for scope in scopes], **more}
    answer = await api.run(CREATE, {"input": given}, caller=caller)
    assert answer.data["createApiKey"]["userErrors"] == []
    return answer.data["createApiKey"]


async def caller_of(api: Api, token: str) -> Principal:
    caller = await find_caller(api.services, token)
    assert caller is not None
    return caller


async def test_a_key_is_shown_with_its_text_once_and_without_it_ever_after(api: Api, ada: Principal) -> None:
    made = await create(api, ada, Scope.READ, Scope.EXECUTE, expiresAt="2036-01-01T00:00:00Z")
    key, token = made["apiKey"], made["token"]
    home = to_global(Prefix.WORKSPACE, next(iter(ada.roles)))
    assert key | {"createdAt": ""} == {
        "id": key["id"],
        "name": "CI",
        "prefix": token[:9],
        "scopes": ["READ", "EXECUTE"],
        "workspace": {"id": home},
        "createdBy": {"email": "ada@example.com"},
        "expiresAt": "2036-01-01T00:00:00Z",
        "lastUsedAt": None,
        "revokedAt": None,
        "createdAt": "",
    }
    again = await api.run(f"query ($id: ID!) {{ node(id: $id) {{ ... on ApiKey {{ {KEY} }} }} }}", {"id": key["id"]}, caller=ada)  # fmt: skip
    assert again.data == {"node": key}
    assert token not in str(again)


async def test_a_key_is_rotated_and_revoked(api: Api, ada: Principal) -> None:
    made = await create(api, ada, Scope.READ)
    key_id = made["apiKey"]["id"]
    rotated = (await api.run(ROTATE, {"input": {"id": key_id}}, caller=ada)).data["rotateApiKey"]
    assert rotated == {
        "token": rotated["token"],
        "apiKey": {"id": key_id, "prefix": rotated["token"][:9]},
        "userErrors": [],
    }
    # For a day, if nothing else is said, both work.
    for token in (made["token"], rotated["token"]):
        assert await find_caller(api.services, token)
    revoked = (await api.run(REVOKE, {"id": key_id}, caller=ada)).data["revokeApiKey"]
    assert revoked["apiKey"]["revokedAt"] is not None
    for token in (made["token"], rotated["token"]):
        assert await find_caller(api.services, token) is None
    late = await api.run(ROTATE, {"input": {"id": key_id}}, caller=ada)
    assert late.data["rotateApiKey"]["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "id"]}]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": " "}, ["input", "name"]),
        ({"name": "x" * 101}, ["input", "name"]),
        ({"scopes": []}, ["input", "scopes"]),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, ["input", "expiresAt"]),
    ],
)
async def test_what_is_wrong_with_a_new_key_is_told_with_its_place(
    api: Api, ada: Principal, given: dict[str, object], path: list[str]
) -> None:
    answer = await api.run(CREATE, {"input": {"name": "CI", "scopes": ["READ"]} | given}, caller=ada)
    made = answer.data["createApiKey"]
    assert (made["token"], made["apiKey"]) == (None, None)
    assert [(error["code"], error["path"]) for error in made["userErrors"]] == [("INVALID_INPUT", path)]


async def test_a_caller_with_a_key_sees_its_scopes_and_its_one_workspace(api: Api, ada: Principal) -> None:
    made = await create(api, ada, Scope.EXECUTE)
    answer = await api.run(OWN, {}, caller=await caller_of(api, made["token"]))
    assert answer.data["viewer"] == {
        "scopes": ["READ", "EXECUTE"],
        "workspaces": {"nodes": [{"id": made["apiKey"]["workspace"]["id"], "role": "OWNER"}]},
        "apiKeys": {
            "totalCount": 1,
            "pageInfo": {"hasNextPage": False, "endCursor": answer.data["viewer"]["apiKeys"]["pageInfo"]["endCursor"]},
            "nodes": [{"name": "CI"}],
        },
    }
    session = await api.run(OWN, {}, caller=ada)
    assert session.data["viewer"]["scopes"] == [scope.value for scope in Scope]


async def test_keys_are_listed_newest_first_in_pages(api: Api, ada: Principal) -> None:
    for name in "abc":
        await create(api, ada, Scope.READ, name=name)
    first = (await api.run(OWN, {"first": 2}, caller=ada)).data["viewer"]["apiKeys"]
    assert (first["totalCount"], first["nodes"]) == (3, [{"name": "c"}, {"name": "b"}])
    rest = await api.run(OWN, {"first": 2, "after": first["pageInfo"]["endCursor"]}, caller=ada)
    assert rest.data["viewer"]["apiKeys"]["nodes"] == [{"name": "a"}]


async def test_the_keys_of_workspaces_take_the_same_statements_for_one_as_for_twenty(api: Api, ada: Principal) -> None:
    counts: list[int] = []
    for times in (1, 19):
        for _ in range(times):
            await create(api, ada, Scope.READ)
        with counting() as statements:
            answer = await api.run(OF_WORKSPACES, caller=ada)
        assert answer.errors == []
        counts.append(statements.count)
    assert counts == [5, 5]  # workspaces, keys, their number, makers, workspaces of the keys


# ── what a key may do ──


async def test_a_key_that_may_read_is_forbidden_every_mutation_of_the_schema(api: Api, ada: Principal) -> None:
    reader = await caller_of(api, (await create(api, ada, Scope.READ))["token"])
    assert len(MUTATIONS) > 40
    told: dict[str, set[str]] = {}
    for each in MUTATIONS:
        ids = {place: to_global(prefix_of(place), uuid7()) for place in each.ids}
        answer = await api.run(each.document(), each.variables(ids, values(each)), caller=reader)
        told[each.name] = codes(answer)
        assert answer.errors == [], each.name  # it is data, as all that a caller may not do
    assert {name: found for name, found in told.items() if found != {"FORBIDDEN"}} == {}


async def test_no_key_acts_on_accounts_and_sessions(api: Api, ada: Principal) -> None:
    whole = await caller_of(api, (await create(api, ada, *Scope))["token"])
    personal = [each for each in MUTATIONS if permission(each) in {Permission.PUBLIC, Permission.SIGNED_IN}]
    assert {"signIn", "signOut", "changePassword"} <= {each.name for each in personal}
    for each in personal:
        ids = {place: to_global(prefix_of(place), uuid7()) for place in each.ids}
        answer = await api.run(each.document(), each.variables(ids, values(each)), caller=whole)
        assert codes(answer) == {"FORBIDDEN"}, each.name


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_scope_opens_the_mutations_that_declare_it_and_no_others(
    api: Api, ada: Principal, scope: Scope
) -> None:
    caller = await caller_of(api, (await create(api, ada, scope))["token"])
    opened: set[Scope | None] = set()
    for each in MUTATIONS:
        ids = {place: to_global(prefix_of(place), uuid7()) for place in each.ids}
        answer = await api.run(each.document(), each.variables(ids, values(each)), caller=caller)
        declared = permission(each)
        needed = scope_for(declared) if declared is not None and declared in ROLES_WITH else None
        assert ("FORBIDDEN" in codes(answer)) is (needed is not scope), each.name
        opened |= {needed} if "FORBIDDEN" not in codes(answer) else set()
    assert opened == (set() if scope is Scope.READ else {scope})


async def test_a_key_makes_nobody_an_admin_or_an_owner(api: Api, ada: Principal) -> None:
    key = await caller_of(api, (await create(api, ada, *Scope))["token"])
    invite = """ mutation ($role: Role!) { inviteMember(input: { email: "ben@example.com", role: $role }) {
        acceptUrl userErrors { code } } } """
    change = """ mutation ($id: ID!, $role: Role!) { setMemberRole(input: { id: $id, role: $role }) { userErrors { code } } } """
    found = await api.run("{ viewer { workspaces { nodes { members { nodes { id } } } } } }", caller=ada)
    own = found.data["viewer"]["workspaces"]["nodes"][0]["members"]["nodes"][0]["id"]
    for role in ("OWNER", "ADMIN"):
        assert codes(await api.run(invite, {"role": role}, caller=key)) == {"FORBIDDEN"}
        assert codes(await api.run(change, {"id": own, "role": role}, caller=key)) == {"FORBIDDEN"}
    assert codes(await api.run(invite, {"role": "EDITOR"}, caller=key)) == set()


async def test_a_run_that_a_key_starts_says_so(api: Api, ada: Principal) -> None:
    whole = await caller_of(api, (await create(api, ada, *Scope))["token"])
    document = """
    mutation ($graph: GraphInput) { createWorkflow(input: { name: "One", graph: $graph }) { workflow { id } } }
    """
    graph: dict[str, Any] = {"nodes": [{"key": "one", "config": {"transform": {"fields": []}}}], "edges": []}
    workflow = (await api.run(document, {"graph": graph}, caller=ada)).data["createWorkflow"]["workflow"]["id"]
    start = """
    mutation ($id: ID!) { startRun(input: { workflowId: $id }) { run { trigger { kind user { email } } } userErrors { code } } }
    """
    for caller, kind in ((whole, "API_KEY"), (ada, "MANUAL")):
        answer = await api.run(start, {"id": workflow}, caller=caller)
        assert answer.data["startRun"] == {
            "run": {"trigger": {"kind": kind, "user": {"email": "ada@example.com"}}},
            "userErrors": [],
        }
