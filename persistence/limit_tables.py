"""The table of what all processes know of the limits of connections."""

from __future__ import annotations

from sqlalchemy import Column, Table, Uuid
from sqlalchemy.dialects.postgresql import JSON

from persistence.columns import instant, metadata

# A row for each connection that has limits or was told to wait; no foreign key, since the model of the server's own
# settings has one as well. A deleted connection takes its row along.
connection_limits = Table(
    "connection_limits",
    metadata,
    Column("key", Uuid, primary_key=True),
    Column("slots", JSON, nullable=False, server_default="{}"),
    Column("shares", JSON, nullable=False, server_default="{}"),
    instant("paused_until", nullable=True),
    postgresql_with={"fillfactor": 50},
)
