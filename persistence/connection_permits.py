"""The limits of connections in PostgreSQL: one row for each connection, held while it is decided who may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from domain.rate_limits import LONGEST_PAUSE_S, SERVER_MODEL, Caps, LimitState, Share, settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ids import ExecutorId
    from domain.rate_limits import Ask, Settled
    from persistence.database import Database

LIMIT_CHANNEL: Final = "anabranch_limits"

_KEYS: Final = bindparam("keys", type_=ARRAY(Uuid))
_ENTER: Final = text(
    """
INSERT INTO connection_limits (key)
SELECT k FROM unnest(:keys) AS k WHERE k = :server OR EXISTS (SELECT 1 FROM connections c WHERE c.id = k)
 ORDER BY k
ON CONFLICT DO NOTHING
"""
).bindparams(_KEYS, bindparam("server", type_=Uuid))

# Locks in the order of the keys, so that two processes do not wait for each other; the time is read behind the locks.
# What the row holds is read in its newest version, and nothing else is: limits may be a moment old.
_LOCK: Final = text(
    """
WITH locked AS MATERIALIZED (
  SELECT key, slots, shares, paused_until FROM connection_limits WHERE key = ANY(:keys) ORDER BY key FOR UPDATE
)
SELECT l.key, l.slots::text AS slots, l.shares::text AS shares, c.id IS NOT NULL AS is_stored, c.max_concurrent,
       c.requests_per_minute, extract(epoch FROM l.paused_until)::float8 AS paused_until,
       extract(epoch FROM clock_timestamp())::float8 AS now
  FROM locked l LEFT JOIN connections c ON c.id = l.key
"""
).bindparams(_KEYS)

# As with the takeover of runs: after a restart of PostgreSQL all locks are free for a moment.
_ALIVE: Final = text(
    """
SELECT e.id, pg_postmaster_start_time() > clock_timestamp() - interval '5 s' OR EXISTS (
         SELECT 1 FROM pg_locks l
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.classid = CAST(e.lock_key >> 32 AS oid) AND l.objid = CAST(e.lock_key & 4294967295 AS oid)
       ) AS is_locked
  FROM executors e WHERE e.id = ANY(:holders) AND e.expires_at > clock_timestamp()
"""
).bindparams(bindparam("holders", type_=ARRAY(Uuid)))

_SAVE: Final = text(
    """
WITH given AS (
  SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS g(key uuid, slots json, shares json, is_told bool)
), saved AS (
  UPDATE connection_limits l SET slots = g.slots, shares = g.shares FROM given g WHERE l.key = g.key
)
SELECT pg_notify(:channel, replace(key::text, '-', '')) FROM given WHERE is_told
"""
)

# A pause longer than the longest is of a clock that was set back since: it is over.
_PAUSE: Final = text(
    """
WITH paused AS (
  INSERT INTO connection_limits AS l (key, paused_until)
  SELECT :key, clock_timestamp() + make_interval(secs => :wait_s)
   WHERE :key = :server OR EXISTS (SELECT 1 FROM connections c WHERE c.id = :key)
  ON CONFLICT (key) DO UPDATE SET paused_until = greatest(
    excluded.paused_until,
    CASE WHEN l.paused_until <= clock_timestamp() + make_interval(secs => :longest_s) THEN l.paused_until END
  )
  RETURNING key
)
SELECT pg_notify(:channel, replace(key::text, '-', '') || ':' || :told) FROM paused
"""
).bindparams(bindparam("key", type_=Uuid), bindparam("server", type_=Uuid))

_PAUSES: Final = text(
    """
SELECT key, extract(epoch FROM paused_until - clock_timestamp())::float8 AS wait_s
  FROM connection_limits
 WHERE paused_until > clock_timestamp() AND paused_until <= clock_timestamp() + make_interval(secs => :longest_s)
"""
)


class PostgresConnectionPermits:
    """Implements `domain.ports.connection_permits.ConnectionPermits` for one executor."""

    def __init__(self, database: Database, executor: ExecutorId, *, window_s: float = 60.0) -> None:
        self._database = database
        self._executor = executor
        self._window_s = window_s
        self._entered: set[UUID] = set()
        """Connections that have their row."""

    async def settle(self, asks: Mapping[UUID, tuple[Caps, Ask]]) -> Mapping[UUID, Settled]:
        """Answer what this process asks of several connections at once; one that is deleted is missing in the answer.

        Raises:
            DatabaseUnavailable: the database does not answer; nothing is known of what was let through.
        """
        keys = list(asks)
        answers: dict[UUID, Settled] = {}
        async with self._database.connection() as opened:
            if not self._entered.issuperset(keys):
                await opened.execute(_ENTER, {"keys": keys, "server": SERVER_MODEL})
            locked = (await opened.execute(_LOCK, {"keys": keys})).all()
            states = {row.key: _state(row) for row in locked}
            alive = await self._alive(opened, states.values())
            told: list[dict[str, Any]] = []
            for row in locked:
                caps, ask = asks[row.key]
                if row.key != SERVER_MODEL and not row.is_stored:
                    continue
                if row.is_stored:
                    caps = Caps(row.key, caps.name, row.max_concurrent, row.requests_per_minute)
                state = states[row.key]
                answers[row.key] = settle(
                    state, caps, self._executor, ask, row.now, alive=alive, window_s=self._window_s
                )
                told.append(_row(row.key, state, is_told=answers[row.key].is_others_turn))
            await opened.execute(_SAVE, {"rows": orjson.dumps(told).decode(), "channel": LIMIT_CHANNEL})
        self._entered |= answers.keys()
        self._entered -= asks.keys() - answers.keys()
        return answers

    async def pause(self, key: UUID, wait_s: float) -> None:
        """Let nobody use a connection for so long, an hour at most, in any process; a longer pause that there is stays.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        wait_s = min(wait_s, LONGEST_PAUSE_S)
        given = {
            "key": key,
            "server": SERVER_MODEL,
            "wait_s": wait_s,
            "longest_s": LONGEST_PAUSE_S + 1,
            "channel": LIMIT_CHANNEL,
            "told": str(round(wait_s * 1_000)),
        }
        async with self._database.single() as opened:
            await opened.execute(_PAUSE, given)

    async def list_pauses(self) -> Mapping[UUID, float]:
        """List the connections that nobody may use for the moment, with the seconds that are left.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        async with self._database.single() as opened:
            return {row.key: row.wait_s for row in await opened.execute(_PAUSES, {"longest_s": LONGEST_PAUSE_S + 1})}

    async def _alive(self, opened: AsyncConnection, states: Sequence[LimitState] | Any) -> Mapping[UUID, bool]:
        """Return which of the other holders live; read behind the locks, so that a new process is not missed."""
        holders = {holder for state in states for holder in state.shares} - {self._executor}
        if not holders:
            return {}
        return {row.id: row.is_locked for row in await opened.execute(_ALIVE, {"holders": list(holders)})}


def _state(row: Row[Any]) -> LimitState:
    shares = {UUID(holder): Share(*share) for holder, share in orjson.loads(row.shares).items()}
    slots = {int(slot): count for slot, count in orjson.loads(row.slots).items()}
    return LimitState(slots, shares, row.paused_until)


def _row(key: UUID, state: LimitState, *, is_told: bool) -> dict[str, Any]:
    return {
        "key": str(key),
        "slots": {str(slot): count for slot, count in state.slots.items()},
        "shares": {
            holder.hex: [share.held, share.waiting, share.since, share.suspect_since]
            for holder, share in state.shares.items()
        },
        "is_told": is_told,
    }
