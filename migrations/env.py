"""What Alembic runs: with the connection it was given, see `persistence/migrate.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from alembic import context

from persistence.migrate import is_compared
from persistence.version_tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def _run() -> None:
    connection = cast("Connection | None", context.config.attributes.get("connection"))
    if connection is None:
        raise SystemExit("Migrations are run by `anabranch migrate` and made by `python -m migrations new MESSAGE`.")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_compared,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
