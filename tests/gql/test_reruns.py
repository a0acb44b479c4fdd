from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, RunId, from_global
from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.services import open_test_services
from tests.support.web_server import web_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
CREATE = "mutation ($i: CreateWorkflowInput!) { createWorkflow(input: $i) { workflow { id } userErrors { message } } }"
UPDATE = "mutation ($i: UpdateWorkflowInput!) { updateWorkflow(input: $i) { workflow { id } userErrors { message } } }"
PUBLISH = (
    "mutation ($i: PublishWorkflowInput!) { publishWorkflow(input: $i) { version { number } userErrors { message } } }"
)
START = "mutation ($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { message } } }"
RERUN = """
mutation ($i: RerunRunInput!) {
  rerunRun(input: $i) {
    run { id status rerunOf { id } trigger { kind } progress { done total } }
    reusedNodeKeys executedNodeKeys userErrors { code path message }
  }
}
"""
TRY = """
mutation ($i: TryNodeInput!) {
  tryNode(input: $i) { run { id trigger { kind } graph { nodes { key } } } userErrors { code path message } }
}
"""
READ = """
query ($id: ID!) {
  run(id: $id) {
    status output input
    rerunOf { id }
    version { number }
    reruns { nodes { id } totalCount }
    all: nodeRuns { nodes { nodeKey status attempts output reusedFrom { id } } }
    reused: nodeRuns(filter: { statuses: [REUSED], isItem: false }) { nodes { nodeKey } totalCount }
    items: nodeRuns(filter: { isItem: true }) { totalCount }
    snapshot { nodes { key status attempt } }
    events { nodes { __typename ... on NodeEvent { nodeKey attempt } ... on NodeReused { fromRun { id } } } }
  }
}
"""
A = {"key": "a", "config": {"transform": {"fields": [{"name": "q", "value": "{{ input.q }}"}]}}}
B = {
    "key": "b",
    "config": {"transform": {"fields": [{"name": "b", "value": "{{ nodes.a.output.q }} {{ input.who }}"}]}},
}
C = {"key": "c", "config": {"transform": {"fields": [{"name": "c", "value": "{{ nodes.b.output.b }}!"}]}}}
GRAPH = {"nodes": [A, B, C], "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}]}


class Client:
    """A caller of the API."""

    def __init__(self, api: Api, caller: Principal) -> None:
        self.api = api
        self.caller = caller

    async def ask(self, document: str, **given: Any) -> Any:
        """Ask, and return the one field of the answer."""
        variables = given if "id" in given and len(given) == 1 else {"i": given}
        answer = await self.api.run(document, variables, caller=self.caller)
        assert answer.errors == []
        return next(iter(answer.data.values()))

    async def ended(self, run_id: str) -> Any:
        """Wait for a run and read it."""
        async for _ in self.api.services.runs.follow(self.caller, RunId(from_global(Prefix.RUN, run_id)), None):
            pass
        return await self.ask(READ, id=run_id)

    async def ran(self, graph: Any = None, given: Any = None) -> tuple[str, str]:
        """Run a workflow to its end; return the ids of both."""
        workflow = (await self.ask(CREATE, name="W", graph=graph or GRAPH))["workflow"]["id"]
        run = (await self.ask(START, workflowId=workflow, input=given or {"q": "why", "who": "Ada"}))["run"]["id"]
        await self.ended(run)
        return workflow, run


@pytest.fixture
async def client(database_url: str, database: Database, tmp_path: Path) -> AsyncGenerator[Client]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Client(Api(SCHEMA, services), await make_principal(database, "ada"))


async def test_named_nodes_run_again_and_the_rest_is_reused(client: Client) -> None:
    _, first = await client.ran()
    told = await client.ask(RERUN, runId=first, **{"from": "NODES"}, nodeKeys=["b"])
    assert told["userErrors"] == []
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == (["a"], ["b", "c"])
    assert told["run"]["rerunOf"] == {"id": first}
    assert told["run"]["trigger"] == {"kind": "RERUN"}
    assert told["run"]["progress"] == {"done": 1, "total": 3}
    run = await client.ended(told["run"]["id"])
    assert (run["status"], run["output"]) == ("SUCCEEDED", {"c": {"c": "why Ada!"}})
    assert run["all"]["nodes"][0] == {
        "nodeKey": "a", "status": "REUSED", "attempts": 0, "output": {"q": "why"}, "reusedFrom": {"id": first},
    }  # fmt: skip
    assert run["reused"] == {"nodes": [{"nodeKey": "a"}], "totalCount": 1}
    assert run["items"] == {"totalCount": 0}
    assert run["snapshot"]["nodes"][0] == {"key": "a", "status": "REUSED", "attempt": 0}
    assert run["events"]["nodes"][:3] == [
        {"__typename": "RunQueued"},
        {"__typename": "NodeReused", "nodeKey": "a", "attempt": 0, "fromRun": {"id": first}},
        {"__typename": "RunStarted"},
    ]
    before = await client.ask(READ, id=first)
    assert before["rerunOf"] is None
    assert before["reruns"] == {"nodes": [{"id": told["run"]["id"]}], "totalCount": 1}


async def test_failed_goes_on_where_the_run_failed(client: Client) -> None:
    async with web_server() as server:
        config = {"httpRequest": {"url": f"{server.url}/", "expectStatus": [200]}}
        # The guard lets nothing reach this machine, so the request fails.
        fetch = {"key": "fetch", "config": config, "retry": {"maximumAttempts": 1}}
        graph = {"nodes": [A, fetch], "edges": [{"source": "a", "target": "fetch"}]}
        _, first = await client.ran(graph)
    told = await client.ask(RERUN, runId=first, **{"from": "FAILED"})
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == (["a"], ["fetch"])
    run = await client.ended(told["run"]["id"])
    assert (run["status"], run["output"]) == ("FAILED", None)


async def test_another_input_and_the_draft_decide_what_runs_again(client: Client) -> None:
    workflow, first = await client.ran()
    told = await client.ask(RERUN, runId=first, **{"from": "FAILED"}, input={"q": "how", "who": "Ada"})
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == ([], ["a", "b", "c"])
    assert (await client.ended(told["run"]["id"]))["input"] == {"q": "how", "who": "Ada"}
    shout = {"key": "c", "config": {"transform": {"fields": [{"name": "c", "value": "{{ nodes.b.output.b }}?"}]}}}
    await client.ask(UPDATE, id=workflow, expectedRevision=1, graph={**GRAPH, "nodes": [A, B, shout]})
    told = await client.ask(RERUN, runId=first, **{"from": "FAILED"}, graph="DRAFT")
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == (["a", "b"], ["c"])
    assert (await client.ended(told["run"]["id"]))["output"] == {"c": {"c": "why Ada?"}}
    told = await client.ask(RERUN, runId=first, **{"from": "START"})
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == ([], ["a", "b", "c"])


async def test_the_published_version_is_rerun_where_that_is_asked_for(client: Client) -> None:
    workflow, first = await client.ran()
    asked: dict[str, Any] = {"runId": first, "from": "FAILED", "graph": "PUBLISHED"}
    told = await client.ask(RERUN, **asked)
    assert [(error["code"], error["path"]) for error in told["userErrors"]] == [("INVALID_INPUT", ["input", "graph"])]
    assert (await client.ask(READ, id=first))["reruns"]["totalCount"] == 0
    shout = {"key": "c", "config": {"transform": {"fields": [{"name": "c", "value": "{{ nodes.b.output.b }}?"}]}}}
    await client.ask(UPDATE, id=workflow, expectedRevision=1, graph={**GRAPH, "nodes": [A, B, shout]})
    await client.ask(PUBLISH, id=workflow, expectedRevision=2)
    await client.ask(UPDATE, id=workflow, expectedRevision=2, graph={"nodes": [A], "edges": []})
    told = await client.ask(RERUN, **asked)
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == (["a", "b"], ["c"])
    run = await client.ended(told["run"]["id"])
    assert run["output"] == {"c": {"c": "why Ada?"}}
    assert run["version"] == {"number": 1}
    told = await client.ask(RERUN, **{**asked, "runId": told["run"]["id"], "graph": "SAME"})
    assert (await client.ended(told["run"]["id"]))["version"] == {"number": 1}
    told = await client.ask(RERUN, **{**asked, "graph": "DRAFT"})
    assert (await client.ended(told["run"]["id"]))["version"] is None


async def test_a_dry_run_gives_no_run_and_makes_none(client: Client) -> None:
    _, first = await client.ran()
    told = await client.ask(RERUN, runId=first, **{"from": "NODES"}, nodeKeys=["c"], isDryRun=True)
    assert told == {"run": None, "reusedNodeKeys": ["a", "b"], "executedNodeKeys": ["c"], "userErrors": []}
    assert (await client.ask(READ, id=first))["reruns"]["totalCount"] == 0


async def test_a_refusal_has_its_code_and_its_place_and_makes_no_run(client: Client) -> None:
    _, first = await client.ran()
    told = await client.ask(RERUN, runId=first, **{"from": "NODES"}, nodeKeys=["zz"])
    (error,) = told.pop("userErrors")
    assert told == {"run": None, "reusedNodeKeys": None, "executedNodeKeys": None}
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["input", "nodeKeys"])
    assert "`zz`" in error["message"]
    assert (await client.ask(READ, id=first))["reruns"]["totalCount"] == 0


async def test_what_is_no_longer_kept_is_told_with_a_code_of_its_own(client: Client, database: Database) -> None:
    _, first = await client.ran()
    async with database.direct() as connection:
        await connection.execute("DELETE FROM node_runs")
        await connection.execute("DELETE FROM run_events")
    told = await client.ask(RERUN, runId=first, **{"from": "FAILED"})
    assert [(error["code"], error["path"]) for error in told["userErrors"]] == [("OUTPUT_EXPIRED", ["input", "runId"])]
    assert (await client.ask(READ, id=first))["reruns"]["totalCount"] == 0


async def test_one_node_is_tried_on_what_an_earlier_run_recorded(client: Client) -> None:
    workflow, first = await client.ran()
    told = await client.ask(TRY, workflowId=workflow, nodeKey="b")
    assert told["userErrors"] == []
    assert told["run"]["trigger"] == {"kind": "TRY_NODE"}
    assert told["run"]["graph"] == {"nodes": [{"key": "a"}, {"key": "b"}]}
    run = await client.ended(told["run"]["id"])
    assert (run["status"], run["output"], run["rerunOf"]) == ("SUCCEEDED", {"b": {"b": "why Ada"}}, {"id": first})
    assert [node["status"] for node in run["snapshot"]["nodes"]] == ["REUSED", "SUCCEEDED"]
    assert (await client.ask(READ, id=first))["reruns"]["totalCount"] == 0, "a trial is no rerun"


async def test_a_node_cannot_be_tried_without_what_it_reads(client: Client) -> None:
    workflow = (await client.ask(CREATE, name="Never run", graph=GRAPH))["workflow"]["id"]
    told = await client.ask(TRY, workflowId=workflow, nodeKey="b")
    assert told["run"] is None
    assert [(error["code"], error["path"]) for error in told["userErrors"]] == [("NOT_FOUND", ["input", "runId"])]
