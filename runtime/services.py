"""The composition root, and with `runtime.databases` the only door to `persistence`: everything that is alive while the process runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.connections import ChatSettings
from domain.errors import DatabaseUnavailable
from domain.ids import ExecutorId
from domain.rate_limits import SERVER_MODEL, Caps
from persistence.api_keys import PostgresApiKeys
from persistence.approvals import PostgresApprovals
from persistence.audit import PostgresAudit
from persistence.collections import open_vectors
from persistence.compaction import PostgresCompaction
from persistence.connection_permits import PostgresConnectionPermits
from persistence.connections import PostgresConnections
from persistence.data_tables import PostgresDataTables
from persistence.external_tables import PostgresExternalTables
from persistence.identity import PostgresIdentity
from persistence.lease import ExecutorLease
from persistence.partitions import ensure_partitions
from persistence.people import PostgresPeople
from persistence.reruns import PostgresReruns
from persistence.run_counts import PostgresRunCounts
from persistence.run_listener import PostgresListener
from persistence.run_log import PostgresRunLog
from persistence.run_queue import PostgresRunQueue
from persistence.run_removal import PostgresRunRemoval
from persistence.runs import PostgresRuns
from persistence.sealed import PostgresSealedValues
from persistence.secrets import PostgresSecrets
from persistence.steering import PostgresSteering
from persistence.usage import PostgresUsage
from persistence.vectors.faiss_index import IndexOptions
from persistence.vectors.live_indexes import VectorOptions
from persistence.versions import PostgresVersions
from persistence.webhook_calls import PostgresWebhookCalls
from persistence.webhooks import PostgresWebhooks
from persistence.workflow_changes import PostgresWorkflowChanges
from persistence.workflows import PostgresWorkflows
from runtime.api_keys import ApiKeyService
from runtime.approvals import ApprovalService
from runtime.audit import AuditService
from runtime.clients.http import open_http
from runtime.clients.limited import LimitedHttp, LimitedTables
from runtime.clients.local_embeddings import DEFAULT_MODEL, FastembedModel, LocalEmbedder
from runtime.clients.outbound import OutboundGuard
from runtime.collections import CollectionService
from runtime.compaction import Compactor
from runtime.connection_limits import ConnectionLimits
from runtime.connection_tests import ConnectionTester
from runtime.connections import ConnectionService
from runtime.data_tables import DataTableService
from runtime.databases import open_configured
from runtime.documents import DocumentService
from runtime.drafts import Drafts
from runtime.ears import Ears
from runtime.embedders import Embedders
from runtime.encryption import Vault
from runtime.engine_limits import EngineLimits
from runtime.graph_edits import GraphEdits
from runtime.health import Health
from runtime.identity import IdentityService, utc_now
from runtime.ingestion import Ingestion
from runtime.keys import open_encryption_keys, open_keys
from runtime.local import LocalEngine
from runtime.metrics import Metrics
from runtime.node_services import ProcessServices
from runtime.passwords import Passwords
from runtime.people import People
from runtime.previews import PreviewService
from runtime.progress import Progress
from runtime.rebuilds import Rebuilder
from runtime.registry import load_registry
from runtime.reruns import RerunService
from runtime.retrieval import Retrieval
from runtime.rotation import KeyRotation
from runtime.run_removal import RunRemovalService
from runtime.run_room import RunRoom
from runtime.runs import RunService
from runtime.secrets import SecretService
from runtime.service_parts import StoredParts, VectorParts, own_database
from runtime.steering import SteeringService
from runtime.sub_workflows import SubWorkflows
from runtime.tasks import running
from runtime.tokens import AccessTokens, setup_token
from runtime.usage import UsageService
from runtime.versions import VersionService
from runtime.webhook_calls import WebhookCaller
from runtime.webhook_sweep import DeliverySweep
from runtime.webhooks import WebhookService
from runtime.workflow_changes import WorkflowFollowers
from runtime.workflow_files import WorkflowFiles
from runtime.workflows import WorkflowService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from persistence.database import Database
    from runtime.registry import Registry
    from runtime.settings import Settings

_PARTITION_INTERVAL_S = 6 * 3_600.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the API, the command line and tests use."""

    settings: Settings
    identity: IdentityService
    people: People
    workflows: WorkflowService
    versions: VersionService
    graph_edits: GraphEdits
    workflow_followers: WorkflowFollowers
    workflow_files: WorkflowFiles
    secrets: SecretService
    connections: ConnectionService
    connection_tester: ConnectionTester
    data_tables: DataTableService
    collections: CollectionService
    documents: DocumentService
    runs: RunService
    steering: SteeringService
    run_removal: RunRemovalService
    approvals: ApprovalService
    reruns: RerunService
    previews: PreviewService
    usage: UsageService
    progress: Progress
    registry: Registry
    health: Health
    engine: LocalEngine
    metrics: Metrics
    api_keys: ApiKeyService
    audit: AuditService
    webhooks: WebhookService
    webhook_caller: WebhookCaller


@asynccontextmanager
async def open_services(settings: Settings, *, is_migrating: bool = True) -> AsyncGenerator[Services]:
    """Open everything in the order in which it depends on each other; close it in the opposite order.

    The embedded database is migrated first, unless that is another process's business.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        database = await stack.enter_async_context(open_configured(settings, is_migrating=is_migrating))
        guard = OutboundGuard(settings.outbound.allowed, own_database(settings))
        executor = ExecutorId(uuid7())
        limits = ConnectionLimits(PostgresConnectionPermits(database, executor))
        bare = await stack.enter_async_context(open_http(guard, connect_timeout_s=settings.outbound.connect_timeout_s))
        http = LimitedHttp(bare, limits)
        stored = await _open_stored(settings, database, guard)
        audit = stored.audit
        await stack.enter_async_context(running(("audit", audit.run())))
        # It reads the metadata of what is installed.
        registry = await asyncio.to_thread(load_registry, is_logged=True)
        workflows = PostgresWorkflows(database, registry.names, settings.limits.workflows)
        data_tables = DataTableService(PostgresDataTables(database), audit=audit)
        external_tables = LimitedTables(PostgresExternalTables(guard.addresses, database), limits)
        vectors = await stack.enter_async_context(_open_vectors(settings, database, stored, http, metrics))
        drafts = Drafts(
            workflows,
            registry.names,
            secrets=stored.secrets,
            connections=stored.connections,
            data_tables=data_tables,
            collections=vectors.collections,
        )
        reader, queue = PostgresRuns(database), PostgresRunQueue(database)
        progress = Progress(reader, metrics)
        log = PostgresRunLog(
            database,
            executor.hex,
            on_stored=(progress.stored, metrics.stored),
            on_commit=metrics.committed,
            max_rows=settings.limits.rows_per_table,
        )
        room = RunRoom(settings.limits.unfinished_runs, PostgresRunCounts(database))
        versions = PostgresVersions(database, registry.names)
        nodes = ProcessServices(
            http,
            stored.connections,
            stored.secrets,
            collections=vectors.of_workspace,
            data_tables=data_tables,
            external_tables=external_tables,
            sub_workflows=SubWorkflows(drafts, versions, room),
            limits=limits,
            prices=settings.llm.price_list,
        )
        engine_limits = EngineLimits(
            settings.runs.max_concurrent_runs,
            settings.runs.poll_s,
            settings.runs.takeover_probe_s,
            settings.runs.max_recoveries,
            settings.runs.cancel_grace_s,
            settings.runs.linger_s,
            settings.limits.runs_at_work,
            settings.limits.events_per_run,
            settings.limits.output_bytes_per_run,
        )
        engine = LocalEngine(executor, queue, log, nodes, registry, workflows.definition, engine_limits)
        followers = WorkflowFollowers(PostgresWorkflowChanges(database), drafts)
        await stack.enter_async_context(running(("connection limits", limits.run())))
        ears = Ears(progress, engine, followers, limits)
        await stack.enter_async_context(_alive(settings, database, log, engine, ears))
        calls = PostgresWebhookCalls(database)
        compactor = Compactor(PostgresCompaction(database), settings.runs.compact_after_s)
        metrics.watch("runs_in_memory", "Runs in the memory of this process.", lambda: engine.run_count)
        metrics.watch("run_followers", "Clients that follow runs in this process.", lambda: progress.follower_count)
        await stack.enter_async_context(
            running(
                ("rebuilds", vectors.rebuilder.run()),
                ("compaction", compactor.run()),
                ("metrics", metrics.run()),
                ("webhook deliveries", DeliverySweep(calls).run()),
            )
        )
        workflow_service = WorkflowService(workflows, drafts, registry.names, audit=audit)
        runs = RunService(drafts, queue, reader, engine, progress, room)
        steering = PostgresSteering(database)
        yield Services(
            settings,
            stored.identity,
            People(PostgresPeople(database), steering, vectors.store, stored.connections, engine.look, audit=audit),
            workflow_service,
            VersionService(versions, workflow_service, drafts, audit=audit),
            GraphEdits(workflow_service, workflows, registry.names),
            followers,
            WorkflowFiles(workflow_service, registry.names),
            stored.secrets,
            stored.connections,
            ConnectionTester(stored.connections, http, external_tables),
            data_tables,
            vectors.collections,
            vectors.documents,
            runs,
            SteeringService(runs, steering, progress, engine.look),
            RunRemovalService(runs, drafts, PostgresRunRemoval(database), progress, audit),
            ApprovalService(PostgresApprovals(database), engine.look),
            RerunService(drafts, PostgresReruns(database, workflows), reader, registry, engine, progress, room),
            PreviewService(workflow_service, runs, stored.secrets, registry.names),
            UsageService(PostgresUsage(database)),
            progress,
            registry,
            Health(database.check, engine, reader),
            engine,
            metrics,
            stored.api_keys,
            audit,
            WebhookService(PostgresWebhooks(database), workflows, stored.vault, audit),
            WebhookCaller(
                calls, stored.vault, workflows.definition, engine, lambda run_id: progress.woken([run_id]), room=room
            ),
        )


def _vector_options(settings: Settings) -> VectorOptions:
    vectors = settings.vectors
    return VectorOptions(
        IndexOptions(vectors.flat_max, vectors.hnsw_m, vectors.hnsw_ef_construction, vectors.hnsw_ef_search),
        snapshot_after=vectors.snapshot_after,
        max_memory_bytes=vectors.max_memory_mb * 1024**2,
        max_documents=settings.limits.documents_per_collection,
    )


@asynccontextmanager
async def open_identity(settings: Settings) -> AsyncGenerator[IdentityService]:
    """Open what makes accounts, and nothing that would execute runs: for commands beside the server.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with open_configured(settings) as database:
        guard = OutboundGuard(settings.outbound.allowed, own_database(settings))
        yield (await _open_stored(settings, database, guard)).identity


@asynccontextmanager
async def open_rotation(settings: Settings) -> AsyncGenerator[KeyRotation]:
    """Open what seals stored values anew; servers may be at work beside it.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    keys = await asyncio.to_thread(open_encryption_keys, settings)
    async with open_configured(settings) as database:
        yield KeyRotation(PostgresSealedValues(database), Vault(keys))


async def _open_stored(settings: Settings, database: Database, guard: OutboundGuard) -> StoredParts:
    token_keys = await asyncio.to_thread(open_keys, settings.token_keys, settings.data_dir / "token.key")
    encryption_keys = await asyncio.to_thread(open_encryption_keys, settings)
    vault, llm = Vault(encryption_keys), settings.llm
    server_chat = None
    if llm.base_url is not None:
        key = None if llm.api_key is None else llm.api_key.get_secret_value()
        caps = Caps(SERVER_MODEL, "the server's own", llm.max_concurrent, llm.requests_per_minute)
        server_chat = ChatSettings(llm.base_url, key, llm.model, caps)
    audit = AuditService(PostgresAudit(database), utc_now)
    identity = IdentityService(
        PostgresIdentity(database),
        AccessTokens(token_keys, clock=utc_now),
        Passwords(),
        setup_token=setup_token(token_keys[0]),
        is_sign_up_open=settings.signup == "open" or settings.is_loopback,
        audit=audit,
    )
    connections = ConnectionService(
        PostgresConnections(database), vault, guard.check_url, server_chat=server_chat, audit=audit
    )
    keys_of_programs = ApiKeyService(PostgresApiKeys(database), audit)
    secrets = SecretService(PostgresSecrets(database), vault, audit=audit)
    return StoredParts(identity, secrets, connections, keys_of_programs, audit, vault)


@asynccontextmanager
async def _open_vectors(
    settings: Settings, database: Database, stored: StoredParts, http: LimitedHttp, metrics: Metrics
) -> AsyncGenerator[VectorParts]:
    named = settings.embedding
    model = FastembedModel(named.model or DEFAULT_MODEL, named.model_path, settings.data_dir / "models")
    embedders = Embedders(LocalEmbedder(model), stored.connections, http)
    async with open_vectors(database, settings.data_dir / "indexes", _vector_options(settings)) as store:
        ingestion, retrieval = Ingestion(store, embedders), Retrieval(store, embedders, metrics)
        rebuilder = Rebuilder(store, embedders)
        collections = CollectionService(store, embedders, retrieval, rebuilder, audit=stored.audit)
        yield VectorParts(
            store, ingestion, retrieval, rebuilder, collections, DocumentService(store, collections, ingestion)
        )


@asynccontextmanager
async def _alive(
    settings: Settings, database: Database, log: PostgresRunLog, engine: LocalEngine, ears: Ears
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
    listener = PostgresListener(database, engine.executor.hex, ears)
    await lease.start()
    try:
        async with running(("run log", log.run()), ("listener", listener.run()), ("partitions", _keep_ahead(database))):
            async with engine.open():
                yield
            async with asyncio.timeout(settings.shutdown_timeout_s):
                await log.drained()
    except TimeoutError:
        # What is not stored yet is done again by whoever takes the runs over.
        return
    finally:
        await lease.stop()


async def _keep_ahead(database: Database) -> None:
    """Make the partitions of the coming days, again and again."""
    while True:
        await asyncio.sleep(_PARTITION_INTERVAL_S)
        try:
            await ensure_partitions(database, datetime.now(UTC).date())
        except DatabaseUnavailable:
            continue
