"""Runs as queries show them: by id, in lists, with their nodes, events and payloads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Select, Text, cast, func, literal, select, text, tuple_

from domain.ids import ApiKeyId, GraphId, RunId, UserId, WebhookId, WorkflowId, WorkspaceId
from domain.run import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    NodePayloads,
    NodeRun,
    Run,
    RunLink,
    RunOrderField,
    RunSnapshot,
    RunStatus,
    TriggerKind,
)
from persistence.event_facts import read_failure
from persistence.log_pages import read_events_after, read_log_pages
from persistence.node_run_rows import (
    node_conditions,
    node_run_of,
    read_partial_texts,
    read_snapshot,
    select_node_runs,
)
from persistence.paging import read_counts, read_pages
from persistence.run_lists import added, conditions_of, is_unfinished, keys_of, linked
from persistence.run_rows import WHOLE
from persistence.tables import node_runs, run_events, runs
from persistence.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.ports.paging import Page, PageRequest
    from domain.ports.runs import LogPart, LogSpan
    from domain.run import NodeRunQuery, RunOrder, RunQuery
    from persistence.database import Database
    from persistence.paging import Owner

_RUN_COLUMNS: Final = [
    column
    for column in runs.c
    if column.name
    not in {
        "input",
        "output",
        "failure",
        "executor_id",
        "lease_epoch",
        "wake_at",
        "depth",
        "request_hash",
        "engine",
        "concurrency_limit",
        "is_held",
    }
]


class PostgresRuns:
    """Reads runs. What changes them is the run log alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that exist in these workspaces, in any order."""
        statement = _select_runs().where(runs.c.id.in_(run_ids), runs.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [_run(row) for row in (await connection.execute(statement)).all()]

    async def unfinished(
        self, workspace_id: WorkspaceId, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Return unfinished runs of a workspace, or of one of its workflows, newest first."""
        of_workflow = () if workflow_id is None else (runs.c.workflow_id == workflow_id,)
        statement = (
            _select_runs()
            .where(runs.c.workspace_id == workspace_id, is_unfinished(), *of_workflow)
            .order_by(runs.c.id.desc())
            .limit(limit)
        )
        async with self._database.single() as connection:
            return [_run(row) for row in (await connection.execute(statement)).all()]

    async def just_ended(
        self, workspace_id: WorkspaceId, within_s: float, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Return runs of a workspace, or of one of its workflows, that ended so many seconds ago at most, newest end first."""
        of_workflow = () if workflow_id is None else (runs.c.workflow_id == workflow_id,)
        since = func.now() - timedelta(seconds=within_s)
        statement = (
            _select_runs()
            .where(runs.c.workspace_id == workspace_id, runs.c.finished_at > since, *of_workflow)
            .order_by(runs.c.finished_at.desc(), runs.c.id.desc())
            .limit(limit)
        )
        async with self._database.single() as connection:
            return [_run(row) for row in (await connection.execute(statement)).all()]

    async def unfinished_counts(self) -> Mapping[RunStatus, int]:
        """Count the unfinished runs of all workspaces by their status."""
        statement = select(runs.c.status, func.count()).where(is_unfinished()).group_by(runs.c.status)
        async with self._database.single() as connection:
            return {RunStatus(status): count for status, count in (await connection.execute(statement)).all()}

    async def has_unfinished(self, workflow_id: WorkflowId) -> bool:
        """Whether runs of the workflow are not finished."""
        statement = select(literal(1)).where(runs.c.workflow_id == workflow_id, is_unfinished()).limit(1)
        async with self._database.single() as connection:
            return (await connection.execute(statement)).first() is not None

    async def list(
        self, workspace_id: WorkspaceId, query: RunQuery, request: PageRequest, order: RunOrder = NEWEST_FIRST
    ) -> Page[Run]:
        """Return a page of runs.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return (await self.list_by_workspace([workspace_id], query, request, order))[workspace_id]

    async def list_by_workspace(
        self,
        workspace_ids: Sequence[WorkspaceId],
        query: RunQuery,
        request: PageRequest,
        order: RunOrder = NEWEST_FIRST,
    ) -> Mapping[WorkspaceId, Page[Run]]:
        """Return the same page of the runs of each of the workspaces, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._pages(runs.c.workspace_id, workspace_ids, conditions_of(query), request, order)

    async def count(self, workspace_id: WorkspaceId, query: RunQuery) -> int:
        """Count the runs of a list."""
        return (await self.count_by_workspace([workspace_id], query))[workspace_id]

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: RunQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count the runs of each of the workspaces."""
        async with self._database.single() as connection:
            return await read_counts(connection, runs.c.workspace_id, workspace_ids, *conditions_of(query))

    async def list_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], query: RunQuery, request: PageRequest, order: RunOrder = NEWEST_FIRST
    ) -> Mapping[WorkflowId, Page[Run]]:
        """Return the same page of the runs of each of the workflows, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._pages(runs.c.workflow_id, workflow_ids, conditions_of(query), request, order)

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId], query: RunQuery) -> Mapping[WorkflowId, int]:
        """Count the runs of each of the workflows."""
        async with self._database.single() as connection:
            return await read_counts(connection, runs.c.workflow_id, workflow_ids, *conditions_of(query))

    async def list_linked(
        self, run_ids: Sequence[RunId], link: RunLink, request: PageRequest
    ) -> Mapping[RunId, Page[Run]]:
        """Return the same page of what came from each of the runs, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        origin, conditions = linked(link)
        order = OLDEST_FIRST if link is RunLink.CALLED else NEWEST_FIRST
        return await self._pages(origin, run_ids, conditions, request, order)

    async def count_linked(self, run_ids: Sequence[RunId], link: RunLink) -> Mapping[RunId, int]:
        """Count what came from each of the runs."""
        origin, conditions = linked(link)
        async with self._database.single() as connection:
            return await read_counts(connection, origin, run_ids, *conditions)

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs as they were written."""
        statement = select(runs.c.id, cast(runs.c.input, Text), cast(runs.c.output, Text)).where(runs.c.id.in_(run_ids))
        async with self._database.single() as connection:
            rows = (await connection.execute(statement)).all()
        return {RunId(row[0]): (_bytes(row[1]), _bytes(row[2])) for row in rows}

    async def node_runs(
        self, run_ids: Sequence[RunId], query: NodeRunQuery, request: PageRequest
    ) -> Mapping[RunId, Page[NodeRun]]:
        """Return the same page of what the nodes of each of the runs did, in the order of starting.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement = select_node_runs().where(*node_conditions(query))
        keys: list[tuple[ColumnElement[Any], type[str | int | UUID]]] = [
            (node_runs.c.first_seq, int),
            (node_runs.c.node_key, str),
            (node_runs.c.item_index, int),
        ]
        async with self._database.single() as connection:
            return await read_pages(
                connection, statement, keys, request, node_run_of, owner=node_runs.c.run_id, owner_ids=run_ids
            )

    async def count_node_runs(self, run_ids: Sequence[RunId], query: NodeRunQuery) -> Mapping[RunId, int]:
        """Count what `node_runs` lists."""
        async with self._database.single() as connection:
            return await read_counts(connection, node_runs.c.run_id, run_ids, *node_conditions(query))

    async def find_node_runs(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], NodeRun]:
        """Return what nodes (or items) did; those that did not start are left out."""
        wanted = [(run, key, WHOLE if item is None else item) for run, key, item in places]
        place = tuple_(node_runs.c.run_id, node_runs.c.node_key, node_runs.c.item_index)
        async with self._database.single() as connection:
            found = map(node_run_of, await connection.execute(select_node_runs().where(place.in_(wanted))))
            return {(one.run_id, one.node_key, one.item_index): one for one in found}

    async def called_by(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], RunId]:
        """Return the run that each of the nodes (or items) called last; those that called none are left out."""
        statement = """
            SELECT DISTINCT ON (w.run_id, w.key, w.item) w.run_id, w.key, w.item, r.id
              FROM unnest($1::uuid[], $2::text[], $3::int[]) AS w(run_id, key, item)
              JOIN runs r ON r.parent_run_id = w.run_id AND r.parent_node_key = w.key
                         AND r.parent_item_index IS NOT DISTINCT FROM w.item
             ORDER BY w.run_id, w.key, w.item, r.id DESC
        """
        columns = list(zip(*places, strict=True)) or [(), (), ()]
        async with self._database.driver() as connection:
            rows = await connection.fetch(statement, *columns)
        return {(RunId(row["run_id"]), row["key"], row["item"]): RunId(row["id"]) for row in rows}

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

    async def events_after(self, run_id: RunId, after: int, limit: int, max_bytes: int | None = None) -> LogPart:
        """Return the events behind seq `after`: so many, or fewer where what they hold may exceed so many bytes.

        Raises:
            NotFound: the run is gone.
        """
        async with self._database.driver() as connection:
            return await read_events_after(connection, run_id, after, limit, max_bytes)

    async def events(self, spans: Sequence[LogSpan], request: PageRequest) -> Mapping[LogSpan, Page[LoggedEvent]]:
        """Return a page of each of several parts of logs, oldest first; the cursors are the seqs."""
        async with self._database.driver() as connection:
            return await read_log_pages(connection, spans, request)

    async def count_events(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the events of the log of each of the runs."""
        async with self._database.single() as connection:
            return await read_counts(connection, run_events.c.run_id, run_ids)

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of all started nodes at one point of the log, read in one statement."""
        async with self._database.single() as connection:
            return await read_snapshot(connection, run_id)

    async def partial_texts(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], str]:
        """Return what the last attempts of nodes have written so far; those that streamed nothing are left out."""
        async with self._database.single() as connection:
            return await read_partial_texts(connection, places)

    async def _pages(
        self,
        owner: ColumnElement[UUID],
        owner_ids: Sequence[Owner],
        conditions: Sequence[ColumnElement[bool]],
        request: PageRequest,
        order: RunOrder,
    ) -> Mapping[Owner, Page[Run]]:
        keys = keys_of(order)
        async with self._database.single() as connection:
            return await read_pages(
                connection,
                _select_runs().add_columns(*added(keys)).where(*conditions),
                keys,
                request,
                _run,
                owner=owner,
                owner_ids=owner_ids,
                is_descending=order.is_descending,
                name=order.field.value,
                is_walked=order.field is RunOrderField.CREATED_AT,
            )


def _select_runs() -> Select[Any]:
    return select(*_RUN_COLUMNS, cast(runs.c.failure, Text).label("failure"))


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
        usage_of(row),
        row.idempotency_key,
        row.concurrency_key or None,
        None if row.rerun_of is None else RunId(row.rerun_of),
        row.version,
        None if row.parent_run_id is None else RunId(row.parent_run_id),
        row.parent_node_key,
        None if row.api_key_id is None else ApiKeyId(row.api_key_id),
        None if row.webhook_id is None else WebhookId(row.webhook_id),
    )


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()
