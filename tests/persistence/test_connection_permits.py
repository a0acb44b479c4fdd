"""The rows of limited connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.rate_limits import SERVER_MODEL
from persistence.connection_permits import _ENTER
from tests.support.limits import stored_connection

if TYPE_CHECKING:
    from persistence.database import Database


async def test_rows_are_made_in_the_order_of_their_keys_so_that_two_processes_do_not_wait_for_each_other(
    database: Database,
) -> None:
    keys = sorted([await stored_connection(database, max_concurrent=1) for _ in range(5)])
    async with database.connection() as opened:
        await opened.execute(_ENTER, {"keys": keys[::-1], "server": SERVER_MODEL})
    async with database.direct() as connection:
        rows = await connection.fetch("SELECT key FROM connection_limits ORDER BY ctid")
    assert [row["key"] for row in rows] == keys
