from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, to_global
from runtime.settings import LlmSettings, PriceSettings
from tests.support.api import Api
from tests.support.model_client import ModelClient, services_with_model
from tests.support.openai_endpoint import answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal

CREATE = """
mutation ($i: CreateWorkflowInput!) {
  createWorkflow(input: $i) { workflow { id slug revision problems { code } } userErrors { message } }
}
"""
PUBLISH = (
    "mutation ($i: PublishWorkflowInput!) { publishWorkflow(input: $i) { version { number } userErrors { message } } }"
)
CONNECT = (
    "mutation ($i: CreateConnectionInput!) { createConnection(input: $i) { connection { id } userErrors { message } } }"
)
START = "mutation ($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { message } } }"
RERUN = "mutation ($i: RerunRunInput!) { rerunRun(input: $i) { run { id } userErrors { message } } }"
FIELDS = "inputTokens outputTokens totalTokens cost currency"
READ = f"""
query ($id: ID!) {{
  run(id: $id) {{
    status output error {{ code }} usage {{ {FIELDS} }}
    subRuns {{ nodes {{ id usage {{ {FIELDS} }} }} }}
    nodeRuns {{ nodes {{ nodeKey attempts error {{ code }} usage {{ {FIELDS} }} }} }}
    snapshot {{ nodes {{ key usage {{ {FIELDS} }} }} }}
    events {{ nodes {{
      ... on NodeSucceeded {{ nodeKey usage {{ {FIELDS} }} }} ... on RunSucceeded {{ usage {{ {FIELDS} }} }}
    }} }}
  }}
}}
"""
USAGE = f"""
query ($ws: ID!, $from: DateTime!, $until: DateTime!, $by: UsageGroup!) {{
  workspace(id: $ws) {{
    usage(from: $from, until: $until, groupBy: $by) {{ key runCount workflow {{ id slug }} {FIELDS} }}
  }}
}}
"""
SPAN = {"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
PRICED = LlmSettings(model="m", prices={"m*": PriceSettings(input=Decimal("0.4"), output=Decimal("1.2"))})
NONE = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "cost": None, "currency": None}


def used(sent: int, received: int, cost: str | None) -> dict[str, Any]:
    currency = None if cost is None else "USD"
    tokens = {"inputTokens": sent, "outputTokens": received, "totalTokens": sent + received}
    return {**tokens, "cost": cost, "currency": currency}


def say(key: str = "say", **more: Any) -> dict[str, Any]:
    return {"key": key, "config": {"llmCall": {"prompt": "Hi", **more.pop("config", {})}}, **more}


class Client(ModelClient):
    """A caller who asks what runs have used."""

    async def workflow(self, *nodes: dict[str, Any], edges: Any = (), **more: Any) -> dict[str, Any]:
        made = await self.ask(CREATE, graph={"nodes": nodes, "edges": edges}, **{"name": "W", **more})
        assert made["workflow"]["problems"] == []
        return made["workflow"]

    async def ran(self, *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Run a workflow to its end and read the run."""
        workflow = await self.workflow(*nodes, **more)
        return await self.read((await self.ask(START, workflowId=workflow["id"]))["run"]["id"])

    async def read(self, run_id: str) -> dict[str, Any]:
        await self.await_end(run_id)
        return {"id": run_id, **await self.show(READ, run_id)}

    async def usage(self, by: str, **span: str) -> Any:
        (workspace_id,) = self.caller.roles
        variables = {"ws": to_global(Prefix.WORKSPACE, workspace_id), "by": by, **SPAN, **span}
        answered = await self.api.run(USAGE, variables, caller=self.caller)
        return answered.errors or answered.data["workspace"]["usage"]


@pytest.fixture
async def client(schema: Any, ada: Principal, database_url: str, tmp_path: Path) -> AsyncGenerator[Client]:
    async with services_with_model(database_url, tmp_path, PRICED) as (services, endpoint):
        yield Client(Api(schema, services), ada, endpoint)


async def test_a_run_tells_what_its_models_have_used_and_cost(client: Client) -> None:
    client.endpoint.script(answer("Hello", usage=(1_000, 10)))
    run = await client.ran(say(), output=[{"name": "cost", "value": "{{ nodes.say.output.usage.cost }}"}])
    spent = used(1_000, 10, "0.000412")
    assert (run["usage"], run["output"]) == (spent, {"cost": "0.000412"})
    assert [event for event in run["events"]["nodes"] if event] == [
        {"nodeKey": "say", "usage": spent},
        {"usage": spent},
    ]
    assert [node["usage"] for node in run["nodeRuns"]["nodes"]] == [spent]
    assert run["snapshot"]["nodes"] == [{"key": "say", "usage": spent}]


async def test_a_sum_is_made_once_however_often_a_request_asks_for_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ran(say())
    service, asked = client.api.services.usage, list[object]()
    whole = service.of_workspace

    async def counted(*given: Any) -> Any:
        asked.append(given)
        return await whole(*given)

    monkeypatch.setattr(service, "of_workspace", counted)
    usage = 'usage(from: "2020-01-01T00:00:00Z", until: "2100-01-01T00:00:00Z", groupBy: MODEL) { key runCount }'
    document = f"{{ viewer {{ workspaces {{ nodes {{ one: {usage} other: {usage} }} }} }} }}"
    answered = await client.api.run(document, {}, caller=client.caller)
    (workspace,) = answered.data["viewer"]["workspaces"]["nodes"]
    assert workspace["one"] == workspace["other"] == [{"key": "m", "runCount": 1}]
    assert len(asked) == 1


async def test_an_attempt_that_failed_has_cost_what_it_used(client: Client) -> None:
    client.endpoint.script(answer("no JSON", usage=(10, 1)), answer("{}", usage=(20, 2)))
    retry = {"maximumAttempts": 2, "initialIntervalMs": 1}
    run = await client.ran(say(config={"responseFormat": "JSON"}, retry=retry))
    assert (run["status"], run["usage"]) == ("SUCCEEDED", used(30, 3, "0.0000156"))
    assert (await client.usage("MODEL"))[0]["totalTokens"] == 33


async def test_a_run_has_used_what_the_runs_have_that_it_called_even_where_they_failed(client: Client) -> None:
    child = await client.workflow(
        say(config={"responseFormat": "JSON"}, retry={"maximumAttempts": 1}), slug="child", name="Child"
    )
    await client.ask(PUBLISH, id=child["id"], expectedRevision=child["revision"])
    calls: list[dict[str, Any]] = [
        {"key": f"call{n}", "config": {"subworkflow": {"workflow": "child"}}} for n in (1, 2)
    ]
    calls[1]["onError"] = {"mode": "CONTINUE", "defaultOutput": None}
    client.endpoint.script(answer("{}", usage=(100, 0)), answer("no JSON", usage=(10, 0)))
    nodes = [*calls, say("last")]
    edges = [{"source": "call1", "target": "call2"}, {"source": "call2", "target": "last"}]
    client.endpoint.always(answer("bye", usage=(1, 0)))
    run = await client.ran(*nodes, edges=edges)
    assert [one["usage"]["inputTokens"] for one in run["subRuns"]["nodes"]] == [100, 10]
    assert (run["status"], run["usage"]) == ("SUCCEEDED", used(111, 0, "0.0000444"))
    (bucket,) = await client.usage("MODEL")
    assert (bucket["inputTokens"], bucket["runCount"], bucket["cost"]) == (111, 3, "0.0000444"), (
        "counted where it was used"
    )


async def test_what_a_run_has_used_that_its_caller_did_not_wait_for_is_in_the_usage_of_the_caller(
    client: Client,
) -> None:
    client.endpoint.always(answer("Hello", usage=(100, 0)))
    pause = {"key": "pause", "config": {"wait": {"durationMs": 600_000}}}
    edges = [{"source": "say", "target": "pause"}]
    child = await client.workflow(say(), pause, edges=edges, slug="child", name="Child")
    await client.ask(PUBLISH, id=child["id"], expectedRevision=child["revision"])
    call = {"key": "call", "config": {"subworkflow": {"workflow": "child"}}, "timeouts": {"scheduleToCloseMs": 2_000}}
    run = await client.ran({**call, "retry": {"maximumAttempts": 1}, "onError": {"mode": "CONTINUE"}})
    assert [one["usage"]["inputTokens"] for one in run["subRuns"]["nodes"]] == [100]
    assert (run["status"], run["usage"]) == ("SUCCEEDED", used(100, 0, "0.00004"))


async def test_a_rerun_has_used_only_what_it_did_itself(client: Client) -> None:
    client.endpoint.script(answer("a", usage=(100, 0)), answer("b", usage=(10, 0)), answer("b", usage=(7, 0)))
    first = await client.ran(say("a"), say("b"), edges=[{"source": "a", "target": "b"}])
    again = await client.ask(RERUN, runId=first["id"], **{"from": "NODES"}, nodeKeys=["b"])
    run = await client.read(again["run"]["id"])
    assert (first["usage"]["inputTokens"], run["usage"]["inputTokens"]) == (110, 7)
    assert [node["usage"]["inputTokens"] for node in run["snapshot"]["nodes"]] == [0, 7]
    assert (await client.usage("MODEL"))[0]["inputTokens"] == 117


async def test_without_a_price_there_are_tokens_and_no_cost(client: Client) -> None:
    client.endpoint.script(answer("x", usage=(3, 1)))
    run = await client.ran(say(config={"model": "other"}))
    assert run["usage"] == used(3, 1, None)
    assert await client.usage("MODEL") == [{"key": "other", "runCount": 1, "workflow": None, **used(3, 1, None)}]


async def test_a_workspace_sums_by_day_workflow_and_model(client: Client) -> None:
    client.endpoint.always(answer("x", usage=(1_000, 0)))
    await client.ran(say(), say("also", config={"model": "m2"}), slug="two", name="Two")
    await client.ran({"key": "calm", "config": {"transform": {"fields": []}}}, slug="calm", name="Calm")
    models = await client.usage("MODEL")
    assert [(one["key"], one["runCount"], one["cost"]) for one in models] == [("m", 1, "0.0004"), ("m2", 1, "0.0004")]
    workflows = await client.usage("WORKFLOW")
    assert [(one["key"], one["workflow"]["slug"], one["runCount"], one["totalTokens"]) for one in workflows] == [
        ("two", "two", 1, 2_000),
        ("calm", "calm", 1, 0),
    ]
    (day,) = await client.usage("DAY", **{"from": "2026-01-01T00:00:00Z", "until": "2028-01-01T00:00:00Z"})
    assert (day["runCount"], day["totalTokens"], day["cost"], day["currency"]) == (2, 2_000, "0.0008", "USD")
    (error,) = await client.usage("DAY")
    assert (error["extensions"]["code"], "999" in error["message"]) == ("LIMIT_EXCEEDED", True)


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"maxTokens": 20}, "TOKENS_EXHAUSTED"), ({"maxCost": "0.000016"}, "COST_EXHAUSTED")],
)
async def test_when_a_run_has_used_what_its_workflow_allows_no_further_model_is_asked(
    client: Client, limit: dict[str, Any], code: str
) -> None:
    client.endpoint.always(answer("x", usage=(10, 10)))
    nodes = [say("a"), say("b", retry={"maximumAttempts": 3, "initialIntervalMs": 1})]
    run = await client.ran(*nodes, edges=[{"source": "a", "target": "b"}], settings=limit)
    assert (run["status"], run["error"]["code"]) == ("FAILED", code)
    assert [(node["attempts"], node["usage"]["totalTokens"]) for node in run["nodeRuns"]["nodes"]] == [(1, 20), (1, 0)]
    assert len(client.endpoint.requests) == 1
    assert run["usage"]["totalTokens"] == 20


async def test_a_limit_of_the_cost_is_not_passed_over_for_a_model_without_a_price(client: Client) -> None:
    run = await client.ran(say(config={"model": "other"}), settings={"maxCost": "1"})
    assert (run["error"]["code"], run["usage"], client.endpoint.requests) == ("PRICE_UNKNOWN", NONE, [])


async def connect(client: Client, currency: str = "USD") -> None:
    price = {"model": "m", "inputPerMillion": "7", "outputPerMillion": "0", "currency": currency}
    settings = {"baseUrl": client.endpoint.base_url, "defaultModel": "m", "prices": [price]}
    await client.ask(CONNECT, name="own", settings={"openaiCompatible": settings})


def own(key: str, **config: Any) -> dict[str, Any]:
    return say(key, config={"connection": "own", **config})


async def test_the_prices_of_a_connection_win_over_the_servers_for_the_models_that_they_name(client: Client) -> None:
    await connect(client)
    client.endpoint.always(answer("x", usage=(1_000, 0)))
    run = await client.ran(own("own"), own("other", model="m2"), say("plain"))
    costs = {node["nodeKey"]: node["usage"]["cost"] for node in run["nodeRuns"]["nodes"]}
    assert costs == {"own": "0.007", "other": "0.0004", "plain": "0.0004"}
    assert run["usage"] == used(3_000, 0, "0.0078")


async def test_costs_of_two_currencies_are_no_sum_and_no_way_around_a_limit_of_the_cost(client: Client) -> None:
    await connect(client, "CNY")
    client.endpoint.always(answer("x", usage=(1_000, 0)))
    nodes = [say("a"), own("b"), say("c")]
    edges = [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}]
    run = await client.ran(*nodes, edges=edges)
    assert (run["status"], run["usage"]) == ("SUCCEEDED", used(3_000, 0, None))
    assert [one["cost"] for one in await client.usage("WORKFLOW")] == [None]
    limited = await client.ran(*nodes, edges=edges, settings={"maxCost": "1000"})
    assert {node["nodeKey"]: node["error"] for node in limited["nodeRuns"]["nodes"]} == {
        "a": None,
        "b": None,
        "c": {"code": "PRICE_UNKNOWN"},
    }
    assert (limited["usage"], len(client.endpoint.requests)) == (used(2_000, 0, None), 5)
