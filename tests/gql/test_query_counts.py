from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from gql.schema import build_schema
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services, settings_on

if TYPE_CHECKING:
    from pathlib import Path

    from persistence.database import Database

CREATE = "mutation ($name: String!) {createWorkflow(input: {name: $name}) {workflow {id} userErrors {message}}}"
LIST = "{workflows(first: 100) {nodes {id name updatedBy {name}}}}"


async def select(database: Database, times: int) -> None:
    for _ in range(times):
        async with database.connection() as connection:
            await connection.execute(text("SELECT 1"))


async def test_the_statements_of_a_block_are_counted_and_those_of_others_are_not(database: Database) -> None:
    go_on = asyncio.Event()

    async def other() -> None:
        await go_on.wait()
        await select(database, 5)

    beside = asyncio.create_task(other(), name="beside")
    with counting(database) as statements:
        go_on.set()
        await asyncio.gather(select(database, 2), beside)
    await select(database, 1)
    assert statements.texts == ["SELECT 1", "SELECT 1"]


async def test_a_list_takes_as_many_statements_for_ten_workflows_as_for_one(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller = await make_principal(database)
    async with open_test_services(database_url, tmp_path) as services:
        settings = settings_on(database_url, tmp_path)
        api = Api(await asyncio.to_thread(build_schema, settings), services)
        counts: list[int] = []
        executed: list[str] = []
        for name in "abcdefghij":
            created = await api.run(CREATE, {"name": name}, caller=caller)
            assert created.data["createWorkflow"]["userErrors"] == []
            with counting() as statements:
                answer = await api.run(LIST, caller=caller)
            assert len(answer.data["workflows"]["nodes"]) == len(counts) + 1
            counts.append(statements.count)
            executed.append(str(statements))
    assert counts == [2] * 10, executed[-1]


RUN = "mutation ($id: ID!) {startRun(input: {workflowId: $id, input: {}}) {run {id} userErrors {message}}}"
RUNS = "{runs(first: 100) {nodes {id graph {nodes {key position {x y}}}}}}"


async def test_runs_show_the_layouts_that_their_workflows_have_now_in_one_statement(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    caller = await make_principal(database)
    create = (
        "mutation ($input: CreateWorkflowInput!) {createWorkflow(input: $input) {workflow {id} userErrors {message}}}"
    )
    update = "mutation ($input: UpdateWorkflowInput!) {updateWorkflow(input: $input) {userErrors {message}}}"

    def graph(*nodes: str, x: int) -> dict[str, object]:
        config: dict[str, object] = {"transform": {"fields": list[object]()}}
        return {"nodes": [{"key": key, "config": config, "position": {"x": x, "y": 0}} for key in nodes], "edges": []}

    async with open_test_services(database_url, tmp_path) as services:
        api = Api(await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path)), services)
        counts: list[int] = []
        for name in "abc":
            made = await api.run(create, {"input": {"name": name, "graph": graph("a", "b", x=1)}}, caller=caller)
            workflow_id = made.data["createWorkflow"]["workflow"]["id"]
            started = await api.run(RUN, {"id": workflow_id}, caller=caller)
            assert started.errors == []
            assert started.data["startRun"]["userErrors"] == []
            change = {"id": workflow_id, "expectedRevision": 1, "graph": graph("b", "c", x=2)}
            changed = await api.run(update, {"input": change}, caller=caller)
            assert changed.data["updateWorkflow"]["userErrors"] == []
            with counting() as statements:
                answer = await api.run(RUNS, caller=caller)
            counts.append(statements.count)
            shown = [run["graph"]["nodes"] for run in answer.data["runs"]["nodes"]]
            assert shown == [[{"key": "a", "position": None}, {"key": "b", "position": {"x": 2, "y": 0}}]] * len(counts)
    # The runs and the layouts; the graphs are known.
    assert counts == [2] * 3
