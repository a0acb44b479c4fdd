from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.ids import Prefix, RunId, from_global
from gql.schema import build_schema
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services, settings_on

if TYPE_CHECKING:
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database

CREATE = """
mutation ($name: String!, $graph: GraphInput!) {
  createWorkflow(input: {name: $name, graph: $graph}) { workflow { id } userErrors { message } }
}
"""
GRAPH = {
    "nodes": [{"key": "a", "config": {"transform": {"fields": [{"name": "n", "value": "{{ input.n }}"}]}}}],
    "edges": [],
}
START = "mutation ($id: ID!, $input: JSON) { startRun(input: {workflowId: $id, input: $input}) { run { id } userErrors { message } } }"
LIST = """
{ workflows(first: 100) { nodes { name latestRun { id status } runs(first: 2, filter: {statuses: [SUCCEEDED]}) { totalCount nodes { id } } } } }
"""
RUNS = "query ($filter: RunFilter, $order: RunOrder) { runs(filter: $filter, orderBy: $order) { totalCount nodes { id } } }"


async def started(api: Api, caller: Principal, workflow_id: str, **given: Any) -> str:
    """Run to the end and return the run's id."""
    answer = await api.run(START, {"id": workflow_id, "input": given}, caller=caller)
    assert answer.data["startRun"]["userErrors"] == []
    run_id: str = answer.data["startRun"]["run"]["id"]
    async for _ in api.services.runs.follow(caller, RunId(from_global(Prefix.RUN, run_id)), None):
        pass
    return run_id


async def test_workflows_show_their_latest_runs_in_as_many_statements_for_many_as_for_one(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller, eve = await make_principal(database, "ada"), await make_principal(database, "eve")
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path)), services)
        counts: list[int] = []
        expected: list[Any] = []
        executed = ""
        for name in "abcde":
            created = await api.run(CREATE, {"name": name, "graph": GRAPH}, caller=caller)
            workflow_id = created.data["createWorkflow"]["workflow"]["id"]
            runs = [await started(api, caller, workflow_id, n=number) for number in range(3)]
            failed = await started(api, caller, workflow_id)
            with counting() as statements:
                answer = await api.run(LIST, caller=caller)
            assert answer.errors == []
            expected.append(
                {
                    "name": name,
                    "latestRun": {"id": failed, "status": "FAILED"},
                    "runs": {"totalCount": 3, "nodes": [{"id": runs[2]}, {"id": runs[1]}]},
                }
            )
            assert answer.data["workflows"]["nodes"] == expected
            counts.append(statements.count)
            executed = str(statements)
        assert counts == [counts[0]] * 5, executed
        await api.run(CREATE, {"name": "idle", "graph": GRAPH}, caller=caller)
        idle = (await api.run(LIST, caller=caller)).data["workflows"]["nodes"][-1]
        assert idle == {"name": "idle", "latestRun": None, "runs": {"totalCount": 0, "nodes": []}}
        assert (await api.run(LIST, caller=eve)).data["workflows"]["nodes"] == []

        async def found(filter_: Any = None, order: Any = None) -> list[str]:
            answer = await api.run(RUNS, {"filter": filter_, "order": order}, caller=caller)
            assert answer.errors == []
            return [one["id"] for one in answer.data["runs"]["nodes"]]

        everything = await found()
        assert await found(order={"field": "CREATED_AT", "direction": "ASC"}) == everything[::-1]
        assert await found(order={"field": "FINISHED_AT"}) == everything
        assert await found({"errorCodes": ["TEMPLATE_ERROR"]}) == [one["latestRun"]["id"] for one in expected[::-1]]
        assert await found({"triggers": ["SCHEDULE"]}) == []
        assert await found({"isTopLevel": True}) == everything
        too_many = await api.run(RUNS, {"filter": {"errorCodes": ["x"] * 101}}, caller=caller)
        assert too_many.codes == ["INVALID_INPUT"]
        # The driver has 32,767 places for values.
        assert await found({"statuses": ["FAILED"] * 33_000, "triggers": ["MANUAL"] * 33_000}) == [
            one["latestRun"]["id"] for one in expected[::-1]
        ]


NODES = "query ($id: ID!, $f: NodeRunFilter) { run(id: $id) { nodeRuns(filter: $f) { nodes { nodeKey } } } }"
NODE = (
    "query ($id: ID!, $key: String!, $item: Int) { run(id: $id) { nodeRun(key: $key, itemIndex: $item) { nodeKey } } }"
)


async def test_what_no_node_may_be_called_is_no_failure_of_the_server(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller = await make_principal(database, "ada")
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path)), services)
        created = await api.run(CREATE, {"name": "one", "graph": GRAPH}, caller=caller)
        run = await started(api, caller, created.data["createWorkflow"]["workflow"]["id"], n=1)
        for key, item, node in (
            ("a", None, {"nodeKey": "a"}),
            ("a", -1, None),
            ("a", -2, None),
            ("\0", None, None),
            ("\ud800", 0, None),
        ):
            answer = await api.run(NODE, {"id": run, "key": key, "item": item}, caller=caller)
            assert (answer.errors, answer.data) == ([], {"run": {"nodeRun": node}})
        for key in ("\0", "\ud800"):
            refused = await api.run(NODES, {"id": run, "f": {"nodeKeys": ["a", key]}}, caller=caller)
            assert [one["extensions"]["code"] for one in refused.errors] == ["INVALID_INPUT"]
        many = await api.run(NODES, {"id": run, "f": {"statuses": ["SUCCEEDED"] * 33_000}}, caller=caller)
        assert (many.errors, many.data) == ([], {"run": {"nodeRuns": {"nodes": [{"nodeKey": "a"}]}}})
