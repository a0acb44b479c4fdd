from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from domain.ids import Prefix, from_global, to_global
from gql.schema import build_schema
from persistence.data_tables import PostgresDataTables
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.data_tables import data_table, write_row
from tests.support.identity import Clock, identity_services, make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from pathlib import Path

    from domain.data_tables import DataTable
    from domain.identity import Principal
    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
CREATE = """
mutation ($input: CreateDataTableInput!) { createDataTable(input: $input) {
  dataTable {
    id name keyColumns rowCount createdAt workspace { id } columns { name type isRequired description }
    rows { nodes { id } totalCount }
  }
  userErrors { __typename code message path }
} }
"""
DELETE = "mutation ($id: ID!) { deleteDataTable(input: { id: $id }) { deletedDataTableId userErrors { code path } } }"
ROWS = """
query ($id: ID!, $filter: FilterInput, $orderBy: DataRowOrder, $first: Int, $after: String) { dataTable(id: $id) {
  rows(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    nodes { id values nodeKey createdAt updatedAt } totalCount pageInfo { hasNextPage endCursor }
  }
} }
"""
COLUMNS = [
    {"name": "question", "type": "TEXT", "isRequired": True, "description": "What was asked."},
    {"name": "tokens", "type": "INTEGER"},
]


@pytest.fixture
def api(database: Database) -> Api:
    return Api(SCHEMA, identity_services(database, Clock()))


@pytest.fixture
async def things(database: Database, ada: Principal) -> DataTable:
    table = data_table(workspace_id=next(iter(ada.roles)))
    await PostgresDataTables(database).add(table)
    for number in range(3):
        await write_row(database, table, {"name": f"row {number}", "count": number, "price": f"{number}.10"})
    return table


def global_id(table: DataTable) -> str:
    return to_global(Prefix.DATA_TABLE, table.id)


async def test_a_table_is_made_and_deleted(api: Api, ada: Principal) -> None:
    made = await api.run(
        CREATE, {"input": {"name": "answers", "columns": COLUMNS, "keyColumns": ["question"]}}, caller=ada
    )
    payload = made.data["createDataTable"]
    assert payload["userErrors"] == []
    table = payload["dataTable"]
    assert isinstance(from_global(Prefix.DATA_TABLE, table.pop("id")), UUID)
    assert table.pop("workspace")["id"].startswith("ws_")
    assert table == {
        "name": "answers",
        "keyColumns": ["question"],
        "rowCount": 0,
        "createdAt": "2026-11-22T12:00:00Z",
        "columns": [
            COLUMNS[0],
            {"name": "tokens", "type": "INTEGER", "isRequired": False, "description": None},
        ],
        "rows": {"nodes": [], "totalCount": 0},
    }
    again = await api.run(CREATE, {"input": {"name": "answers", "columns": COLUMNS}}, caller=ada)
    assert [error["code"] for error in again.data["createDataTable"]["userErrors"]] == ["ALREADY_EXISTS"]


async def test_a_table_is_deleted_once(api: Api, ada: Principal, things: DataTable) -> None:
    deleted = await api.run(DELETE, {"id": global_id(things)}, caller=ada)
    assert deleted.data["deleteDataTable"] == {"deletedDataTableId": global_id(things), "userErrors": []}
    again = await api.run(DELETE, {"id": global_id(things)}, caller=ada)
    assert again.data["deleteDataTable"]["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "id"]}]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": "x", "columns": []}, ["columns"]),
        ({"name": "'; DROP TABLE users; --", "columns": COLUMNS}, ["name"]),
        ({"name": "x" * 1_000_000, "columns": COLUMNS}, ["name"]),
        ({"name": "a\0", "columns": COLUMNS}, ["name"]),
        ({"name": "x", "columns": [{"name": 'x", (select 1)', "type": "TEXT"}]}, ["columns", "0", "name"]),
        ({"name": "x", "columns": COLUMNS, "keyColumns": ["answer"]}, ["keyColumns", "0"]),
    ],
)
async def test_what_is_wrong_with_a_table_is_told_by_its_place(
    api: Api, ada: Principal, given: dict[str, object], path: list[str]
) -> None:
    answer = await api.run(CREATE, {"input": given}, caller=ada)
    (error,) = answer.data["createDataTable"]["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["input", *path])


async def test_rows_are_read_back_filtered_ordered_and_in_pages(api: Api, ada: Principal, things: DataTable) -> None:
    asked: dict[str, Any] = {
        "id": global_id(things),
        "filter": {"path": "price", "gt": "0.1"},
        "orderBy": {"column": "price", "direction": "DESC"},
        "first": 1,
    }
    first = (await api.run(ROWS, asked, caller=ada)).data["dataTable"]["rows"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    (row,) = first["nodes"]
    assert row["values"] == {"name": "row 2", "count": 2, "price": "2.1", "done": None, "at": None, "meta": None}
    assert row["nodeKey"] == "write"
    second = await api.run(ROWS, {**asked, "after": first["pageInfo"]["endCursor"]}, caller=ada)
    assert [node["values"]["name"] for node in second.data["dataTable"]["rows"]["nodes"]] == ["row 1"]


NONSENSE: list[tuple[dict[str, Any], list[str]]] = [
    ({"filter": {"path": "nothing", "eq": 1}}, ["filter"]),
    ({"filter": {"path": "count", "gt": "x"}}, ["filter"]),
    ({"filter": {"path": "meta.\ud800", "eq": 1}}, ["filter", "path"]),
    ({"filter": {"path": "meta", "eq": "\0"}}, ["filter", "eq"]),
    ({"filter": {"and": [{"path": "count", "eq": 1, "not": {}}]}}, ["filter", "and", "0"]),
    ({"orderBy": {"column": "x; DROP TABLE users"}}, ["orderBy", "column"]),
    ({"orderBy": {"column": "meta"}}, ["orderBy", "column"]),
]


@pytest.mark.parametrize(("arguments", "path"), NONSENSE)
async def test_a_question_that_makes_no_sense_gets_a_clear_answer(
    api: Api, ada: Principal, things: DataTable, arguments: dict[str, object], path: list[str]
) -> None:
    answer = await api.run(ROWS, {"id": global_id(things), **arguments}, caller=ada)
    assert (answer.codes, answer.errors[0]["extensions"]["path"]) == (["INVALID_INPUT"], path)


async def test_a_workspace_shows_its_tables_with_one_statement_for_all_counts(
    api: Api, ada: Principal, things: DataTable, database: Database
) -> None:
    workspace_id = next(iter(ada.roles))
    for number in range(3):
        other = data_table(workspace_id=workspace_id, name=f"other-{number}")
        await PostgresDataTables(database).add(other)
        await write_row(database, other, {}, run_id=uuid4())
    document = """
    query { viewer { workspaces { nodes {
      dataTables { totalCount nodes { name rowCount } } dataTable(name: "things") { name } none: dataTable(name: "no") { name }
    } } } }
    """
    with counting(database) as statements:
        answer = await api.run(document, caller=ada)
    (shown,) = answer.data["viewer"]["workspaces"]["nodes"]
    assert shown == {
        "dataTables": {
            "totalCount": 4,
            "nodes": [*({"name": f"other-{n}", "rowCount": 1} for n in range(3)), {"name": "things", "rowCount": 3}],
        },
        "dataTable": {"name": things.name},
        "none": None,
    }
    # The viewer's workspaces, the page, its total, two lookups by name, all counts.
    assert statements.count == 6, statements


async def test_the_runs_of_all_rows_are_loaded_at_once(
    ada: Principal, things: DataTable, database_url: str, tmp_path: Path
) -> None:
    document = "query ($id: ID!) { dataTable(id: $id) { rows { nodes { values run { id } } } } }"
    async with open_test_services(database_url, tmp_path) as services:
        with counting() as statements:
            answer = await Api(SCHEMA, services).run(document, {"id": global_id(things)}, caller=ada)
    assert [row["run"] for row in answer.data["dataTable"]["rows"]["nodes"]] == [None] * 3
    assert statements.count == 3, statements


async def test_another_tenants_table_is_not_there(api: Api, database: Database, things: DataTable) -> None:
    eve = await make_principal(database, "eve")
    answer = await api.run(ROWS, {"id": global_id(things)}, caller=eve)
    assert answer.data == {"dataTable": None}
