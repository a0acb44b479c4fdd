from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from domain.configs import compile_config
from domain.data_tables import ColumnType, DataColumn, WriteMode
from domain.errors import NodeFault
from domain.ports.data_tables import ExternalWrite
from domain.validation import WorkspaceNames
from domain.validation import check as check_workflow
from domain.workflow import Definition
from runtime.nodes.db_write import KIND, DbWriteConfig, DbWriteOutput, run
from tests.support.data_tables import data_table
from tests.support.node_context import RecordingContext

if TYPE_CHECKING:
    from domain.json_value import Json
    from domain.problems import Problem

TABLE = data_table(DataColumn("sku", ColumnType.TEXT), DataColumn("qty", ColumnType.INTEGER), keys=("sku",))


def config(target: dict[str, Any] | None = None, **more: Any) -> DbWriteConfig:
    values = [{"column": "sku", "value": "a"}, {"column": "qty", "value": "2"}]
    return DbWriteConfig.model_validate(
        {"target": {"dataTable": "things"} if target is None else target, "values": values, **more}
    )


async def test_a_row_of_a_built_in_table_goes_with_the_end_of_the_node() -> None:
    result = await run(config(returning=["qty"]), RecordingContext(tables={"things": TABLE}))
    assert result.output is None
    assert result.write is not None
    assert (result.write.mode, result.write.row, result.write.returning) == (
        WriteMode.INSERT,
        {"sku": "a", "qty": 2},
        ("qty",),
    )


async def test_a_table_of_another_database_is_written_at_once() -> None:
    ctx = RecordingContext()
    target = {"externalTable": {"connection": "warehouse", "table": "sales.orders"}}
    result = await run(config(target, writeMode="UPSERT", conflictColumns=["sku"], returning=["id"]), ctx)
    values = {"sku": "a", "qty": "2"}
    assert ctx.external_writes == [
        ("warehouse", ExternalWrite("sales.orders", WriteMode.UPSERT, values, ("sku",), ("id",)))
    ]
    assert result.output == DbWriteOutput(row_count=1, rows=[{"id": 7}])
    assert result.write is None


@pytest.mark.parametrize(
    ("tables", "more", "code", "told"),
    [
        ({}, {}, "TABLE_NOT_FOUND", "none"),
        ({"things": TABLE}, {"values": [{"column": "qty", "value": 1}]}, "INVALID_ROW", "sku"),
        ({"things": TABLE}, {"values": [{"column": "sku", "value": ["a"]}]}, "INVALID_ROW", "sku"),
        ({"things": TABLE}, {"returning": ['x", (select 1)']}, "INVALID_ROW", "no column"),
    ],
)
async def test_what_cannot_be_written_fails_with_its_code(
    tables: dict[str, Any], more: dict[str, Any], code: str, told: str
) -> None:
    with pytest.raises(NodeFault) as caught:
        await run(config(**more), RecordingContext(tables=tables))
    assert (caught.value.code, caught.value.is_retryable) == (code, False)
    assert told in caught.value.message


@pytest.mark.parametrize(
    "more",
    [
        {"values": []},
        {"values": [{"column": "a"}] * 2},
        {"conflictColumns": ["a", "a"]},
        {"target": {}},
        {"target": {"dataTable": "a", "externalTable": {"connection": "c", "table": "t"}}},
        {"writeMode": "TRUNCATE"},
    ],
)
def test_a_configuration_that_says_two_things_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**more)


def problems(names: WorkspaceNames, **more: Any) -> list[Problem]:
    values: Json = [{"column": "sku", "value": "a"}, {"column": "qty", "value": "{{ input.qty }}"}]
    written: dict[str, Any] = {"target": {"dataTable": "things"}, "values": values, **more}
    made = Definition.model_validate({"graph": {"nodes": [{"key": "w", "config": {"dbWrite": written}}], "edges": []}})
    return check_workflow(made, {"dbWrite": KIND}, names)


KNOWN = WorkspaceNames(data_tables={"things": frozenset({"sku", "qty"})})


@pytest.mark.parametrize(
    ("more", "code", "path", "hint"),
    [
        ({"target": {"dataTable": "thngs"}}, "UNKNOWN_DATA_TABLE", ("target", "dataTable"), "Did you mean `things`?"),
        (
            {"target": {"dataTable": "x"}},
            "UNKNOWN_DATA_TABLE",
            ("target", "dataTable"),
            "Make it with `createDataTable`.",
        ),
        ({"values": [{"column": "skuu"}]}, "UNKNOWN_COLUMN", ("values", "0", "column"), "Did you mean `sku`?"),
        ({"returning": ["sku", "id"]}, "UNKNOWN_COLUMN", ("returning", "1"), None),
        ({"writeMode": "UPSERT"}, "INVALID_COLUMNS", ("conflictColumns",), None),
        ({"writeMode": "UPDATE", "conflictColumns": ["sku", "qty"]}, "INVALID_COLUMNS", ("values",), None),
        ({"writeMode": "DELETE", "conflictColumns": ["sku"]}, "INVALID_COLUMNS", ("values",), None),
        (
            {"target": {"externalTable": {"connection": "c", "table": "t"}}},
            "UNKNOWN_CONNECTION",
            ("target", "externalTable", "connection"),
            "Make it with `createConnection`.",
        ),
    ],
)
def test_what_is_wrong_is_told_when_the_graph_is_saved(
    more: dict[str, Any], code: str, path: tuple[str, ...], hint: str | None
) -> None:
    (problem,) = problems(KNOWN, **more)
    assert (problem.code, problem.path, problem.hint) == (code, ("config", "dbWrite", *path), hint)


def test_nothing_is_said_of_what_is_not_known_or_right() -> None:
    assert problems(KNOWN) == []
    assert problems(WorkspaceNames(data_tables=None)) == []
    assert problems(KNOWN, writeMode="UPSERT", conflictColumns=["sku"], returning=["sku"]) == []


def test_names_are_never_templates_and_values_are() -> None:
    written: dict[str, Any] = {
        "target": {"dataTable": "{{ input.table }}"},
        "values": [{"column": "{{ input.column }}", "value": {"deep": ["{{ input.value }}"]}}],
    }
    compiled = compile_config(KIND, written)
    assert compiled.references == {("input", "value")}
    assert compiled.describe({"input": {"table": "users", "column": "x", "value": [1]}}) == {
        "target": written["target"],
        "values": [{"column": "{{ input.column }}", "value": {"deep": [[1]]}}],
    }
