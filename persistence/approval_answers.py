"""Answers to questions: each ends a question once, in the statement that inserts the command to its run.

Whoever comes second waits for the row, finds it closed and changes nothing: two people at the same instant, or a person
and the clock. The unique key of the command says the same for the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.json_codec import encode
from persistence.append_statement import COMMAND_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.approvals import GivenAnswer
    from persistence.database import DirectConnection

_CLOSE: Final = f"""
WITH asked AS (
  SELECT t.id, t.command_id, $3::text AS email, $7::timestamptz AS at FROM unnest($1::uuid[], $2::uuid[]) AS t(id, command_id)
), closed AS (
  UPDATE approvals a SET status = $8, action = $4, "values" = $5::json, answered_by = $6, answered_at = k.at
    FROM asked k WHERE a.id = k.id AND a.status = 'OPEN' AND (k.at IS NULL OR k.at < a.expires_at)
  RETURNING a.*, k.command_id, k.email
), added AS (
  INSERT INTO run_commands (id, run_id, command_key, kind, payload)
  SELECT command_id, run_id, 'approval/' || node_key || '/' || COALESCE(item_index::text, '-') || '/' || execution, 'approval',
         json_build_object('node', node_key, 'item', item_index, 'execution', execution, 'approval', id, 'action', action,
                           'values', "values", 'by', answered_by, 'email', email, 'at', COALESCE(answered_at, expires_at))
    FROM closed
  RETURNING run_id
)
SELECT pg_notify('{COMMAND_CHANNEL}', replace(run_id::text, '-', '')) FROM added
"""  # noqa: S608 -- the channel is a constant


async def answer(connection: DirectConnection, approval_id: UUID, given: GivenAnswer) -> bool:
    """Store an answer with the command to the run; False if the question takes no answer any more."""
    values = None if given.values is None else encode(given.values).decode()
    ids = ([approval_id], [uuid7()])
    answered = (given.email, given.action, values, given.by, given.at, "ANSWERED")
    return bool(await connection.fetch(_CLOSE, *ids, *answered))


async def expire(connection: DirectConnection, approval_ids: Sequence[UUID]) -> None:
    """Close those of the questions that nobody has answered, with a command to their runs."""
    commands = [uuid7() for _ in approval_ids]
    await connection.execute(_CLOSE, list(approval_ids), commands, None, None, None, None, None, "TIMED_OUT")
