"""Turns: of the runs of one workflow and concurrency key only so many are at work, whichever processes have them.

A run that needs a turn is held from its insertion on, and no claim sees it. Whoever makes such a run, or ends one, gives free
turns to those that are held, most urgent first, then oldest, in the transaction that makes or ends the run. Turns are counted,
never noted: whoever has one is not held and has not ended, so neither a crash nor a repeated end can lose or double one.
All of that happens under one advisory lock for each workflow and key, which is taken behind the row of the own run and before
any other; rows that somebody else holds are passed over, since whoever holds one comes here too before he lets it go.
(docs/adr/0028-turns-are-counted.md)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.workflow import ConcurrencyStrategy
from persistence.append_statement import COMMAND_CHANNEL

if TYPE_CHECKING:
    from uuid import UUID

    from domain.ids import WorkflowId
    from domain.workflow import ConcurrencyPolicy
    from persistence.database import DirectConnection

_LOCKS: Final = 0x7475726E
"""Of the advisory locks with two numbers, those with this one are of turns."""
_LOCK: Final = """
SELECT workflow_id, concurrency_key, pg_advisory_xact_lock($2, hashtext(workflow_id::text || concurrency_key))
  FROM runs WHERE id = $1
"""
_UNFINISHED: Final = "status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"
_IN_LINE: Final = f"workflow_id = $1 AND concurrency_key = $2 AND concurrency_limit IS NOT NULL AND {_UNFINISHED}"

# A run that is paused before it has a turn gets none until it is resumed: else whoever is behind it would wait for a person.
# The limit is that of the run which is next: so a policy that was changed holds for the runs that were started after it.
_ADMIT: Final = f"""
WITH at_work AS MATERIALIZED (
  SELECT count(*) AS runs FROM runs WHERE {_IN_LINE} AND NOT is_held AND id IS DISTINCT FROM $3::uuid
), next AS MATERIALIZED (
  SELECT concurrency_limit AS runs FROM runs
   WHERE {_IN_LINE} AND is_held AND status <> 'PAUSED' AND executor_id IS NULL ORDER BY priority, id LIMIT 1
), chosen AS MATERIALIZED (
  SELECT id, priority, concurrency_limit FROM runs
   WHERE {_IN_LINE} AND is_held AND status <> 'PAUSED' AND executor_id IS NULL ORDER BY priority, id
   LIMIT (SELECT GREATEST(next.runs - at_work.runs, 0) FROM next, at_work) FOR NO KEY UPDATE SKIP LOCKED
), placed AS (
  SELECT id, concurrency_limit, row_number() OVER (ORDER BY priority, id) AS place FROM chosen
), admitted AS (
  UPDATE runs r SET is_held = false
    FROM placed p, at_work a WHERE r.id = p.id AND a.runs + p.place <= p.concurrency_limit
  RETURNING r.id, r.workspace_id, r.priority, r.status
), queued AS (
  INSERT INTO queued_runs (run_id, workspace_id, priority)
  SELECT id, workspace_id, priority FROM admitted WHERE status = 'QUEUED'
)
SELECT pg_notify('{COMMAND_CHANNEL}', '') FROM (SELECT count(*) AS runs FROM admitted) a WHERE a.runs > 0
"""  # noqa: S608 -- constants
# Whoever was asked to stop already makes room without being asked again.
_CANCEL_OLDEST: Final = f"""
WITH others AS MATERIALIZED (
  SELECT r.id FROM runs r
   WHERE {_IN_LINE} AND r.id <> $3
     AND NOT EXISTS (SELECT 1 FROM run_commands c WHERE c.run_id = r.id AND c.command_key = 'cancel')
), asked AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT gen_random_uuid(), o.id, 'cancel', 'cancel', '{{"by": null, "reason": "A newer run of its concurrency key takes its turn."}}'
    FROM (SELECT id FROM others ORDER BY id LIMIT (SELECT GREATEST(count(*) + 1 - $4, 0) FROM others)) o
  ON CONFLICT (run_id, command_key) DO NOTHING RETURNING 1
)
SELECT pg_notify('{COMMAND_CHANNEL}', '') FROM (SELECT count(*) AS runs FROM asked) a WHERE a.runs > 0
"""  # noqa: S608 -- constants
_CANCEL_HELD: Final = f"""
WITH asked AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT gen_random_uuid(), id, 'cancel', 'cancel', '{{"by": null, "reason": "All turns of its concurrency key were taken."}}'
    FROM runs WHERE id = $1 AND is_held
  ON CONFLICT (run_id, command_key) DO NOTHING RETURNING 1
)
SELECT pg_notify('{COMMAND_CHANNEL}', '') FROM asked
"""  # noqa: S608 -- constants
_SHARES: Final = """
WITH RECURSIVE above AS (
  SELECT id, parent_run_id, workflow_id, concurrency_key, concurrency_limit FROM runs WHERE id = $1
   UNION ALL
  SELECT r.id, r.parent_run_id, r.workflow_id, r.concurrency_key, r.concurrency_limit
    FROM above a JOIN runs r ON r.id = a.parent_run_id
)
SELECT EXISTS (
  SELECT 1 FROM above WHERE workflow_id = $2 AND concurrency_key = $3 AND concurrency_limit IS NOT NULL)
"""


async def enter_line(connection: DirectConnection, run_id: UUID, policy: ConcurrencyPolicy) -> None:
    """Let a run that was just inserted, held, have a turn if there is one; else do what its policy says."""
    place = await _locked(connection, run_id)
    if policy.strategy is ConcurrencyStrategy.CANCEL_IN_PROGRESS:
        await connection.execute(_CANCEL_OLDEST, *place, run_id, policy.max_runs)
    await connection.execute(_ADMIT, *place, None)
    if policy.strategy is ConcurrencyStrategy.CANCEL_NEWEST:
        await connection.execute(_CANCEL_HELD, run_id)


async def pass_turn_on(connection: DirectConnection, run_id: UUID) -> None:
    """Give the turn of a run that ends in this transaction to the next one."""
    await connection.execute(_ADMIT, *await _locked(connection, run_id), run_id)


async def let_in(connection: DirectConnection, run_id: UUID) -> None:
    """Give free turns to the runs of the line that a held run stands in.

    For whoever holds the row of such a run without ending it: while he did, a turn that became free passed it over.
    """
    await connection.execute(_ADMIT, *await _locked(connection, run_id), None)


async def shares_turn(connection: DirectConnection, parent_id: UUID, workflow_id: WorkflowId, key: str) -> bool:
    """Whether a run that `parent_id` calls works in the turn of that run, or of one further up.

    It must: the one above waits for it, and would never give up the turn that it waited for.
    """
    return await connection.fetchval(_SHARES, parent_id, workflow_id, key)


async def _locked(connection: DirectConnection, run_id: UUID) -> tuple[UUID, str]:
    """Lock the line that a run stands in; what is read after that is true until the transaction ends."""
    row: Any = await connection.fetchrow(_LOCK, run_id, _LOCKS)
    return row["workflow_id"], row["concurrency_key"]
