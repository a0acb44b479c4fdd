"""Who executes runs, and what is asked of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from persistence.columns import id_column, instant, metadata, now

executors = Table(
    "executors",
    metadata,
    id_column(),
    Column("lock_key", BigInteger, nullable=False),
    instant("expires_at"),
    now("started_at"),
)

run_commands = Table(
    "run_commands",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("command_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", JSON),
    now("created_at"),
    instant("applied_at", nullable=True),
    UniqueConstraint("run_id", "command_key"),
    Index("run_commands_pending_idx", "run_id", postgresql_where=text("applied_at IS NULL")),
)

# The queue, apart from `runs`: whatever the planner knows about that large table, there is one way to read this one, and a
# run that is started where there is room never comes here. A row goes with the claim of its run.
queued_runs = Table(
    "queued_runs",
    metadata,
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Index("queued_runs_order_idx", "priority", "workspace_id", "run_id"),
)
