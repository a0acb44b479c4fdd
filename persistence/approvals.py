"""Questions to people in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    any_,
    case,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy import cast as cast_to

from domain.approvals import Approval, ApprovalStatus
from domain.ids import ApprovalId, RunId, UserId, WorkflowId, WorkspaceId
from domain.json_codec import decode
from domain.suspensions import Question
from persistence.approval_answers import answer
from persistence.approval_tables import RANK, approvals
from persistence.paging import read_counts, read_pages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.approvals import Answerable, ApprovalQuery, GivenAnswer
    from domain.json_value import Json
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

# Without parameters, as the index has it: whoever lists the inbox reads a page of it, and sorts nothing.
_RANK: Final = literal_column(f"({RANK})", Integer).label("rank")
_CLOSED: Final = case((approvals.c.status == "OPEN", 0), else_=1).cast(Integer).label("closed")
_COLUMNS: Final = [column for column in approvals.c if column.name not in {"form", "values", "execution"}]


class PostgresApprovals:
    """Implements `domain.ports.approvals.Approvals`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_by_id(self, within: frozenset[WorkspaceId], approval_ids: Sequence[ApprovalId]) -> list[Approval]:
        """Return those of the questions that exist in these workspaces, in any order."""
        statement = _select().where(approvals.c.id.in_(approval_ids), approvals.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [_approval(row) for row in (await connection.execute(statement)).all()]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: ApprovalQuery, request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Approval]]:
        """Return the same page of the questions of each of the workspaces, open ones first, then newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys: list[tuple[ColumnElement[Any], type[int | UUID]]] = [(_RANK, int), (approvals.c.id, UUID)]
        async with self._database.single() as connection:
            return await read_pages(
                connection,
                _select().where(*_conditions(query)),
                keys,
                request,
                _approval,
                owner=approvals.c.workspace_id,
                owner_ids=workspace_ids,
                is_descending=True,
            )

    async def page_by_run(self, run_ids: Sequence[RunId], request: PageRequest) -> Mapping[RunId, Page[Approval]]:
        """Return the same page of the questions of several runs: open ones first, then in their order.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys: list[tuple[ColumnElement[Any], type[int | UUID]]] = [(_CLOSED, int), (approvals.c.id, UUID)]
        async with self._database.single() as connection:
            return await read_pages(
                connection, _select(), keys, request, _approval, owner=approvals.c.run_id, owner_ids=run_ids
            )

    async def count_by_run(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the questions of runs."""
        async with self._database.single() as connection:
            return await read_counts(connection, approvals.c.run_id, run_ids)

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: ApprovalQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        async with self._database.single() as connection:
            return await read_counts(connection, approvals.c.workspace_id, workspace_ids, *_conditions(query))

    async def answer(self, approval_id: ApprovalId, given: GivenAnswer) -> bool:
        """Store an answer with the command to the run; False if the question takes no answer any more."""
        async with self._database.driver() as connection:
            return await answer(connection, approval_id, given)


def _select() -> Select[Any]:
    form = cast_to(approvals.c.form, Text).label("form")
    values = cast_to(approvals.c["values"], Text).label("given")
    return select(*_COLUMNS, form, values, _RANK, _CLOSED)


def _conditions(query: ApprovalQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.run_id is not None:
        conditions.append(approvals.c.run_id == query.run_id)
    if query.statuses:
        conditions.append(approvals.c.status.in_([status.value for status in query.statuses]))
        if ApprovalStatus.OPEN not in query.statuses:
            # Closed ones are behind all that are open, which need not be walked through.
            conditions.append(literal_column(f"({RANK})", Integer) == literal_column("0"))
    if query.workflow_ids:
        conditions.append(approvals.c.workflow_id.in_(query.workflow_ids))
    if query.answerable is not None:
        conditions.append(_is_answerable(query.answerable))
    return conditions


def _is_answerable(asked: Answerable) -> ColumnElement[bool]:
    is_open = and_(approvals.c.status == "OPEN", approvals.c.expires_at > asked.now)
    # Compared, not counted: the planner knows how many questions are for everybody, and walks through the inbox then.
    is_for_all = approvals.c.assignees == literal_column("'{}'::text[]")
    is_meant = or_(is_for_all, literal(asked.email) == any_(approvals.c.assignees))
    condition = and_(is_open, is_meant) if asked.email is not None else and_(is_open, approvals.c.id.is_(None))
    return condition if asked.is_wanted else not_(condition)


def _approval(row: Any) -> Approval:
    question = Question(
        row.title, row.message, _json(row.form), tuple(row.actions), row.expires_at, tuple(row.assignees)
    )
    return Approval(
        ApprovalId(row.id),
        WorkspaceId(row.workspace_id),
        WorkflowId(row.workflow_id),
        RunId(row.run_id),
        row.node_key,
        row.item_index,
        question,
        ApprovalStatus(row.status),
        row.created_at,
        row.action,
        _json(row.given),
        None if row.answered_by is None else UserId(row.answered_by),
        row.answered_at,
    )


def _json(text: str | None) -> Json:
    return None if text is None else decode(text.encode())
