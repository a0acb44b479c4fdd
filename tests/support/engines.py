"""Engines of a test: a real log on a real database, without a server around it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.errors import NotFound
from domain.events import TERMINAL, Event, LoggedEvent
from domain.ids import ExecutorId, GraphId, RunId, UserId, WorkflowId, WorkspaceId
from domain.json_codec import encode
from domain.ports.new_runs import NewRun
from domain.run import RunStatus, TriggerKind
from persistence.reruns import PostgresReruns
from persistence.run_log import PostgresRunLog
from persistence.run_queue import PostgresRunQueue
from persistence.runs import PostgresRuns
from persistence.steering import PostgresSteering
from persistence.workflows import PostgresWorkflows
from runtime.engine_limits import EngineLimits
from runtime.local import LocalEngine
from runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from domain.data_tables import DataTable
    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.ports.data_tables import ExternalDatabase, ExternalTables
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from domain.suspensions import SubRunCall
    from domain.versions import VersionTrack
    from domain.workflow import Definition
    from persistence.database import Database


Kind = TypeVar("Kind")
BY: Final = UserId(UUID(int=7))
"""Who pauses runs and lets them go on."""


class Kinds:
    """A registry of a test's own kinds."""

    def __init__(self, *kinds: NodeKind) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def by_name(self, name: str) -> NodeKind | None:
        """Find a kind."""
        return self._kinds.get(name)


class NoServices:
    """Node services for kinds that need none."""

    @property
    def http(self) -> HttpClient:
        """Not there."""
        raise NotImplementedError

    async def chat(self, workspace_id: WorkspaceId, connection: str | None) -> ChatModel:
        """Not there."""
        raise NotImplementedError

    async def credential(self, workspace_id: WorkspaceId, connection: str) -> Credential:
        """Not there."""
        raise NotImplementedError

    def collections(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Not there."""
        raise NotImplementedError

    async def data_table(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Not there."""
        raise NotImplementedError

    async def external_database(self, workspace_id: WorkspaceId, connection: str) -> ExternalDatabase:
        """Not there."""
        raise NotImplementedError

    @property
    def external_tables(self) -> ExternalTables:
        """Not there."""
        raise NotImplementedError

    async def sub_workflow(
        self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json
    ) -> SubRunCall:
        """Not there."""
        raise NotImplementedError

    def on_room(self, attempts: str, wake: Callable[[], bool]) -> bool:
        """Know of nobody who waits."""
        del attempts, wake
        return False

    def leave_queue(self, attempts: str) -> None:
        """Know of nobody who waits."""

    async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
        """Not there."""
        raise NotImplementedError


class World:
    """A workspace with definitions, an engine that runs them, and what followed from it."""

    def __init__(self, database: Database, registry: Kinds, limits: EngineLimits, like: World | None = None) -> None:
        self.database = database
        self.executor = ExecutorId(uuid7())
        self.queue = PostgresRunQueue(database)
        self.reader = PostgresRuns(database)
        self.steering = PostgresSteering(database)
        self.reruns = PostgresReruns(database, PostgresWorkflows(database))
        self.progress = Progress(self.reader)
        self.log = PostgresRunLog(database, self.executor.hex, on_stored=(self.progress.stored,))
        self.definitions: dict[GraphId, Definition] = {} if like is None else like.definitions
        self.workspace_id = WorkspaceId(uuid7()) if like is None else like.workspace_id
        self.writing: asyncio.Task[None] | None = None
        self.engine = LocalEngine(
            self.executor,
            self.queue,
            self.log,
            NoServices(),
            registry,  # pyright: ignore[reportArgumentType] -- all that an engine asks of it
            self.definition_of,
            limits,
        )

    async def definition_of(self, graph_id: GraphId) -> Definition:
        """Return a definition that was added."""
        return self.definitions[graph_id]

    async def add(self, definition: Definition) -> tuple[GraphId, WorkflowId]:
        """Store a definition's rows; runs need them."""
        graph_id, workflow_id = GraphId(uuid7()), WorkflowId(uuid7())
        async with self.database.direct() as connection:
            await connection.execute(
                "INSERT INTO workspaces (id, name) VALUES ($1, 'w') ON CONFLICT DO NOTHING", self.workspace_id
            )
            await connection.execute(
                "INSERT INTO graphs (id, workspace_id, content_hash, definition, node_count) VALUES ($1, $2, $3, '{}', 1)",
                graph_id,
                self.workspace_id,
                graph_id.bytes,
            )
            await connection.execute(
                "INSERT INTO workflows (id, workspace_id, slug, name, revision, graph_id, problems, is_runnable)"
                " VALUES ($1, $2, $3, 'w', 1, $4, '[]', true)",
                workflow_id,
                self.workspace_id,
                str(workflow_id),
                graph_id,
            )
        self.definitions[graph_id] = definition
        return graph_id, workflow_id

    def new_run(self, place: tuple[GraphId, WorkflowId], given: Json = None, priority: int = 3) -> NewRun:
        """Return what is inserted for a run."""
        graph_id, workflow_id = place
        return NewRun(
            RunId(uuid7()),
            self.workspace_id,
            workflow_id,
            graph_id,
            len(self.definitions[graph_id].graph.nodes),
            TriggerKind.MANUAL,
            None,
            encode(given),
            datetime.now(UTC),
            priority,
        )

    async def queued(self, place: tuple[GraphId, WorkflowId], given: Json = None, priority: int = 3) -> RunId:
        """Insert a run that nobody has claimed."""
        run = self.new_run(place, given, priority)
        await self.queue.add(run)
        return run.id

    async def crowd(self, place: tuple[GraphId, WorkflowId], count: int) -> None:
        """Insert many runs that nobody has claimed, in two statements."""
        graph_id, workflow_id = place
        async with self.database.direct() as connection:
            await connection.execute(
                "INSERT INTO runs (id, workspace_id, workflow_id, graph_id, node_count, trigger, status, last_seq)"
                " SELECT gen_random_uuid(), $1, $2, $3, 1, 'MANUAL', 'QUEUED', 1 FROM generate_series(1, $4::int)",
                self.workspace_id,
                workflow_id,
                graph_id,
                count,
                timeout=60,
            )
            await connection.execute(
                "INSERT INTO queued_runs (run_id, workspace_id, priority)"
                " SELECT id, workspace_id, priority FROM runs WHERE workflow_id = $1",
                workflow_id,
                timeout=60,
            )

    async def owned(self, place: tuple[GraphId, WorkflowId], given: Json = None) -> RunId:
        """Insert a run that this world's executor holds, with epoch 1; no engine runs it."""
        run = self.new_run(place, given)
        await self.queue.add(run, self.executor)
        return run.id

    async def entered(self, *, expires_in_s: float = 60) -> None:
        """Enter the executor with a lease, but without its lock."""
        async with self.database.direct() as connection:
            await connection.execute(
                "INSERT INTO executors (id, lock_key, expires_at) VALUES ($1, 1, now() + make_interval(secs => $2))"
                " ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at",
                self.executor,
                expires_in_s,
            )

    def crash(self) -> None:
        """Lose the process as far as the database sees it: nothing that is not stored will be."""
        assert self.writing is not None
        self.writing.cancel()

    async def cancel(self, run_id: RunId, reason: str | None = None) -> bool:
        """Ask a run to stop."""
        is_new = await self.queue.add_command(run_id, "cancel", "cancel", {"by": None, "reason": reason})
        self.engine.look()
        return is_new

    async def pause(self, run_id: RunId) -> None:
        """Let a run start nothing any more."""
        await self.steering.pause(run_id, BY)
        self.engine.look()

    async def resume(self, run_id: RunId) -> None:
        """Let a paused run go on."""
        await self.steering.resume(run_id, BY)
        self.engine.look()

    async def status_of(self, run_id: RunId) -> RunStatus:
        """Return where a run is."""
        (run,) = await self.reader.find_many(frozenset({self.workspace_id}), [run_id])
        return run.status

    async def log_rows(self, run_id: UUID) -> list[LoggedEvent]:
        """Return the whole log as it is stored; nothing of a run that is not there."""
        try:
            return list((await self.reader.events_after(RunId(run_id), 0, 100_000)).events)
        except NotFound:
            return []

    async def ended(self, run_id: RunId) -> list[LoggedEvent]:
        """Follow a run to its end and return its log."""
        events = [event async for event in self.progress.follow(run_id)]
        assert isinstance(events[-1].event, TERMINAL)
        return events

    async def run(self, definition: Definition, given: Json = None) -> list[LoggedEvent]:
        """Run a definition to its end and return its log."""
        run_id = await self.queued(await self.add(definition), given)
        self.engine.look()
        return await self.ended(run_id)


@asynccontextmanager
async def world(
    database: Database, *kinds: NodeKind, limits: EngineLimits | None = None, like: World | None = None
) -> AsyncGenerator[World]:
    """Open an engine with these kinds; `like` another world that it shares its workspace and definitions with."""
    made = World(database, Kinds(*kinds), limits or EngineLimits(poll_s=0.05), like)
    async with writing(made), made.engine.open():
        yield made


@asynccontextmanager
async def writing(made: World) -> AsyncGenerator[World]:
    """Let a world's log be written, without an engine; what was appended is stored at the end, unless it crashed."""
    made.writing = asyncio.create_task(made.log.run(), name="run log")
    try:
        yield made
        if not (made.writing.cancelling() or made.writing.done()):
            async with asyncio.timeout(30):
                await made.log.drained()
    finally:
        made.writing.cancel()
        await asyncio.gather(made.writing, return_exceptions=True)


def bare_world(database: Database) -> World:
    """Return a world whose engine is never opened."""
    return World(database, Kinds(), EngineLimits())


def names(events: Sequence[LoggedEvent]) -> list[str]:
    """Return a log as text: `NodeStarted a`, `RunSucceeded`."""
    return [named(logged.event) for logged in events]


def named(event: Event) -> str:
    """Return an event as text: `NodeStarted a`, `RunSucceeded`."""
    return f"{event.type} {getattr(event, 'node_key', '')}".strip()


def only(events: Sequence[LoggedEvent], kind: type[Kind]) -> Kind:
    """Return the one event of a class."""
    (found,) = [logged.event for logged in events if isinstance(logged.event, kind)]
    return found
