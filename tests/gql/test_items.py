from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, RunId, from_global
from runtime.settings import LlmSettings
from tests.support.api import Api
from tests.support.model_client import ModelClient, services_with_model
from tests.support.openai_endpoint import answer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal

CREATE = "mutation ($i: CreateWorkflowInput!) { createWorkflow(input: $i) { workflow { id } userErrors { message } } }"
START = "mutation ($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { message } } }"
RERUN = """
mutation ($i: RerunRunInput!) {
  rerunRun(input: $i) { run { id progress { done } } reusedNodeKeys executedNodeKeys userErrors { message } }
}
"""
READ = """
query ($id: ID!) {
  run(id: $id) {
    id status output progress { done total } error { code nodeKey itemIndex } usage { totalTokens }
    wholes: nodeRuns(filter: { isItem: false }) { totalCount nodes { nodeKey itemIndex usage { totalTokens } } }
    items: nodeRuns(filter: { isItem: true }) { totalCount nodes { id nodeKey itemIndex status output error { code } } }
    failed: nodeRuns(filter: { isItem: true, statuses: [FAILED] }) { nodes { itemIndex } }
    last: nodeRun(key: "each", itemIndex: 3) {
      itemIndex status output partialText input reusedFrom { id } usage { totalTokens }
    }
    none: nodeRun(key: "each", itemIndex: 99) { status }
    snapshot { nodes { key status itemCount itemsDone itemsFailed itemsWaiting partialText usage { totalTokens } } }
    events(first: 100) { nodes {
      __typename ... on NodeEvent { nodeKey itemIndex attempt }
      ... on NodeExpanded { itemCount } ... on NodeProgressed { itemsDone itemCount }
      ... on NodeSucceeded { output } ... on NodeReused { fromRun { id } }
    } }
  }
}
"""
PARTIAL = """
query ($id: ID!) {
  run(id: $id) {
    snapshot { nodes { itemCount itemsDone partialText } }
    first: nodeRun(key: "each", itemIndex: 0) { status partialText }
    second: nodeRun(key: "each", itemIndex: 1) { status partialText }
    whole: nodeRun(key: "each") { status partialText }
  }
}
"""


class Client(ModelClient):
    """A caller who runs lists."""

    async def start(self, *nodes: dict[str, Any], given: Any, edges: Any = ()) -> str:
        graph = {"nodes": nodes, "edges": edges}
        workflow = (await self.ask(CREATE, name="W", graph=graph))["workflow"]["id"]
        return (await self.ask(START, workflowId=workflow, input=given))["run"]["id"]

    async def ended(self, run_id: str) -> Any:
        await self.await_end(run_id)
        return await self.show(READ, run_id)


@pytest.fixture
async def client(schema: Any, ada: Principal, database_url: str, tmp_path: Path) -> AsyncGenerator[Client]:
    async with services_with_model(database_url, tmp_path, LlmSettings(model="m")) as (services, endpoint):
        yield Client(Api(schema, services), ada, endpoint)


def each(template: str = "{{ item }}", **for_each: Any) -> dict[str, Any]:
    """A node that makes a value of each item."""
    config = {"transform": {"fields": [{"name": "v", "value": template}]}}
    return {"key": "each", "config": config, "forEach": {"items": "input.list", **for_each}}


async def test_a_list_shows_its_items_one_by_one_and_how_far_it_is(client: Client) -> None:
    run = await client.ended(await client.start(each(), given={"list": [5, 6, 7, 8]}))
    assert (run["status"], run["output"]) == ("SUCCEEDED", {"each": [{"v": 5}, {"v": 6}, {"v": 7}, {"v": 8}]})
    assert run["progress"] == {"done": 1, "total": 1}
    assert (run["wholes"]["totalCount"], run["items"]["totalCount"]) == (1, 4)
    assert [(item["itemIndex"], item["status"], item["output"]) for item in run["items"]["nodes"]] == [
        (place, "SUCCEEDED", {"v": place + 5}) for place in range(4)
    ]
    assert (run["last"]["itemIndex"], run["last"]["output"], run["none"]) == (3, {"v": 8}, None)
    (state,) = run["snapshot"]["nodes"]
    assert (state["status"], state["itemCount"], state["itemsDone"], state["itemsFailed"]) == ("SUCCEEDED", 4, 4, 0)
    expanded = next(event for event in run["events"]["nodes"] if event["__typename"] == "NodeExpanded")
    assert expanded == {
        "__typename": "NodeExpanded", "nodeKey": "each", "itemIndex": None, "attempt": 1, "itemCount": 4,
    }  # fmt: skip
    ends = [event for event in run["events"]["nodes"] if event["__typename"] == "NodeSucceeded"]
    assert [(end["itemIndex"], end["output"]) for end in ends][-1] == (None, run["output"]["each"])
    node = await client.api.run(
        "query ($id: ID!) { node(id: $id) { ... on NodeRun { itemIndex output } } }",
        {"id": run["items"]["nodes"][2]["id"]},
        caller=client.caller,
    )
    assert node.data == {"node": {"itemIndex": 2, "output": {"v": 7}}}


async def test_items_that_fail_are_counted_and_told_with_their_place(client: Client) -> None:
    failing = each("{{ 1 // item }}", onItemError="NULL")
    run = await client.ended(await client.start(failing, given={"list": [1, 0, 1, 0]}))
    assert run["output"] == {"each": [{"v": 1}, None, {"v": 1}, None]}
    assert sorted(item["itemIndex"] for item in run["failed"]["nodes"]) == [1, 3]
    (state,) = run["snapshot"]["nodes"]
    assert (state["itemCount"], state["itemsDone"], state["itemsFailed"]) == (4, 4, 2)


async def test_items_that_wait_are_told_by_their_places_while_the_node_is_at_work(client: Client) -> None:
    ask = {"key": "each", "config": {"approval": {"title": "{{ item }}?"}}}
    run_id = await client.start(
        {**ask, "forEach": {"items": "input.list", "maxParallelItems": 2}}, given={"list": [1, 2, 3]}
    )

    async def waiting() -> Any:
        (state,) = (await client.show(READ, run_id))["snapshot"]["nodes"]
        return (state["status"], state["itemsDone"], state["itemsWaiting"])

    async def wait_first() -> bool:
        return await waiting() == ("RUNNING", 0, [0, 1])

    async def wait_last() -> bool:
        return await waiting() == ("RUNNING", 1, [0, 2])

    await until(wait_first)
    open_ = "query ($id: ID!) { run(id: $id) { approvals(first: 9) { nodes { id itemIndex } } } }"
    asked = (await client.show(open_, run_id))["approvals"]["nodes"]
    second = next(one["id"] for one in asked if one["itemIndex"] == 1)
    answer_ = "mutation ($i: AnswerApprovalInput!) { answerApproval(input: $i) { userErrors { message } } }"
    await client.ask(answer_, approvalId=second, action="approve")
    await until(wait_last)


async def test_an_empty_list_has_no_items_and_a_plain_node_no_list(client: Client) -> None:
    run = await client.ended(await client.start(each(), given={"list": []}))
    (state,) = run["snapshot"]["nodes"]
    assert (state["itemCount"], state["itemsDone"], state["itemsFailed"]) == (0, 0, 0)
    plain: dict[str, Any] = {"key": "each", "config": {"transform": {"fields": []}}}
    run = await client.ended(await client.start(plain, given={}))
    (state,) = run["snapshot"]["nodes"]
    assert (state["itemCount"], state["itemsDone"], state["itemsFailed"]) == (None, None, None)
    assert state["itemsWaiting"] is None


def say(**for_each: Any) -> dict[str, Any]:
    retry = {"maximumAttempts": 1}
    config = {"llmCall": {"prompt": "{{ item }}", "responseFormat": "JSON"}}
    return {"key": "each", "config": config, "retry": retry, "forEach": {"items": "input.list", **for_each}}


async def test_what_items_use_is_what_their_node_and_their_run_use(client: Client) -> None:
    client.endpoint.always(answer("{}", usage=(10, 1)))
    run = await client.ended(await client.start(say(), given={"list": [1, 2, 3, 4]}))
    assert run["last"]["usage"]["totalTokens"] == 11
    assert [whole["usage"]["totalTokens"] for whole in run["wholes"]["nodes"]] == [44]
    assert run["snapshot"]["nodes"][0]["usage"]["totalTokens"] == run["usage"]["totalTokens"] == 44


async def test_an_item_at_work_shows_what_it_has_written_and_its_node_does_not(client: Client) -> None:
    go_on = asyncio.Event()
    client.endpoint.script(answer('{"a": ', go_on, "1}"))
    client.endpoint.always(answer("{}"))
    run_id = await client.start(say(maxParallelItems=1), given={"list": [1, 2]})
    async for logged in client.api.services.runs.follow(client.caller, RunId(from_global(Prefix.RUN, run_id)), None):
        if logged.event.type == "NodeOutputDelta":
            break
    run = await client.show(PARTIAL, run_id)
    assert run["first"] == {"status": "RUNNING", "partialText": '{"a": '}
    assert (run["second"], run["whole"]) == (None, {"status": "RUNNING", "partialText": None})
    assert run["snapshot"]["nodes"] == [{"itemCount": 2, "itemsDone": 0, "partialText": None}]
    go_on.set()
    assert (await client.ended(run_id))["status"] == "SUCCEEDED"


async def test_a_rerun_does_only_the_items_that_have_not_ended_well(client: Client) -> None:
    client.endpoint.script(answer('{"n": 0}'), answer('{"n": 1}'), answer("no JSON"))
    first = await client.ended(await client.start(say(maxParallelItems=1), given={"list": [0, 1, 2, 3]}))
    assert (first["status"], first["error"]["itemIndex"]) == ("FAILED", 2)
    first_id = first["id"]
    asked = len(client.endpoint.requests)
    assert await client.ask(RERUN, runId=first_id, **{"from": "FAILED"}, isDryRun=True) == {
        "run": None, "reusedNodeKeys": [], "executedNodeKeys": ["each"], "userErrors": [],
    }  # fmt: skip
    client.endpoint.script(answer('{"n": 2}'), answer("no JSON"))
    told = await client.ask(RERUN, runId=first_id, **{"from": "FAILED"})
    assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == ([], ["each"])
    assert told["run"]["progress"] == {"done": 0}
    second = await client.ended(told["run"]["id"])
    assert (second["status"], second["error"]["itemIndex"]) == ("FAILED", 3)
    statuses = {item["itemIndex"]: item["status"] for item in second["items"]["nodes"]}
    assert statuses == {0: "REUSED", 1: "REUSED", 2: "SUCCEEDED", 3: "FAILED"}
    client.endpoint.script(answer('{"n": 3}'))
    told = await client.ask(RERUN, runId=told["run"]["id"], **{"from": "FAILED"})
    third = await client.ended(told["run"]["id"])
    assert third["status"] == "SUCCEEDED"
    assert [item["json"]["n"] for item in third["output"]["each"]] == [0, 1, 2, 3]
    assert len(client.endpoint.requests) == asked + 3, "what ended well is not asked again"
    assert third["snapshot"]["nodes"][0]["itemsDone"] == 4
    reused = {event["itemIndex"]: event["fromRun"]["id"] for event in third["events"]["nodes"] if "fromRun" in event}
    assert reused == {0: first_id, 1: first_id, 2: second["id"]}, "whoever made an output is named"


async def test_a_list_is_done_anew_where_it_may_be_another(client: Client) -> None:
    client.endpoint.script(answer("{}"), answer("no JSON"))
    first = await client.ended(await client.start(say(maxParallelItems=1), given={"list": [0, 1]}))
    for more in ({"input": {"list": [5, 6]}}, {"from": "START"}, {"from": "NODES", "nodeKeys": ["each"]}):
        client.endpoint.always(answer("{}"))
        told = await client.ask(RERUN, runId=first["id"], **{"from": "FAILED", **more})
        run = await client.ended(told["run"]["id"])
        assert [item["status"] for item in run["items"]["nodes"]] == ["SUCCEEDED", "SUCCEEDED"]
