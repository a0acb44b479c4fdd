"""The tables, but for those that `version_tables`, `queue_tables` and `approval_tables` add."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from domain.collections import VectorMetric
from domain.identity import Role
from domain.run import NodeRunStatus, RunStatus, TriggerKind
from persistence.columns import id_column, instant, metadata, now, one_of, usage_columns, workspace_column

# ── identity ──

users = Table(
    "users",
    metadata,
    id_column(),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    now("created_at"),
)

workspaces = Table("workspaces", metadata, id_column(), Column("name", Text, nullable=False), now("created_at"))

members = Table(
    "members",
    metadata,
    id_column(),
    workspace_column(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    now("joined_at"),
    UniqueConstraint("workspace_id", "user_id"),
    one_of("role", Role),
)

sessions = Table(
    "sessions",
    metadata,
    id_column(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    now("created_at"),
    instant("expires_at"),
    instant("ended_at", nullable=True),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    now("created_at"),
    instant("expires_at"),
    instant("used_at", nullable=True),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    now("at"),
    Index("sign_in_attempts_account_address_at_idx", "account", "address", "at"),
)

# ── secrets and connections ──

secrets = Table(
    "secrets",
    metadata,
    id_column(),
    workspace_column(),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("ciphertext", LargeBinary, nullable=False),
    instant("last_used_at", nullable=True),
    now("created_at"),
    now("updated_at"),
    UniqueConstraint("workspace_id", "name"),
)

connections = Table(
    "connections",
    metadata,
    id_column(),
    workspace_column(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("ciphertext", LargeBinary),
    Column("max_concurrent", Integer),
    Column("requests_per_minute", Integer),
    now("created_at"),
    now("updated_at"),
    UniqueConstraint("workspace_id", "name"),
    Column("is_default", Boolean, nullable=False, server_default=text("false")),
    Index("connections_default_idx", "workspace_id", unique=True, postgresql_where=text("is_default")),
)

# ── data tables ──

data_tables = Table(
    "data_tables",
    metadata,
    id_column(),
    workspace_column(),
    Column("name", Text, nullable=False),
    Column("columns", JSON, nullable=False),
    Column("key_columns", JSON, nullable=False),
    now("created_at"),
    UniqueConstraint("workspace_id", "name"),
)

# What was written last has no foreign key: a row outlives the run that wrote it. item_index is -1 without an item.
data_rows = Table(
    "data_rows",
    metadata,
    id_column(),
    Column("table_id", Uuid, ForeignKey("data_tables.id", ondelete="CASCADE"), nullable=False),
    Column("row", JSONB, nullable=False),
    Column("row_key", LargeBinary),
    Column("run_id", Uuid, nullable=False),
    Column("node_key", Text, nullable=False),
    Column("item_index", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    now("created_at"),
    now("updated_at"),
    UniqueConstraint("run_id", "node_key", "item_index", "ordinal"),
    UniqueConstraint("table_id", "row_key"),
    Index("data_rows_table_id_id_idx", "table_id", "id"),
)

# ── workflows ──

graphs = Table(
    "graphs",
    metadata,
    id_column(),
    workspace_column(),
    Column("content_hash", LargeBinary, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("node_count", Integer, nullable=False),
    now("created_at"),
    UniqueConstraint("workspace_id", "content_hash"),
)

# `change_count` numbers what `workflow_changes` keeps.
workflows = Table(
    "workflows",
    metadata,
    id_column(),
    workspace_column(),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("revision", Integer, nullable=False),
    Column("graph_id", Uuid, ForeignKey("graphs.id"), nullable=False, index=True),
    Column("problems", JSONB, nullable=False),
    Column("is_runnable", Boolean, nullable=False),
    Column("published_number", Integer),
    Column("published_graph_id", Uuid, ForeignKey("graphs.id")),
    now("created_at"),
    now("updated_at"),
    Column("updated_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("layout", JSONB, nullable=False, server_default="{}"),
    Column("change_count", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("workspace_id", "slug"),
)

# ── collections ──

# `last_seq` orders all that happens to a collection; whoever changes it holds the row until the commit. The counts and
# `rebuild` (what the next generation will be, null while there is none) change with it.
collections = Table(
    "collections",
    metadata,
    id_column(),
    workspace_column(),
    Column("name", Text, nullable=False),
    Column("embedder", JSONB, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("metric", Text, nullable=False),
    Column("chunking", JSONB, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rebuild", JSONB(none_as_null=True)),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("forgotten_seq", BigInteger, nullable=False, server_default="0"),
    Column("document_count", Integer, nullable=False, server_default="0"),
    Column("chunk_count", Integer, nullable=False, server_default="0"),
    Column("dead_count", Integer, nullable=False, server_default="0"),
    now("created_at"),
    now("updated_at"),
    UniqueConstraint("workspace_id", "name"),
    one_of("metric", VectorMetric),
)

# `generation` is the newest one that has chunks of the text as it is.
documents = Table(
    "documents",
    metadata,
    id_column(),
    workspace_column(),
    Column("collection_id", Uuid, ForeignKey("collections.id", ondelete="CASCADE"), nullable=False),
    Column("external_id", Text),
    Column("text", Text, nullable=False),
    Column("text_hash", LargeBinary, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("generation", Integer, nullable=False),
    now("created_at"),
    now("updated_at"),
    Index("documents_workspace_id_idx", "workspace_id"),
    Index("documents_collection_id_id_idx", "collection_id", "id"),
    Index("documents_collection_id_generation_id_idx", "collection_id", "generation", "id"),
    Index(
        "documents_collection_id_external_id_key",
        "collection_id",
        "external_id",
        unique=True,
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    Index(
        "documents_collection_id_text_hash_key",
        "collection_id",
        "text_hash",
        unique=True,
        postgresql_where=text("external_id IS NULL"),
    ),
    Index("documents_metadata_idx", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}),
)

chunks = Table(
    "chunks",
    metadata,
    id_column(),
    Column("collection_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("document_id", Uuid, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    UniqueConstraint("collection_id", "generation", "seq"),
    UniqueConstraint("document_id", "generation", "position"),
)

# What an index that was read before has to drop; after a day forgotten, and an older index is read anew.
chunk_removals = Table(
    "chunk_removals",
    metadata,
    Column("collection_id", Uuid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("removed", ARRAY(BigInteger), nullable=False),
    now("at"),
)

# ── runs ──

# `request_hash` is there while the idempotency key is the run's; another run may take it over. With a `concurrency_limit` a
# run needs one of so many turns of its workflow and `concurrency_key`, and is held until it has one. An API key may go.
runs = Table(
    "runs",
    metadata,
    id_column(),
    workspace_column(),
    Column("workflow_id", Uuid, ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("graph_id", Uuid, ForeignKey("graphs.id"), nullable=False, index=True),
    Column("version", Integer),
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
    Column("webhook_id", Uuid),
    Column("priority", SmallInteger, nullable=False, server_default="3"),
    Column("concurrency_key", Text),
    Column("concurrency_limit", Integer),
    Column("is_held", Boolean, nullable=False, server_default=text("false")),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    Column("labels", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("input", JSON),
    Column("output", JSON),
    Column("failure", JSONB),
    *usage_columns(BigInteger),
    now("created_at"),
    instant("started_at", nullable=True),
    instant("finished_at", nullable=True),
    instant("wake_at", nullable=True),
    Column("parent_run_id", Uuid, ForeignKey("runs.id", ondelete="SET NULL")),
    Column("parent_node_key", Text),
    Column("parent_item_index", Integer),
    Column("depth", SmallInteger, nullable=False, server_default="0"),
    Column("rerun_of", Uuid, ForeignKey("runs.id", ondelete="SET NULL")),
    Column("api_key_id", Uuid),
    one_of("status", RunStatus),
    one_of("trigger", TriggerKind),
    CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),
    Index("runs_workspace_id_id_idx", "workspace_id", "id"),
    Index("runs_workflow_id_id_idx", "workflow_id", "id"),
    Index("runs_parent_run_id_id_idx", "parent_run_id", "id", postgresql_where=text("parent_run_id IS NOT NULL")),
    Index("runs_rerun_of_id_idx", "rerun_of", "id", postgresql_where=text("rerun_of IS NOT NULL")),
    Index(
        "runs_turns_idx",
        "workflow_id",
        "concurrency_key",
        "is_held",
        "priority",
        "id",
        postgresql_where=text(
            "concurrency_limit IS NOT NULL AND status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"
        ),
    ),
    Index(
        "runs_labels_idx",
        "labels",
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
        postgresql_where=text("labels <> '[]'::jsonb"),
    ),
    Index("runs_wake_at_idx", "wake_at", postgresql_where=text("status IN ('WAITING', 'PAUSED')")),
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
        postgresql_where=text("request_hash IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 70},
)

# Range-partitioned by run_id: a UUIDv7 is ordered by time, so a range of ids is a range of days.
run_events = Table(
    "run_events",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("event_key", Text, nullable=False),
    Column("type", Text, nullable=False),
    instant("at"),
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
    *usage_columns(Integer),
    instant("started_at", nullable=True),
    instant("finished_at", nullable=True),
    instant("next_attempt_at", nullable=True),
    Column("reused_from", Uuid),
    one_of("status", NodeRunStatus),
    postgresql_partition_by="RANGE (run_id)",
)

PARTITIONED = (run_events, node_runs)
