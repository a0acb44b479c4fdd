"""Rows of DB_WRITE: the example as it lies there, and exactly once however often the process dies."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from domain.document import load
from domain.ids import Prefix, RunId, from_global, to_global
from domain.workflow import WorkflowDraft
from gql.schema import build_schema
from tests.support.api import Api
from tests.support.identity import PASSWORD
from tests.support.server_process import Caller, ServerProcess, server_process
from tests.support.services import open_test_services, settings_on

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[2] / "examples" / "tally.yaml"
ROUNDS = int(os.environ.get("ANABRANCH_TEST_ROUNDS", "20"))
CHAINS, LENGTH = 4, 6

CREATE_TABLE = """
mutation ($i: CreateDataTableInput!) { createDataTable(input: $i) { dataTable { id } userErrors { message } } }
"""
PROBLEMS = "query ($id: ID!) { workflow(id: $id) { problems { code } } }"
START = """
mutation ($id: ID!, $input: JSON) { startRun(input: { workflowId: $id, input: $input }) { run { id } userErrors { message } } }
"""
READ = "query ($id: ID!) { dataTable(id: $id) { rowCount rows { nodes { values nodeKey run { id status } } } } }"
RUN = "query ($id: ID!) { run(id: $id) { status output error { message } } }"
VISITS = {
    "name": "visits",
    "columns": [
        {"name": "place", "type": "TEXT"},
        {"name": "note", "type": "TEXT"},
        {"name": "weight", "type": "NUMERIC"},
    ],
    "keyColumns": ["place"],
}


async def test_the_example_writes_one_row_for_each_place(database_url: str, tmp_path: Path) -> None:
    schema = await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path))
    async with open_test_services(database_url, tmp_path) as services:
        ada = (await services.identity.sign_up("ada@example.com", PASSWORD, "ada", None, address="")).principal
        api = Api(schema, services)

        async def ask(document: str, variables: Mapping[str, object]) -> Any:
            answer = await api.run(document, variables, caller=ada)
            assert answer.errors == []
            return next(iter(answer.data.values()))

        document = load(EXAMPLE.read_text())
        made = await services.workflows.create(ada, None, WorkflowDraft(document.name, definition=document.definition))
        workflow_id = to_global(Prefix.WORKFLOW, made.id)
        assert (await ask(PROBLEMS, {"id": workflow_id}))["problems"] == [{"code": "UNKNOWN_DATA_TABLE"}]
        table = (await ask(CREATE_TABLE, {"i": VISITS}))["dataTable"]["id"]
        for given, rows in (
            ({"place": "Bonn", "weight": "0.10"}, [{"place": "Bonn", "note": "no note", "weight": "0.1"}]),
            ({"place": "Bonn", "note": "again"}, [{"place": "Bonn", "note": "again", "weight": "0"}]),
        ):
            run_id = (await ask(START, {"id": workflow_id, "input": given}))["run"]["id"]
            async for _ in services.runs.follow(ada, RunId(from_global(Prefix.RUN, run_id)), None):
                pass
            run = await ask(RUN, {"id": run_id})
            assert run["status"] == "SUCCEEDED", run
            assert run["output"] == {"rows": rows, "told": "1 row for Bonn"}
            read = await ask(READ, {"id": table})
            (node,) = read["rows"]["nodes"]
            assert (read["rowCount"], node["nodeKey"]) == (1, "write")
            assert node["run"] == {"id": run_id, "status": "SUCCEEDED"}
            assert node["values"] == rows[0]


def graph() -> dict[str, Any]:
    """Return chains of writes side by side, which meet in a last write."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    keys = [[f"w{chain}_{place}" for place in range(LENGTH)] for chain in range(CHAINS)]
    for key in [*(key for chain in keys for key in chain), "last"]:
        values = [{"column": "run", "value": "{{ run.id }}"}, {"column": "node", "value": key}]
        nodes.append({"key": key, "config": {"dbWrite": {"target": {"dataTable": "steps"}, "values": values}}})
    for chain in keys:
        edges += [{"source": a, "target": b} for a, b in zip(chain, [*chain[1:], "last"], strict=True)]
    return {"nodes": nodes, "edges": edges}


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_rows_are_there_exactly_once_however_often_the_process_dies(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("ANABRANCH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    draw = random.Random(seed)
    nodes = {node["key"] for node in graph()["nodes"]}
    async with aiohttp.ClientSession() as session, server_process(data_dir) as server:
        caller = Caller(server.url, session)
        await caller.sign_up()
        columns = [{"name": "run", "type": "TEXT"}, {"name": "node", "type": "TEXT"}]
        table = (await caller.ask(CREATE_TABLE, i={"name": "steps", "columns": columns}))["createDataTable"]
        workflow = await caller.create(name="Steps", graph=graph())
        for round_ in range(ROUNDS):
            run_id = await caller.start(workflow)
            kills = await killed_at(server, caller, run_id, sorted(draw.sample(range(2, 2 * len(nodes)), 2)))
            log = await caller.ended(run_id)
            rows = await rows_of(caller, table["dataTable"]["id"], run_id)
            with capsys.disabled():
                print(f"\nround {round_ + 1}: seed {seed}, killed behind event {kills}, {len(rows)} rows", end="")  # noqa: T201
            assert log[-1]["__typename"] == "RunSucceeded"
            assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
            ended = [event["nodeKey"] for event in log if event["__typename"] == "NodeSucceeded"]
            assert sorted(ended) == sorted(rows) == sorted(nodes)


async def killed_at(server: ServerProcess, caller: Caller, run_id: str, places: list[int]) -> list[int]:
    """Kill the server when the client has seen so many events; return behind how many it really was."""
    seen, after, kills = 0, None, list[int]()
    for place in places:
        async with aclosing(caller.follow(run_id, after)) as events:
            async for event in events:
                seen, after = seen + 1, event["cursor"]
                if seen >= place:
                    break
        await asyncio.to_thread(server.kill)
        kills.append(seen)
        await server.start()
    return kills


async def rows_of(caller: Caller, table: str, run_id: str) -> list[str]:
    """Return the nodes that wrote a row in a run, from the rows themselves."""
    document = """query ($id: ID!, $run: JSON) { dataTable(id: $id) {
      rows(first: 100, filter: { path: "run", eq: $run }) { nodes { values } } } }"""
    data = await caller.ask(document, id=table, run=run_id)
    return [row["values"]["node"] for row in data["dataTable"]["rows"]["nodes"]]
