"""What was used of models, how far ended runs are compacted, and where runs that ended, and that failed, are found."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, Uuid, text

from persistence.columns import instant, metadata, usage_columns, workspace_column
from persistence.tables import runs

# One row for each event that tells of a model's use, by the statement that logs it. Neither run nor workflow is referred
# to: what was spent stays known when they are deleted.
model_usage = Table(
    "model_usage",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True),
    workspace_column(),
    Column("workflow_id", Uuid, nullable=False),
    Column("workflow_slug", Text, nullable=False),
    Column("model", Text, nullable=False),
    instant("at"),
    *usage_columns(BigInteger),
    Index("model_usage_workspace_id_at_idx", "workspace_id", "at"),
)

# How far each workspace's runs are compacted, in the order of their ends.
compactions = Table(
    "compactions",
    metadata,
    Column("workspace_id", Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    instant("finished_at"),
    Column("run_id", Uuid, nullable=False),
)

Index(
    "runs_workspace_id_finished_at_id_idx",
    runs.c.workspace_id,
    runs.c.finished_at,
    runs.c.id,
    postgresql_where=runs.c.finished_at.is_not(None),
)

# In the order of lists, and with the codes, so that those without a certain one are passed over in the index.
Index(
    "runs_failed_idx",
    runs.c.workspace_id,
    runs.c.id,
    text("(failure ->> 'code')"),
    postgresql_where=runs.c.failure.is_not(None),
)
