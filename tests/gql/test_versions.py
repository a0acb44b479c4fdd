from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from domain.ids import Prefix, to_global
from gql.schema import build_schema
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services, settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database

CREATE = (
    "mutation ($i: CreateWorkflowInput!) { createWorkflow(input: $i) { workflow { id } userErrors { code message } } }"
)
UPDATE = (
    "mutation ($i: UpdateWorkflowInput!) { updateWorkflow(input: $i) { workflow { revision } userErrors { code } } }"
)
PUBLISH = """
mutation ($i: PublishWorkflowInput!) { publishWorkflow(input: $i) {
  version { id number note publishedBy { name } workflow { slug } }
  workflow { revision hasUnpublishedChanges publishedVersion { number } }
  userErrors { __typename code path ... on ConflictError { currentRevision } ... on GraphProblemsError { problems { code } } }
} }
"""
RESTORE = """
mutation ($i: RestoreWorkflowVersionInput!) { restoreWorkflowVersion(input: $i) {
  workflow { revision hasUnpublishedChanges graph { nodes { key position { x y } } } } userErrors { code path }
} }
"""
MOVE = "mutation ($i: MoveNodesInput!) { moveNodes(input: $i) { userErrors { code } } }"
SHOW = """
query ($id: ID!, $n: Int!) { workflow(id: $id) {
  hasUnpublishedChanges publishedVersion { number }
  version(number: $n) { number inputSchema output { name } settings { timeoutMs } graph { nodes { key position { x } } } }
  versions(first: 2) { totalCount pageInfo { hasNextPage } nodes { number } }
} }
"""
DIFF = """
query ($id: ID!, $from: VersionChoiceInput, $to: VersionChoiceInput) { workflow(id: $id) { diff(from: $from, to: $to) {
  isEmpty isReordered nodesAdded { key } nodesRemoved { key } edgesAdded { source } edgesRemoved { source }
  nodesChanged { nodeKey changes { kind path before after } } nodesMoved { nodeKey before { x } after { x } }
  inputSchema { path } output { path } settings { kind path before after }
} } }
"""
START = (
    "mutation ($i: StartRunInput!) { startRun(input: $i) { run { id version { number } } userErrors { code path } } }"
)
RUNS = "{ runs(first: 100) { nodes { version { number graph { nodes { key } } publishedBy { name } } } } }"


def graph(value: object, x: float | None = None) -> dict[str, Any]:
    node: dict[str, Any] = {"key": "a", "config": {"transform": {"fields": [{"name": "v", "value": value}]}}}
    return {"nodes": [node if x is None else {**node, "position": {"x": x, "y": 0}}], "edges": []}


class Desk:
    """The API as one caller uses it."""

    def __init__(self, api: Api, caller: Principal) -> None:
        self.api = api
        self.caller = caller

    async def ask(self, document: str, **variables: object) -> Any:
        answer = await self.api.run(document, variables, caller=self.caller)
        assert answer.errors == []
        return next(iter(answer.data.values()))

    async def create(self, name: str, **more: object) -> str:
        made = await self.ask(CREATE, i={"name": name, **more})
        assert made["userErrors"] == []
        return made["workflow"]["id"]

    async def publish(self, workflow_id: str, revision: int, **more: object) -> Any:
        return await self.ask(PUBLISH, i={"id": workflow_id, "expectedRevision": revision, **more})


@pytest.fixture
async def desk(database: Database, database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_test_services(database_url, tmp_path) as services:
        schema = await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path))
        yield Desk(Api(schema, services), await make_principal(database, "ada"))


async def test_a_draft_is_published_shown_edited_compared_and_restored(desk: Desk) -> None:
    first = {"graph": graph(1, x=1), "inputSchema": {"type": "object"}, "settings": {"timeoutMs": 1_000}}
    workflow_id = await desk.create("Tale", output=[{"name": "o", "value": 1}], **first)
    made = await desk.publish(workflow_id, 1, note="First.")
    assert made["userErrors"] == []
    version = made["version"]
    assert (version["number"], version["note"], version["publishedBy"]["name"]) == (1, "First.", "ada")
    assert version["workflow"] == {"slug": "tale"}
    assert made["workflow"] == {"revision": 1, "hasUnpublishedChanges": False, "publishedVersion": {"number": 1}}
    assert (await desk.ask("query ($id: ID!) { node(id: $id) { __typename id } }", id=version["id"])) == {
        "__typename": "WorkflowVersion", "id": version["id"],
    }  # fmt: skip
    await desk.ask(MOVE, i={"workflowId": workflow_id, "positions": [{"key": "a", "x": 9, "y": 0}]})
    moved = await desk.ask(DIFF, id=workflow_id)
    assert (moved["diff"]["isEmpty"], moved["diff"]["nodesMoved"]) == (
        True, [{"nodeKey": "a", "before": {"x": 1}, "after": {"x": 9}}],
    )  # fmt: skip
    change = {"id": workflow_id, "expectedRevision": 1, "graph": graph(2), "settings": {"timeoutMs": 2_000}}
    await desk.ask(UPDATE, i={**change, "inputSchema": None, "output": []})
    shown = await desk.ask(SHOW, id=workflow_id, n=1)
    assert (shown["hasUnpublishedChanges"], shown["publishedVersion"]) == (True, {"number": 1})
    assert shown["version"] == {
        "number": 1, "inputSchema": {"type": "object"}, "output": [{"name": "o"}], "settings": {"timeoutMs": 1_000},
        "graph": {"nodes": [{"key": "a", "position": {"x": 1}}]},
    }  # fmt: skip
    found = (await desk.ask(DIFF, id=workflow_id))["diff"]
    [node] = found["nodesChanged"]
    path = ["config", "transform", "fields", "0", "value"]
    assert node == {"nodeKey": "a", "changes": [{"kind": "CHANGED", "path": path, "before": 1, "after": 2}]}
    assert found["settings"] == [{"kind": "CHANGED", "path": ["timeoutMs"], "before": 1_000, "after": 2_000}]
    assert (found["isEmpty"], found["inputSchema"], found["output"]) == (False, [{"path": []}], [{"path": ["o"]}])
    assert (await desk.publish(workflow_id, 2))["version"]["number"] == 2
    assert (await desk.ask(DIFF, id=workflow_id))["diff"]["isEmpty"]
    back = (await desk.ask(DIFF, id=workflow_id, **{"from": {"number": 2}, "to": {"number": 1}}))["diff"]
    assert back["nodesChanged"][0]["changes"][0]["after"] == 1
    assert (await desk.ask(DIFF, id=workflow_id, to={"number": 3}))["diff"] is None
    restored = await desk.ask(RESTORE, i={"id": workflow_id, "expectedRevision": 2, "number": 1})
    assert restored["workflow"] == {
        "revision": 3, "hasUnpublishedChanges": True, "graph": {"nodes": [{"key": "a", "position": {"x": 1, "y": 0}}]},
    }  # fmt: skip
    back = (await desk.ask(DIFF, id=workflow_id, **{"from": {"number": 1}, "to": {"track": "DRAFT"}}))["diff"]
    assert (back["isEmpty"], back["nodesMoved"]) == (True, [])
    lacking = await desk.ask(RESTORE, i={"id": workflow_id, "expectedRevision": 3, "number": 9})
    assert lacking["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "number"]}]


async def test_what_cannot_be_published_is_refused_and_nothing_is_published(desk: Desk) -> None:
    broken = {"key": "a", "config": {"faissSearch": {"collection": "nowhere", "searchText": "x"}}}
    workflow_id = await desk.create("Tale", graph={"nodes": [broken], "edges": []})
    [error] = (await desk.publish(workflow_id, 1))["userErrors"]
    assert (error["__typename"], error["problems"]) == ("GraphProblemsError", [{"code": "UNKNOWN_COLLECTION"}])
    [error] = (await desk.publish(workflow_id, 7))["userErrors"]
    assert (error["code"], error["path"], error["currentRevision"]) == ("CONFLICT", ["input", "expectedRevision"], 1)
    shown = await desk.ask(SHOW, id=workflow_id, n=1)
    assert (shown["publishedVersion"], shown["version"], shown["versions"]["totalCount"]) == (None, None, 0)
    assert shown["hasUnpublishedChanges"] is True
    assert (await desk.ask(DIFF, id=workflow_id))["diff"] is None


async def test_a_run_tells_its_version_in_as_many_statements_for_ten_runs_as_for_one(desk: Desk) -> None:
    counts: list[int] = []
    for place in range(5):
        workflow_id = await desk.create(f"Tale {place}", graph=graph(place))
        await desk.publish(workflow_id, 1)
        for use_draft, expected in ((False, {"number": 1}), (True, None)):
            started = await desk.ask(START, i={"workflowId": workflow_id, "useDraft": use_draft})
            assert started["run"]["version"] == expected
        # All that was read is kept in memory; another process reads it anew, all at once.
        cast("Any", desk.api.services.runs)._workflows._workflows._definitions._kept.clear()
        with counting() as statements:
            runs = (await desk.ask(RUNS))["nodes"]
        assert [run["version"] is None for run in runs] == [True, False] * (place + 1)
        assert {run["version"]["publishedBy"]["name"] for run in runs if run["version"]} == {"ada"}
        counts.append(statements.count)
    assert counts == [counts[0]] * 5


async def test_versions_are_listed_with_their_graphs_in_as_many_statements_for_many_as_for_one(desk: Desk) -> None:
    listed = "query ($id: ID!) { workflow(id: $id) { versions(first: 100) { nodes { number graph { nodes { key } } publishedBy { name } } } } }"
    workflow_id = await desk.create("Tale", graph=graph(0))
    counts: list[int] = []
    for revision in range(1, 6):
        await desk.publish(workflow_id, revision)
        await desk.ask(UPDATE, i={"id": workflow_id, "expectedRevision": revision, "graph": graph(revision)})
        cast("Any", desk.api.services.runs)._workflows._workflows._definitions._kept.clear()
        with counting() as statements:
            shown = await desk.ask(listed, id=workflow_id)
        assert [one["number"] for one in shown["versions"]["nodes"]] == list(range(revision, 0, -1))
        counts.append(statements.count)
    assert counts == [counts[0]] * 5


async def test_workflows_are_compared_in_as_many_statements_for_many_as_for_one(desk: Desk) -> None:
    compared = (
        "{ workflows(first: 100) { nodes { draft: diff { nodesAdded { key } }"
        " versions: diff(from: {number: 1}, to: {number: 2}) { isEmpty } } } }"
    )
    counts: list[int] = []
    for place in range(4):
        workflow_id = await desk.create(f"Tale {place}", graph=graph(2 * place))
        await desk.publish(workflow_id, 1)
        await desk.ask(UPDATE, i={"id": workflow_id, "expectedRevision": 1, "graph": graph(2 * place + 1)})
        cast("Any", desk.api.services.runs)._workflows._workflows._definitions._kept.clear()
        with counting() as statements:
            shown = (await desk.ask(compared))["nodes"]
        assert all(one["draft"] is not None and one["versions"] is None for one in shown)
        assert len(shown) == place + 1
        counts.append(statements.count)
    assert counts == [counts[0]] * 4


async def test_who_uses_a_thing_is_told_in_as_many_statements_for_many_things_as_for_one(desk: Desk) -> None:
    secrets = "query ($id: ID!) { workspace(id: $id) { secrets(first: 100) { nodes { name usedBy { nodeKey isPublished workflow { slug } } } } } }"
    counts: list[int] = []
    for place in range(4):
        name = f"KEY_{place}"
        await desk.ask(
            "mutation ($i: CreateSecretInput!) { createSecret(input: $i) { userErrors { code } } }",
            i={"name": name, "value": "v"},
        )
        header = {"name": "X", "value": f"{{{{ secrets.{name} }}}}"}
        node = {"key": "get", "config": {"httpRequest": {"url": "https://a.example", "headers": [header]}}}
        workflow_id = await desk.create(f"Tale {place}", graph={"nodes": [node], "edges": []})
        if place == 0:
            await desk.publish(workflow_id, 1)
        with counting() as statements:
            workspace = await desk.ask(secrets, id=to_global(Prefix.WORKSPACE, next(iter(desk.caller.roles))))
        told = workspace["secrets"]["nodes"]
        assert [one["usedBy"] for one in told] == [
            [{"nodeKey": "get", "isPublished": number == 0, "workflow": {"slug": f"tale-{number}"}}]
            for number in range(place + 1)
        ]
        counts.append(statements.count)
    assert counts == [counts[0]] * 4


async def test_a_thing_that_published_nodes_use_is_not_deleted(desk: Desk) -> None:
    made = await desk.ask(
        "mutation ($i: CreateSecretInput!) { createSecret(input: $i) { secret { id } } }",
        i={"name": "KEY", "value": "v"},
    )
    header = {"name": "X", "value": "{{ secrets.KEY }}"}
    node = {"key": "get", "config": {"httpRequest": {"url": "https://a.example", "headers": [header]}}}
    workflow_id = await desk.create("Tale", graph={"nodes": [node], "edges": []})
    await desk.publish(workflow_id, 1)
    delete = "mutation ($i: DeleteSecretInput!) { deleteSecret(input: $i) { deletedSecretId userErrors { code path message } } }"
    refused = await desk.ask(delete, i={"id": made["secret"]["id"]})
    [error] = refused["userErrors"]
    assert (refused["deletedSecretId"], error["code"], error["path"]) == (None, "IN_USE", ["input", "id"])
    assert "`tale.get`" in error["message"]
    assert await desk.api.services.secrets.names(next(iter(desk.caller.roles))) == {"KEY"}


async def test_a_draft_that_calls_what_is_not_there_says_so_until_it_is(desk: Desk) -> None:
    node = {"key": "call", "config": {"subworkflow": {"workflow": "tale"}}}
    caller = await desk.create("Caller", graph={"nodes": [node], "edges": []})
    asked = "query ($id: ID!) { workflow(id: $id) { isRunnable problems { code nodeKey hint } } }"
    unknown = {"code": "UNKNOWN_WORKFLOW", "nodeKey": "call", "hint": "Make it with `createWorkflow`."}
    assert await desk.ask(asked, id=caller) == {"isRunnable": False, "problems": [unknown]}
    called = await desk.create("Tale", graph=graph(1))
    hint = "Publish it, or call its draft with `version: {track: DRAFT}`."
    unpublished = {"code": "UNPUBLISHED_WORKFLOW", "nodeKey": "call", "hint": hint}
    assert await desk.ask(asked, id=caller) == {"isRunnable": False, "problems": [unpublished]}
    await desk.publish(called, 1)
    assert await desk.ask(asked, id=caller) == {"isRunnable": True, "problems": []}
    gone = await desk.ask("mutation ($i: ID!) { deleteWorkflow(input: {id: $i}) { userErrors { code } } }", i=called)
    assert gone["userErrors"] == []
    assert await desk.ask(asked, id=caller) == {"isRunnable": False, "problems": [unknown]}


async def test_a_workflow_that_always_calls_itself_is_neither_run_nor_published(desk: Desk) -> None:
    node: dict[str, Any] = {"key": "call", "config": {"subworkflow": {"workflow": "loop"}}}
    loop = await desk.create("Loop", slug="loop", graph={"nodes": [node], "edges": []})
    asked = "query ($id: ID!) { workflow(id: $id) { isRunnable problems { code nodeKey path } } }"
    endless = {"code": "ENDLESS_CALLS", "nodeKey": "call", "path": ["config", "subworkflow", "workflow"]}
    assert await desk.ask(asked, id=loop) == {"isRunnable": False, "problems": [endless]}
    [refused] = (await desk.publish(loop, 1))["userErrors"]
    assert refused["problems"] == [{"code": "ENDLESS_CALLS"}]
    [refused] = (await desk.ask(START, i={"workflowId": loop}))["userErrors"]
    assert refused["code"] == "GRAPH_PROBLEMS"
    counting = {"key": "call", "config": {"subworkflow": {"workflow": "count"}}, "when": "input.n > 0"}
    count = await desk.create("Count", slug="count", graph={"nodes": [counting], "edges": []})
    assert (await desk.publish(count, 1))["version"]["number"] == 1
    assert await desk.ask(asked, id=count) == {"isRunnable": True, "problems": []}


async def test_a_slug_that_published_nodes_name_is_not_given_up(desk: Desk) -> None:
    called = await desk.create("Tale", graph=graph(1))
    await desk.publish(called, 1)
    node = {"key": "call", "config": {"subworkflow": {"workflow": "tale"}}}
    await desk.publish(await desk.create("Caller", graph={"nodes": [node], "edges": []}), 1)
    rename = "mutation ($i: UpdateWorkflowInput!) { updateWorkflow(input: $i) { workflow { slug } userErrors { code path message } } }"
    refused = await desk.ask(rename, i={"id": called, "expectedRevision": 1, "slug": "saga"})
    [error] = refused["userErrors"]
    assert (refused["workflow"], error["code"], error["path"]) == (None, "IN_USE", ["input", "slug"])
    assert "`caller.call`" in error["message"]
    same = await desk.ask(rename, i={"id": called, "expectedRevision": 1, "slug": "tale"})
    assert (same["workflow"], same["userErrors"]) == ({"slug": "tale"}, [])


async def test_open_editors_are_told_of_a_publication_and_not_of_one_that_was_none(desk: Desk) -> None:
    workflow_id = await desk.create("Tale", graph=graph(1))
    changed = "subscription ($id: ID!) { workflowChanged(workflowId: $id) { kind revision changedBy { name } } }"
    first = asyncio.create_task(
        desk.api.first(changed, {"id": workflow_id}, caller=desk.caller, timeout_s=20), name="editor"
    )
    followers = desk.api.services.workflow_followers
    while followers.follower_count == 0:
        await asyncio.sleep(0)
    await desk.publish(workflow_id, 1)
    told = await first
    assert told is not None
    assert told.data["workflowChanged"] == {"kind": "PUBLISHED", "revision": 1, "changedBy": {"name": "ada"}}
