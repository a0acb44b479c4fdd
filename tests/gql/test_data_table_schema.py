from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema as parse_schema

from gql.schema import build_schema
from runtime.settings import Settings

DRAFT: Any = parse_schema((Path(__file__).parents[2] / "docs/design/schema.graphql").read_text())
BUILT: Any = build_schema(Settings(_env_file=None))._schema  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    "name",
    [
        "DataTable", "DataColumn", "DataRow", "DataTableConnection", "DataTableEdge", "DataRowConnection", "DataRowEdge",
        "DataRowOrder", "DataColumnInput", "CreateDataTableInput", "CreateDataTablePayload", "DeleteDataTableInput",
        "DeleteDataTablePayload", "PostgresSettings", "PostgresSettingsInput", "TestConnectionInput",
        "TestConnectionPayload", "DbWriteConfig", "DbWriteConfigInput", "DbWriteTarget", "DbWriteTargetInput",
        "ExternalTable", "ExternalTableInput", "ColumnValue", "ColumnValueInput", "ConnectionSettingsInput", "FilterInput",
    ],
)  # fmt: skip
def test_a_type_is_the_one_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[name], DRAFT.type_map[name]
    assert built.description == draft.description
    assert {key: (str(one.type), one.description) for key, one in built.fields.items()} == {
        key: (str(one.type), one.description) for key, one in draft.fields.items()
    }
    for key, one in draft.fields.items():
        arguments = getattr(one, "args", {})
        assert (
            {name: str(argument.type) for name, argument in built.fields[key].args.items()}
            == {name: str(argument.type) for name, argument in arguments.items()}
            if arguments
            else True
        )


@pytest.mark.parametrize("name", ["ColumnType", "ConnectionKind"])
def test_an_enum_is_the_one_of_the_design(name: str) -> None:
    built, draft = BUILT.type_map[name], DRAFT.type_map[name]
    assert {key: one.description for key, one in built.values.items()} == {
        key: one.description for key, one in draft.values.items()
    }


@pytest.mark.parametrize(
    "root",
    [
        "Query.dataTable", "Mutation.createDataTable", "Mutation.deleteDataTable", "Mutation.testConnection",
        "Workspace.dataTables", "Workspace.dataTable",
    ],
)  # fmt: skip
def test_a_field_is_the_one_of_the_design(root: str) -> None:
    kind, _, name = root.partition(".")
    built, draft = BUILT.type_map[kind].fields[name], DRAFT.type_map[kind].fields[name]
    assert (str(built.type), built.description) == (str(draft.type), draft.description)
    assert {key: (str(one.type), one.description) for key, one in built.args.items()} == {
        key: (str(one.type), one.description) for key, one in draft.args.items()
    }
