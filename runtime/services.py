"""The composition root, and the only door to `persistence`: everything that is alive while the process runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uuid_utils.compat import uuid7

from domain.connections import ChatSettings
from domain.errors import DatabaseUnavailable, SetupFault
from domain.ids import ExecutorId
from persistence.collections import open_vectors
from persistence.connections import PostgresConnections
from persistence.data_tables import PostgresDataTables
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.external_tables import PostgresExternalTables
from persistence.identity import PostgresIdentity
from persistence.lease import ExecutorLease
from persistence.migrate import is_current, migrate
from persistence.partitions import ensure_partitions
from persistence.run_listener import PostgresListener
from persistence.run_log import PostgresRunLog
from persistence.run_queue import PostgresRunQueue
from persistence.runs import PostgresRuns
from persistence.secrets import PostgresSecrets
from persistence.vectors.faiss_index import IndexOptions
from persistence.vectors.live_indexes import VectorOptions
from persistence.workflows import PostgresWorkflows
from runtime.clients.http import open_http
from runtime.clients.local_embeddings import DEFAULT_MODEL, FastembedModel, LocalEmbedder
from runtime.clients.outbound import OutboundGuard
from runtime.collections import CollectionService
from runtime.connection_tests import ConnectionTester
from runtime.connections import ConnectionService
from runtime.data_tables import DataTableService
from runtime.documents import DocumentService
from runtime.drafts import Drafts
from runtime.embedders import Embedders
from runtime.encryption import Vault
from runtime.health import Health
from runtime.identity import IdentityService, utc_now
from runtime.ingestion import Ingestion
from runtime.keys import open_keys
from runtime.local import EngineLimits, LocalEngine
from runtime.node_collections import WorkspaceCollections
from runtime.node_services import ProcessServices
from runtime.passwords import Passwords
from runtime.progress import Progress
from runtime.rebuilds import Rebuilder
from runtime.registry import load_registry
from runtime.retrieval import Retrieval
from runtime.runs import RunService
from runtime.secrets import SecretService
from runtime.tasks import task_group
from runtime.tokens import AccessTokens, setup_token
from runtime.workflows import WorkflowService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence
    from uuid import UUID

    from domain.ids import WorkspaceId
    from domain.ports.collections import Collections
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import HttpClient
    from persistence.database import Database
    from runtime.registry import Registry
    from runtime.settings import Settings

_PARTITION_INTERVAL_S = 6 * 3_600.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the API, the command line and tests use."""

    settings: Settings
    identity: IdentityService
    workflows: WorkflowService
    secrets: SecretService
    connections: ConnectionService
    connection_tester: ConnectionTester
    data_tables: DataTableService
    collections: CollectionService
    documents: DocumentService
    runs: RunService
    progress: Progress
    registry: Registry
    health: Health
    engine: LocalEngine


@dataclass(frozen=True, slots=True)
class _Stored:
    """Identity, secrets and connections: what needs keys."""

    identity: IdentityService
    secrets: SecretService
    connections: ConnectionService


@dataclass(frozen=True, slots=True)
class _Vectors:
    """Collections: what keeps them, and what is done with them."""

    store: Collections
    ingestion: Ingestion
    retrieval: Retrieval
    rebuilder: Rebuilder
    collections: CollectionService
    documents: DocumentService

    def of_workspace(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Return what nodes of a workspace may use."""
        return WorkspaceCollections(self.store, self.ingestion, self.retrieval, workspace_id)


class _Ears:
    """Passes what the database says to followers and to the engine."""

    def __init__(self, progress: Progress, engine: LocalEngine) -> None:
        self._progress = progress
        self._engine = engine

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Let followers read."""
        self._progress.woken(run_ids)

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        """Let the engine look for commands."""
        if not run_ids or any(self._engine.holds(run_id) for run_id in run_ids):
            self._engine.look()


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncGenerator[Services]:
    """Open everything in the order in which it depends on each other; close it in the opposite order.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(_open_database(settings))
        guard = OutboundGuard(settings.outbound.allowed, _own_database(settings))
        http = await stack.enter_async_context(open_http(guard, connect_timeout_s=settings.outbound.connect_timeout_s))
        stored = await _open_stored(settings, database, guard)
        # It reads the metadata of what is installed.
        registry = await asyncio.to_thread(load_registry)
        workflows = PostgresWorkflows(database)
        data_tables = DataTableService(PostgresDataTables(database))
        vectors = await stack.enter_async_context(_open_vectors(settings, database, stored.connections, http))
        drafts = Drafts(
            workflows,
            registry.names,
            secrets=stored.secrets,
            connections=stored.connections,
            data_tables=data_tables,
            collections=vectors.collections,
        )
        reader, queue = PostgresRuns(database), PostgresRunQueue(database)
        progress = Progress(reader)
        executor = ExecutorId(uuid7())
        log = PostgresRunLog(database, executor.hex, on_stored=progress.stored)
        external_tables = PostgresExternalTables(guard.addresses, database)
        nodes = ProcessServices(
            http,
            stored.connections,
            stored.secrets,
            collections=vectors.of_workspace,
            data_tables=data_tables,
            external_tables=external_tables,
        )
        limits = EngineLimits(
            settings.runs.max_concurrent_runs,
            settings.runs.poll_s,
            settings.runs.takeover_probe_s,
            settings.runs.max_recoveries,
            settings.runs.cancel_grace_s,
        )
        engine = LocalEngine(executor, queue, log, nodes, registry, workflows.definition, limits)
        await stack.enter_async_context(_alive(settings, database, log, engine, progress))
        await stack.enter_async_context(_tasks(("rebuilds", vectors.rebuilder.run())))
        yield Services(
            settings,
            stored.identity,
            WorkflowService(workflows, drafts, registry.names),
            stored.secrets,
            stored.connections,
            ConnectionTester(stored.connections, http, external_tables),
            data_tables,
            vectors.collections,
            vectors.documents,
            RunService(drafts, queue, reader, engine, progress),
            progress,
            registry,
            Health(database.check, engine),
            engine,
        )


def _vector_options(settings: Settings) -> VectorOptions:
    vectors = settings.vectors
    return VectorOptions(
        IndexOptions(vectors.flat_max, vectors.hnsw_m, vectors.hnsw_ef_construction, vectors.hnsw_ef_search),
        snapshot_after=vectors.snapshot_after,
        max_memory_bytes=vectors.max_memory_mb * 1024**2,
    )


@asynccontextmanager
async def open_identity(settings: Settings) -> AsyncGenerator[IdentityService]:
    """Open what makes accounts, and nothing that would execute runs: for commands beside the server.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with _open_database(settings) as database:
        guard = OutboundGuard(settings.outbound.allowed, _own_database(settings))
        yield (await _open_stored(settings, database, guard)).identity


async def migrate_database(settings: Settings) -> None:
    """Bring the database to the newest schema.

    Raises:
        SetupFault: the database cannot be used as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with _database_url(settings) as url:
        await migrate(url)


async def is_migrated(settings: Settings) -> bool:
    """Whether the database answers and has exactly the newest schema.

    Raises:
        SetupFault: the database cannot be used as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with _database_url(settings) as url:
        return await is_current(url)


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncGenerator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres(settings.data_dir) as url:
        yield url


@asynccontextmanager
async def _open_database(settings: Settings) -> AsyncGenerator[Database]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_database_url(settings))
        if settings.database_url is None:
            await migrate(url)
        elif not await is_current(url):
            raise SetupFault("The database does not have this version's tables: run `anabranch migrate` first.")
        yield await stack.enter_async_context(
            open_database(
                url,
                pool_size=settings.database.pool_size,
                statement_timeout_ms=settings.database.statement_timeout_ms,
            )
        )


async def _open_stored(settings: Settings, database: Database, guard: OutboundGuard) -> _Stored:
    def keys() -> tuple[tuple[str, ...], tuple[str, ...]]:
        is_embedded = settings.database_url is None
        return (
            open_keys(settings.token_keys, settings.data_dir / "token.key"),
            open_keys(settings.encryption_keys, settings.data_dir / "encryption.key", is_made=is_embedded),
        )

    token_keys, encryption_keys = await asyncio.to_thread(keys)
    vault, llm = Vault(encryption_keys), settings.llm
    server_chat = None
    if llm.base_url is not None:
        key = None if llm.api_key is None else llm.api_key.get_secret_value()
        server_chat = ChatSettings(llm.base_url, key, llm.model)
    identity = IdentityService(
        PostgresIdentity(database),
        AccessTokens(token_keys, clock=utc_now),
        Passwords(),
        setup_token=setup_token(token_keys[0]),
        is_sign_up_open=settings.signup == "open" or settings.is_loopback,
    )
    connections = ConnectionService(PostgresConnections(database), vault, guard.check_url, server_chat=server_chat)
    return _Stored(identity, SecretService(PostgresSecrets(database), vault), connections)


@asynccontextmanager
async def _open_vectors(
    settings: Settings, database: Database, connections: ConnectionService, http: HttpClient
) -> AsyncGenerator[_Vectors]:
    named = settings.embedding
    model = FastembedModel(named.model or DEFAULT_MODEL, named.model_path, settings.data_dir / "models")
    embedders = Embedders(LocalEmbedder(model), connections, http)
    async with open_vectors(database, settings.data_dir / "indexes", _vector_options(settings)) as store:
        ingestion, retrieval = Ingestion(store, embedders), Retrieval(store, embedders)
        rebuilder = Rebuilder(store, embedders)
        collections = CollectionService(store, embedders, retrieval, rebuilder)
        yield _Vectors(
            store, ingestion, retrieval, rebuilder, collections, DocumentService(store, collections, ingestion)
        )


@asynccontextmanager
async def _alive(
    settings: Settings, database: Database, log: PostgresRunLog, engine: LocalEngine, progress: Progress
) -> AsyncGenerator[None]:
    """Hold the lease, write the log, listen and execute; hand the runs over at the end."""
    await ensure_partitions(database, datetime.now(UTC).date())
    lease = ExecutorLease(
        database,
        engine.executor,
        renewal_s=settings.runs.lease_renewal_s,
        expiry_s=settings.runs.lease_expiry_s,
        on_lost=engine.lost,
    )
    listener = PostgresListener(database, engine.executor.hex, _Ears(progress, engine))
    await lease.start()
    try:
        async with _tasks(("run log", log.run()), ("listener", listener.run()), ("partitions", _keep_ahead(database))):
            async with engine.open():
                yield
            async with asyncio.timeout(settings.shutdown_timeout_s):
                await log.drained()
    except TimeoutError:
        # What is not stored yet is done again by whoever takes the runs over.
        return
    finally:
        await lease.stop()


@asynccontextmanager
async def _tasks(*works: tuple[str, Coroutine[None, None, None]]) -> AsyncGenerator[None]:
    """Run works beside the block; they end with it, and a fault in one ends it."""
    async with task_group() as group:
        tasks = [group.create_task(work, name=name) for name, work in works]
        yield
        for task in tasks:
            task.cancel()


async def _keep_ahead(database: Database) -> None:
    """Make the partitions of the coming days, again and again."""
    while True:
        await asyncio.sleep(_PARTITION_INTERVAL_S)
        try:
            await ensure_partitions(database, datetime.now(UTC).date())
        except DatabaseUnavailable:
            continue


def _own_database(settings: Settings) -> list[str]:
    """Return the address of our own database, which no node may reach, where it has one."""
    if settings.database_url is None:
        return []
    parts = urlsplit(settings.database_url.get_secret_value())
    return [f"{parts.hostname}:{parts.port or 5432}"] if parts.hostname else []
