"""Runs that leave memory: one statement logs RunWaiting and gives the lease back, unless something is asked of the run.

The epoch grows with it: whatever the process that leaves has still decided is refused, and whoever claims the run next
decides it anew. A command that is committed while this statement runs may be overlooked by it; then the run is claimed
for that command a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import Fenced, StillWanted
from persistence.append_statement import CHANNEL
from persistence.event_facts import facts
from persistence.run_rows import event_key

if TYPE_CHECKING:
    from domain.ports.runs import Departure
    from persistence.database import DirectConnection

_DEPART: Final = f"""
WITH departed AS (
  UPDATE runs r
     SET last_seq = r.last_seq + 1, status = 'WAITING', wake_at = $3, executor_id = NULL, lease_epoch = r.lease_epoch + 1
   WHERE r.id = $1 AND r.lease_epoch = $2 AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')
     AND NOT EXISTS (
       SELECT 1 FROM run_commands c WHERE c.run_id = r.id AND c.applied_at IS NULL AND c.id <> ALL($7::uuid[]))
  RETURNING r.last_seq
), answered AS (
  UPDATE run_commands SET applied_at = now() WHERE id = ANY($7::uuid[]) AND EXISTS (SELECT 1 FROM departed)
), logged AS (
  INSERT INTO run_events (run_id, seq, event_key, type, at, data)
  SELECT $1, last_seq, $4, 'RunWaiting', $5, $6::json FROM departed
)
SELECT last_seq - 1, (
         SELECT pg_notify('{CHANNEL}', $8) WHERE EXISTS (
           SELECT 1 FROM executors e WHERE replace(e.id::text, '-', '') <> split_part($8, ':', 1)))
  FROM departed
"""  # noqa: S608 -- the channel is a constant

# A paused run has said that nothing begins: that it leaves memory is told to nobody.
_REST: Final = """
WITH departed AS (
  UPDATE runs r SET wake_at = $3, executor_id = NULL, lease_epoch = r.lease_epoch + 1
   WHERE r.id = $1 AND r.lease_epoch = $2 AND r.status = 'PAUSED'
     AND NOT EXISTS (
       SELECT 1 FROM run_commands c WHERE c.run_id = r.id AND c.applied_at IS NULL AND c.id <> ALL($4::uuid[]))
  RETURNING r.last_seq
), answered AS (
  UPDATE run_commands SET applied_at = now() WHERE id = ANY($4::uuid[]) AND EXISTS (SELECT 1 FROM departed)
)
SELECT last_seq FROM departed
"""

_WHY_NOT: Final = """
SELECT r.lease_epoch = $2 AND r.status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED') AS is_owned,
       (SELECT e.seq FROM run_events e WHERE e.run_id = r.id AND e.event_key = $3) AS seq
  FROM runs r WHERE r.id = $1
"""


async def depart(connection: DirectConnection, group: Departure, sender: str) -> int:
    """Let a run leave memory and return the seq before its RunWaiting; if that is stored already, nothing more is done.

    Raises:
        StillWanted: there are commands that the run has not seen.
        Fenced: another executor owns the run, or it has ended.
    """
    owed = list(group.applied_commands)
    if not group.events:
        base = await connection.fetchval(_REST, group.run_id, group.epoch, group.until, owed)
        return await _refuse(connection, group, None) if base is None else base
    event = group.events[0]
    key = event_key(event)
    base = await connection.fetchval(
        _DEPART,
        group.run_id,
        group.epoch,
        group.until,
        key,
        group.at,
        facts(event),
        owed,
        f"{sender}:{group.run_id.hex}",
    )
    return await _refuse(connection, group, key) if base is None else base


async def _refuse(connection: DirectConnection, group: Departure, key: str | None) -> int:
    """Tell why the run has not left, unless it has: the seq before the stored event.

    Raises:
        StillWanted, Fenced: see `depart`.
    """
    row = await connection.fetchrow(_WHY_NOT, group.run_id, group.epoch, key)
    if row is not None and row["seq"] is not None:
        return row["seq"] - 1
    if row is None or not row["is_owned"]:
        raise Fenced
    raise StillWanted
