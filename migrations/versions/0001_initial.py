"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    _identity()
    _secrets()
    _workflows()
    _runs()
    _run_log()


def _identity() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.UniqueConstraint("email", name="users_email_key"),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="workspaces_pkey"),
    )
    op.create_table(
        "members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('OWNER', 'ADMIN', 'EDITOR', 'VIEWER')", name=op.f("members_role_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="members_user_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="members_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="members_pkey"),
        sa.UniqueConstraint("workspace_id", "user_id", name="members_workspace_id_user_id_key"),
    )
    op.create_index("members_user_id_idx", "members", ["user_id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="sessions_user_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="sessions_pkey"),
    )
    op.create_index("sessions_user_id_idx", "sessions", ["user_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="refresh_tokens_session_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="refresh_tokens_pkey"),
    )
    op.create_index("refresh_tokens_session_id_idx", "refresh_tokens", ["session_id"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("sign_in_attempts_account_address_at_idx", "sign_in_attempts", ["account", "address", "at"])


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="secrets_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="secrets_pkey"),
        sa.UniqueConstraint("workspace_id", "name", name="secrets_workspace_id_name_key"),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary()),
        sa.Column("max_concurrent", sa.Integer()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="connections_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="connections_pkey"),
        sa.UniqueConstraint("workspace_id", "name", name="connections_workspace_id_name_key"),
    )


def _workflows() -> None:
    op.create_table(
        "graphs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("definition", postgresql.JSON(), nullable=False),
        sa.Column("node_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="graphs_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="graphs_pkey"),
        sa.UniqueConstraint("workspace_id", "content_hash", name="graphs_workspace_id_content_hash_key"),
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("graph_id", sa.Uuid(), nullable=False),
        sa.Column("problems", postgresql.JSONB(), nullable=False),
        sa.Column("is_runnable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Uuid()),
        sa.ForeignKeyConstraint(["graph_id"], ["graphs.id"], name="workflows_graph_id_fkey"),
        sa.ForeignKeyConstraint(["updated_by"], ["users.id"], name="workflows_updated_by_fkey", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="workflows_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="workflows_pkey"),
        sa.UniqueConstraint("workspace_id", "slug", name="workflows_workspace_id_slug_key"),
    )
    op.create_index("workflows_graph_id_idx", "workflows", ["graph_id"])


def _runs() -> None:
    op.create_table(
        "executors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lock_key", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="executors_pkey"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("graph_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), server_default="local", nullable=False),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("node_count", sa.Integer(), nullable=False),
        sa.Column("nodes_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("executor_id", sa.Uuid()),
        sa.Column("lease_epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recoveries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("triggered_by", sa.Uuid()),
        sa.Column("priority", sa.SmallInteger(), server_default="3", nullable=False),
        sa.Column("concurrency_key", sa.Text()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.LargeBinary()),
        sa.Column("labels", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("input", postgresql.JSON()),
        sa.Column("output", postgresql.JSON()),
        sa.Column("failure", postgresql.JSONB()),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'WAITING', 'PAUSED', 'CANCELING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')",
            name=op.f("runs_status_check"),
        ),
        sa.CheckConstraint(
            "trigger IN ('MANUAL', 'API_KEY', 'SCHEDULE', 'WEBHOOK', 'SUBWORKFLOW', 'RERUN', 'TRY_NODE')",
            name=op.f("runs_trigger_check"),
        ),
        sa.CheckConstraint("priority BETWEEN 1 AND 5", name=op.f("runs_priority_check")),
        sa.ForeignKeyConstraint(["graph_id"], ["graphs.id"], name="runs_graph_id_fkey"),
        sa.ForeignKeyConstraint(["triggered_by"], ["users.id"], name="runs_triggered_by_fkey", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name="runs_workflow_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="runs_workspace_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="runs_pkey"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "runs_idempotency_key",
        "runs",
        ["workspace_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("runs_queued_idx", "runs", ["priority", "id"], postgresql_where=sa.text("status = 'QUEUED'"))
    op.create_index(
        "runs_unfinished_idx",
        "runs",
        ["workspace_id", "id"],
        postgresql_where=sa.text("status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"),
    )
    op.create_index("runs_workflow_id_id_idx", "runs", ["workflow_id", "id"])
    op.create_index("runs_workspace_id_id_idx", "runs", ["workspace_id", "id"])
    op.create_table(
        "run_commands",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("command_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="run_commands_run_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="run_commands_pkey"),
        sa.UniqueConstraint("run_id", "command_key", name="run_commands_run_id_command_key_key"),
    )
    op.create_index(
        "run_commands_pending_idx", "run_commands", ["run_id"], postgresql_where=sa.text("applied_at IS NULL")
    )


def _run_log() -> None:
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("node_key", sa.Text()),
        sa.Column("item_index", sa.Integer()),
        sa.Column("execution", sa.Integer()),
        sa.Column("data", postgresql.JSON()),
        sa.PrimaryKeyConstraint("run_id", "seq", name="run_events_pkey"),
        sa.UniqueConstraint("run_id", "event_key", name="run_events_run_id_event_key_key"),
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_table(
        "node_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("node_key", sa.Text(), nullable=False),
        sa.Column("item_index", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("input", postgresql.JSON()),
        sa.Column("output", postgresql.JSON()),
        sa.Column("failure", postgresql.JSON()),
        sa.Column("input_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status IN ('PENDING', 'RUNNING', 'RETRYING', 'WAITING', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELED', 'REUSED')",
            name=op.f("node_runs_status_check"),
        ),
        sa.PrimaryKeyConstraint("run_id", "node_key", "item_index", name="node_runs_pkey"),
        postgresql_partition_by="RANGE (run_id)",
    )
    # What no day's partition takes; `persistence/partitions.py` makes those.
    op.execute("CREATE TABLE run_events_default PARTITION OF run_events DEFAULT")
    op.execute("CREATE TABLE node_runs_default PARTITION OF node_runs DEFAULT WITH (fillfactor = 70)")
