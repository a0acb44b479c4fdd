"""What the columns of many tables have in common, and the metadata that all tables belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    Text,
    Uuid,
    text,
)

if TYPE_CHECKING:
    from enum import StrEnum

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Return the constraint that a text column holds one of the values."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def id_column() -> Column[object]:
    """Return the primary key."""
    return Column("id", Uuid, primary_key=True)


def workspace_column() -> Column[object]:
    """Return the reference to the workspace, with which the row goes."""
    return Column("workspace_id", Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False)


def usage_columns(count: type[BigInteger | Integer]) -> list[Column[Any]]:
    """Return the columns of what was used of models: tokens, and the exact cost where a price is known."""
    tokens = ("input_tokens", "output_tokens", "total_tokens")
    counts: list[Column[Any]] = [Column(name, count, nullable=False, server_default="0") for name in tokens]
    return [*counts, Column("cost", Numeric), Column("currency", Text)]


def instant(name: str, *, nullable: bool = False) -> Column[object]:
    """Return a column for an instant."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def now(name: str) -> Column[object]:
    """Return a column for an instant that is the transaction's if none is given."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))
