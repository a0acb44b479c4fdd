"""The tables of webhooks and of what was delivered to them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid

from persistence.columns import id_column, instant, metadata, now, workspace_column

# `ciphertext` is the sealed signing key; without one calls are not signed.
webhooks = Table(
    "webhooks",
    metadata,
    id_column(),
    workspace_column(),
    Column("workflow_id", Uuid, ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("ciphertext", LargeBinary),
    instant("last_called_at", nullable=True),
    now("created_at"),
    Index("webhooks_workspace_id_name_id_idx", "workspace_id", "name", "id"),
    Index("webhooks_workflow_id_name_id_idx", "workflow_id", "name", "id"),
)

# Apart from the run, which may be deleted, and whose idempotency key another run may take over: a call that comes again must
# not start a second run then either. And from the webhook: one that goes would take millions of rows along; they are forgotten
# by age, and no id comes again.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("webhook_id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("run_id", Uuid, nullable=False),
    instant("at"),
    PrimaryKeyConstraint("webhook_id", "key"),
    Index("webhook_deliveries_at_idx", "at"),
)
