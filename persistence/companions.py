"""What is stored in one transaction with events: questions and runs that are called, and what ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.json_codec import encode
from domain.ports.companions import ClosedNodes, ClosedWaits, FreedTurn, NewApproval, NewSubRun, ToldParent
from persistence.closed_nodes import close_nodes
from persistence.sub_runs import call, cancel_called, tell_parent
from persistence.turns import pass_turn_on

if TYPE_CHECKING:
    from domain.ports.runs import Group
    from persistence.database import DirectConnection

_ASK: Final = """
INSERT INTO approvals (id, workspace_id, workflow_id, run_id, node_key, item_index, execution, title, message, form, actions,
                       assignees, status, expires_at, created_at)
SELECT $2, workspace_id, workflow_id, id, $3, $4, $5, $6, $7, $8::json, $9, $10, 'OPEN', $11, $12 FROM runs WHERE id = $1
"""
_CLOSE: Final = """
UPDATE approvals SET status = 'CANCELED'
 WHERE run_id = $1 AND node_key = COALESCE($2, node_key) AND ($3::int IS NULL OR item_index = $3) AND status = 'OPEN'
"""


async def store_companions(connection: DirectConnection, group: Group) -> None:
    """Store what belongs to a group, in the transaction that is open and holds the run's row.

    Raises:
        NodeFault: a run cannot be called; the transaction must then be rolled back.
    """
    for companion in group.companions:
        match companion:
            case NewApproval():
                await _ask(connection, group, companion)
            case NewSubRun():
                await call(connection, group, companion)
            case ClosedWaits(node_key, item_index):
                await connection.execute(_CLOSE, group.run_id, node_key, item_index)
                await cancel_called(connection, group.run_id, node_key, item_index)
            case ClosedNodes():
                await close_nodes(connection, group)
            case ToldParent(parent_id):
                await tell_parent(connection, group.run_id, parent_id)
            case FreedTurn():
                await pass_turn_on(connection, group.run_id)


async def _ask(connection: DirectConnection, group: Group, new: NewApproval) -> None:
    question = new.question
    await connection.execute(
        _ASK,
        group.run_id,
        new.id,
        new.node_key,
        new.item_index,
        new.execution,
        question.title,
        question.message,
        None if question.form is None else encode(question.form).decode(),
        list(question.actions),
        list(question.assignees),
        question.until,
        group.at,
    )
