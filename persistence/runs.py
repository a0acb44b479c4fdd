"""Runs as queries show them: by id, in lists, with their nodes, events and payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, cast, func, literal, select, text

from domain.events import LoggedEvent
from domain.ids import GraphId, NodeKey, RunId, UserId, WorkflowId, WorkspaceId
from domain.ports.paging import Page
from domain.run import (
    FINISHED,
    NO_USAGE,
    NodePayloads,
    NodeRun,
    NodeRunStatus,
    NodeState,
    Run,
    RunSnapshot,
    RunStatus,
    TriggerKind,
    Usage,
)
from persistence.event_facts import read_event, read_failure
from persistence.paging import read_page
from persistence.run_rows import WHOLE
from persistence.tables import node_runs, run_events, runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.events import Event
    from domain.ports.paging import PageRequest
    from domain.run import RunQuery
    from persistence.database import Database

_RUN_COLUMNS: Final = [
    column
    for column in runs.c
    if column.name not in {"input", "output", "failure", "executor_id", "lease_epoch", "request_hash", "engine"}
]
_NODE_COLUMNS: Final = [column for column in node_runs.c if column.name not in {"input", "output", "failure"}]


# The text of attempts in flight is gathered from their deltas; a settled node shows its output instead, and one that waits
# for its next attempt has nothing to show: that attempt begins anew.
_SNAPSHOT: Final = """
SELECT r.last_seq, r.status AS run_status, n.run_id, n.node_key, n.item_index, n.status, n.attempts,
       n.failure::text AS failure, n.input_tokens, n.output_tokens, n.total_tokens, n.started_at, n.finished_at,
       n.next_attempt_at, d.partial_text, d.partial_reasoning
  FROM runs r
  LEFT JOIN node_runs n ON n.run_id = r.id AND n.item_index = :whole
  LEFT JOIN LATERAL (
    SELECT string_agg(e.data->>'text', '' ORDER BY e.seq) FILTER (WHERE e.data->>'channel' = 'TEXT') AS partial_text,
           string_agg(e.data->>'text', '' ORDER BY e.seq) FILTER (WHERE e.data->>'channel' = 'REASONING')
             AS partial_reasoning
      FROM run_events e
     WHERE n.status = 'RUNNING' AND e.run_id = r.id AND e.type = 'NodeOutputDelta'
       AND e.node_key = n.node_key AND e.item_index IS NULL AND e.execution = n.attempts
  ) d ON true
 WHERE r.id = :run
 ORDER BY n.first_seq, n.node_key
"""


_EVENTS_AFTER: Final = """
SELECT seq, at, type, node_key, item_index, execution, data::text AS data
  FROM run_events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""


class PostgresRuns:
    """Reads runs. What changes them is the run log alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that exist in these workspaces, in any order."""
        statement = _select_runs().where(runs.c.id.in_(run_ids), runs.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [_run(row) for row in (await connection.execute(statement)).all()]

    async def unfinished(self, workspace_id: WorkspaceId, limit: int) -> Sequence[Run]:
        """Return unfinished runs, newest first."""
        statement = (
            _select_runs()
            .where(runs.c.workspace_id == workspace_id, _is_unfinished())
            .order_by(runs.c.id.desc())
            .limit(limit)
        )
        async with self._database.single() as connection:
            return [_run(row) for row in (await connection.execute(statement)).all()]

    async def has_unfinished(self, workflow_id: WorkflowId) -> bool:
        """Whether runs of the workflow are not finished."""
        statement = select(literal(1)).where(runs.c.workflow_id == workflow_id, _is_unfinished()).limit(1)
        async with self._database.single() as connection:
            return (await connection.execute(statement)).first() is not None

    async def list(self, workspace_id: WorkspaceId, query: RunQuery, request: PageRequest) -> Page[Run]:
        """Return a page of runs, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement = _select_runs().where(*_conditions(workspace_id, query))
        async with self._database.single() as connection:
            return await read_page(connection, statement, [(runs.c.id, UUID)], request, _run, is_descending=True)

    async def count(self, workspace_id: WorkspaceId, query: RunQuery) -> int:
        """Count the runs of a list."""
        statement = select(func.count()).select_from(runs).where(*_conditions(workspace_id, query))
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs as they were written."""
        statement = select(runs.c.id, cast(runs.c.input, Text), cast(runs.c.output, Text)).where(runs.c.id.in_(run_ids))
        async with self._database.single() as connection:
            rows = (await connection.execute(statement)).all()
        return {RunId(row[0]): (_bytes(row[1]), _bytes(row[2])) for row in rows}

    async def node_runs(self, run_id: RunId, request: PageRequest) -> Page[NodeRun]:
        """Return a page of what the nodes of a run did, in the order of starting.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement = _select_node_runs().where(node_runs.c.run_id == run_id)
        keys: list[tuple[ColumnElement[Any], type[str | int | UUID]]] = [
            (node_runs.c.first_seq, int),
            (node_runs.c.node_key, str),
            (node_runs.c.item_index, int),
        ]
        async with self._database.single() as connection:
            return await read_page(connection, statement, keys, request, _node_run)

    async def count_node_runs(self, run_id: RunId) -> int:
        """Count what `node_runs` lists."""
        statement = select(func.count()).select_from(node_runs).where(node_runs.c.run_id == run_id)
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def find_node_run(self, run_id: RunId, key: str, item_index: int | None) -> NodeRun | None:
        """Return what one node (or item) did; None if it did not start."""
        item = WHOLE if item_index is None else item_index
        statement = _select_node_runs().where(
            node_runs.c.run_id == run_id, node_runs.c.node_key == key, node_runs.c.item_index == item
        )
        async with self._database.single() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _node_run(row)

    async def node_payloads(
        self, places: Sequence[tuple[RunId, str, int | None]], limit_bytes: int | None
    ) -> Mapping[tuple[RunId, str, int | None], NodePayloads]:
        """Return input and output of nodes as they were written; None and `is_truncated` beyond the limit."""
        wanted = {(run, key, WHOLE if item is None else item): (run, key, item) for run, key, item in places}
        statement = text("""
            SELECT n.run_id, n.node_key, n.item_index,
                   CASE WHEN :limit < 0 OR octet_length(n.output::text) <= :limit THEN n.output::text END AS output,
                   CASE WHEN :limit < 0 THEN n.input::text END AS input,
                   n.output IS NOT NULL AND :limit >= 0 AND octet_length(n.output::text) > :limit AS is_truncated
              FROM unnest(CAST(:runs AS uuid[]), CAST(:keys AS text[]), CAST(:items AS int[])) AS w(run_id, key, item)
              JOIN node_runs n ON n.run_id = w.run_id AND n.node_key = w.key AND n.item_index = w.item
        """)
        parameters = {
            "limit": -1 if limit_bytes is None else limit_bytes,
            "runs": [run for run, _, _ in wanted],
            "keys": [key for _, key, _ in wanted],
            "items": [item for _, _, item in wanted],
        }
        async with self._database.single() as connection:
            rows = (await connection.execute(statement, parameters)).all()
        return {
            wanted[row.run_id, row.node_key, row.item_index]: NodePayloads(
                _bytes(row.input), _bytes(row.output), row.is_truncated
            )
            for row in rows
        }

    async def events_after(self, run_id: RunId, after: int, limit: int) -> Sequence[LoggedEvent]:
        """Return the events behind seq `after`, oldest first."""
        async with self._database.driver() as connection:
            rows = await connection.fetch(_EVENTS_AFTER, run_id, after, limit)
        return [LoggedEvent(run_id, row["seq"], row["at"], _event(row)) for row in rows]

    async def events(self, run_id: RunId, request: PageRequest, after: int, before: int | None) -> Page[LoggedEvent]:
        """Return a page of a run's log, oldest first, between two seqs; the cursors are the seqs."""
        seq = run_events.c.seq
        statement = _select_events(run_id).where(seq > after)
        if before is not None:
            statement = statement.where(seq < before)
        order = seq.desc() if request.is_backward else seq.asc()
        async with self._database.single() as connection:
            rows = (await connection.execute(statement.order_by(order).limit(request.limit + 1))).all()
        has_more, rows = len(rows) > request.limit, rows[: request.limit]
        rows = rows[::-1] if request.is_backward else rows
        events = [LoggedEvent(run_id, row.seq, row.at, _event(row._mapping)) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name
        has_next = before is not None if request.is_backward else has_more
        return Page(
            events, [str(event.seq) for event in events], has_next, has_more if request.is_backward else after > 0
        )

    async def count_events(self, run_id: RunId) -> int:
        """Count the events of a run's log."""
        statement = select(func.count()).select_from(run_events).where(run_events.c.run_id == run_id)
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of all started nodes at one point of the log, read in one statement."""
        async with self._database.single() as connection:
            rows = (await connection.execute(text(_SNAPSHOT), {"run": run_id, "whole": WHOLE})).all()
        states = tuple(
            NodeState(_node_run(row), row.partial_text, row.partial_reasoning)
            for row in rows
            if row.node_key is not None
        )
        return RunSnapshot(rows[0].last_seq, RunStatus(rows[0].run_status), states)


def _select_runs() -> Select[Any]:
    return select(*_RUN_COLUMNS, cast(runs.c.failure, Text).label("failure"))


def _select_node_runs() -> Select[Any]:
    return select(*_NODE_COLUMNS, cast(node_runs.c.failure, Text).label("failure"))


def _select_events(run_id: RunId) -> Select[Any]:
    columns = [column for column in run_events.c if column.name not in {"data", "event_key"}]
    return select(*columns, cast(run_events.c.data, Text).label("data")).where(run_events.c.run_id == run_id)


def _is_unfinished() -> ColumnElement[bool]:
    return runs.c.status.not_in([status.value for status in FINISHED])


def _conditions(workspace_id: WorkspaceId, query: RunQuery) -> list[ColumnElement[bool]]:
    conditions = [runs.c.workspace_id == workspace_id]
    if query.workflow_ids:
        conditions.append(runs.c.workflow_id.in_(query.workflow_ids))
    if query.statuses:
        conditions.append(runs.c.status.in_([status.value for status in query.statuses]))
    if query.created_from is not None:
        conditions.append(runs.c.created_at >= query.created_from)
    if query.created_until is not None:
        conditions.append(runs.c.created_at < query.created_until)
    return conditions


def _run(row: Any) -> Run:
    return Run(
        RunId(row.id),
        WorkspaceId(row.workspace_id),
        WorkflowId(row.workflow_id),
        GraphId(row.graph_id),
        RunStatus(row.status),
        row.last_seq,
        row.node_count,
        row.nodes_done,
        TriggerKind(row.trigger),
        None if row.triggered_by is None else UserId(row.triggered_by),
        row.priority,
        tuple((name, value) for name, value in row.labels),
        row.created_at,
        row.started_at,
        row.finished_at,
        read_failure(row.failure),
        _usage(row),
        row.idempotency_key,
        row.concurrency_key,
    )


def _node_run(row: Any) -> NodeRun:
    return NodeRun(
        RunId(row.run_id),
        NodeKey(row.node_key),
        None if row.item_index == WHOLE else row.item_index,
        NodeRunStatus(row.status),
        row.attempts,
        read_failure(row.failure),
        _usage(row),
        row.started_at,
        row.finished_at,
        row.next_attempt_at,
    )


def _usage(row: Any) -> Usage:
    return Usage(row.input_tokens, row.output_tokens, row.total_tokens) if row.total_tokens else NO_USAGE


def _event(row: Any) -> Event:
    return read_event(row["type"], row["node_key"], row["item_index"], row["execution"], row["data"])


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()
