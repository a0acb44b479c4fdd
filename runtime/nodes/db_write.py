"""DB_WRITE: write rows to a built-in table or to another PostgreSQL database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field, model_validator

from domain.data_rows import check_write
from domain.data_tables import WriteMode
from domain.errors import NodeFault, UserFault
from domain.json_value import Json
from domain.kinds import (
    JSON_FIELD,
    STATIC,
    Config,
    ConfigProblem,
    ErrorCode,
    NodeContext,
    NodeKind,
    OneOf,
    Output,
    Reference,
    Result,
)
from domain.ports.data_tables import ExternalWrite


class ExternalTable(Config):
    """A table in an outside PostgreSQL database."""

    connection: Annotated[str, Reference("connection")]
    """Name of a connection of kind POSTGRES."""
    table: Annotated[str, STATIC, Field(min_length=1, max_length=200)]
    """The table, with its schema if needed, such as `sales.orders`; never a template."""


class DbWriteTarget(OneOf):
    """The target of a write; exactly one field is set."""

    data_table: Annotated[str, Reference("dataTable")] | None = None
    """Name of a built-in table."""
    external_table: ExternalTable | None = None
    """A table in an outside database."""


class ColumnValue(Config):
    """A column and its value."""

    column: Annotated[str, Reference("dataColumn"), Field(min_length=1, max_length=128)]
    """The column; never a template."""
    value: Annotated[Any, JSON_FIELD] = None
    """The value; texts inside are templates, absent or null writes NULL."""


class DbWriteConfig(Config):
    """A write to a table; output `rowCount`, `rows`. Built-in tables: exactly once in a run; PostgreSQL: at least once. A rerun writes again."""

    target: DbWriteTarget
    """Where to."""
    write_mode: WriteMode = WriteMode.INSERT
    """What is done."""
    values: Annotated[list[ColumnValue], Field(min_length=1, max_length=200)]
    """Columns and their values, 200 at most; values are bound, never part of the statement."""
    conflict_columns: Annotated[list[Annotated[str, Reference("dataColumn")]], Field(max_length=200)] = Field(
        default_factory=list
    )
    """UPSERT: the columns that make a row the same. UPDATE and DELETE: the columns of `values` that pick the rows. 200 at most."""
    returning: Annotated[list[Annotated[str, Reference("dataColumn")]], Field(max_length=200)] = Field(
        default_factory=list
    )
    """Columns of the written rows that the output has; 200 at most."""

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> DbWriteConfig:
        for names in ([value.column for value in self.values], self.conflict_columns, self.returning):
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                raise ValueError(f"the column {twice} is named twice")
        return self


class DbWriteOutput(Output):
    """What a write returns."""

    row_count: int
    """How many rows were written."""
    rows: list[Any]
    """The written rows with the columns of `returning`; empty without."""


def check(config: DbWriteConfig) -> list[ConfigProblem]:
    """Find columns that are needed and not there, or there and not needed."""
    given = {value.column for value in config.values}
    picking = config.conflict_columns
    mode = config.write_mode
    missing = next((place for place, name in enumerate(picking) if name not in given), None)
    if missing is not None:
        message = f"`values` has no column `{picking[missing]}`."
        return [ConfigProblem(("conflictColumns", str(missing)), "INVALID_COLUMNS", message)]
    if mode is not WriteMode.INSERT and not picking:
        return [ConfigProblem(("conflictColumns",), "INVALID_COLUMNS", f"{mode.value} needs `conflictColumns`.")]
    if mode is WriteMode.DELETE and given != set(picking):
        message = "DELETE has only `values` that pick the rows; name them all in `conflictColumns`."
        return [ConfigProblem(("values",), "INVALID_COLUMNS", message)]
    if mode is WriteMode.UPDATE and given == set(picking):
        message = "UPDATE changes nothing: every column of `values` picks rows."
        return [ConfigProblem(("values",), "INVALID_COLUMNS", message)]
    return []


async def run(config: DbWriteConfig, ctx: NodeContext) -> Result:
    """Check the row; a built-in table is written when the node's end is stored, another one at once.

    Raises:
        NodeFault: `TABLE_NOT_FOUND`, `INVALID_ROW`, and those of other databases.
    """
    values = {value.column: cast("Json", value.value) for value in config.values}
    target = config.target.external_table
    if target is not None:
        return await _write_external(config, target, values, ctx)
    table = await ctx.data_table(config.target.data_table or "")
    try:
        write = check_write(table, config.write_mode, values, config.conflict_columns, config.returning)
    except UserFault as fault:
        raise NodeFault("INVALID_ROW", fault.message) from None
    return Result(None, write=write)


async def _write_external(
    config: DbWriteConfig, target: ExternalTable, values: Mapping[str, Json], ctx: NodeContext
) -> Result:
    write = ExternalWrite(
        target.table, config.write_mode, values, tuple(config.conflict_columns), tuple(config.returning)
    )
    written = await ctx.write_external(target.connection, write)
    return Result(DbWriteOutput(row_count=written.row_count, rows=list(written.rows)))


KIND = NodeKind(
    kind="DB_WRITE",
    name="dbWrite",
    title="Write rows",
    description=(
        "Write rows to a built-in table or to PostgreSQL. A built-in table gets them exactly once in a run, however "
        "often the process dies; PostgreSQL at least once. A rerun that includes the node writes again."
    ),
    config=DbWriteConfig,
    output=DbWriteOutput,
    run=run,
    check=check,
    error_codes=(
        ErrorCode("TABLE_NOT_FOUND", "There is no such table.", is_retryable=False),
        ErrorCode("CONNECTION_NOT_FOUND", "There is no such connection of kind POSTGRES.", is_retryable=False),
        ErrorCode("INVALID_ROW", "A column is unknown, missing or holds another type.", is_retryable=False),
        ErrorCode("UNIQUE_VIOLATION", "A row with the same key exists already.", is_retryable=False),
        ErrorCode("CONSTRAINT_VIOLATION", "Another constraint of the table forbids the row.", is_retryable=False),
        ErrorCode("TOO_MANY_ROWS", "More rows would be returned than an output holds.", is_retryable=False),
        ErrorCode("TABLE_FULL", "The built-in table has as many rows as it may.", is_retryable=False),
        ErrorCode("WRITE_FAILED", "The database did not take the rows, such as after deadlocks.", is_retryable=True),
        ErrorCode("PERMISSION_DENIED", "The role may not write this table.", is_retryable=False),
        ErrorCode("DATABASE_REFUSED", "The outside database refuses the connection.", is_retryable=False),
        ErrorCode("DATABASE_UNAVAILABLE", "The outside database does not answer.", is_retryable=True),
        ErrorCode("ADDRESS_REFUSED", "The address is private, or the server's own database.", is_retryable=False),
        ErrorCode("CONNECTION_FAILED", "The name of the host does not resolve.", is_retryable=True),
        ErrorCode("INVALID_RESPONSE", "What answers is no PostgreSQL that can be used.", is_retryable=False),
        ErrorCode("TIMED_OUT", "The write took too long.", is_retryable=True),
    ),
    nested=(DbWriteTarget, ExternalTable, ColumnValue),
)
