"""Every table, in one place: Alembic's metadata."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from domain.identity import Role
from domain.run import NodeRunStatus, RunStatus, TriggerKind

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def _one_of(column: str, values: type[Role | RunStatus | NodeRunStatus | TriggerKind]) -> CheckConstraint:
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _id() -> Column[object]:
    return Column("id", Uuid, primary_key=True)


def _workspace() -> Column[object]:
    return Column("workspace_id", Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False)


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


# ── identity ──

users = Table(
    "users",
    metadata,
    _id(),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    _now("created_at"),
)

workspaces = Table("workspaces", metadata, _id(), Column("name", Text, nullable=False), _now("created_at"))

members = Table(
    "members",
    metadata,
    _id(),
    _workspace(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    _now("joined_at"),
    UniqueConstraint("workspace_id", "user_id"),
    _one_of("role", Role),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    _now("created_at"),
    _instant("expires_at"),
    _instant("ended_at", nullable=True),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    _now("created_at"),
    _instant("expires_at"),
    _instant("used_at", nullable=True),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    _now("at"),
    Index("sign_in_attempts_account_address_at_idx", "account", "address", "at"),
)

# ── secrets and connections ──

secrets = Table(
    "secrets",
    metadata,
    _id(),
    _workspace(),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("ciphertext", LargeBinary, nullable=False),
    _instant("last_used_at", nullable=True),
    _now("created_at"),
    _now("updated_at"),
    UniqueConstraint("workspace_id", "name"),
)

connections = Table(
    "connections",
    metadata,
    _id(),
    _workspace(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("ciphertext", LargeBinary),
    Column("max_concurrent", Integer),
    Column("requests_per_minute", Integer),
    _now("created_at"),
    _now("updated_at"),
    UniqueConstraint("workspace_id", "name"),
)

# ── data tables ──

data_tables = Table(
    "data_tables",
    metadata,
    _id(),
    _workspace(),
    Column("name", Text, nullable=False),
    Column("columns", JSON, nullable=False),
    Column("key_columns", JSON, nullable=False),
    _now("created_at"),
    UniqueConstraint("workspace_id", "name"),
)

# What was written last has no foreign key: a row outlives the run that wrote it. item_index is -1 without an item.
data_rows = Table(
    "data_rows",
    metadata,
    _id(),
    Column("table_id", Uuid, ForeignKey("data_tables.id", ondelete="CASCADE"), nullable=False),
    Column("row", JSONB, nullable=False),
    Column("row_key", LargeBinary),
    Column("run_id", Uuid, nullable=False),
    Column("node_key", Text, nullable=False),
    Column("item_index", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    UniqueConstraint("run_id", "node_key", "item_index", "ordinal"),
    UniqueConstraint("table_id", "row_key"),
    Index("data_rows_table_id_id_idx", "table_id", "id"),
)

# ── workflows ──

graphs = Table(
    "graphs",
    metadata,
    _id(),
    _workspace(),
    Column("content_hash", LargeBinary, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("node_count", Integer, nullable=False),
    _now("created_at"),
    UniqueConstraint("workspace_id", "content_hash"),
)

workflows = Table(
    "workflows",
    metadata,
    _id(),
    _workspace(),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("revision", Integer, nullable=False),
    Column("graph_id", Uuid, ForeignKey("graphs.id"), nullable=False, index=True),
    Column("problems", JSONB, nullable=False),
    Column("is_runnable", Boolean, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    Column("updated_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    UniqueConstraint("workspace_id", "slug"),
)

# ── runs ──

executors = Table(
    "executors",
    metadata,
    _id(),
    Column("lock_key", BigInteger, nullable=False),
    _instant("expires_at"),
    _now("started_at"),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _workspace(),
    Column("workflow_id", Uuid, ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("graph_id", Uuid, ForeignKey("graphs.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("engine", Text, nullable=False, server_default="local"),
    Column("last_seq", Integer, nullable=False, server_default="0"),
    Column("node_count", Integer, nullable=False),
    Column("nodes_done", Integer, nullable=False, server_default="0"),
    Column("executor_id", Uuid),
    Column("lease_epoch", Integer, nullable=False, server_default="0"),
    Column("recoveries", Integer, nullable=False, server_default="0"),
    Column("trigger", Text, nullable=False),
    Column("triggered_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("priority", SmallInteger, nullable=False, server_default="3"),
    Column("concurrency_key", Text),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    Column("labels", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("input", JSON),
    Column("output", JSON),
    Column("failure", JSONB),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("total_tokens", BigInteger, nullable=False, server_default="0"),
    _now("created_at"),
    _instant("started_at", nullable=True),
    _instant("finished_at", nullable=True),
    _one_of("status", RunStatus),
    _one_of("trigger", TriggerKind),
    CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),
    Index("runs_workspace_id_id_idx", "workspace_id", "id"),
    Index("runs_workflow_id_id_idx", "workflow_id", "id"),
    Index("runs_queued_idx", "priority", "id", postgresql_where=text("status = 'QUEUED'")),
    Index(
        "runs_unfinished_idx",
        "workspace_id",
        "id",
        postgresql_where=text("status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"),
    ),
    Index(
        "runs_idempotency_key",
        "workspace_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 70},
)

run_commands = Table(
    "run_commands",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("command_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", JSON),
    _now("created_at"),
    _instant("applied_at", nullable=True),
    UniqueConstraint("run_id", "command_key"),
    Index("run_commands_pending_idx", "run_id", postgresql_where=text("applied_at IS NULL")),
)

# Range-partitioned by run_id: a UUIDv7 is ordered by time, so a range of ids is a range of days.
run_events = Table(
    "run_events",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("event_key", Text, nullable=False),
    Column("type", Text, nullable=False),
    _instant("at"),
    Column("node_key", Text),
    Column("item_index", Integer),
    Column("execution", Integer),
    Column("data", JSON),
    UniqueConstraint("run_id", "event_key"),
    postgresql_partition_by="RANGE (run_id)",
)

# item_index is -1 for the node as a whole, so that the primary key holds.
node_runs = Table(
    "node_runs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("node_key", Text, primary_key=True),
    Column("item_index", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_seq", Integer, nullable=False),
    Column("input", JSON),
    Column("output", JSON),
    Column("failure", JSON),
    Column("input_tokens", Integer, nullable=False, server_default="0"),
    Column("output_tokens", Integer, nullable=False, server_default="0"),
    Column("total_tokens", Integer, nullable=False, server_default="0"),
    _instant("started_at", nullable=True),
    _instant("finished_at", nullable=True),
    _instant("next_attempt_at", nullable=True),
    _one_of("status", NodeRunStatus),
    postgresql_partition_by="RANGE (run_id)",
)

PARTITIONED = (run_events, node_runs)
