from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.identity import Role, Scope
from domain.ids import Prefix, to_global
from gql.credentials import find_caller
from gql.schema import build_schema
from runtime.settings import Settings
from tests.gql.test_workflow_schema import BUILT, DRAFT
from tests.support.api import Api
from tests.support.hooks import called_workflow, deliver
from tests.support.identity import PASSWORD
from tests.support.query_count import counting
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
HOOK = "id name prefix isSigned lastCalledAt createdAt workflow { id }"
CREATE = f"""mutation ($input: CreateWebhookInput!) {{ createWebhook(input: $input) {{
  webhook {{ {HOOK} }} url signingKey userErrors {{ code path message }} }} }}"""
ROTATE = f"""mutation ($id: ID!) {{ rotateWebhook(input: {{ id: $id }}) {{
  webhook {{ {HOOK} }} url signingKey userErrors {{ code path }} }} }}"""
DELETE = """mutation ($id: ID!) { deleteWebhook(input: { id: $id }) { deletedWebhookId userErrors { code path } } }"""
OF_WORKSPACE = """query ($ws: ID!, $first: Int, $after: String, $last: Int, $before: String) { workspace(id: $ws) {
  webhooks(first: $first, after: $after, last: $last, before: $before) {
    totalCount pageInfo { hasNextPage endCursor startCursor } edges { cursor } nodes { name } } } }"""
OF_WORKFLOWS = """query ($first: Int, $after: String, $last: Int, $before: String) { workflows { nodes {
  name webhooks(first: $first, after: $after, last: $last, before: $before) { totalCount edges { cursor node { name workflow { name } } } } } } }"""
TRIGGERS = "{ runs { nodes { trigger { kind webhook { name } } } } }"
AUDIT = (
    "query ($ws: ID!) { workspace(id: $ws) { auditEntries { nodes { action targetId targetName actor { email } } } } }"
)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncGenerator[Api]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Api(SCHEMA, services)


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (await api.services.identity.sign_up("ada@example.com", PASSWORD, "ada", None, address="")).principal


async def workflow(api: Api, owner: Principal) -> str:
    return to_global(Prefix.WORKFLOW, await called_workflow(api.services, owner))


async def create(api: Api, caller: Principal, workflow_id: str, **more: object) -> dict[str, Any]:
    given = {"workflowId": workflow_id, "name": "shop", **more}
    return (await api.run(CREATE, {"input": given}, caller=caller)).data["createWebhook"]


def home(owner: Principal) -> str:
    return to_global(Prefix.WORKSPACE, next(iter(owner.roles)))


@pytest.mark.parametrize(
    "name",
    [
        "Webhook", "WebhookEdge", "WebhookConnection", "CreateWebhookInput", "CreateWebhookPayload", "RotateWebhookInput",
        "RotateWebhookPayload", "DeleteWebhookInput", "DeleteWebhookPayload",
    ],
)  # fmt: skip
def test_a_type_is_the_one_of_the_design(name: str) -> None:
    built, draft = (schema.type_map[name] for schema in (BUILT, DRAFT))
    assert built.description == draft.description
    fields = [{key: str(one.type) for key, one in schema.fields.items()} for schema in (built, draft)]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
    assert fields[0] == fields[1]


async def test_url_and_key_are_shown_once_and_never_again(api: Api, ada: Principal) -> None:
    workflow_id = await workflow(api, ada)
    made = await create(api, ada, workflow_id, isSigned=True)
    hook = made["webhook"]
    token = made["url"].partition("/hooks/")[2]
    assert hook == {
        "id": hook["id"],
        "name": "shop",
        "prefix": token[:9],
        "isSigned": True,
        "lastCalledAt": None,
        "createdAt": hook["createdAt"],
        "workflow": {"id": workflow_id},
    }
    assert made["signingKey"].startswith("whsec_")
    again = await api.run(f"query ($id: ID!) {{ node(id: $id) {{ ... on Webhook {{ {HOOK} }} }} }}", {"id": hook["id"]}, caller=ada)  # fmt: skip
    assert again.data == {"node": hook}
    plain = await create(api, ada, workflow_id)
    assert (plain["webhook"]["isSigned"], plain["signingKey"]) == (False, None)
    rotated = (await api.run(ROTATE, {"id": hook["id"]}, caller=ada)).data["rotateWebhook"]
    assert rotated["webhook"] == {**hook, "prefix": rotated["webhook"]["prefix"]}
    assert rotated["webhook"]["prefix"] == rotated["url"].partition("/hooks/")[2][:9]
    assert len({made["url"], rotated["url"], made["signingKey"], rotated["signingKey"]}) == 4


@pytest.mark.parametrize("name", [" ", "x" * 101, "two\nlines"])
async def test_a_name_is_one_line(api: Api, ada: Principal, name: str) -> None:
    made = await create(api, ada, await workflow(api, ada), name=name)
    assert [(error["code"], error["path"]) for error in made["userErrors"]] == [("INVALID_INPUT", ["input", "name"])]
    assert made["webhook"] is None


async def test_a_workspace_has_a_thousand_webhooks_at_most(
    api: Api, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.webhooks._MAX_WEBHOOKS", 1)
    workflow_id = await workflow(api, ada)
    told = [await create(api, ada, workflow_id) for _ in range(2)]
    assert [[error["code"] for error in one["userErrors"]] for one in told] == [[], ["LIMIT_EXCEEDED"]]


async def test_webhooks_are_listed_by_name_in_pages_of_workspaces_and_workflows(api: Api, ada: Principal) -> None:
    workflow_id, other = await workflow(api, ada), await workflow(api, ada)
    for name, owner in (("b", workflow_id), ("a", workflow_id), ("c", other)):
        await create(api, ada, owner, name=name)
    whole = (await api.run(OF_WORKSPACE, {"ws": home(ada), "first": 2}, caller=ada)).data["workspace"]["webhooks"]
    assert (whole["totalCount"], whole["nodes"]) == (3, [{"name": "a"}, {"name": "b"}])
    behind = {"ws": home(ada), "first": 2, "after": whole["pageInfo"]["endCursor"]}
    rest = (await api.run(OF_WORKSPACE, behind, caller=ada)).data["workspace"]["webhooks"]
    assert rest["nodes"] == [{"name": "c"}]
    before = {"ws": home(ada), "last": 1, "before": rest["pageInfo"]["startCursor"]}
    assert (await api.run(OF_WORKSPACE, before, caller=ada)).data["workspace"]["webhooks"]["nodes"] == [{"name": "b"}]
    by_workflow = (await api.run(OF_WORKFLOWS, {"first": 1}, caller=ada)).data["workflows"]["nodes"]
    listed = [(one["webhooks"]["totalCount"], one["webhooks"]["edges"][0]["node"]["name"]) for one in by_workflow]
    assert sorted(listed) == [(1, "c"), (2, "a")]
    cursor = next(one["webhooks"]["edges"][0]["cursor"] for one in by_workflow if one["webhooks"]["totalCount"] == 2)
    more = (await api.run(OF_WORKFLOWS, {"after": cursor}, caller=ada)).data["workflows"]["nodes"]
    assert {len(one["webhooks"]["edges"]) for one in more} == {1}
    less = await api.run(OF_WORKFLOWS, {"last": 1, "before": cursor}, caller=ada)
    assert [len(one["webhooks"]["edges"]) for one in less.data["workflows"]["nodes"]] == [0, 0]


async def test_a_run_tells_its_webhook_and_many_do_so_in_as_many_statements_as_one(api: Api, ada: Principal) -> None:
    counts: list[int] = []
    for times in (1, 4):
        for _ in range(times):
            made = await create(api, ada, await workflow(api, ada))
            await deliver(api.services, made["url"].partition("/hooks/")[2])
        with counting(with_driver=True) as statements:
            told = await api.run(TRIGGERS, caller=ada)
        assert {str(node["trigger"]) for node in told.data["runs"]["nodes"]} == {
            str({"kind": "WEBHOOK", "webhook": {"name": "shop"}})
        }
        counts.append(statements.count)
    assert counts[0] == counts[1]


async def test_making_rotating_and_deleting_are_in_the_audit_log(api: Api, ada: Principal) -> None:
    hook = (await create(api, ada, await workflow(api, ada)))["webhook"]["id"]
    await api.run(ROTATE, {"id": hook}, caller=ada)
    deleted = (await api.run(DELETE, {"id": hook}, caller=ada)).data["deleteWebhook"]
    assert deleted == {"deletedWebhookId": hook, "userErrors": []}
    for document in (ROTATE, DELETE):
        (late,) = (await api.run(document, {"id": hook}, caller=ada)).data.values()
        assert late["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]
    entries = (await api.run(AUDIT, {"ws": home(ada)}, caller=ada)).data["workspace"]["auditEntries"]["nodes"]
    assert [entry for entry in entries if entry["targetId"] == hook] == [
        {"action": action, "targetId": hook, "targetName": "shop", "actor": {"email": "ada@example.com"}}
        for action in ("WEBHOOK_DELETED", "WEBHOOK_ROTATED", "WEBHOOK_CREATED")
    ]


async def test_a_key_that_may_start_no_run_gets_no_url_that_does(api: Api, ada: Principal) -> None:
    workflow_id = await workflow(api, ada)
    hook = (await create(api, ada, workflow_id))["webhook"]["id"]
    for scopes, codes in (([Scope.WRITE], ["FORBIDDEN"]), ([Scope.EXECUTE], ["FORBIDDEN"]), (list(Scope)[:3], [])):
        _, token = await api.services.api_keys.create(ada, None, "CI", scopes)
        key = await find_caller(api.services, token)
        assert key is not None
        made = await create(api, key, workflow_id)
        rotated = (await api.run(ROTATE, {"id": hook}, caller=key)).data["rotateWebhook"]
        for told in (made, rotated):
            assert [error["code"] for error in told["userErrors"]] == codes
            assert (told["url"] is None) is bool(codes)


async def test_a_viewer_sees_webhooks_and_makes_none(api: Api, ada: Principal) -> None:
    workflow_id = await workflow(api, ada)
    await create(api, ada, workflow_id)
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    seen = await api.run(OF_WORKSPACE, {"ws": home(ada)}, caller=viewer)
    assert seen.data["workspace"]["webhooks"]["totalCount"] == 1
    assert [error["code"] for error in (await create(api, viewer, workflow_id))["userErrors"]] == ["FORBIDDEN"]
