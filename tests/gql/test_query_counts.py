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
